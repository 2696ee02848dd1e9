"""Networks of the experiment on rivals: each changes what it says, and nothing else."""

import numpy as np
import pytest
import torch

from memolib.checkpoints import seeded
from memolib.networks import NetworkDenoiser, ResidualMLP
from memolib.spectra import jacobian
from results import flat_grid, rivals
from results.rivals import FIVE, PLANE, RIVALS

LAWS = rivals.LAW, rivals.LEVEL, rivals.SWAPPED


def made(kind, spoiled=False):
    """A network of a kind as a denoiser, with an outlet that is not 0 where it is to be spoiled."""
    rival = RIVALS[kind]
    with seeded(3):
        network = rival.network()
        if spoiled:
            for name, p in network.named_parameters():
                if "outlet" in name:
                    torch.nn.init.normal_(p, std=0.1)
    return NetworkDenoiser(network, rivals.spread(rival.law), np.zeros(30)).requires_grad_(False)


def test_with_the_inner_network_at_0_each_direction_is_the_populations():
    x = torch.randn(20, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    D, law = made("each_direction"), rivals.LAW
    for t in (1e-4, 0.01, 1.0):
        assert torch.allclose(D(x, t), law(x, t), atol=1e-5)
    plain = made("plain")
    assert (plain(x, 0.01) - law(x, 0.01)).abs().max() > 0.05  # which the others are not


def test_each_direction_answers_in_its_own_unit():
    """An inner network that gives 1 moves D by the root of t times the population's gain."""
    D, law = made("each_direction"), rivals.LAW
    D.network.inner.outlet.bias.fill_(1.0)
    x = torch.randn(3, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (1e-4, 0.01, 1.0):
        moved = (t * law.variances / (t + law.variances)).sqrt()
        assert torch.allclose(D(x, t) - law(x, t), moved.expand(3, -1), atol=1e-5)


def test_inputs_have_the_amplitudes_that_are_said():
    """Root mean squares along the plane and the five directions, as the network sees them."""
    for kind, plane_over_five in (
        ("plain", 1 / 0.3),
        ("exchanged_inputs", 0.3),
        ("tanh_exchanged", 0.3),
        ("level_data", 1.0),
        ("unlike_inputs", 1 / 0.3),
        ("exchanged_data", 0.3),
        ("exchanged_both", 1 / 0.3),
    ):
        law, factors = RIVALS[kind].law, RIVALS[kind].network().factors
        seen = law.variances.sqrt() * factors
        assert float(seen[PLANE][0] / seen[FIVE][0]) == pytest.approx(plane_over_five), kind


@pytest.mark.parametrize("kind", RIVALS)
def test_only_the_gradient_has_a_symmetric_jacobian(kind):
    x = RIVALS[kind].law.sample(4, seed=1)
    G = jacobian(made(kind, spoiled=True), x, 0.01)
    off = (G - G.mT).abs().max() / G.abs().max()
    assert off < 1e-5 if kind == "gradient" else off > 1e-3, float(off)


def test_plain_is_the_networks_of_the_grid():
    with seeded(3):
        one = ResidualMLP(30)
    other = made("plain").network.inner
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("law", LAWS)
def test_data_have_the_laws_root_mean_square(law):
    for y in rivals.sets(law, 100, range(2)).values():
        off = y - y.mean(dim=0)
        assert float(off.square().mean().sqrt()) == pytest.approx(rivals.spread(law), rel=1e-9)


def test_decay_begins_as_a_run_that_is_not_cut_off(monkeypatch):
    """The witness stops early, and must see the rates of the whole run."""
    monkeypatch.setitem(rivals.STEPS, 100, 40)
    monkeypatch.setattr(rivals, "marks", lambda N: (20, 40))
    data = rivals.sets(rivals.LAW, 100, range(1))
    x = data[0][:5]
    for kind in ("decay", "plain"):
        whole, part = (rivals.snapshots(kind, 100, data, stop)[20][0] for stop in (40, 20))
        assert torch.allclose(whole(x, 0.01), part(x, 0.01), atol=1e-6)
    decayed, plain = (rivals.snapshots(k, 100, data, 40)[40][0] for k in ("decay", "plain"))
    assert (decayed(x, 0.01) - plain(x, 0.01)).abs().max() > 1e-5


def test_what_exact_denoisers_keep_is_what_the_record_says():
    """The population keeps lambda/(lambda + t), and is off by as much; nothing of it is odd."""
    law, y = rivals.LAW, flat_grid.sample(rivals.LAW, 0)[:100]
    found = flat_grid.answers(law, law, y, 0)
    t = np.array(flat_grid.SIGMAS) ** 2
    for group, variance in (("high", 1.0), ("low", 0.09), ("thin", 1e-4)):
        gain = variance / (variance + t)
        for kind in "ABC":
            assert np.allclose(found[f"{kind} gain {group}"], gain, atol=2e-4)
        # 64 points with at least two directions: 1/sqrt(64), four standard errors
        assert np.allclose(found[f"C error {group}"], gain, rtol=0.5), group
    assert found["A alive"] == [7] * 7 and found["A alive high"] == [2] * 7
    assert found["A low by high"] == [0] * 7 and found["A asymmetry"] == [0] * 7
