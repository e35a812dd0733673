"""What is left to do in a study: told by the run folders, so nothing is believed that is not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from motet.study.choice import best_of, validated
from motet.study.ledger import Stage, StudyFolder, stage_of
from motet.study.planning import Entry, Unit

__all__ = ["Queue"]


class Queue:
    """The runs of a study and how far each of them is.

    Args:
        units: of the study.
        folder: of the study.

    Attributes:
        failed: what runs that came to nothing said at last, by name; they are not tried again.
    """

    def __init__(self, units: Sequence[Unit], folder: StudyFolder) -> None:
        self._units, self._folder = units, folder
        self._choices: dict[Unit, tuple[Entry, ...]] = {}
        entries = (entry for unit in units for of in unit.candidates for entry in of)
        self._stages = {entry.name: stage_of(folder.run(entry.name)) for entry in entries}
        self.failed: dict[str, str] = {}

    def look(self, entry: Entry) -> Stage:
        """What is left to do for a run, looked up in its folder."""
        found = self._stages[entry.name] = stage_of(self._folder.run(entry.name))
        return found

    def stage(self, entry: Entry) -> Stage:
        """The same as it was when it was last looked up."""
        return self._stages[entry.name]

    def chosen(self, unit: Unit) -> tuple[Entry, ...] | None:
        """The entries that validation has chosen, one a seed; None while trials are missing, empty if all failed."""
        if unit not in self._choices:
            if not all(self._trained(entry) or entry.name in self.failed for entry in unit.trials):
                return None
            found = [validated(self._folder.run(e.name)) if self._trained(e) else None for e in unit.trials]
            best = best_of(found) if unit.trials else 0
            self._choices[unit] = () if best is None else unit.candidates[best]
        return self._choices[unit]

    def is_chosen(self, entry: Entry) -> bool:
        """Whether a run is more than a trial."""
        return any(entry in (self.chosen(unit) or ()) for unit in self._units)

    def done(self, entry: Entry) -> bool:
        """Whether nothing is left to do: a run that was not chosen is never scored on test."""
        return self._stages[entry.name] == "done" if self.is_chosen(entry) else self._trained(entry)

    def known(self) -> list[Entry]:
        """The runs that belong to the study as far as that has been chosen."""
        found = [entry for unit in self._units for entry in (*unit.trials, *(self.chosen(unit) or ()))]
        return list(dict.fromkeys(found))

    def wanted(self) -> Iterator[Entry]:
        """What could be worked on now: trials first, then a seed of all variants before the next seed."""
        trials = [entry for unit in self._units if self.chosen(unit) is None for entry in unit.trials]
        chosen = [self.chosen(unit) or () for unit in self._units]
        seeds = [entries[at] for at in range(max(map(len, chosen), default=0)) for entries in chosen if entries]
        for entry in (*trials, *seeds):
            if not self.done(entry) and entry.name not in self.failed:
                yield entry

    def counted(self) -> tuple[int, int]:
        """Runs that are done, and all that there will be."""
        total = sum(len(unit.trials) + len(unit.candidates[0]) - bool(unit.trials) for unit in self._units)
        return sum(map(self.done, self.known())), total

    def _trained(self, entry: Entry) -> bool:
        return self._stages[entry.name] != "train"
