"""A process that writes the events of a believable run, slowly: `python -m tests.reporting.live FOLDER EVENTS PAUSE`.

It writes until so many events are there, then one line in two pieces, and waits until it is stopped; with `end` as a
fourth argument it goes on to the end of the run instead.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.reporting.synthetic import VOICES, Voice, believable_run

from motet.runs import Event


def balanced_run(seed: int = 0, voices: tuple[Voice, ...] = VOICES) -> Iterator[Event]:
    """The same run with weights that drift and gradients that pull together or apart."""
    names = [voice.name for voice in voices]
    for event in believable_run(seed, voices):
        if event["event"] != "step":
            yield event
            continue
        turn = event["step"] / 400
        weights = {name: 1 + 0.5 * math.sin(turn + at) for at, name in enumerate(names)}
        rows = {name: round(count * (1 + 0.6 * math.cos(turn + 2 * at))) for at, (name, count) in
                enumerate(event["rows"].items())}  # fmt: skip
        cosines = [[1.0 if a == b else math.sin(turn + a * b + a + b) for b in range(len(names))] for a in
                   range(len(names))]  # fmt: skip
        conflict = {"names": names, "norms": [1.0] * len(names), "cosines": cosines}
        yield {**event, "weights": weights, "rows": rows, "conflict": conflict}


def line(event: Event) -> str:
    return json.dumps(event) + "\n"


def now(event: Event) -> Event:
    return {**event, "time": round(time.time(), 3)}


def main(folder: Path, events: int, pause: float, ends: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run = balanced_run()
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        for event in islice(run, events):
            file.write(line(now(event)))
            file.flush()
            time.sleep(pause)
        if ends:
            file.writelines(line(now(event)) for event in run)
            return
        torn = line(now(next(run)))
        file.write(torn[:40])
        file.flush()
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), "end" in sys.argv[4:])
