"""The empirical denoiser's ways to the same sums: fused attention, blocks, few direct differences.

Each is held against ``empirical.plain``, the definition, in float64.
"""

import numpy as np
import pytest
import torch
from packaging.version import Version

from memolib import _softmax, spectra
from memolib._softmax import TOLERANCE
from memolib.empirical import Empirical, plain
from memolib.points import add_noise, gaussian


def images(N=3_000, d=60, seed=0):
    """Data like images: coordinates from 0 to 1, few hidden dimensions, a large mean."""
    return torch.sigmoid(gaussian(N, 6, seed=seed) @ gaussian(6, d, seed=99) - 1)


def fused(D, x, t):
    (log_z, mean), (twice, _) = D._softmax.fused(x, t), D._softmax.fused(x, t, power=2)
    return {"log_z": log_z, "mean": mean, "participation": torch.exp(twice - 2 * log_z)}


def blocks(D, x, t):
    return dict(
        zip(("log_z", "participation", "mean", "second"), D._softmax.blocks(x, t), strict=True)
    )


def few(D, x, t):
    (log_z, mean), Y = D._softmax.few(x, t), D._softmax.few_participation(x, t)
    return {"log_z": log_z, "mean": mean, "participation": Y}


def exponents(D, x, t):
    return {"exponents": D._softmax.exponents(x, t)}


def products(D, x, t):
    return {"exponents": D._softmax.products(x, t) + D._softmax.shared(x, t)[:, None]}


