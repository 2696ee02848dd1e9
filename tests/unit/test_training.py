"""Networks as denoisers, their training, and checkpoints: each formula, each promise, and what is
refused."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memolib import _files, _steps, checkpoints, sampling, spectra, training
from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold
from memolib.networks import NetworkDenoiser, ResidualMLP, UNet, preconditioning
from memolib.points import add_noise, gaussian
from memolib.training import train

LAW = LinearManifold(np.array([1.0, 0.5, 0.1, 0.02]) ** 2)
SMALL = ResidualMLP(4, width=16, blocks=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Bit-identity is promised on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_denoiser(network, mean=0.3, data_std=0.7):
    """A denoiser whose parameters are all random, none 0."""
    generator = torch.Generator().manual_seed(0)
    for p in network.parameters():
        p.data = 0.2 * torch.randn(p.shape, generator=generator)
    return NetworkDenoiser(network, data_std, torch.full((network.d,), mean)).requires_grad_(False)


def parameters(denoiser):
    return torch.nn.utils.parameters_to_vector(denoiser.network.parameters())


def short(data=None, **options):
    """A run of a second or less."""
    data = LAW.sample(50, seed=0) if data is None else data
    return train(data, SMALL, **({"steps": 40, "batch": 16} | options))


def relative(D, exact, x, t):
    """Error of D, in units of the noise that the exact denoiser removes."""
    right = exact(x, t)
    return float((D(x, t) - right).norm() / (right - x).norm())


# Preconditioning


@pytest.mark.parametrize("t", [1e-4, 0.3, 50.0])
def test_preconditioned_variances_are_one(t):
    """Input of F and its target have unit variance, and c_out is as small as any skip allows
    (Karras et al., B.6)."""
    std = 0.7
    p = preconditioning(torch.tensor(t, dtype=torch.float64), std)
    assert float(p.inside**2 * (std**2 + t)) == pytest.approx(1)
    assert float(((1 - p.skip) ** 2 * std**2 + p.skip**2 * t) / p.out**2) == pytest.approx(1)
    assert float(p.noise) == pytest.approx(math.log(math.sqrt(t)) / 4)
    for other in (p.skip - 0.01, p.skip + 0.01):
        assert (1 - other) ** 2 * std**2 + other**2 * t > p.out**2


def test_denoiser_is_the_stated_formula():
    D = random_denoiser(ResidualMLP(3, width=8))
    x, t, std, mean = gaussian(5, 3, seed=1).float(), 0.2, 0.7, 0.3
    total = t + std**2
    inside = ((x - mean) / total**0.5, torch.full((5,), math.log(t**0.5) / 4))
    by_hand = mean + std**2 / total * (x - mean) + t**0.5 * std / total**0.5 * D.network(*inside)
    assert torch.allclose(D(x, t), by_hand, atol=1e-6)
    assert torch.allclose(D(x, torch.full((5,), t)), by_hand, atol=1e-6)
    assert torch.allclose(D(x[:2], torch.tensor([0.2, 3.0]))[1], D(x[1:2], 3.0)[0], atol=1e-6)
    assert D(x.double(), t).dtype == torch.float64 and D(x.double().numpy(), t).shape == (5, 3)
    noises = np.linspace(0.1, 0.5, 5)  # as NumPy, as a list, as a tensor
    assert torch.equal(D(x, noises), D(x, torch.from_numpy(noises))) and torch.equal(
        D(x, noises), D(x, list(noises))
    )


@pytest.mark.parametrize("network", [ResidualMLP(64, width=16), UNet(8, 1, width=8)])
def test_limits_of_little_and_much_noise(network):
    D = random_denoiser(network)
    x = gaussian(4, network.d, seed=2).float()
    assert torch.allclose(D(x, 1e-12), x, atol=1e-3)
    fresh = NetworkDenoiser(checkpoints.build(network.config), 0.7, torch.full((64,), 0.3))  # F = 0
    far = 1e4 * x
    assert torch.allclose(fresh(far, 1e8), torch.full_like(x, 0.3), atol=1e-3)
    assert torch.allclose(fresh(x, 1.0), 0.3 + 0.49 / 1.49 * (x - 0.3), atol=1e-6)


# torch.func, spectra, sampling


@pytest.mark.parametrize(
    "network", [ResidualMLP(64, width=16), UNet(8, 1, width=8)], ids=["mlp", "unet"]
)
def test_derivatives(network):
    """Forward mode, vmapped reverse mode, and differences of an answer that is computed in
    float32."""
    D, t = random_denoiser(network), 0.3
    x = gaussian(2, 64, seed=3).float()
    G = spectra.jacobian(D, x, t)
    reverse = torch.func.vmap(torch.func.jacrev(lambda z: D(z[None], t)[0]))(x)
    assert G.dtype == torch.float32 and torch.allclose(G, reverse, atol=1e-5)
    each = torch.func.vmap(lambda z, v: D(z[None], v[None])[0])(x, torch.tensor([0.3, 0.3]))
    assert torch.allclose(each, D(x, t), atol=1e-6)
    kick = 1e-2 * gaussian(64, seed=4).float()
    assert torch.allclose((D(x + kick, t) - D(x - kick, t)) / 2, G @ kick, atol=2e-5)
    values = spectra.spectrum(D, x, t)
    assert torch.allclose(values.sum(dim=1), G.diagonal(dim1=1, dim2=2).sum(dim=1), atol=1e-3)
    assert sampling.probability_flow(D, x, 9.0, 0.01, steps=3).isfinite().all()
    assert sampling.reverse_sde(D, x, 9.0, 0.01, steps=3, seed=0).isfinite().all()
    assert sampling.flow_log_density(D, x, 0.1, 9.0, steps=2).isfinite().all()


# 1 direction, 7 (64 = 9 x 7 + 1), all
@pytest.mark.parametrize("together", [1, 2 * 64 * 7, 2 * 64 * 64, 10**9])
@pytest.mark.parametrize(
    "network", [ResidualMLP(64, width=16), UNet(8, 1, width=8)], ids=["mlp", "unet"]
)
def test_spectra_by_parts_are_whole(network, together, monkeypatch):
    """Whatever the number of directions at once, both modes give the derivatives of each coordinate
    for itself."""
    D, t = random_denoiser(network), 0.3
    x = gaussian(2, 64, seed=3).float()
    rows = [torch.autograd.functional.jacobian(lambda z: D(z[None], t)[0], point) for point in x]
    part, bundle = (
        spectra.leading(D, x, t, 5, seed=0),
        spectra.normal_bundle(D, x, t, copies=9, seed=0),
    )
    kicked = spectra.spectrum(D, x, t, method="perturbation")
    monkeypatch.setattr(spectra, "TOGETHER", together)
    for G in (
        spectra.jacobian(D, x, t),
        spectra.forward_mode(D, x, t),
        spectra.reverse_mode(D, x, t),
    ):
        assert G.shape == (2, 64, 64) and torch.allclose(G, torch.stack(rows), atol=1e-5)
    assert torch.allclose(spectra.leading(D, x, t, 5, seed=0).values, part.values, atol=1e-5)
    assert torch.allclose(spectra.normal_bundle(D, x, t, copies=9, seed=0), bundle, atol=1e-4)
    assert torch.allclose(spectra.spectrum(D, x, t, method="perturbation"), kicked, atol=1e-5)


def test_jacobians_can_be_differentiated_and_see_through_no_grad():
    """d tr G/dx by both modes, outside and inside of ``torch.func``; a closure may hold gradients
    back."""
    D, t, x = (
        random_denoiser(ResidualMLP(5, width=8)),
        0.3,
        gaussian(2, 5, seed=3).float().requires_grad_(),
    )
    slopes = []
    for way in (spectra.jacobian, spectra.forward_mode):

        def trace(z, way=way):
            return way(D, z, t).diagonal(dim1=1, dim2=2).sum()

        slopes += [torch.autograd.grad(trace(x), x)[0], torch.func.grad(trace)(x.detach())]
    assert (
        all(torch.allclose(slope, slopes[0], atol=1e-4) for slope in slopes)
        and slopes[0].abs().max() > 1e-3
    )

    def held(points, t):
        with torch.no_grad():
            return D(points, t)

    assert torch.allclose(
        spectra.jacobian(held, x.detach(), t), spectra.jacobian(D, x.detach(), t), atol=1e-5
    )


@pytest.mark.parametrize("size, channels", [(8, 1), (28, 1), (32, 3)])
def test_unet_takes_the_data_sets_images(size, channels):
    D = random_denoiser(UNet(size, channels, width=8))
    x = gaussian(2, channels * size**2, seed=5).float()
    far = D(x.roll(1, dims=0), 0.1).roll(1, dims=0)
    assert D(x, 0.1).shape == x.shape and torch.allclose(far, D(x, 0.1), atol=1e-5)


def test_nearly_all_parameters_are_in_the_body():
    for network in (ResidualMLP(30), UNet(28, 1)):
        body = [
            p.numel()
            for name, p in network.named_parameters()
            if not any(k in name for k in ("scale", "shift"))
        ]
        assert sum(body) > 0.85 * NetworkDenoiser(network, 1.0, np.zeros(network.d)).size


# The loss, stratification, schedule, averaging, clipping, Adam


@pytest.mark.parametrize("t", [1e-4, 0.05, 1.0, 100.0])
def test_loss_of_no_network_is_one_at_every_noise(t):
    y = torch.stack([0.5 * gaussian(20_000, 3, seed=1), 4 * gaussian(20_000, 3, seed=2)]).float()
    noise, std = gaussian(2, 20_000, 3, seed=3).float(), torch.tensor([[0.5], [4.0]])
    losses = training.matching_loss(
        lambda x, c: torch.zeros_like(x), y, noise, torch.full((2, 20_000), t), std
    )
    assert torch.allclose(losses, torch.ones(2), atol=0.03)


def test_loss_is_the_weighted_error_of_the_denoiser():
    """Mean of |D - y|^2/c_out^2 (Karras et al., eq. 8 with lambda = 1/c_out^2)."""
    D, t = random_denoiser(SMALL, mean=0.0), torch.tensor([0.01, 0.1, 1.0, 10.0])
    y, noise = gaussian(4, 4, seed=1).float(), gaussian(4, 4, seed=2).float()
    weights = (t + 0.49) / (0.49 * t)
    by_hand = (weights[:, None] * (D(y + t.sqrt()[:, None] * noise, t) - y) ** 2).mean()

    def predict(x, c):
        return D.network(x[0], c[0])[None]

    loss = training.matching_loss(predict, y[None], noise[None], t[None], torch.tensor([[0.7]]))
    assert float(loss[0]) == pytest.approx(float(by_hand), rel=1e-4)


@given(st.integers(1, 5), st.integers(1, 70), st.integers(0, 9))
def test_each_stratum_is_met_once(steps, batch, seed):
    u = _steps.stratified(np.random.default_rng(seed), steps, batch)
    assert (
        u.shape == (steps, batch)
        and (np.sort(np.floor(u * batch), axis=1) == np.arange(batch)).all()
    )


def test_noise_levels_are_log_uniform():
    draw = draws(_steps.Member(LAW.sample(512, seed=0).float(), 0, (1e-4, 1.0)))
    rows, t, noise, rates = draw(0)
    assert torch.allclose(t[0].log10().sort().values, torch.linspace(-4, 0, 512), atol=4 / 500)
    # 512 (1 - 1/e) = 324
    assert noise.std() == pytest.approx(1, abs=0.06) and 300 < len(rows.unique()) < 350
    again = [draw(step)[1] for step in (63, 64, 0)]
    assert not torch.equal(again[0], again[1]) and torch.equal(again[2], t) and rates == 0


def test_a_members_numbers_are_its_own():
    """Another seed, another block and the generator of the data's seed give other numbers."""
    y = LAW.sample(512, seed=0).float()
    members = [_steps.Member(y, seed, None) for seed in (1, 0)]
    both, one, two = draws(*members), draws(members[0]), draws(members[1])
    for step in (0, 70):
        ours, theirs, together = one(step), two(step), both(step)
        assert not any(torch.equal(a, b) for a, b in zip(ours[:3], theirs[:3], strict=True))
        # the second's points come after
        assert torch.equal(together[0], torch.cat([ours[0], 512 + theirs[0]]))
        assert torch.equal(together[1], torch.cat([ours[1], theirs[1]]))
        # noise is in the order of the seeds
        assert torch.equal(together[2], torch.cat([theirs[2], ours[2]]))
    for data_seed in ([0], [1]):
        fresh = np.random.default_rng(data_seed).integers(512, size=(64, 1, 512))
        assert (one.block(0)[0].numpy() == fresh).mean() < 0.01


