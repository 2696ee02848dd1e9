"""Asymmetry of networks' Jacobians: both ways of reading it, and the areas, on known matrices."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from memolib.manifolds import LinearManifold
from results.not_a_gradient import auc, of_jacobians, of_probes


def matrix() -> torch.Tensor:
    """Three directions alive, of which two turn into each other, and one that leaks out of them."""
    G = torch.diag(torch.tensor([0.9, 0.8, 0.7, 0.1, 0.0], dtype=torch.float64))
    G[0, 1], G[1, 0] = 0.3, -0.3  # inside the alive space
    G[2, 4], G[4, 2] = 0.4, -0.4  # across its border
    return G


def test_both_parts_inside_and_outside_the_alive_space():
    found = {key: float(value[0]) for key, value in of_jacobians(matrix()[None]).items()}
    inside, even = 0.9**2 + 0.8**2 + 0.7**2, 0.9**2 + 0.8**2 + 0.7**2 + 0.1**2
    assert found["odd"] == pytest.approx((2 * 0.3**2 + 2 * 0.4**2) ** 0.5)
    assert found["even"] == pytest.approx(even**0.5)
    assert found["asymmetry"] == pytest.approx(((2 * 0.09 + 2 * 0.16) / even) ** 0.5)
    assert found["asymmetry, alive"] == pytest.approx((2 * 0.09 / inside) ** 0.5)
    assert found["alive"] == 3 and found["trace"] == pytest.approx(2.5)


def test_one_alive_direction_has_no_antisymmetric_part():
    one = torch.diag(torch.tensor([0.9, 0.2], dtype=torch.float64))[None]
    assert of_jacobians(one)["asymmetry, alive"].isnan().all()


def test_probes_agree_with_the_whole_jacobian():
    """Mean of 4,000 points of 4 probes each: within four standard errors of both norms."""
    G = matrix()
    x = torch.zeros(4_000, 5, dtype=torch.float64)
    read = of_probes(lambda z, t: z @ G.T, x, 0.1, np.random.default_rng(0))
    exact = {"odd": ((G - G.T) / 2).norm() ** 2, "even": ((G + G.T) / 2).norm() ** 2}
    for key, right in exact.items():
        squares = read[key] ** 2
        error = float(squares.std()) / len(x) ** 0.5
        assert abs(float(squares.mean() - right)) < 4 * error + 1e-9
        assert error < 0.02 * float(right)
    assert torch.allclose(read["asymmetry"] * read["even"], read["odd"])
    assert float(read["trace"].mean()) == pytest.approx(2.5, abs=0.02)


def test_an_exact_denoiser_is_symmetric():
    law = LinearManifold([1.0, 0.3, 0.0])
    x = law.sample(5, seed=0)
    assert float(of_probes(law, x, 0.1, np.random.default_rng(0))["asymmetry"].max()) < 1e-6


def test_the_squared_distance_to_any_symmetric_matrix_is_at_least_that_of_the_odd_part():
    G = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 6, 6)))
    H = torch.from_numpy(np.random.default_rng(2).standard_normal((6, 6)))
    H = (H + H.T) / 2
    found = of_jacobians(G)
    rest = float((((G + G.mT) / 2 - H) ** 2).sum())
    assert float(((G - H) ** 2).sum()) == pytest.approx(rest + float(found["odd"][0]) ** 2)


def test_areas_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    seen, fresh = rng.normal(0.5, 1, 200), rng.normal(0, 1, 300)
    area, error = auc(torch.from_numpy(seen), torch.from_numpy(fresh))
    truth = np.r_[np.ones(200), np.zeros(300)]
    assert area == pytest.approx(roc_auc_score(truth, np.r_[seen, fresh]))
    draws = [
        auc(torch.from_numpy(rng.normal(0.5, 1, 200)), torch.from_numpy(rng.normal(0, 1, 300)))[0]
        for _ in range(400)
    ]
    assert error == pytest.approx(np.std(draws), rel=0.15)
