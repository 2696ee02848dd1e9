"""Networks of the chapter on training, trained for longer than a page can wait.

Width 128, on 50, 250, 500 and 20,000 points of the book's example, 64,000 steps, as in the grid of
networks, and the same run after its first 1,000 steps. Beside each result lie the weights.
"""

from memolib.checkpoints import load, save
from memolib.denoisers import Denoiser
from memolib.networks import ResidualMLP
from memolib.sweeps import grid
from memolib.training import Trained, train
from results._stored import FOLDER, Experiment, Leaves
from results.network_grid import D, rounded, sample, traces

SIZES, STEPS, EARLY = (50, 250, 500, 20_000), 64_000, 1_000
SEED = 0


def trained(N: int, stop: int) -> Trained:
    """The first steps of the run on N points."""
    data = sample(SEED)[:N]
    unfinished = FOLDER / "unfinished" / f"trained-{N}"
    return train(
        data, ResidualMLP(D), steps=STEPS, stop=stop, seeds=SEED, batch=128, average=0.9995,
        checkpoints=unfinished if stop == STEPS else None, every=2_000,
    )  # fmt: skip


def measured(denoiser: Denoiser, N: int) -> dict:
    """What is read from the weights."""
    return rounded(traces(denoiser, sample(SEED)[:N], SEED))


def run(N: int, steps: int) -> dict:
    """Train, keep, measure."""
    made = trained(N, steps)
    save(STORED.path({"N": N, "steps": steps}, ".safetensors"), made.denoisers[0])
    return {"loss": float(f"{made.losses[-1, 0]:.4g}")} | measured(made.denoisers[0], N)


def witness(N: int, steps: int) -> list[Leaves]:
    """All that is read from the weights; and the first steps, trained again."""
    read = measured(load(STORED.path({"N": N, "steps": steps}, ".safetensors")), N)
    leaves = [Leaves(read, tolerance=1e-3)]
    if steps == EARLY:
        made = trained(N, steps)
        again = {"loss": made.losses[-1, 0]} | measured(made.denoisers[0], N)
        leaves.append(Leaves(again, tolerance=0.01, beginning=True))
    return leaves


STORED = Experiment(
    run,
    grid(N=SIZES, steps=(EARLY, STEPS)),
    witness,
    needs="one core, a quarter of an hour",
)