def draws(*members):
    """What training draws for them, in batches of 512."""
    return _steps.Draws(list(members), 512, lambda step: step)


def test_a_seed_sets_the_initial_parameters():
    for seed in (0, 1):
        start = parameters(short(seeds=seed, steps=1, rate=1e-9).denoisers[0])
        expected = torch.nn.utils.parameters_to_vector(
            checkpoints.build(SMALL.config, seed).parameters()
        )
        assert torch.allclose(start, expected, atol=1e-7)


def test_schedule():
    rates = [training.schedule(k, 4_000) for k in range(4_000)]
    assert (
        rates[0] == pytest.approx(1 / 201)
        and rates[99] == pytest.approx(100 / 201)
        and rates[200] == 1
    )
    assert rates[2_100] == pytest.approx(0.5) and 0 < rates[-1] < 1e-5 and np.argmax(rates) == 200
    assert training.schedule(0, 1) == 1


def test_averaging_warms_up():
    """By hand: decays 1/10, 2/11, 3/12; the initial value is left with 9! k!/(k + 9)!."""
    mean, kept = 1.0, 1.0
    for k, value in enumerate((2.0, 4.0, 8.0)):
        d = training.decay(k, 0.999)
        mean, kept = d * mean + (1 - d) * value, kept * d
    assert mean == pytest.approx(0.25 * (2 / 11 * (0.1 * 1 + 0.9 * 2) + 9 / 11 * 4) + 0.75 * 8)
    assert kept == pytest.approx(math.factorial(9) * math.factorial(3) / math.factorial(12))
    assert training.decay(10**6, 0.999) == 0.999 and training.decay(0, 0.05) == 0.05


