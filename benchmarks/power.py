"""What a paired t-test over seeds can see: its power, and the smallest effect that it finds four times out of five.

    python benchmarks/power.py
    python benchmarks/power.py --seeds 3 5 10 20 --level 0.01

An effect is the mean difference between two systems, in standard deviations of the difference over seeds (Cohen's
d_z). The power is exact, from the noncentral F distribution; that of Wilcoxon's test comes from 4,000 simulated studies
of normal differences, with a fixed generator.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

_STUDIES = 4000


def power(seeds: int, effect: float, level: float = 0.05) -> float:
    """The chance that the paired t-test finds an effect."""
    edge = stats.t.ppf(1 - level / 2, seeds - 1) ** 2  # the square of a noncentral t is a noncentral F
    return float(stats.ncf.sf(edge, 1, seeds - 1, seeds * effect**2))


def power_of_wilcoxon(seeds: int, effect: float, level: float = 0.05) -> float:
    """The same for Wilcoxon's test, simulated."""
    drawn = np.random.default_rng(0).normal(effect, 1.0, size=(_STUDIES, seeds))
    return float(np.mean(stats.wilcoxon(drawn, axis=1, method="exact").pvalue < level))


def smallest(seeds: int, wanted: float = 0.8, level: float = 0.05) -> float:
    """The effect that is found with the power that is wanted."""
    return float(optimize.brentq(lambda effect: power(seeds, effect, level) - wanted, 0.01, 20.0))


def table(seeds: Sequence[int], effects: Sequence[float], level: float = 0.05) -> str:
    """A row for every number of seeds."""
    head = ["seeds", *(f"effect {effect:g}" for effect in effects), "found with power 0.8", "Wilcoxon, effect 2"]
    rows = [
        [
            str(count),
            *(f"{power(count, effect, level):.2f}" for effect in effects),
            f"effect {smallest(count, level=level):.2f}",
            f"{power_of_wilcoxon(count, 2.0, level):.2f}",
        ]
        for count in seeds
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--effects", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--level", type=float, default=0.05)
    options = parser.parse_args(arguments)
    print(table(options.seeds, options.effects, options.level))


if __name__ == "__main__":
    main()
