"""Writing numbers for people.

Whatever is missing, null or not a number becomes `MISSING`.
"""

from __future__ import annotations

from collections.abc import Sequence

from motet.reporting.plain import Score, number, whole

__all__ = [
    "LARGE",
    "MISSING",
    "amount",
    "count",
    "duration",
    "exponent",
    "joined",
    "percent",
    "plural",
    "power_of_ten",
    "score",
    "size",
    "with_error",
]

MISSING = "–"
# From here on a power of ten is easier to read than the digits before the point.
LARGE = 1e6
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimals(value: float) -> int:
    """How many decimals a score of this size deserves."""
    return 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 10_000 else 0


def score(value: object) -> str:
    """A score: three decimals, fewer when it is large.

    Example:
        >>> score(0.8431), score(1234.56), score(2.5e9)
        ('0.843', '1,234.6', '2.50 × 10⁹')
    """
    found = number(value)
    if found is None:
        return MISSING
    if abs(found) < LARGE:
        return _fixed(found, decimals(found))
    power = exponent(found)
    return f"{_fixed(found / 10.0**power, 2)} × {power_of_ten(power)}"


def with_error(found: Score | None) -> str:
    """A score and its standard error.

    Example:
        >>> with_error(Score(0.8431, 0.0109))
        '0.843 ± 0.011'
    """
    if found is None or found.value is None:
        return MISSING
    if found.se is None:
        return score(found.value)
    larger = max(abs(found.value), found.se)
    if larger < LARGE:
        return f"{score(found.value)} ± {_fixed(found.se, decimals(found.value))}"
    power = exponent(larger)
    value, error = (_fixed(part / 10.0**power, 2) for part in (found.value, found.se))
    return f"({value} ± {error}) × {power_of_ten(power)}"


def count(value: object) -> str:
    """A whole number with separators.

    Example:
        >>> count(12345)
        '12,345'
    """
    found = whole(value)
    return MISSING if found is None else f"{found:,}".replace("-", "−")


def percent(value: object, places: int = 0) -> str:
    """A share as a percentage.

    Example:
        >>> percent(0.125, 1)
        '12.5 %'
    """
    found = number(value)
    return MISSING if found is None else f"{_fixed(100 * found, places)} %"


def amount(value: object) -> str:
    """Any number of any size, such as epochs or a learning rate, in three or four digits."""
    found = number(value)
    if found is None:
        return MISSING
    if found == 0 or abs(found) >= 1000:
        return count(found)
    text = f"{found:.3g}" if abs(found) < 0.01 else f"{found:.{2 if abs(found) < 1 else 1}f}"
    return text.replace("-", "−", 1) if found < 0 else text


def duration(seconds: object) -> str:
    """A length of time in the one or two units that matter.

    Example:
        >>> [duration(value) for value in (0.34, 75, 4000)]
        ['0.3 s', '1 min 15 s', '1 h 07 min']
    """
    found = number(seconds)
    if found is None:
        return MISSING
    if found < 9.95:
        return f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 10:
        return f"{minutes} min {rest:02d} s"
    minutes = round(found / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(number_of_bytes: object) -> str:
    """Bytes in the unit that keeps the number short."""
    found = number(number_of_bytes)
    if found is None:
        return MISSING
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(found) < 1000:
            return f"{found:,.0f} {unit}" if unit == "bytes" else f"{found:.1f} {unit}"
        found /= 1000
    return f"{found:,.1f} TB"


def plural(number_of: int, noun: str, many: str = "") -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "task"), plural(3, "task")
        ('1 task', '3 tasks')
    """
    return f"{number_of:,} {noun if number_of == 1 else many or noun + 's'}"


def joined(words: Sequence[str]) -> str:
    """Words as a list in a sentence.

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def exponent(value: float) -> int:
    """The power of ten that leaves one digit before the point of a number written with two behind it."""
    return int(f"{value:.2e}".partition("e")[2])


def power_of_ten(power: int) -> str:
    """Ten to a power.

    Example:
        >>> power_of_ten(12)
        '10¹²'
    """
    return f"10{str(power).translate(_SUPERSCRIPTS)}"


def _fixed(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    # A rounded zero has no sign, and a minus sign is as wide as a digit.
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", "−")