def test_averaged_parameters_are_given():
    """With an average of 0 the last parameters; else between them and the ones before, by the
    stated share."""
    run = short(average=0.0, steps=20, snapshots=[19, 20])
    before, last = (parameters(run.snapshots[k][0]) for k in (19, 20))
    slow = short(average=0.5, steps=20, snapshots=[19])
    expected = 0.5 * parameters(slow.snapshots[19][0]) + 0.5 * last
    assert torch.equal(parameters(run.denoisers[0]), last) and not torch.equal(last, before)
    assert torch.allclose(parameters(slow.denoisers[0]), expected, atol=1e-7)


def test_each_member_is_clipped_for_itself():
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    _steps.clipped(gradient)
    assert torch.allclose(gradient, torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))


def test_a_run_is_what_a_plain_loop_with_torchs_adam_does():
    """Two members against two loops: loss, clipping, Adam, schedule and average, step by step."""
    sets, steps, batch = [LAW.sample(N, seed=N) for N in (9, 12)], 30, 16
    run = train(sets, SMALL, steps=steps, batch=batch, seeds=[0, 5], rate=0.01, average=0.9)
    for y, seed, D, losses in zip(sets, (0, 5), run.denoisers, run.losses.T, strict=True):
        member = _steps.Member(y, seed, None)
        network = checkpoints.build(SMALL.config, seed)
        adam = torch.optim.Adam(network.parameters(), lr=1.0, betas=training.BETAS)
        mean = parameters_of(network).clone()
        draw = _steps.Draws([member], batch, lambda step: (0, 0))
        for step in range(steps):
            rows, t, noise, _ = draw(step)
            std = torch.tensor([[member.data_std]])
            loss = training.matching_loss(
                lambda x, c, F=network: F(x[0], c[0])[None], member.data[rows], noise, t, std
            )
            adam.zero_grad()
            loss.sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            adam.param_groups[0]["lr"] = 0.01 * training.schedule(step, steps)
            adam.step()
            mean.lerp_(parameters_of(network), 1 - training.decay(step, 0.9))
            assert float(loss.detach()) == pytest.approx(float(losses[step]), abs=1e-4)
        assert torch.allclose(parameters(D), mean, atol=1e-4)


