"""A believable run without any training: five tasks that climb, overtrain, converge, are rewound and held.

It follows the rules of the trainer closely enough that the events agree with each other: a rewind takes every task
back, a held task stays near its peak, a discarded piece of a curve has a logical step after the best one.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from motet.runs import Event

STEPS, EVERY, LOG = 3000, 60, 10


@dataclass(frozen=True)
class Voice:
    """How a task behaves: where it begins and could end, how fast, when it overtrains, and what happens at its peak.

    With `ratio` it goes there by factors. The first `endless` checks have no finite score. A task with a `source` may
    share it. Where `token` is given, so many bytes are recorded a sub-word.
    """

    name: str
    type: str
    answer: str
    metric: str
    train: int
    begin: float
    top: float
    pace: float
    overtrains_at: float
    rewind: str = "none"
    higher_is_better: bool = True
    rows_per_step: float = 8.0
    se: float = 0.010
    ratio: bool = False
    endless: int = 0
    source: str = ""
    token: int | None = None
    baseline: float | None = None

    @property
    def reads(self) -> str:
        return self.source or self.name.replace(" ", "-")

    @property
    def soft_labels(self) -> int | None:
        """Bytes of the file; words that are hidden otherwise in every step are not recorded."""
        return None if self.type == "masked_language" else self.train * (40 * self.token if self.token else 52)


VOICES = (
    Voice(
        "query intent", "classification", "10 labels", "macro_f1", 1200, 0.08, 0.842, 130, 420, "full", baseline=0.02
    ),
    Voice("topics", "multilabel", "24 labels, any number", "micro_f1", 2400, 0.12, 0.785, 200, 800, "full"),
    Voice("entities", "tagging", "13 labels a word", "span_f1", 3394, 0.02, 0.561, 320, 1500, se=0.012),
    Voice("rating", "regression", "a number", "rmse", 4000, 1.62, 0.713, 280, 1350, "none", False, se=0.014),
    Voice(
        "duplicates", "classification", "2 labels", "accuracy", 8000, 0.51, 0.871, 900, 99999, se=0.009, baseline=0.63
    ),
)
# Scores that are not shares: of words foreseen, of a scale, of orders, of texts.
SHAPES = (
    Voice("words", "masked_language", "words", "perplexity", 2000, 3e8, 14.2, 350, 99999, "none", False,
          se=0.35, ratio=True, endless=2),
    Voice("continuation", "causal_language", "words", "perplexity", 1500, 48_000.0, 21.7, 200, 900, "none", False,
          se=0.6, ratio=True, token=256),
    Voice("stars", "ordinal", "5 steps", "quadratic_kappa", 1200, -0.08, 0.612, 130, 420, se=0.021, source="reviews"),
    Voice("scale", "ordinal", "5 steps", "mae", 1500, 1.31, 0.402, 220, 600, "none", False, se=0.018, source="reviews"),
    Voice("answers", "ranking", "an order", "map", 1600, 0.31, 0.688, 240, 900, "full", se=0.013),
    Voice("summary", "generation", "a text", "rouge_l", 1800, 0.04, 0.327, 420, 1600, se=0.007, token=256),
)  # fmt: skip


@dataclass
class Life:
    """Where a task stands: its progress in steps of its own, its checks, its best."""

    progress: float = 0.0
    recent: list[float] = field(default_factory=list)
    best: dict[str, Any] | None = None
    since: int = 0
    held_at: float | None = None
    rows: int = 0


def believable_run(seed: int = 0, voices: tuple[Voice, ...] = VOICES) -> list[Event]:
    """The events of a whole run, the time filled in."""
    clock = 1_795_000_000.0
    events = []
    for event in _events(random.Random(seed), voices):
        clock += event.get("seconds", 0.01) if event["event"] != "end" else 0.01
        events.append({"time": round(clock, 3), **event})
    return events


def truth(voice: Voice, progress: float) -> float:
    """The score without noise after some steps of learning."""
    left = math.exp(-progress / voice.pace)
    climb = (
        voice.top * (voice.begin / voice.top) ** left if voice.ratio else voice.top + (voice.begin - voice.top) * left
    )
    span = voice.top if voice.ratio else abs(voice.top - voice.begin)
    lost = 0.00022 * max(0.0, progress - voice.overtrains_at) * span
    return climb - lost if voice.higher_is_better else climb + lost


def _events(chance: random.Random, voices: tuple[Voice, ...]) -> Iterator[Event]:
    yield plan(voices)
    lives = {voice.name: Life() for voice in voices}
    saved: dict[int, dict[str, Life]] = {}
    logical, events_so_far = 0, 0
    for step in range(1, STEPS + 1):
        logical += 1
        for voice in voices:
            life = lives[voice.name]
            life.progress += life.held_at is None
            life.rows += round(voice.rows_per_step)
        if step % LOG == 0:
            yield step_event(chance, voices, lives, step, logical)
        if step % EVERY:
            continue
        check = check_event(chance, voices, lives, step, logical)
        saved[logical] = {name: replace(life, recent=list(life.recent)) for name, life in lives.items()}
        yield check
        for voice in voices:
            life = lives[voice.name]
            if life.held_at is not None or life.since < 4 or life.rows < voice.train or life.best is None:
                continue
            events_so_far += 1
            best, rows = life.best, {name: old.rows for name, old in lives.items()}
            rewinds = voice.rewind != "none"
            yield converged(voice, best, rows[voice.name], step, logical, events_so_far)
            if rewinds:
                logical = best["logical"]
                lives = {name: replace(old, recent=list(old.recent)) for name, old in saved[logical].items()}
                for name, drawn in rows.items():
                    lives[name].rows = drawn
            lives[voice.name].held_at = best["value"]
            lives[voice.name].best = best
            yield soft_labels(voice, best, step)
            if not rewinds:
                yield {
                    "event": "warning", "step": step, "code": "held-below-peak", "task": voice.name,
                    "message": "was not rewound, so it is held from weights that are past its peak",
                }  # fmt: skip
        if step % 300 == 0:
            snapshot = {"snapshot": f"step-{step}", "bytes": 95_000_000, "seconds": 0.6}
            yield {"event": "checkpoint", "step": step, "logical": logical, **snapshot}
    learning = [voice.name for voice in voices if lives[voice.name].held_at is None]
    yield {"event": "capped", "step": STEPS, "logical": logical, "tasks": learning}
    last = {voice.name: check["scores"][voice.name] for voice in voices}
    earlier = {
        name: {metric: {**found, "value": found["value"] - 0.004} for metric, found in metrics.items()}
        for name, metrics in last.items()
    }
    yield {
        "event": "candidates",
        "last": {"step": STEPS, "label": "last", "scores": last},
        "best_mean": {"step": 2820, "label": "best mean", "scores": earlier},
        "chosen": "last",
    }
    yield {"event": "model", "path": "model", "step": STEPS}
    yield {"event": "end", "step": STEPS, "logical": logical, "seconds": 2471.0, "reason": "steps"}
    tested = {
        name: {metric: {"value": found["value"] - 0.011, "se": found["se"] * 0.8} for metric, found in metrics.items()}
        for name, metrics in last.items()
    }
    rows = {voice.name: 1000 for voice in voices}
    yield {"event": "evaluation", "split": "test", "model": "model", "step": STEPS, "scores": tested, "rows": rows}


def plan(voices: tuple[Voice, ...] = VOICES) -> Event:
    """The first event."""
    rows = sum(voice.rows_per_step for voice in voices)
    return {
        "event": "plan", "name": "first", "steps": STEPS, "check_every": EVERY, "seed": 0, "precision": "bf16",
        "device": "cpu", "threads": 2, "tokens_per_batch": 2048,
        "encoder": {"name": "all-MiniLM-L6-v2", "layers": 6, "max_length": 128, "parameters": 22_713_216},
        "parameters": {"shared": 22_713_216, "own": {voice.name: 3850 for voice in voices}},
        "settings": {
            "sampler": {"type": "temperature", "temperature": 2.0},
            "balance": {"type": "sum"},
            "schedule": {"type": "joint"},
            "convergence": {"type": "patience", "checks": 4, "min_delta": "auto", "epochs": 1.0,
                            "then": {"type": "distill", "temperature": 1.0, "weight": 1.0}, "rewind": "full"},
            "training": {"steps": STEPS, "learning_rate": 1e-4, "warmup": 0.06, "weight_decay": 0.01, "clip": None},
        },
        "tasks": [
            {"name": v.name, "type": v.type, "answer": v.answer, "source": f"data/{v.reads}",
             "metric": v.metric, "higher_is_better": v.higher_is_better, "train": v.train, "validation": 400,
             "test": 1000, "weight": 1.0, "rows_per_step": v.rows_per_step, "share": v.rows_per_step / rows,
             "epochs": STEPS * v.rows_per_step / v.train, "truncated": 0.012, "baseline": v.baseline,
             "soft_labels": v.soft_labels, "bytes_per_token": v.token}
            for v in voices
        ],
        "coverage": [
            coverage(source, [v for v in voices if v.reads == source])
            for source in dict.fromkeys(v.reads for v in voices)
        ],
        "notes": ["topics: 14 of 2,400 training rows have no label and are used as such.",
                  "entities: 3 % of the words lie beyond the length limit."],
        "warnings": [{"code": "task-starved", "task": "duplicates", "message": "gets only 3 passes over its rows"}],
        "commands": ["motet train recipe.yaml --out runs/first", "motet eval runs/first --split test"],
    }  # fmt: skip


def coverage(source: str, voices: list[Voice]) -> dict[str, Any]:
    """Who labels the rows of a source: 80 nobody, and 200 everybody."""
    names, single = [voice.name for voice in voices], sum(voice.train - 200 for voice in voices)
    carrying = [80, single, *[0] * (len(voices) - 2), 200] if len(voices) > 1 else [0, voices[0].train]
    train = {"rows": sum(carrying), "labelled": {v.name: v.train for v in voices}, "carrying": carrying}
    test = {"rows": 1000, "labelled": dict.fromkeys(names, 1000), "carrying": [*[0] * len(voices), 1000]}
    pattern = "semi" if len(voices) > 1 else "disjoint"
    return {"source": source, "pattern": pattern, "tasks": names, "splits": {"train": train, "test": test}}


def step_event(
    chance: random.Random, voices: tuple[Voice, ...], lives: Mapping[str, Life], step: int, logical: int
) -> Event:
    """The costs and losses of ten steps."""
    losses = {}
    for voice in voices:
        life = lives[voice.name]
        remaining = math.exp(-life.progress / (1.6 * voice.pace))
        level = 0.06 if life.held_at is not None else 0.12 + 1.9 * remaining
        losses[voice.name] = round(level * chance.lognormvariate(0, 0.18), 4)
    kinds = {name: "truth" if life.held_at is None else "distill" for name, life in lives.items()}
    tokens = chance.randint(18_200, 19_400)
    return {
        "event": "step", "step": step, "logical": logical, "losses": losses, "kinds": kinds, "learning_rate": 1e-4,
        "gradient_norm": round(chance.uniform(0.5, 2), 3),
        "rows": {voice.name: round(10 * voice.rows_per_step) for voice in voices},
        "tokens": tokens, "padded": round(tokens * 1.04), "seconds": round(chance.uniform(6.3, 7.4), 3),
    }  # fmt: skip


def check_event(
    chance: random.Random, voices: tuple[Voice, ...], lives: Mapping[str, Life], step: int, logical: int
) -> Event:
    """Score every task and keep its best running mean."""
    scores: dict[str, dict[str, dict[str, float | None]]] = {}
    headline: dict[str, float | None] = {}
    smoothed: dict[str, float | None] = {}
    for voice in voices:
        life = lives[voice.name]
        level = truth(voice, life.progress)
        if life.held_at is not None:
            level = level + 0.85 * (life.held_at - level)
        se = voice.se * level / voice.top if voice.ratio else voice.se
        value = round(level + chance.gauss(0, 0.45 * se), 4)
        life.recent = [*life.recent[-2:], value]
        mean = round(sum(life.recent) / len(life.recent), 4)
        if step <= voice.endless * EVERY:
            scores[voice.name] = {voice.metric: {"value": None, "se": None}}
            headline[voice.name], smoothed[voice.name], life.recent = None, None, []
            continue
        life.since += 1
        improved = life.best is None or (mean > life.best["value"]) == voice.higher_is_better
        if life.held_at is None and improved:
            life.best = {"value": mean, "score": value, "step": step, "logical": logical}
            life.since = 0
        scores[voice.name] = {voice.metric: {"value": value, "se": se}}
        headline[voice.name], smoothed[voice.name] = value, mean
    return {
        "event": "check", "step": step, "logical": logical,
        "scores": scores, "headline": headline, "smoothed": smoothed,
        "states": {name: "learning" if life.held_at is None else "converged" for name, life in lives.items()},
        "own_epochs": {v.name: round(lives[v.name].rows / v.train, 3) for v in voices},
        "best": {name: life.best for name, life in lives.items()}, "mean_normalised": 0.5, "seconds": 5.2,
    }  # fmt: skip


def converged(voice: Voice, best: Mapping[str, Any], rows: int, step: int, logical: int, number: int) -> Event:
    """A task reached its peak `best` some checks ago."""
    return {
        "event": "converged", "step": step, "logical": logical, "task": voice.name, "best_step": best["step"],
        "best_logical": best["logical"], "peak": best["value"], "score": best["score"],
        "own_epochs": round(rows / voice.train, 3), "then": "distill", "rewind": voice.rewind,
        "discarded": logical - best["logical"] if voice.rewind != "none" else 0, "event_id": number,
    }  # fmt: skip


def soft_labels(voice: Voice, best: Mapping[str, Any], step: int) -> Event:
    """The record of the best weights' predictions."""
    digest = hashlib.sha256(voice.name.encode()).hexdigest()
    return {
        "event": "soft_labels", "step": step, "task": voice.name, "file": f"soft_labels/{voice.name}.arrow",
        "rows": voice.train, "bytes": voice.train * 52, "digest": digest, "teacher_step": best["step"],
        "seconds": round(voice.train / 260, 2), "rows_per_second": 260.4,
    }  # fmt: skip
