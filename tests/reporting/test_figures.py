"""Lines join the right points, axes have round ticks, and a drawing says what it shows."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.reporting.synthetic import SHAPES, VOICES, Voice, believable_run
from tests.reporting.test_history import check, converged

from motet.reporting import bars, costs, figures
from motet.reporting.history import read
from motet.reporting.plot import RIGHT
from motet.reporting.record import Checked, History
from motet.reporting.svg import Scale, element
from motet.reporting.traces import PIECES, Trace, loss_traces, score_traces
from motet.runs import Event


def nodes(traces: list[Trace], kind: str) -> list[list[tuple[float, float]]]:
    return [[(node.step, node.value) for node in trace.nodes] for trace in traces if trace.kind == kind]


def rewound() -> History:
    """Task `a` peaks at step 20, is rewound at 40 and held; `b` loses what it had learnt meanwhile."""
    events: list[Event] = [check(at, at, a=0.5 if at == 20 else 0.3, b=at / 100) for at in (10, 20, 30, 40)]
    return read([*events, converged(40, 40, "a", 20), check(50, 30, a=0.5, b=0.3), check(60, 40, a=0.5, b=0.4)])


def test_the_discarded_piece_begins_at_the_peak_it_fell_from() -> None:
    history = rewound()
    assert nodes(score_traces(history.tasks["a"], history.rewinds), "discarded") == [[(20, 0.5), (30, 0.3), (40, 0.3)]]


def test_the_surviving_line_waits_at_the_peak_and_goes_on_from_the_rewind() -> None:
    history = rewound()
    held, learning = (score_traces(history.tasks[name], history.rewinds) for name in ("a", "b"))
    assert nodes(held, "learning") == [[(10, 0.3), (20, 0.5)]]
    assert nodes(held, "bridge") == [[(20, 0.5), (40, 0.5)]]
    assert nodes(held, "held") == [[(40, 0.5), (50, 0.5), (60, 0.5)]]
    assert nodes(learning, "learning") == [[(10, 0.1), (20, 0.2)], [(40, 0.2), (50, 0.3), (60, 0.4)]]


def test_a_rewind_after_the_last_check_is_drawn_too() -> None:
    history = read([check(10, 10, a=0.5), check(20, 20, a=0.4), converged(20, 20, "a", 10)])
    traces = score_traces(history.tasks["a"], history.rewinds)
    assert nodes(traces, "bridge") == [[(10, 0.5), (20, 0.5)]]


def test_without_rewind_the_held_line_goes_on_from_the_switch() -> None:
    history = read([check(10, 10, a=0.5), check(20, 20, a=0.4), converged(20, 20, "a", 10, rewind="none")])
    history.tasks["a"].checks.append(Checked(30, 30, history.tasks["a"].checks[0].score, 0.5, after_switch=True))
    traces = score_traces(history.tasks["a"], history.rewinds)
    assert [trace.kind for trace in traces] == ["learning", "held"]
    assert nodes(traces, "held") == [[(20, 0.4), (30, 0.5)]]


@pytest.mark.parametrize("seed", range(3))
def test_every_check_lies_on_a_line(seed: int) -> None:
    history = read(believable_run(seed))
    for task in history.tasks.values():
        drawn = {node.step for trace in score_traces(task, history.rewinds) for node in trace.nodes}
        assert drawn >= {check.step for check in task.checks}


def test_losses_are_thinned_and_split_by_kind() -> None:
    history = read(believable_run())
    for task in history.tasks.values():
        traces = loss_traces(task)
        assert sum(len(trace.nodes) for trace in traces) <= PIECES + len(traces)
        assert {trace.kind for trace in traces} == {"learning", "discarded"} | ({"held"} if task.switch else set())


def test_thinning_keeps_the_mean() -> None:
    events = [{"event": "step", "step": at, "losses": {"a": float(at)}} for at in range(1, 2 * PIECES + 1)]
    (trace,) = loss_traces(read(events).tasks["a"])
    assert len(trace.nodes) == PIECES
    assert sum(node.value for node in trace.nodes) / PIECES == pytest.approx((2 * PIECES + 1) / 2)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_inside_and_distinct(low: float, width: float, wanted: int) -> None:
    assume(low + width > low)
    scale = Scale(low, low + width, 0, 100)
    ticks = scale.labelled(wanted)
    assert len(ticks) <= wanted + 1
    assert len({text for _, text in ticks}) == len(ticks)
    slack = 1e-6 * max(width, abs(low))
    assert all(low - slack <= value <= low + width + slack for value, _ in ticks)
    assert f"{scale.spacing(wanted):e}"[0] in "125"


@given(st.lists(st.floats(-1e3, 1e3), min_size=1))
def test_a_scale_around_values_shows_them_all(values: list[float]) -> None:
    scale = Scale.around(values, 200, 0)
    assert all(0 <= scale(value) <= 200 for value in values)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=5), st.integers(2, 8))
def test_a_logarithmic_scale_has_factors_for_distances(values: list[float], wanted: int) -> None:
    scale = Scale.around(values, 200, 0, ratio=True)
    assert all(0 <= scale(value) <= 200 for value in values)
    assert scale(-1.0) > 200, "what has no logarithm lies below"
    middle = math.sqrt(scale.low) * math.sqrt(scale.high)
    assert scale(middle) == pytest.approx(100)
    ticks = scale.labelled(wanted)
    assert 1 <= len(ticks) <= 2 * wanted + 1
    assert len({text for _, text in ticks}) == len(ticks)
    assert all(-1e-3 <= scale(value) <= 200.001 for value, _ in ticks)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (8, 700_000, "10 100 1,000 10,000 100,000"),
        (15, 90, "20 40 60 80"),
        (12, 12.9, "12.0 12.5"),
        (0.4, 3, "0.5 1.0 2.0"),
        (40, 9e7, "100 10,000 10⁶"),
        (3e5, 6e6, "500,000 10⁶ 2·10⁶ 5·10⁶"),
    ],
)
def test_ticks_of_a_logarithmic_scale(low: float, high: float, words: str) -> None:
    assert [text for _, text in Scale(low, high, 0, 100, ratio=True).labelled(4)] == words.split()


def test_without_a_logarithm_a_scale_is_linear() -> None:
    assert Scale.around([-1.0, 0.0], 0, 100, ratio=True) == Scale.around([-1.0, 0.0], 0, 100)


def test_text_of_a_drawing_is_escaped() -> None:
    drawn = element("text", "<b>&", title='"><script>')
    assert drawn == '<text title="&#34;&gt;&lt;script&gt;">&lt;b&gt;&amp;</text>'


def drawings(history: History) -> list[str]:
    tasks = list(history.tasks.values())
    found = [figures.score_figure(task, history, f"score-{at}") for at, task in enumerate(tasks)]
    found += [figures.loss_figure(task, history, f"loss-{at}") for at, task in enumerate(tasks)]
    return [*found, bars.timeline(history, "timeline"), bars.time_bar(costs.activities(history), "time")]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("voices", [VOICES, SHAPES], ids=["shares", "shapes"])
def test_drawings_are_well_formed_and_explain_themselves(seed: int, voices: tuple[Voice, ...]) -> None:
    for drawn in drawings(read(believable_run(seed, voices))):
        root = ElementTree.fromstring(drawn)
        labels = root.attrib["aria-labelledby"].split()
        assert [root.find(f"*[@id='{label}']") is not None for label in labels] == [True, True]
        assert all(child.text for child in root[:2])
        assert not re.search(r"\b(nan|inf|None)\b", drawn)


def test_a_curve_shows_peak_switch_tail_and_held_line() -> None:
    history = read(believable_run())
    drawn = figures.score_figure(history.tasks["query intent"], history, "c")
    for mark in ("line learning", "line held", "line discarded", "line bridge", "band held", "reference", "lost"):
        assert f'class="{mark}"' in drawn
    assert "held from 780" in drawn
    assert "peak 0.811 at step 540" in drawn
    assert "is held from step 780 after a rewind of 240 steps" in drawn


def test_the_score_of_a_constant_answer_is_a_line_where_the_range_reaches_it() -> None:
    history = read(believable_run())
    near, far, without = (history.tasks[name] for name in ("duplicates", "query intent", "topics"))
    assert (near.baseline, far.baseline, without.baseline) == (0.63, 0.02, None)
    drawn = {task.name: figures.score_figure(task, history, "c") for task in (near, far, without)}
    assert [name for name, drawing in drawn.items() if 'class="constant"' in drawing] == ["duplicates"]
    assert "a constant answer scores 0.630" in drawn["duplicates"]
    assert [figures.constant(task) for task in (far, without)] == ["constant 0.020", ""]


@pytest.mark.parametrize(("baseline", "shown"), [(0.1, True), (-0.05, True), (-0.2, False), (1.2, False)])
def test_the_line_of_a_constant_answer_leaves_half_of_the_range_to_the_curve(baseline: float, shown: bool) -> None:
    plan: Event = {"event": "plan", "tasks": [{"name": "a", "baseline": baseline}]}
    history = read([plan, *(check(at, at, a=at / 100) for at in (10, 20, 30))])
    assert ('class="constant"' in figures.score_figure(history.tasks["a"], history, "c")) is shown


def test_a_perplexity_is_drawn_by_factors() -> None:
    history = read(believable_run(voices=SHAPES))
    words, stars = history.tasks["words"], history.tasks["stars"]
    drawn = figures.score_figure(words, history, "c")
    ticks = re.findall(r'text-anchor="end">([\d,]+)</text>', drawn)
    assert ticks == ["10", "100", "1,000", "10,000", "100,000"]
    assert (figures.logarithmic(words), figures.logarithmic(stars)) == ("logarithmic scale", "")
    assert len(words.checks) == 50
    assert drawn.count("<circle") == 48, "checks without a finite score are not drawn"


def test_labels_at_the_end_of_a_curve_do_not_overlap() -> None:
    for seed in range(5):
        history = read(believable_run(seed))
        for task in history.tasks.values():
            root = ElementTree.fromstring(figures.score_figure(task, history, "c"))
            places = sorted(
                float(text.attrib["y"])
                for text in root.iter("text")
                if float(text.attrib["x"]) > RIGHT and "label" in text.attrib["class"]
                and (text.text or "").startswith(("peak", "end"))
            )  # fmt: skip
            assert 1 <= len(places) <= 2
            assert places[-1] - places[0] >= figures.LINE - 0.2 or len(places) == 1


def test_marks_that_would_overlap_lose_their_words_not_their_lines() -> None:
    events: list[Event] = [check(at, at, a=0.5) for at in (10, 20, 30, 40)]
    events.insert(2, converged(20, 20, "a", 20, rewind="none"))
    events.insert(4, {"event": "reopened", "step": 21, "task": "a"})
    history = read([*events, check(5000, 5000, a=0.6)])
    drawn = figures.score_figure(history.tasks["a"], history, "c")
    assert drawn.count('class="mark ') == 2
    assert re.findall(r"<text[^>]*>(\w+ from \d+)</text>", drawn) == ["held from 20"]
    assert "<title>reopened from 21</title>" in drawn


@pytest.mark.parametrize("scores", [[0.5], [0.5, 0.5, 0.5], [0.0, 0.0]])
def test_flat_and_short_curves_can_be_drawn(scores: list[float]) -> None:
    history = read([check(10 * at, 10 * at, a=score) for at, score in enumerate(scores, 1)])
    assert ElementTree.fromstring(figures.score_figure(history.tasks["a"], history, "c")).find("path") is None


def test_nothing_to_draw_is_no_drawing() -> None:
    history = read([{"event": "plan", "tasks": [{"name": "a"}]}])
    assert figures.score_figure(history.tasks["a"], history, "c") == ""
    assert figures.loss_figure(history.tasks["a"], history, "c") == ""
    assert bars.timeline(history, "t") == ""
    assert bars.time_bar([], "t") == ""