def parameters_of(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach()


# Any module


class Plain(torch.nn.Module):
    """Somebody's network: no config, no d."""

    def __init__(self, d=4, width=32):
        super().__init__()
        self.inlet = torch.nn.Linear(d + 1, width)
        self.outlet = torch.nn.Linear(width, d)

    def forward(self, x, c):
        return self.outlet(torch.tanh(self.inlet(torch.cat([x, c[:, None]], dim=1))))


class Normed(Plain):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)

    def forward(self, x, c):
        return super().forward(self.norm(x), c)


def test_any_module_is_trained(tmp_path):
    """From a function that makes it: it learns, resumes to the bit, and is a denoiser."""
    y, options = LAW.sample(500, seed=0), {"steps": 400, "batch": 64, "seeds": [0, 1]}
    run = train(y, Plain, **options)
    assert run.losses[-20:].mean() < 0.93 * run.losses[:20].mean()
    one, two = run.denoisers
    assert not torch.allclose(parameters(one), parameters(two), atol=1e-3)
    assert one.d == 4 and "Plain" in repr(one)
    assert spectra.spectrum(one, y[:2], 0.1).shape == (2, 4)
    x = add_noise(LAW.sample(300, seed=1), 0.05, seed=2)
    std2 = one.data_std**2
    untrained = relative(lambda x, t: x * std2 / (std2 + t), LAW, x, 0.05)
    assert relative(one, LAW, x, 0.05) < 0.75 * untrained
    train(y, Plain, stop=100, checkpoints=tmp_path, **options)
    again = train(y, Plain, checkpoints=tmp_path, **options)
    for ours, theirs in zip(run.denoisers, again.denoisers, strict=True):
        assert torch.equal(parameters(ours), parameters(theirs))
    with pytest.raises(ValueError, match="network is"):
        train(y, lambda: Plain(width=8), checkpoints=tmp_path, **options)
    with pytest.raises(ValueError, match=r"(?s)denoiser has the network Plain.*ResidualMLP"):
        checkpoints.save(tmp_path / "plain.safetensors", one)


def test_a_function_that_makes_our_network_is_our_network():
    y = LAW.sample(50, seed=0)
    one = train(y, SMALL, steps=30, batch=16, seeds=3).denoisers[0]
    two = train(
        y, lambda: ResidualMLP(4, width=16, blocks=1), steps=30, batch=16, seeds=3
    ).denoisers[0]
    assert torch.allclose(parameters(one), parameters(two), atol=1e-6)


