"""Does the weight of the loss move the border of memorization, as a balance of losses says?

Small networks on N points of an isotropic Gaussian law, with the loss ``w |D - y|^2``: w = 1
(``one``), or 1/c_out^2, that of the book's training (``edm``). All networks of a weight are trained
at once, a plain loop; data, initial parameters, batches and noise are the same for both weights.
Counted are copies among generated points (d1/d2 below the first percentile of fresh points), and
the loss of each network over that of the exact population denoiser, on its own points.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from memolib.manifolds import LinearManifold
from memolib.memorization import copy_threshold, nearest_ratio
from memolib.networks import NetworkDenoiser, ResidualMLP, preconditioning
from memolib.sampling import probability_flow
from memolib.sweeps import grid
from results._stored import Experiment, Leaves

D, WIDTH, BATCH, RATE = 12, 48, 128, 3e-3
SIZES, SEEDS = (15, 25, 40, 60, 90, 140), (0, 1, 2)
STEPS, EARLY = 4_000, 100
T_MIN, T_MAX = 0.03**2, 6.0**2
LAW = LinearManifold(np.ones(D))


class Members(NamedTuple):
    """Networks that are trained together."""

    pairs: list[tuple[int, int]]  # of seed and number of points
    data: torch.Tensor  # (members, largest N, d); the first N are used
    sizes: torch.Tensor  # (members, 1)
    networks: list[ResidualMLP]


def sample(seed: int) -> torch.Tensor:
    """The data of a seed."""
    return LAW.sample(max(SIZES), seed=np.random.default_rng([81, seed])).float()


def members(seeds: tuple[int, ...], sizes: tuple[int, ...]) -> Members:
    """Data and initial networks."""
    pairs = [(seed, N) for seed in seeds for N in sizes]
    networks = []
    for seed, _ in pairs:
        torch.manual_seed(8_200 + seed)
        networks.append(ResidualMLP(D, WIDTH))
    data = torch.stack([sample(seed) for seed, _ in pairs])
    return Members(pairs, data, torch.tensor([[N] for _, N in pairs]), networks)


def weighted(
    F: torch.Tensor, y: torch.Tensor, x: torch.Tensor, t: torch.Tensor, weight: str
) -> torch.Tensor:
    """The loss at each noisy point; the data's deviation is 1."""
    p = preconditioning(t, torch.ones(()))
    target = (y - p.skip[..., None] * x) / p.out[..., None]
    squares = (F - target).square().mean(dim=-1)
    return squares if weight == "edm" else squares * p.out**2


def trained(some: Members, weight: str, stop: int) -> dict[str, torch.Tensor]:
    """Parameters of all members after ``stop`` steps of Adam, with a falling rate."""
    parameters, _ = stack_module_state(some.networks)
    parameters = {k: v.detach() for k, v in parameters.items()}
    body, draws = some.networks[0], torch.Generator().manual_seed(83)

    def loss(own: dict, y: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        p = preconditioning(t, torch.ones(()))
        F = functional_call(body, (own, {}), (p.inside[..., None] * x, p.noise))
        return weighted(F, y, x, t, weight).mean()

    gradient = vmap(grad(loss), in_dims=(0, 0, 0, None))
    first, second = ({k: torch.zeros_like(v) for k, v in parameters.items()} for _ in range(2))
    span = math.log(T_MAX / T_MIN)
    for step in range(stop):
        u, strata = torch.rand(2, BATCH, generator=draws)
        t = T_MIN * torch.exp(span * (torch.arange(BATCH) + strata) / BATCH)
        which = (u * some.sizes).long()  # (members, batch)
        y = some.data.gather(1, which[..., None].expand(-1, -1, D))
        x = y + t.sqrt()[:, None] * torch.randn(BATCH, D, generator=draws)
        g = gradient(parameters, y, x, t)
        rate = RATE * min(1, (step + 1) / 200) * (1 + math.cos(math.pi * step / STEPS)) / 2
        for k, value in parameters.items():
            first[k].lerp_(g[k], 0.1)
            second[k].lerp_(g[k] ** 2, 0.01)
            unbiased = second[k] / (1 - 0.99 ** (step + 1))
            value.sub_(rate / (1 - 0.9 ** (step + 1)) * first[k] / (unbiased.sqrt() + 1e-8))
    return parameters


def measured(some: Members, parameters: dict[str, torch.Tensor], *, early: bool) -> dict:
    """Losses of each member, by seed and size, and copies where it is trained."""
    start = math.sqrt(T_MAX + 1) * torch.from_numpy(
        np.random.default_rng(84).standard_normal((400, D))
    )
    t = torch.exp(torch.linspace(math.log(T_MIN), math.log(T_MAX), 10))
    found = {}
    for k, (seed, N) in enumerate(some.pairs):
        network = some.networks[k]
        network.load_state_dict({name: value[k] for name, value in parameters.items()})
        denoiser = NetworkDenoiser(network, 1.0, np.zeros(D)).eval().requires_grad_(False)
        y = some.data[k, :N]
        noise = torch.from_numpy(np.random.default_rng([86, seed]).standard_normal((N, D))).float()
        lost = [
            float((denoiser(y + s.sqrt() * noise, float(s)) - y).square().mean() * (1 + 1 / s))
            for s in t
        ]
        found[f"{seed} {N}"] = {"loss": [float(f"{value:.4g}") for value in lost]}
        if not early:  # what has hardly learned may run away
            ends = probability_flow(denoiser, start, T_MAX, T_MIN, steps=40)
            fresh = LAW.sample(5_000, seed=np.random.default_rng([85, seed])).float()
            near = nearest_ratio(ends, y) < copy_threshold(y, fresh)
            found[f"{seed} {N}"]["copies"] = float(f"{near.double().mean():.4g}")
    return found


def run(weight: str) -> dict:
    """Train all networks of a weight; measure them early and at the end, by the steps done."""
    some = members(SEEDS, SIZES)
    return {
        "parameters": sum(p.numel() for p in some.networks[0].parameters()),
        f"{EARLY}": measured(some, trained(some, weight, EARLY), early=True),
        f"{STEPS}": measured(some, trained(some, weight, STEPS), early=False),
    }


def witness(weight: str) -> list[Leaves]:
    """How the networks of the first seed begin."""
    some = members(SEEDS[:1], SIZES)
    early = measured(some, trained(some, weight, EARLY), early=True)
    return [Leaves({f"{EARLY}": early}, tolerance=0.02, beginning=True)]


STORED = Experiment(
    run,
    grid(weight=("one", "edm")),
    witness,
    once=("parameters", "copies"),
    needs="one core, a quarter of an hour",
)
