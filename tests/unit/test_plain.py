"""The plain loop for variations of training gives what ``train`` gives, and what is asked for."""

import pytest
import torch

from memolib.empirical import Empirical
from memolib.manifolds import LinearManifold
from memolib.networks import ResidualMLP
from memolib.points import add_noise
from memolib.training import train
from results._plain import fit, standard

LAW = LinearManifold([1.0, 0.3, 0.01])
DATA = LAW.sample(40, seed=0) + 5.0  # so that centring is seen
NETWORK = ResidualMLP(3, width=16, blocks=1)
OPTIONS = {"steps": 300, "seed": 3, "batch": 32, "marks": (100,)}
T = 0.05
X = add_noise(DATA, T, seed=1)


def answers(**options):
    return {mark: D(X, T) for mark, D in fit(DATA, NETWORK, **OPTIONS | options).items()}


def close(one, two, atol=1e-4):
    return torch.allclose(one, two, atol=atol, rtol=0)


def test_with_nothing_varied_it_is_train():
    """On the same draws, after a third of the run and at its end; rounding is 1e-6."""
    run = train(DATA, NETWORK, steps=300, seeds=3, batch=32, average=0.9995, snapshots=[100])
    plain = answers()
    assert set(plain) == {100, 300}
    assert close(plain[100], run.snapshots[100][0](X, T))
    assert close(plain[300], run.denoisers[0](X, T))
    assert not close(plain[100], plain[300], atol=1e-2)


@pytest.mark.parametrize(
    "options",
    [
        {"target": lambda y, x, t: y},
        {"weight": lambda t: standard(t, DATA)},
        {"course": lambda step, steps: 1.0, "rate": 0.0},
    ],
)
def test_the_usual_put_in_by_hand_changes_nothing(options):
    """The target y, the weight 1/c_out^2; and of rate 0 nothing is learned."""
    other = answers(**options)[300]
    if "rate" in options:
        spread = float((DATA - DATA.mean(dim=0)).square().mean())
        mean = DATA.mean(dim=0)
        assert close(other, mean + spread / (spread + T) * (X - mean))
    else:
        assert close(other, answers()[300])


def test_the_exact_denoiser_is_a_target_in_the_datas_coordinates():
    """It has the same optimum, so the network comes as near to it; a target moved by 1 moves the
    answer by 1."""
    exact = Empirical(DATA)
    long = {"steps": 2_000, "marks": ()}
    away = {
        name: float((answers(**long | options)[2_000] - exact(X, T)).square().mean() ** 0.5)
        for name, options in {
            "y": {},
            "D": {"target": lambda y, x, t: exact(x, t)},
            "moved": {"target": lambda y, x, t: y + 1.0},
        }.items()
    }
    assert away["D"] < 1.2 * away["y"] and away["y"] < 0.2
    assert abs(away["moved"] - 1) < 0.1


def test_noise_that_weighs_nothing_is_not_learned():
    """With the loss cut to t above 1, nonsense asked for below changes nothing; above, it does."""

    def cut(t):
        return (t > 1) * standard(t, DATA)

    alone = answers(weight=cut)[300]
    below = answers(weight=cut, target=lambda y, x, t: y + 100.0 * (t < 1)[:, None])[300]
    above = answers(weight=cut, target=lambda y, x, t: y + 100.0 * (t > 1)[:, None])[300]
    assert close(alone, below)
    assert not close(alone, above, atol=1.0)


def test_parameters_decay():
    """With a decay of 1 in each rate the parameters are smaller, by more than training makes
    them."""

    def norm(decay):
        made = fit(DATA, NETWORK, **OPTIONS, weight_decay=decay)[300]
        return float(sum(p.square().sum() for p in made.parameters()))

    assert norm(1.0) < 0.7 * norm(0.0)


def test_a_function_makes_the_network_and_what_diverges_is_told():
    made = fit(DATA, lambda: ResidualMLP(3, width=16, blocks=1), **OPTIONS)[300]
    assert close(made(X, T), answers()[300])
    with pytest.raises(ValueError, match="rate is 1e"):
        fit(DATA, NETWORK, **OPTIONS | {"rate": 1e30})