@pytest.mark.parametrize(
    "network, message",
    [
        (torch.nn.Linear(4, 4), "network is Linear.*a function that makes one"),
        (Plain(), "network is Plain.*since each seed starts from parameters of its own"),
        (3, "network is 3; allowed are"),
        (lambda: 3, "network makes 3; allowed are modules with parameters"),
        (torch.nn.Identity, r"network makes Identity\(\); allowed are modules with parameters"),
        (
            lambda: Plain().double(),
            "network has parameters of .*float64.*; allowed",
        ),
        (lambda: Plain(3), r"network fails at points of shape \(2, 4\).*allowed are modules"),
        (
            lambda: Turned(),
            r"network answers .*4, 2.* to points of shape \(2, 4\)",
        ),
        (Normed, "network has buffers that a call changes, as batch normalization does"),
        (ResidualMLP(5), r"data has shape \(N, 4\); allowed, for the network, is \(N, 5\)"),
    ],
)
def test_what_cannot_be_trained_is_told(network, message):
    with pytest.raises(ValueError, match=f"(?s)^{message}"):
        train(LAW.sample(20, seed=0), network, steps=2)


class Turned(Plain):
    def forward(self, x, c):
        return super().forward(x, c).T


# Training


def test_a_seed_fixes_everything():
    one, two, other = short(seeds=3), short(seeds=3), short(seeds=4)
    assert torch.equal(parameters(one.denoisers[0]), parameters(two.denoisers[0]))
    assert np.array_equal(one.losses, two.losses)
    assert not torch.allclose(
        parameters(one.denoisers[0]), parameters(other.denoisers[0]), atol=1e-3
    )


@pytest.mark.parametrize("network", [SMALL, UNet(4, 1, width=8)], ids=["mlp", "unet"])
def test_a_member_is_what_it_is_alone(network):
    sets, seeds = [gaussian(N, network.d, seed=N) for N in (5, 5, 40, 41)], [0, 7, 0, 7]
    steps = 300 if network is SMALL else 10
    together = train(sets, network, steps=steps, batch=16, seeds=seeds)
    x = gaussian(10, network.d, seed=1)
    for k, (y, seed, D) in enumerate(zip(sets, seeds, together.denoisers, strict=True)):
        alone = train(y, network, steps=steps, batch=16, seeds=seed)
        assert np.allclose(alone.losses[:, 0], together.losses[:, k], atol=1e-3)
        assert torch.allclose(alone.denoisers[0](x, 0.1), D(x, 0.1), atol=5e-3)
        assert (
            torch.equal(alone.denoisers[0].mean, D.mean)
            and alone.denoisers[0].data_std == D.data_std
        )


def test_record():
    run = short(steps=450, snapshots=[1, 400])
    assert len(run.losses) == len(run.steps) == 150 and run.steps[-1] == 450 and run.seconds > 0
    assert run.losses[:3].mean() > run.losses[-3:].mean() and 0.3 < run.losses[0] < 3
    assert not any(p.requires_grad for p in run.snapshots[400][0].parameters())
    start = parameters(run.snapshots[1][0]) - parameters(run.denoisers[0])
    near = parameters(run.snapshots[400][0]) - parameters(run.denoisers[0])
    assert list(run.snapshots) == [1, 400] and near.norm() < 0.2 * start.norm()


@pytest.mark.slow
def test_few_points_are_memorized():
    """Twenty points: within 20% of the empirical denoiser, and far from the population's."""
    y = LAW.sample(20, seed=1)
    D = train(y, ResidualMLP(4, width=64), steps=5_000, batch=128).denoisers[0]
    x = add_noise(y.repeat(20, 1), 0.05, seed=2)
    assert relative(D, Empirical(y), x, 0.05) < 0.2 < 0.3 < relative(D, LAW, x, 0.05)


@pytest.mark.slow
def test_many_points_give_the_population():
    """Gaussian data, 5,000 points off the origin: within 7% of the exact denoiser at noise from
    small to large."""
    y, shift = LAW.sample(5_000, seed=1) + 2, 2
    D = train(y, ResidualMLP(4, width=32), steps=2_500, batch=128).denoisers[0]
    for t in (0.003, 0.03, 0.3, 3.0):
        x = add_noise(LAW.sample(1_000, seed=3) + shift, t, seed=4)
        assert relative(D, lambda x, t: LAW(x - shift, t) + shift, x, t) < 0.07, t


def test_data_that_need_gradients_are_taken_as_they_are():
    y = gaussian(20, 3, seed=0)
    one, two = (
        train(x, ResidualMLP(3, width=8), steps=3).denoisers[0]
        for x in (y, y.clone().requires_grad_())
    )
    assert torch.equal(one(y, 0.1), two(y, 0.1)) and not two.mean.requires_grad


