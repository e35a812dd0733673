"""Measures what the server promises; every command prints one line for each claim.

    python benchmarks/serving.py sharing     five tasks of one model against five models
    python benchmarks/serving.py batching    32 clients, read together against one by one
    python benchmarks/serving.py overhead    full batches over HTTP against bare `predict`
    python benchmarks/serving.py health      /health while the model has all it can do
    python benchmarks/serving.py load --minutes 10 --clients 64

The model is the default encoder with fresh heads: what they answer is nonsense, what they cost is not. Servers are
processes of their own, started with `motet serve`; clients are coroutines of this one. Both sides of a ratio take
turns, and the first second of a turn is not counted. `--threads` sets those of every model; by default torch takes all
cores, but one in `sharing`: the threads of several servers on few cores spin against each other, and five models look
far worse than they are. Where other programs use the machine, `--clock cpu` counts the processor time of the server
against that of bare `predict`. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch
from measuring import Row, table

from motet.architectures.parallel.hard_sharing import HardSharing
from motet.encoders.loading import Encoder
from motet.model import MultiTaskModel, build
from motet.tasks.base import Task
from motet.tasks.classification import Classification
from motet.tasks.multilabel import MultiLabel
from motet.tasks.ordinal import Ordinal
from motet.tasks.regression import Regression

_LABELS = tuple(f"label {number}" for number in range(20))
_TASKS: dict[str, Task] = {
    "topic": Classification("topic", source="none", classes=_LABELS),
    "mood": Classification("mood", source="none", classes=("bad", "good")),
    "tags": MultiLabel("tags", source="none", classes=_LABELS),
    "stars": Ordinal("stars", source="none", classes=("1", "2", "3", "4", "5")),
    "price": Regression("price", source="none", mean=0.0, scale=1.0),
}
_WORDS = ("good", "bad", "film", "train", "rain", "heart", "dry", "cold", "nine", "slow", "warm", "paris", "london")
_PROGRAM = (sys.executable, "-c", "from motet.cli.app import main; main()", "serve")


def _text(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(8, 16)))


def _model(tasks: dict[str, Task]) -> MultiTaskModel:
    torch.manual_seed(0)
    return build(Encoder(), HardSharing(), tasks).eval()


class Server(NamedTuple):
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def seconds(self, clock: str) -> float:
        """Seconds on the wall, or those of processors that the server has used."""
        if clock == "wall":
            return time.perf_counter()
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, kind: str) -> float:
        """MiB: `Rss` counts pages that processes share for each of them, `Pss` once in all."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 2**10


@contextmanager
def _served(folder: Path, *options: str) -> Iterator[Server]:
    command = [*_PROGRAM, str(folder), "--port", "0", "--device", "cpu", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            _wait_until_ready(port)
            yield Server(process, port)
        finally:
            process.send_signal(signal.SIGTERM)


def _wait_until_ready(port: int) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready"):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not become ready.")


class Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def send(self, path: str, body: bytes | None) -> None:
        """Ask, and do not wait for the answer."""
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        line = f"GET {path}" if body is None else f"POST {path}"
        body = body or b""
        self.writer.write(f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    async def ask(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        await self.send(path, body)
        assert self.reader is not None
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        if "connection: close" in head:
            found = await self.reader.readexactly(length)
            self.close()
            return int(head.split()[1]), found
        return int(head.split()[1]), await self.reader.readexactly(length)

    def close(self) -> None:
        """Leave, whether or not an answer is on its way."""
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


class Pace(NamedTuple):
    """What some clients saw.

    Args:
        rate: requests a second.
        latencies: seconds of each.
    """

    rate: float
    latencies: list[float]


async def _loop(ask: Callable[[], Awaitable[None]], until: float, found: list[tuple[float, float]]) -> None:
    while (began := time.perf_counter()) < until:
        await ask()
        found.append((time.perf_counter(), time.perf_counter() - began))


async def _pace(asks: Sequence[Callable[[], Awaitable[None]]], seconds: float) -> Pace:
    """The pace of clients that ask again as soon as they have an answer; their first second is not counted."""
    found: list[tuple[float, float]] = []
    started = time.perf_counter() + 1.0
    await asyncio.gather(*(_loop(ask, started + seconds, found) for ask in asks))
    counted = [latency for ended, latency in found if started <= ended <= started + seconds]
    return Pace(len(counted) / seconds, counted or [float("inf")])


def _asker(ports: Sequence[int], paths: Sequence[str], inputs: int, seed: int) -> Callable[[], Awaitable[None]]:
    """Asks every path about the same texts, all at once."""
    clients, chance = [Client(port) for port in ports], random.Random(seed)

    async def ask() -> None:
        body = json.dumps({"inputs": [_text(chance) for _ in range(inputs)]}).encode()
        for status, said in await asyncio.gather(
            *(client.ask(path, body) for client, path in zip(clients, paths, strict=True))
        ):
            if status != 200:
                raise SystemExit(f"A good request got {status}: {said.decode()}")

    return ask


def _measured(ports: Sequence[int], paths: Sequence[str], clients: int, seconds: float, inputs: int = 1) -> Pace:
    return asyncio.run(_pace([_asker(ports, paths, inputs, seed) for seed in range(clients)], seconds))


def sharing(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Five tasks of one model against five models with one task each, asked about the same texts."""
    _model(_TASKS).save_pretrained(folder / "all")
    for name, task in _TASKS.items():
        _model({name: task}).save_pretrained(folder / name)
    alone_paths = [f"/predict/{name}" for name in _TASKS]
    rates: list[float] = []
    resident: list[float] = []
    proportional: list[float] = []
    with ExitStack() as stack:
        together = stack.enter_context(_served(folder / "all"))
        alone = [stack.enter_context(_served(folder / name)) for name in _TASKS]
        ports = [server.port for server in alone]
        for _ in range(options.rounds):
            one = _measured([together.port], ["/predict"], 16, options.seconds)
            allowed = median(one.latencies)
            tried = [_measured(ports, alone_paths, clients, options.seconds) for clients in (1, 2, 3, 4, 16)]
            equal = [pace.rate for pace in tried if median(pace.latencies) <= allowed]
            rates.append(one.rate / (max(equal) if equal else tried[0].rate))
            for kind, ratios in (("Rss", resident), ("Pss", proportional)):
                ratios.append(together.memory(kind) / sum(server.memory(kind) for server in alone))
    return [
        Row("five tasks", "requests a second at equal latency, of five models", rates, least=4.0),
        Row("five tasks", "resident memory, of five models", resident, most=0.25),
        Row("five tasks", "memory with shared pages counted once, of five models", proportional),
    ]


def batching(options: argparse.Namespace, folder: Path) -> list[Row]:
    """32 clients, read together against one forward pass for each request."""
    _model(_TASKS).save_pretrained(folder / "all")
    ratios = []
    with _served(folder / "all") as batched, _served(folder / "all", "--max-batch-tokens", "1") as single:
        for _ in range(options.rounds):
            paces = [_measured([of.port], ["/predict"], 32, options.seconds) for of in (batched, single)]
            ratios.append(paces[0].rate / paces[1].rate)
    return [Row("32 clients", "requests a second, of one pass for each", ratios, least=3.0)]


def overhead(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Full batches over HTTP against `predict` on lists of the same size."""
    model = _model(_TASKS)
    model.save_pretrained(folder / "all")
    ratios = []
    with _served(folder / "all") as server:
        for _ in range(options.rounds + 1):
            began = server.seconds(options.clock)
            asks = [_counted([server.port], ["/predict"], 256, seed) for seed in range(4)]
            asyncio.run(_pace([ask for ask, _ in asks], options.seconds))
            served = 256 * sum(count[0] for _, count in asks) / (server.seconds(options.clock) - began)
            ratios.append(served / _bare(model, options))
    return [Row("full batches", f"texts a second ({options.clock}), of bare predict", ratios[1:], least=0.85)]


def _counted(
    ports: Sequence[int], paths: Sequence[str], inputs: int, seed: int
) -> tuple[Callable[[], Awaitable[None]], list[int]]:
    """A client that counts its answers, those of the first second too."""
    ask, count = _asker(ports, paths, inputs, seed), [0]

    async def counted() -> None:
        await ask()
        count[0] += 1

    return counted, count


def _bare(model: MultiTaskModel, options: argparse.Namespace) -> float:
    """Texts a second of `predict` alone."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    chance, began, until, count = random.Random(0), clock(), time.perf_counter() + options.seconds, 0
    while time.perf_counter() < until:
        model.predict([_text(chance) for _ in range(256)])
        count += 256
    return count / (clock() - began)


def health(options: argparse.Namespace, folder: Path) -> list[Row]:
    """How long `/health` takes while 32 clients keep the model busy."""
    _model(_TASKS).save_pretrained(folder / "all")

    async def seen(port: int) -> list[float]:
        waits: list[float] = []

        async def look() -> None:
            client = Client(port)
            while True:
                await asyncio.sleep(0.02)
                began = time.perf_counter()
                await client.ask("/health")
                waits.append(time.perf_counter() - began)

        looking = asyncio.ensure_future(look())
        await _pace([_asker([port], ["/predict"], 8, seed) for seed in range(32)], options.seconds)
        looking.cancel()
        return waits

    with _served(folder / "all") as server:
        p99s = [1000 * quantiles(asyncio.run(seen(server.port)), n=100)[98] for _ in range(options.rounds)]
    return [Row("full load", "ms to /health, 99 of 100", p99s, most=50.0)]


def load(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Many clients of whom some leave early and some send what is wrong; then a shutdown amid requests."""
    _model(_TASKS).save_pretrained(folder / "all")
    seen: Counter[str] = Counter()
    memory: list[float] = []
    with _served(folder / "all", "--header-timeout", "5") as server:
        asyncio.run(_stress(server, options, seen, memory))
        code = server.process.wait(60)
    third = max(1, len(memory) // 3)
    growth = median(memory[-third:]) / median(memory[third : 2 * third])
    print(", ".join(f"{count} {what}" for what, count in sorted(seen.items())), file=sys.stderr)
    every = memory[:: max(1, len(memory) // 12)]
    print("MiB: " + ", ".join(f"{each:.0f}" for each in every), file=sys.stderr)
    wrong = sum(count for what, count in seen.items() if what.startswith("wrong"))
    return [
        Row("load", "good requests without an answer", [seen["failed"]], most=0.0),
        Row("load", "bad requests with the wrong status", [wrong], most=0.0),
        Row("load", "memory at the end, of the middle", [growth], most=1.05),
        Row("load", "exit code after SIGINT", [code], least=130.0, most=130.0),
    ]


_BAD: dict[int, tuple[str, bytes]] = {
    400: ("/predict", b"{"),
    404: ("/predict/no-such-task", b'{"inputs": "a"}'),
    413: ("/predict", json.dumps({"inputs": ["a"] * 10_000}).encode()),
    422: ("/predict", b'{"inputs": "\\ud800"}'),
}


async def _stress(server: Server, options: argparse.Namespace, seen: Counter[str], memory: list[float]) -> None:
    """Ask for some minutes, then interrupt the server while all clients wait for an answer."""
    until = time.monotonic() + 60 * options.minutes
    clients = [asyncio.ensure_future(_misbehave(server.port, until, seed, seen)) for seed in range(options.clients)]
    while time.monotonic() < until - 1:
        await asyncio.sleep(1)
        memory.append(server.memory("Rss"))
    await asyncio.gather(*clients)
    last = [Client(server.port) for _ in range(options.clients)]
    for client in last:
        await client.ask("/health")
    waiting = [asyncio.ensure_future(client.ask("/predict", b'{"inputs": "a last text"}')) for client in last]
    await asyncio.sleep(0.05)
    server.process.send_signal(signal.SIGINT)
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        seen["good" if not isinstance(answer, BaseException) and answer[0] == 200 else "failed"] += 1


async def _misbehave(port: int, until: float, seed: int, seen: Counter[str]) -> None:
    chance, client = random.Random(seed), Client(port)
    while time.monotonic() < until:
        kind = chance.random()
        if kind < 0.1:
            status, (path, body) = chance.choice(list(_BAD.items()))
            found, _ = await client.ask(path, body)
            seen["bad" if found == status else f"wrong {found} for {status}"] += 1
            continue
        body = json.dumps({"inputs": [_text(chance) for _ in range(chance.randint(1, 8))]}).encode()
        if kind < 0.2:
            await client.send("/predict", body)
            await asyncio.sleep(chance.random() / 10)
            client.close()
            seen["left"] += 1
            continue
        found, _ = await client.ask("/predict", body)
        seen["good" if found == 200 else "queue full" if found == 429 else "failed"] += 1
        if found == 429:
            await asyncio.sleep(1)


_CLAIMS: dict[str, Callable[[argparse.Namespace, Path], list[Row]]] = {
    "sharing": sharing,
    "batching": batching,
    "overhead": overhead,
    "health": health,
    "load": load,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one claim and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claim", choices=list(_CLAIMS))
    parser.add_argument("--seconds", type=float, default=5.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of every model")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="of the overhead")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the load")
    parser.add_argument("--clients", type=int, default=64, help="of the load")
    options: Any = parser.parse_args(arguments)
    threads = options.threads or (1 if options.claim == "sharing" else None)
    if threads:
        torch.set_num_threads(threads)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # of the servers
    with tempfile.TemporaryDirectory(prefix="motet-serving-") as name:
        rows = _CLAIMS[options.claim](options, Path(name))
    print(table(rows))
    sys.exit(any(row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    main()
