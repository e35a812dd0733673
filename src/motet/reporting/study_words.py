"""The numbers of a study as people read them: scores in percent, gains in points, p-values no finer than they are."""

from __future__ import annotations

import math

from motet.reporting.numerals import MISSING, count, duration, joined, plural, score
from motet.reporting.study_view import Cell, Comparison, Gain, Task, Variant

__all__ = ["between", "effect", "headline", "p_value", "points", "relative", "spent", "spread", "value"]


def value(found: float | None, share: bool = True) -> str:
    """A score: in percent, or in the units of its metric.

    Example:
        >>> value(0.81234), value(1.5, share=False), value(None)
        ('81.2', '1.500', '–')
    """
    if found is None or not math.isfinite(found):
        return MISSING
    return f"{100 * found:.1f}".replace("-", "−") if share else score(found)


def spread(mean: float | None, deviation: float | None, share: bool = True) -> str:
    """A mean over seeds and its standard deviation.

    Example:
        >>> spread(0.812, 0.0061)
        '81.2 ± 0.6'
    """
    return value(mean, share) + (f" ± {value(deviation, share)}" if deviation is not None else "")


def points(found: float | None, share: bool = True) -> str:
    """A difference with its sign.

    Example:
        >>> points(0.0081), points(-0.0081), points(0.25, share=False)
        ('+0.8', '−0.8', '+0.250')
    """
    text = value(found, share)
    nothing = not text.strip("−0.") or text == MISSING
    return text.lstrip("−") if nothing else text if text.startswith("−") else f"+{text}"


def between(gain: Gain, share: bool = True) -> str:
    """The interval of a gain over test rows."""
    rows = gain.over_rows
    return MISSING if rows is None else f"{points(rows.low, share)} to {points(rows.high, share)}"


def p_value(found: float | None) -> str:
    """A p-value.

    Example:
        >>> p_value(0.0312), p_value(0.00021), p_value(None)
        ('0.031', '< 0.001', '–')
    """
    if found is None:
        return MISSING
    return "< 0.001" if found < 0.001 else f"{found:.3f}" if found < 0.1 else f"{found:.2f}"


def relative(found: float | None) -> str:
    """A relative change.

    Example:
        >>> relative(0.0123)
        '+1.2 %'
    """
    return MISSING if found is None else f"{points(found)} %"


def effect(gain: Gain) -> str:
    """Hedges' g over seeds."""
    g = gain.over_seeds.g
    text = MISSING if g is None else f"{g:+.2f}".replace("-", "−")
    return text.lstrip("+−") if not text.strip("+−0.") else text


def spent(variant: Variant) -> tuple[str, str, str]:
    """Steps, tokens and time."""
    return count(variant.steps), count(variant.tokens), duration(variant.seconds)


def headline(comparison: Comparison) -> str:
    """The study in one sentence."""
    rivals = [variant for variant in comparison.variants if variant.name != comparison.baseline]
    tasks = plural(len(comparison.tasks), "task")
    if not rivals:
        return f"{comparison.baseline} on {tasks}, with nothing to compare it with"
    against = f"{comparison.baseline} on {tasks}"
    sure = {word: [v.name for v in rivals if v.gain and v.gain.verdict == word] for word in ("better", "worse")}
    told = [f"{joined(names)} {word}" for word, names in sure.items() if names]
    if told:
        averaged = plural(len(comparison.averaged), "task")
        return f"{', '.join(told)} than {comparison.baseline} on the mean of {averaged}, beyond noise"
    best = max(rivals, key=lambda variant: variant.gain.value if variant.gain else -math.inf)
    if best.gain is None:
        return f"{joined([variant.name for variant in rivals])} against {against}"
    apart = value(abs(best.gain.value))
    where = f"{apart} points {'above' if best.gain.value > 0 else 'below'} it"
    return f"No difference can be claimed against {against}: {best.name} lies {where}"


def shown(comparison: Comparison, cell: Cell) -> Task:
    """The task of a cell."""
    return next(task for task in comparison.tasks if task.name == cell.task)