def test_a_run_that_stops_early_is_the_beginning_of_the_whole(tmp_path):
    """What it has after so many steps is what the whole run has then; with checkpoints it goes on
    from there."""
    y, keys = (
        gaussian(20, 3, seed=0),
        {"steps": 400, "snapshots": (40, 100, 400), "checkpoints": tmp_path},
    )
    whole = train(y, ResidualMLP(3, width=8), steps=400, snapshots=(40, 100, 400))
    part = train(y, ResidualMLP(3, width=8), stop=100, **keys)
    assert set(part.snapshots) == {40, 100} and part.steps.tolist() == list(range(2, 101, 2))
    assert np.array_equal(part.losses, whole.losses[:50])
    assert torch.equal(part.denoisers[0](y, 0.1), whole.snapshots[100][0](y, 0.1))
    rest = train(y, ResidualMLP(3, width=8), **keys)
    assert torch.equal(rest.denoisers[0](y, 0.1), whole.denoisers[0](y, 0.1))
    assert np.array_equal(rest.losses, whole.losses) and set(rest.snapshots) == {40, 100, 400}
    uneven = train(y, ResidualMLP(3, width=8), steps=400, stop=33)
    assert uneven.steps[-1] == 33 and len(uneven.losses) == 17 and np.isfinite(uneven.losses).all()
    with pytest.raises(ValueError, match="stop is 401"):
        train(y, ResidualMLP(3, width=8), steps=400, stop=401)


def test_order_of_the_data_changes_nothing_but_the_draw():
    y = LAW.sample(200, seed=5)
    one, two = (_steps.Member(v.float(), 0, None) for v in (y, y.flip(0)))
    assert one.data_std == pytest.approx(two.data_std) and one.t_range == pytest.approx(two.t_range)
    assert torch.allclose(one.mean, two.mean, atol=1e-6)
    assert one.t_range[0] == pytest.approx(float((y - y.mean(dim=0)).square().mean()) / 900)
    assert one.t_range[1] ** 0.5 >= float(torch.cdist(y, y).max())


# Files


def test_a_saved_denoiser_is_the_same(tmp_path):
    for network in (ResidualMLP(4, width=8), UNet(8, 1, width=8)):
        D = random_denoiser(network)
        checkpoints.save(tmp_path / "network.safetensors", D)
        again = checkpoints.load(tmp_path / "network.safetensors")
        x = gaussian(3, network.d, seed=0)
        assert torch.equal(D(x, 0.1), again(x, 0.1)) and again.network.config == network.config


def test_half_precision_takes_half_the_space_and_answers_alike(tmp_path):
    D = random_denoiser(UNet(8, 1, width=32))
    for half in (False, True):
        checkpoints.save(tmp_path / f"{half}.safetensors", D, half=half)
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (True, False)]
    assert sizes[0] < 0.53 * sizes[1]
    again = checkpoints.load(tmp_path / "True.safetensors")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    x = gaussian(3, D.d, seed=0)
    moved = (D(x, 0.1) - again(x, 0.1)).norm() / (D(x, 0.1) - x).norm()
    assert 0 < float(moved) < 2e-3  # 11 bits are 5e-4 of a parameter


def test_parameters_beyond_half_precision_are_refused(tmp_path):
    D = random_denoiser(ResidualMLP(4, width=8))
    D.network.outlet.bias.data[0] = 1e5
    with pytest.raises(ValueError, match="reaches 1e"):
        checkpoints.save(tmp_path / "a.safetensors", D, half=True)
    assert not list(tmp_path.iterdir())


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path, old = tmp_path / "a.safetensors", {"v": torch.ones(3)}
    checkpoints.write(path, old, {"n": 1})
    order = []
    monkeypatch.setattr(_files.os, "fsync", lambda _: order.append("fsync"))

    def fail(*_):
        order.append("replace")
        raise OSError("the machine stops here")

    monkeypatch.setattr(_files.os, "replace", fail)
    with pytest.raises(OSError, match="stops"):
        checkpoints.write(path, {"v": torch.zeros(3)}, {"n": 2})
    tensors, note = checkpoints.read(path)
    assert (
        order == ["fsync", "replace"] and torch.equal(tensors["v"], old["v"]) and note == {"n": 1}
    )
    # and nothing is left lying about
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_two_writers_do_not_meet(tmp_path):
    with _files.replaced(tmp_path / "a") as one, _files.replaced(tmp_path / "a") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a").read_text() == "one"  # the last to end


def test_a_place_that_cannot_be_written_to_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        checkpoints.save(
            tmp_path / "file" / "network.safetensors", random_denoiser(ResidualMLP(4, width=8))
        )


def test_files_of_another_kind_are_refused_by_name(tmp_path):
    """A checkpoint of a run, a note of somebody else, an unknown network, parameters of other
    shapes."""
    D, path = random_denoiser(ResidualMLP(4, width=8)), tmp_path / "a.safetensors"
    note = {"network": D.network.config, "data_std": 1.0}
    for tensors, other in (
        ({"parameters": torch.ones(2, 3)}, {"config": {}, "done": 3}),
        (D.state_dict(), {}),
        (D.state_dict(), {"network": {"kind": "Transformer"}, "data_std": 1.0}),
        (D.state_dict(), note | {"network": {"kind": "ResidualMLP", "heads": 3}}),
        (D.state_dict(), note | {"network": ResidualMLP(4, width=10).config}),
        (D.state_dict(), note | {"data_std": -1.0}),
        ({"mean": torch.zeros(4)}, note),
    ):
        checkpoints.write(path, tensors, other)
        with pytest.raises(ValueError, match=r"a\.safetensors holds no denoiser that"):
            checkpoints.load(path)
    checkpoints.write(path, D.state_dict(), note)
    assert checkpoints.load(path).data_std == 1.0


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_one_changed_byte_is_seen(tmp_path_factory, where, change):
    path = tmp_path_factory.mktemp("bytes") / "a.safetensors"
    checkpoints.write(path, {"v": torch.arange(5.0)}, {"n": 1})
    content = bytearray(path.read_bytes())
    content[where % len(content)] ^= change
    path.write_bytes(content)
    try:
        tensors, note = checkpoints.read(path)  # white space in the header may change
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert torch.equal(tensors["v"], torch.arange(5.0)) and note == {"n": 1}


