"""The runs of a sweep on the nodes of a Ray cluster: each in a worker of its own, which holds its cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motet.clusters import joined
from motet.study.processes import Log, Process

__all__ = ["Cluster", "cluster"]

_ASIDE = 2  # calls that are answered while a worker waits for the end of its run
_OURS = ("MOTET_", "HF_", "PYTHONPATH")  # what nodes are told of the environment


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Join a cluster, and leave it at the end.

    Args:
        address: of its head, `auto` for the cluster of this machine, or `local` for one that is started here.

    Raises:
        RunError: Ray is not installed, or there is no cluster.
    """
    with joined(address) as ray:
        yield Cluster(ray)


class Cluster:
    """Where the runs of a sweep are at work.

    All nodes must see the folder of the study and the data under the same paths, and have the same environment.

    Args:
        ray: the library, which has joined a cluster.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        has = ray.cluster_resources()
        self.cores = max(1, int(has.get("CPU", 1)))
        self._gpus = float(has.get("GPU", 0))

    def begin(self, command: Sequence[str], log: Log, environment: Mapping[str, str], share: float) -> _Remote:
        """Start a command where there is room for it.

        Args:
            command: what is run.
            log: takes its output; it is closed here and locked again where the command runs.
            environment: beside that of this process and of the node.
            share: of the cluster's GPUs, at most one.
        """
        log.close()
        told = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
        needed = {"num_cpus": int(environment["OMP_NUM_THREADS"]), "num_gpus": min(1.0, self._gpus * share)}
        worker = self._ray.remote(_Worker).options(**needed, max_concurrency=1 + _ASIDE)
        made = worker.remote(list(command), str(log.path.resolve()), {**told, **environment}, str(Path.cwd()))
        return _Remote(self._ray, made)


class _Worker:
    """Runs a command on a node."""

    def __init__(self, command: list[str], log: str, environment: dict[str, str], folder: str) -> None:
        os.chdir(folder)
        self._process = Process(command, Log(Path(log)), environment)

    def wait(self) -> tuple[int, str]:
        """How the command ended, and what it said at last."""
        return self._process.wait(), self._process.complaint

    def interrupt(self) -> None:
        """Ask it to save its work and stop."""
        self._process.interrupt()

    def kill(self) -> None:
        """Stop it at once."""
        self._process.kill()


class _Remote:
    """A command at work on a node, seen from here."""

    def __init__(self, ray: Any, worker: Any) -> None:
        self._ray, self._worker = ray, worker
        self._end = worker.wait.remote()
        self._found: tuple[int, str] | None = None
        self._asked = False

    @property
    def pid(self) -> int | None:
        """None: its number on the node means nothing here."""
        return None

    @property
    def code(self) -> int | None:
        """How it ended; None while it is at work or waits for room."""
        if self._found is None and self._ray.wait([self._end], timeout=0)[0]:
            self._found = self._fetched()
            self._ray.kill(self._worker)
        return None if self._found is None else self._found[0]

    def _fetched(self) -> tuple[int, str]:
        try:
            found: tuple[int, str] = self._ray.get(self._end)
        except self._ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[-1:]
            return 1, f"the node was lost, or could not begin ({' '.join(said)}). The same command goes on from here"
        return found

    @property
    def complaint(self) -> str:
        """What it said at last."""
        return self._found[1] if self._found is not None else "is at work"

    def interrupt(self) -> bool:
        """Ask it once to save its work and stop; whether this was the time."""
        first, self._asked = not self._asked, True
        if first and self.code is None:
            self._worker.interrupt.remote()
        return first

    def kill(self) -> None:
        """Stop it at once; what it saved before is intact."""
        if self.code is None:
            self._worker.kill.remote()
