"""Training a denoiser against the public recipe, in one run.

Run by ``python benchmarks/training.py [--seconds S] [--ours S]``. With --points 500 the other data
set and the ensembles are left out, and the files are called training_500.

On an equal number of seconds, the recipe of the public experiments, written from its description,
and memolib's, taking turns on one machine: for 500 and 20,000 points of the book's example (30
dimensions, each point divided by its norm), at each noise, the root mean square error of held-out
answers, the distance to the exact population denoiser at fresh points (C) and to the exact
empirical denoiser at training points (A), in units of the noise that each removes. The recipe's
averaged parameters lag far behind in short runs, so its last parameters are shown as well. Before
that, nine data-set sizes as one ensemble against nine runs. Prints, keeps a log, and writes
results/benchmarks/training.json after each part, with a record of the machine; a log that does not
end with "done" tells that the run was stopped before.
"""

import argparse
import os
import time
from copy import deepcopy

import numpy as np
import torch
from _common import RESULTS, write
from torch import nn

from memolib.empirical import Empirical
from memolib.manifolds import EXAMPLE, SphereManifold
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.training import train

LAW = SphereManifold(EXAMPLE)
SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
STOPS = (5, 20, 60, 300, 1_800)  # seconds
SIZES = (10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 20_000)


class PublicNetwork(nn.Module):
    """Residual network of width 128 and two blocks.

    It has 535,198 parameters, of which 86% serve the time.
    """

    def __init__(self, d: int = 30, width: int = 128, embedding: int = 512):
        super().__init__()
        self.embed = nn.Sequential(
            nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.inlet, self.outlet = (
            nn.Linear(d, width),
            nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, d)),
        )
        self.times = nn.ModuleList(nn.Linear(embedding, width) for _ in range(2))
        self.first, self.second = (
            nn.ModuleList(
                nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, width))
                for _ in range(2)
            )
            for _ in range(2)
        )
        self.register_buffer(
            "frequencies", torch.exp(-np.log(1e4) * torch.arange(width // 2) / (width // 2)) * 1_000
        )

    def forward(self, x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Predict the noise in x, (n, d), at times s from 0 to 1, (n,)."""
        angles = s[:, None] * self.frequencies
        time_features, h = self.embed(torch.cat([angles.sin(), angles.cos()], dim=1)), self.inlet(x)
        for times, first, second in zip(self.times, self.first, self.second, strict=True):
            h = h + second(first(h) + times(time_features))
        return self.outlet(h)


class PublicRecipe:
    """RAdam at 1e-4, batches of 128, plain noise prediction, average .9999.

    Times s are uniform, ``sigma = 0.01 5000^s``.
    """

    def __init__(self, y: torch.Tensor):
        torch.manual_seed(0)
        self.y, self.network, self.steps, self.spent = y.float(), PublicNetwork(), 0, 0.0
        self.average = deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.RAdam(self.network.parameters(), lr=1e-4, foreach=True)

    def train(self, seconds: float) -> None:
        """Go on until this many seconds have been spent in training."""
        start, before = time.perf_counter(), self.spent
        averaged, new = list(self.average.parameters()), list(self.network.parameters())
        while self.spent < seconds:
            y = self.y[torch.randint(len(self.y), (128,))]
            s, noise = 1e-5 + (1 - 1e-5) * torch.rand(128), torch.randn(128, y.shape[1])
            x = y + (0.01 * 5_000 ** s[:, None]) * noise
            self.optimizer.zero_grad()
            (self.network(x, s) - noise).square().mean().backward()
            self.optimizer.step()
            torch._foreach_lerp_(averaged, [p.detach() for p in new], 1 - 0.9999)
            self.steps, self.spent = self.steps + 1, before + time.perf_counter() - start

    def denoiser(self, network: nn.Module):
        """Give a network as a denoiser."""

        def D(x: torch.Tensor, t: float) -> torch.Tensor:
            s = torch.full((len(x),), np.log(t**0.5 / 0.01) / np.log(5_000), dtype=torch.float32)
            with torch.no_grad():
                return x - t**0.5 * network(x.float(), s)

        return D


class Judge:
    """Exact answers at fixed points, to compare denoisers with."""

    def __init__(self, data: torch.Tensor, n: int = 2_000):
        held, rng, self.cases = LAW.sample(n, seed=1_000), np.random.default_rng(2_000), {}
        known, exact = data[:n].repeat(-(-n // len(data)), 1), Empirical(data)
        for sigma in SIGMAS:
            fresh, near = add_noise(held, sigma**2, rng), add_noise(known, sigma**2, rng)
            self.cases[sigma] = held, fresh, LAW(fresh, sigma**2), near, exact(near, sigma**2)

    def __call__(self, D) -> list[dict]:
        """Give a row for each noise."""
        rows = []
        for sigma, (held, fresh, population, near, empirical) in self.cases.items():
            answer, copied = D(fresh, sigma**2), D(near, sigma**2)
            row = {"sigma": sigma, "error": float((answer - held).square().mean().sqrt()) / sigma}
            row["its limit"] = float((population - held).square().mean().sqrt()) / sigma
            row["to population, C"] = float(
                (answer - population).norm() / (population - fresh).norm()
            )
            row["to empirical, A"] = float((copied - empirical).norm() / (empirical - near).norm())
            rows.append(row)
        return rows


def ours(y: torch.Tensor, seconds: float):
    """Train for about so many seconds, with the number of steps from a short trial.

    Gives also steps and seconds.
    """
    trial = train(y, ResidualMLP(30), steps=200)
    steps = max(1, int(200 * seconds / trial.seconds))
    start = time.perf_counter()
    run = train(y, ResidualMLP(30), steps=steps)
    return run.denoisers[0], steps, time.perf_counter() - start


def ensemble(batch: int, steps: int = 200) -> dict:
    """Nine data-set sizes together and one by one: seconds, and how far their answers are apart."""
    sets = [LAW.sample(20_000, seed=0)[:N] for N in SIZES]
    train(sets[-1], ResidualMLP(30), steps=20, batch=batch)
    start = time.perf_counter()
    alone = [train(y, ResidualMLP(30), steps=steps, batch=batch) for y in sets]
    middle = time.perf_counter()
    together = train(sets, ResidualMLP(30), steps=steps, batch=batch)
    end = time.perf_counter()
    x = add_noise(LAW.sample(500, seed=1), 0.01, seed=2)
    pairs = zip(alone, together.denoisers, strict=True)
    apart = max(float((run.denoisers[0](x, 0.01) - D(x, 0.01)).abs().max()) for run, D in pairs)
    return {"batch": batch, "nine runs, s": middle - start, "ensemble, s": end - middle} | {
        "ratio": (end - middle) / (middle - start),
        "largest difference of answers": apart,
    }


def main() -> None:
    """Run all parts, print them, and write them with their record after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--seconds", type=float, default=20, help="of the public recipe, for each data set"
    )
    parser.add_argument("--ours", type=float, default=20, help="longest run of memolib's")
    parser.add_argument(
        "--points", type=int, nargs="+", default=(20_000, 500), help="sizes of the data sets"
    )
    arguments = parser.parse_args()
    chosen = len(arguments.points) == 1
    name = f"training_{arguments.points[0]}" if chosen else "training"
    start, tables = time.perf_counter(), {}
    RESULTS.mkdir(parents=True, exist_ok=True)
    with (RESULTS / f"{name}.log").open("w", buffering=1) as log:

        def say(text: str) -> None:
            print(text, flush=True)
            log.write(f"{time.perf_counter() - start:8.1f} s  {text}\n")

        def keep(title: str, rows: list[dict], note: str = "") -> None:
            tables[title] = rows
            say(f"{title}{note}")
            for row in rows:
                say("    " + "   ".join(f"{key} {value:.3g}" for key, value in row.items()))
            command = f"python benchmarks/training.py --seconds {arguments.seconds:g}"
            command += f" --ours {arguments.ours:g}"
            command += f" --points {arguments.points[0]}" if chosen else ""
            write(name, tables, start, command=command, load=os.getloadavg()[0])

        if not chosen:
            keep(
                "nine data-set sizes as one ensemble", [ensemble(batch) for batch in (32, 128, 384)]
            )
        for N in arguments.points:
            y = LAW.sample(N, seed=0)
            judge, recipe = Judge(y), PublicRecipe(y)
            for stop in (s for s in STOPS if s <= max(arguments.seconds, arguments.ours)):
                title = f"N = {N:,}, {stop:,} s"
                if stop <= arguments.seconds:
                    recipe.train(stop)
                    done = f" ({recipe.steps:,} steps)"
                    keep(
                        f"{title}: public recipe, averaged",
                        judge(recipe.denoiser(recipe.average)),
                        done,
                    )
                    keep(
                        f"{title}: public recipe, last",
                        judge(recipe.denoiser(recipe.network)),
                        done,
                    )
                if stop <= arguments.ours:
                    D, steps, spent = ours(y, stop)
                    keep(f"{title}: memolib", judge(D), f" ({steps:,} steps, {spent:.1f} s)")
        say("done")


if __name__ == "__main__":
    main()