def test_damaged_checkpoints(tmp_path):
    whole = short(steps=60)
    options = {"steps": 60, "checkpoints": tmp_path, "every": 20}
    short(**options)
    paths = sorted(tmp_path.iterdir())
    assert [p.name for p in paths] == ["step-000000040.safetensors", "step-000000060.safetensors"]
    paths[1].write_bytes(paths[1].read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"step-000000060.safetensors is damaged.*before"):
        again = short(**options)
    assert torch.equal(parameters(again.denoisers[0]), parameters(whole.denoisers[0]))
    assert np.array_equal(again.losses, whole.losses)
    for path in paths:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with (
        pytest.warns(UserWarning, match="digest"),
        pytest.raises(ValueError, match=r"all of 2 are damaged"),
    ):
        short(**options)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    options = {"checkpoints": tmp_path, "every": 20}
    short(**options)
    for name, value in (
        ("rate", 1e-3),
        ("seeds", 1),
        ("batch", 8),
        ("steps", 41),
        ("average", 0.5),
    ):
        with pytest.raises(ValueError, match=f"{name} is"):
            short(**options, **{name: value})
    with pytest.raises(ValueError, match="data is"):
        short(LAW.sample(50, seed=0).flip(0), **options, t_range=short_range())
    with pytest.raises(ValueError, match="network is"):
        train(LAW.sample(50, seed=0), ResidualMLP(4, width=8), steps=40, batch=16, **options)


def short_range():
    """What ``short`` takes by default."""
    return _steps.Member(LAW.sample(50, seed=0).float(), 0, None).t_range


@pytest.mark.slow
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path):
    """kill -9, twice, in mid-run; parameters, losses and snapshots are then equal to the bit."""
    code = """if True:
        import sys, torch
        torch.set_num_threads(1)
        from memolib.manifolds import LinearManifold
        from memolib.networks import ResidualMLP
        from memolib.training import train
        y = LinearManifold([1, 0.25, 0.01, 0.0004]).sample(50, seed=0)
        train([y, y[:9]], ResidualMLP(4, 16, 1), steps=900, batch=16, snapshots=[150],
        checkpoints=sys.argv[1], every=7)
    """
    law = LinearManifold([1, 0.25, 0.01, 0.0004])
    y = law.sample(50, seed=0)
    whole = short([y, y[:9]], steps=900, snapshots=[150])
    for least in (100, 400):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"},
        )
        while not any(int(p.stem[5:]) >= least for p in tmp_path.glob("step-*.safetensors")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "step-000000900.safetensors").exists()
    resumed = short([y, y[:9]], steps=900, snapshots=[150], checkpoints=tmp_path, every=7)
    for ours, theirs in zip(whole.denoisers, resumed.denoisers, strict=True):
        assert torch.equal(parameters(ours), parameters(theirs))
    assert torch.equal(parameters(whole.snapshots[150][1]), parameters(resumed.snapshots[150][1]))
    assert np.array_equal(whole.losses, resumed.losses)


# What is refused


@given(
    st.sampled_from(["steps", "batch", "every", "rate", "average"]),
    st.sampled_from([0, -1, math.nan, "x", [1, 2]]),
)
def test_bad_numbers_are_refused(name, value):
    if (name, value) == ("average", 0):
        return
    with pytest.raises(ValueError, match=f"{name} "):
        short(**{name: value})


@given(st.one_of(st.floats(max_value=0), st.just(math.nan), st.just(math.inf)))
def test_bad_noise_is_refused(t):
    D = NetworkDenoiser(SMALL, 1.0, np.zeros(4))
    with pytest.raises(ValueError, match=r"t is .*above 0"):
        D(torch.zeros(2, 4), t)
    with pytest.raises(ValueError, match="above 0"):
        short(t_range=(t, 1.0))
    with pytest.raises(ValueError, match="data_std is"):
        NetworkDenoiser(SMALL, t, np.zeros(4))