@pytest.mark.parametrize("way", [fused, blocks, few, exponents, products])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("t", [1e-8, 1e-5, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("kind", ["few data", "duplicates", "far points"])
def test_every_fast_way_is_the_plain_one(way, dtype, t, prior, kind, monkeypatch):
    """Up to the stated tolerance of the exponents, wherever a way is taken."""
    monkeypatch.setattr(_softmax, "BLOCK_BYTES", 16 * 8 * 7)  # several blocks of data, of queries
    y = images(40, 5).to(dtype)
    y = torch.cat([y[:20], y[:20]]) if kind == "duplicates" else y
    ties = 0.49 * y[:3] + 0.51 * y[3:6]  # near the middle of two data, and not symmetric
    x = torch.cat([add_noise(y[:3], t, seed=1), ties, y[:1]])
    x = 30 * x if kind == "far points" else x
    p = torch.arange(1.0, 41.0, dtype=torch.float64) / 820
    D, exact = Empirical(y, p if prior else None), (x.double(), y.double(), t)
    if D._softmax.rounds(x, t) and way in (fused, products):
        assert t < 0.1 or kind == "far points"
        return  # the denoiser does not go this way
    wanted = plain(*exact, p.log() if prior else None)._asdict()
    squares = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    wanted["exponents"] = -squares / (2 * t) + (p.log() if prior else 0)
    # differences in the data's own type err by some roundings of the squares themselves
    eps = torch.finfo(dtype).eps
    own = 10 * eps * float(squares.max()) / t if way in (blocks, exponents) else 0
    tolerance = min(1.0, TOLERANCE[dtype] + (own if D._softmax.rounds(x, t) else 0))
    for name, answer in way(D, x, t).items():
        assert answer.dtype == dtype
        off, scale = (answer.double() - wanted[name]).abs().max(), wanted[name].abs().max()
        logarithm = name in ("log_z", "exponents")
        allowed = tolerance + 4 * eps * scale if logarithm else 4 * max(tolerance, 8 * eps)
        assert off <= allowed, (name, float(off), float(allowed))


@pytest.mark.parametrize("t", [1e-5, 1e-6, 3e-7])
def test_near_ties_in_float32_are_shared_as_in_float64(t):
    """Off the middle of two data by little: their exponents are large, and differ by about 1."""
    y = images(2, 784).float()
    apart = (y[1] - y[0]).double()
    aside = 0.1 * gaussian(8, 784, seed=3)
    aside -= (aside @ apart)[:, None] * apart / apart.square().sum()
    shift = t * torch.linspace(-2, 2, 8).double()[:, None] * apart / apart.square().sum()
    x = (y.double().mean(dim=0) + shift + aside).float()
    exact = plain(x.double(), y.double(), t)
    assert ((exact.participation > 0.5) & (exact.participation < 0.98)).sum() >= 4
    D = Empirical(y)
    assert torch.allclose(D(x, t).double(), exact.mean, atol=1e-6)
    assert torch.allclose(D.n_eff(x, t).double(), 1 / exact.participation, rtol=1e-5)
    G, wanted = D.jacobian(x, t).double(), Empirical(y.double()).jacobian(x.double(), t)
    assert torch.allclose(G, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


def test_plain_is_written_out():
    """By hand: two data, at distances 1 and 3 from a point."""
    x, y = torch.tensor([[1.0]]).double(), torch.tensor([[0.0], [4.0]]).double()
    sums = plain(x, y, 2.0)
    small = np.exp(-9 / 4) / (np.exp(-1 / 4) + np.exp(-9 / 4))
    assert float(sums.mean) == pytest.approx(4 * small)
    assert float(sums.log_z) == pytest.approx(np.log(np.exp(-1 / 4) + np.exp(-9 / 4)))
    assert float(sums.participation) == pytest.approx(small**2 + (1 - small) ** 2)
    assert float(sums.second) == pytest.approx(4.0)  # both data are 2 from their mean
    prior = torch.tensor([0.25, 0.75]).double().log()
    odds = 3 * small / (1 - small)
    assert float(plain(x, y, 2.0, prior).mean) == pytest.approx(4 * odds / (1 + odds))


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("t", [1e-4, 0.01, 1.0, 100.0])
def test_fused_attention_and_blocks_agree(t, prior, monkeypatch):
    # The kernel that makes the engine fast is there in the tested torch; older ones may go by
    # blocks.
    assert _softmax.FUSED is not None or Version(torch.__version__) < Version("2.13")
    y = images()
    p = np.arange(1.0, len(y) + 1) / (len(y) * (len(y) + 1) / 2) if prior else None
    D, x = Empirical(y, p), add_noise(y[:70], t, seed=1)
    fused = D(x, t), D.log_density(x, t), D.n_eff(x, t), D.score(x, t)
    monkeypatch.setattr(_softmax, "FUSED", None)
    blocks = D(x, t), D.log_density(x, t), D.n_eff(x, t), D.score(x, t)
    for ours, theirs in zip(fused, blocks, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    sums = D.weighted(x, t)
    assert torch.allclose(1 / sums.participation, fused[2]) and torch.allclose(sums.mean, fused[0])


@pytest.mark.parametrize("t", [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0])
def test_float32_is_right_at_every_noise(t):
    """Against float64 with the same float32 data: exponents within the stated 1e-3, at points A, B
    and between two."""
    y = images().float()
    x = torch.cat([add_noise(y[:50], t, seed=2), y[:50], (y[:50] + y[50:100]) / 2])
    single, double = Empirical(y), Empirical(y.double())
    assert single(x, t).dtype == torch.float32
    scale = y.double().std(dim=0).norm()
    assert (single(x, t).double() - double(x.double(), t)).norm(dim=1).max() < 2e-3 * scale
    assert torch.allclose(single.n_eff(x, t).double(), double.n_eff(x.double(), t), rtol=5e-3)
    density = double.log_density(x.double(), t)
    assert (
        single.log_density(x, t).double() - density
    ).abs().max() < 2e-3 + 1e-6 * density.abs().max()
    G = double.jacobian(x.double(), t)
    assert (single.jacobian(x, t).double() - G).abs().max() < 5e-3 * max(1, float(G.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_direct_differences_join_smoothly(dtype, monkeypatch):
    """Above the tolerance and below it the same answer, at a noise where both ways hold."""
    y, t = images().to(dtype), 0.02
    D, x = Empirical(y), add_noise(y[:30], t, seed=3)
    products = D(x, t), D.log_density(x, t), D.jacobian(x, t)
    monkeypatch.setattr(_softmax, "TOLERANCE", {dtype: 0.0})
    direct = D(x, t), D.log_density(x, t), D.jacobian(x, t)
    for ours, theirs in zip(products, direct, strict=True):
        assert torch.allclose(
            ours, theirs, rtol=1e-9 if dtype == torch.float64 else 1e-3, atol=1e-4
        )
        assert ours.dtype == theirs.dtype == dtype


def test_derivatives_pass_through():
    """Forward mode, reverse mode and finite differences give the Jacobian; log_density's gradient
    is the score."""
    y, t = images(300), 0.05
    D, x = Empirical(y), add_noise(y[:3], 0.05, seed=4)
    G = D.jacobian(x, t)
    assert torch.allclose(spectra.forward_mode(D, x, t), G, atol=1e-9)
    kick = 1e-5 * gaussian(60, seed=5)
    assert torch.allclose((D(x + kick, t) - D(x - kick, t)) / 2, G @ kick, atol=1e-10)
    moving = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(D.log_density(moving, t).sum(), moving)
    assert torch.allclose(gradient, D.score(x, t), atol=1e-7)


@pytest.mark.parametrize(
    "what", ["log_density", "n_eff", "variance", "spectrum", "score", "weighted"]
)
@pytest.mark.parametrize("t", [0.05, 1e-8])  # by scalar products, and by direct differences
@pytest.mark.parametrize("moved", ["x", "data"])
def test_gradients_are_those_of_finite_differences(what, t, moved):
    """By the points and by the data, whatever fast way the numbers themselves would take."""
    data, x = gaussian(6, 3, seed=0), gaussian(2, 3, seed=1)
    if t < 1e-7:  # near the middle between two data, where weights move
        data[1] = data[0] + 1e-4
        x = (data[:2].mean(dim=0) + 3e-5 * gaussian(2, 3, seed=2)).detach()
    direction = gaussian(*(x if moved == "x" else data).shape, seed=3)

    def total(step):
        D = Empirical(data + step * direction if moved == "data" else data)
        answer = getattr(D, what)(x + step * direction if moved == "x" else x, t)
        parts = answer if what == "weighted" else [answer]
        return sum((part * (k + 1) * torch.linspace(1, 2, part.numel()).reshape(part.shape)).sum()
                   for k, part in enumerate(parts))  # fmt: skip

    step = torch.zeros((), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(total(step), step)
    h = 1e-4 * t**0.5
    difference = (total(torch.tensor(h)) - total(torch.tensor(-h))) / (2 * h)
    assert float(slope) == pytest.approx(float(difference), rel=1e-5, abs=1e-7)
    assert abs(float(slope)) > 1e-6


@pytest.mark.parametrize("sigma", [0.003, 0.01, 0.1])
def test_n_eff_counts_points_that_occur_twice(sigma):
    """At noise so small that logarithms of sums are large: fresh points, every image twice, single
    precision."""
    y = images(200, 784).float().repeat(2, 1)
    x = add_noise(images(200, 784)[:20].float(), sigma**2, seed=1)
    assert torch.allclose(Empirical(y).n_eff(x, sigma**2), torch.full((20,), 2.0), atol=1e-2)
    far = add_noise(images(20, 784, seed=5).float(), sigma**2, seed=1)
    one, two = Empirical(y[:200]).n_eff(far, sigma**2), Empirical(y).n_eff(far, sigma**2)
    assert torch.allclose(two, 2 * one, rtol=2e-3)


@pytest.mark.parametrize("kernel", [True, False])
def test_no_array_of_all_weights_is_made(kernel, monkeypatch):
    """Forty thousand points and a thousand queries: 320 MB of weights, a peak of a sixth of it."""
    if not kernel:
        monkeypatch.setattr(_softmax, "FUSED", None)
    y, x = gaussian(40_000, 8, seed=6), gaussian(1_000, 8, seed=7)
    D = Empirical(y)
    with torch.profiler.profile(
        profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]
    ) as profile:
        D(x, 0.1), D.n_eff(x, 0.1), D.log_density(x, 0.1), D.spectrum(x[:9], 0.1)
        if not kernel:
            D.variance(x, 0.1)
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < 55e6


def test_data_off_the_origin_cost_no_more():
    """The same data carry weight, wherever the origin is and whatever the unit."""
    y, t = images(300), 0.1
    x = add_noise(y[:5], t, seed=8)
    here, there = Empirical(y)._softmax, Empirical(y + 1e7)._softmax
    assert not here.rounds(x, t) and not there.rounds(x + 1e7, t)
    for ours, theirs in zip(here.carriers(x, t), there.carriers(x + 1e7, t), strict=True):
        assert torch.equal(ours[0], theirs[0]) and 3 < len(ours[0]) < 290
        assert torch.allclose(ours[1], theirs[1], atol=1e-5)
    small = Empirical(1e-3 * y)._softmax.carriers_of_spread(1e-3 * x, 1e-6 * t)
    for ours, theirs in zip(here.carriers_of_spread(x, t), small, strict=True):
        assert torch.equal(ours[0], theirs[0])


def test_far_queries_in_float32_are_answered_as_in_float64():
    """Far from two data, off the middle between them by little: their squares are nearly equal.

    Also where derivatives are asked for, and inside transforms, where no fast way can be chosen.
    """
    y, t = torch.tensor([[0.5, 0.0], [-0.5, 0.0]]), 0.01
    x = torch.tensor([[0.003, 300.0], [0.001, -700.0], [-0.002, 1e4]])
    D, wanted = Empirical(y), torch.tanh(x[:, 0] / (2 * t))
    moving = x.clone().requires_grad_()
    inside = torch.func.vmap(lambda point: D(point[None], t)[0])(x)
    for answer in (D(x, t), D(moving, t).detach(), inside, D.weighted(moving, t).mean.detach()):
        assert torch.allclose(answer[:, 0], 0.5 * wanted, rtol=1e-5)
    weights = D.log_weights(moving, t).exp().detach()
    assert torch.allclose(weights[:, 0] - weights[:, 1], wanted, rtol=1e-5)
    variances = D.variance(moving, t)
    assert torch.allclose(variances[:, 0], (1 - wanted**2) / 4, rtol=1e-5)
    (gradient,) = torch.autograd.grad(variances[:, 0].sum(), moving)
    assert torch.allclose(gradient[:, 0], -wanted * (1 - wanted**2) / (4 * t), rtol=1e-4)
    assert torch.allclose(D.n_eff(x, t), 2 / (1 + wanted**2), rtol=1e-5)
    third = Empirical(torch.cat([y - torch.tensor([0.0, 0.3]), torch.tensor([[0.0, 0.7]])]))
    x[:, 1] = -x[:, 1].abs()  # on the side of the first two
    assert torch.allclose(third(x, t)[:, 0], 0.5 * wanted, rtol=1e-5)
    assert torch.allclose(third.n_eff(x, t), 2 / (1 + wanted**2), rtol=1e-5)
