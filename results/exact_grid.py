"""What is exact beside the grid of networks, by seed of the data.

Empirical and population denoisers: traces of their Jacobians at the networks' points, copies and
likeness of what they generate.
"""

from memolib.empirical import Empirical
from memolib.sweeps import grid
from results._stored import Experiment, Leaves
from results.network_grid import (
    LAW,
    SEEDS,
    SIZES,
    copies,
    likeness,
    limits,
    rounded,
    sample,
    threshold,
    traces,
)


def measured(seed: int, sizes: tuple[int, ...]) -> dict:
    """What is exact of data sets of some sizes."""
    data = sample(seed)
    known = limits(seed, sizes)
    found = {}
    for N in sizes:
        y = data[:N]
        ends = known[f"{N} empirical ends"]
        found[f"{N} population"] = rounded(traces(LAW, y, seed))
        values = traces(Empirical(y), y, seed) | copies(ends, y, threshold(y, seed))
        found[f"{N} empirical"] = rounded(
            values | {"like population": likeness(ends, known["population ends"])}
        )
    return found


def run(seed: int) -> dict:
    """All sizes."""
    return measured(seed, SIZES)


def witness(seed: int) -> list[Leaves]:
    """Three sizes."""
    return [Leaves(measured(seed, (10, 250, 1_000)), tolerance=1e-3)]


STORED = Experiment(run, grid(seed=SEEDS), witness, needs="one core, a few minutes")