@pytest.mark.parametrize(
    "name, call",
    [
        ("x has shape", lambda: NetworkDenoiser(SMALL, 1.0, np.zeros(4))(torch.zeros(2, 3), 1.0)),
        (
            "t has shape",
            lambda: NetworkDenoiser(SMALL, 1.0, np.zeros(4))(torch.zeros(2, 4), torch.ones(3)),
        ),
        ("mean has shape", lambda: NetworkDenoiser(SMALL, 1.0, np.zeros(3))),
        ("width is 3", lambda: ResidualMLP(4, width=3)),
        ("d is 0", lambda: ResidualMLP(0)),
        ("size is 9", lambda: UNet(9, 1)),
        ("channels is 0", lambda: UNet(8, 0)),
        ("data has shape", lambda: short(np.zeros((5, 3)))),
        ("data has 3 equal points", lambda: short(np.full((3, 4), 0.1))),
        ("data is not finite", lambda: short(torch.full((3, 4), torch.nan))),
        ("for 0 data sets", lambda: short([])),
        ("seeds", lambda: short(seeds=-1)),
        ("seeds are 0", lambda: short(seeds=[])),
        ("seeds are 3 for 2", lambda: short([np.eye(4), np.eye(4)], seeds=[1, 2, 3])),
        ("average is 1", lambda: short(average=1.0)),
        ("snapshots is 41", lambda: short(snapshots=[41])),
        ("t_range is", lambda: short(t_range=(1.0, 0.1))),
        ("t_range is", lambda: short(t_range=(1.0, 2.0, 3.0))),
        ("network is", lambda: train(np.eye(4), torch.nn.Linear(4, 4), steps=1)),
    ],
)
def test_refusals_name_the_argument(name, call):
    with pytest.raises(ValueError, match=name):
        call()


def test_progress_is_quiet_where_nobody_looks(capfd):
    short()
    assert capfd.readouterr() == ("", "")


# What goes wrong is told
# ---------------------------------------------------------------------------------------------


def test_a_run_that_diverges_stops_and_keeps_its_good_checkpoints(tmp_path):
    y = gaussian(20, 3, seed=0)
    for rate in (1e6, 1e30):
        with pytest.raises(
            ValueError,
            match=r"rate is 1e\+\d+: at step \d+ the loss is .*; allowed are lower rates",
        ):
            train(y, ResidualMLP(3, width=8), steps=400, rate=rate, checkpoints=tmp_path, every=5)
        kept = sorted(tmp_path.glob("step-*.safetensors"))
        for path in kept:
            assert all(tensor.isfinite().all() for tensor in checkpoints.read(path)[0].values())
            path.unlink()


def test_a_loss_that_comes_back_is_let_go_on():
    """In its warm-up a wide network of many coordinates overshoots by thousands, and comes back."""
    y = torch.sigmoid(gaussian(200, 15, seed=0) @ gaussian(15, 3_072, seed=1) / 2).float()
    run = train(y, ResidualMLP(3_072, width=256), steps=200, stop=60, batch=64)
    assert float(run.losses.max()) > 100 > float(run.losses[-1, 0])


def test_data_far_from_the_origin_are_trained_on_as_if_they_were_near():
    """Centred in their own precision: a million away, single precision would have rounded them to
    sixteenths."""
    y = gaussian(30, 3, seed=0)
    near, far = (
        train(y + shift, ResidualMLP(3, width=8), steps=20).denoisers[0] for shift in (0.0, 1e6)
    )
    assert torch.allclose(far(y + 1e6, 0.1) - 1e6, near(y, 0.1), atol=1e-5)
    assert float(far.data_std) == pytest.approx(float(near.data_std), rel=1e-6)


def test_networks_are_made_and_used_in_single_precision_whatever_the_default():
    y = gaussian(20, 3, seed=0)
    expected = train(y, ResidualMLP(3, width=8), steps=5).denoisers[0](y, 0.1)
    torch.set_default_dtype(torch.float64)
    try:
        D = train(y, ResidualMLP(3, width=8), steps=5).denoisers[0]
        assert all(p.dtype == torch.float32 for p in D.parameters()) and torch.allclose(
            D(y, 0.1), expected, atol=1e-5
        )
    finally:
        torch.set_default_dtype(torch.float32)


def test_files_of_other_programs_and_home_folders(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "theirs.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(
        ValueError, match=r"theirs\.safetensors is another program's safetensors file"
    ):
        checkpoints.load(tmp_path / "theirs.safetensors")
    with pytest.raises(ValueError, match=r"text\.safetensors is damaged, or no safetensors file"):
        checkpoints.load(tmp_path / "text.safetensors")
    monkeypatch.setenv("HOME", str(tmp_path))
    D = random_denoiser(ResidualMLP(4, width=8))
    checkpoints.save("~/mine.safetensors", D)
    assert (tmp_path / "mine.safetensors").exists() and checkpoints.load(
        "~/mine.safetensors"
    ).d == 4
    train(gaussian(20, 3, seed=0), ResidualMLP(3, width=8), steps=4, checkpoints="~/run", every=2)
    assert len(list((tmp_path / "run").glob("step-*"))) == 2
