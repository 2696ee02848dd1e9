"""Real data sets' sizes: spectra by Gram matrices, many noise variances at once, shards on a
cluster."""

import os
import signal
import time
from functools import partial

import numpy as np
import pytest
import torch

from memolib import spectra
from memolib.cluster import Sharded
from memolib.empirical import Empirical
from memolib.memorization import pointwise_information, profile
from memolib.points import add_noise, gaussian


def images(N=2_000, d=60, seed=0):
    """Data like images: coordinates from 0 to 1, few hidden dimensions, a large mean."""
    return torch.sigmoid(gaussian(N, 6, seed=seed) @ gaussian(6, d, seed=99) - 1)


# Spectra
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [1e-4, 0.01, 0.1, 1.0, 100.0])
def test_spectrum_agrees_with_autograd(t):
    """At points A, B and far away; from one point that matters to all of them, on both sides of the
    dimension."""
    y = images()
    D, x = Empirical(y), torch.cat([add_noise(y[:5], t, seed=1), y[:5], gaussian(5, 60, seed=2)])
    expected = torch.linalg.eigvalsh(spectra.forward_mode(D, x, t)).flip(-1)
    assert torch.allclose(
        D.spectrum(x, t), expected, rtol=0, atol=2e-11 * max(1, float(expected.max()))
    )
    assert torch.allclose(D.jacobian(x, t), spectra.forward_mode(D, x, t), rtol=0, atol=1e-10)
    assert torch.equal(spectra.spectrum(D, x, t), D.spectrum(x, t))


def test_spectrum_by_gram_matrix_is_that_of_the_covariance():
    """Few points matter at t = .05: the Gram matrix; padded with zeros to the same points, the
    covariance."""
    y, x, t = images(30, 50), images(3, 50, seed=4), 0.05
    short, long = Empirical(y).spectrum(x, t), Empirical(torch.cat([y, y])).spectrum(x, t)
    assert torch.allclose(short, long, atol=1e-11)  # 30 points, and each of them twice: 60 > d
    assert (short[:, 29:] == 0).all() and (short >= 0).all() and (short.diff(dim=1) <= 1e-12).all()
    assert (
        float(
            (short.sum(dim=1) - Empirical(y).jacobian(x, t).diagonal(dim1=1, dim2=2).sum(dim=1))
            .abs()
            .max()
        )
        < 1e-11
    )


def test_spectrum_in_float32_with_a_prior_and_of_one_point():
    y, t = images(), 0.05
    p = np.arange(1.0, len(y) + 1) / (len(y) * (len(y) + 1) / 2)
    x = add_noise(y[:5], t, seed=3)
    exact = Empirical(y.float().double(), p).spectrum(x.float().double(), t)
    assert torch.allclose(Empirical(y.float(), p).spectrum(x, t), exact, atol=2e-4)
    assert (Empirical(y[:1]).spectrum(x, t) == 0).all()


def test_points_without_weight_cost_nothing():
    """At small noise one or two of 2,000 points matter; leaving the rest out is what makes spectra
    cheap."""
    y = images()
    D, x = Empirical(y), add_noise(y[:20], 0.01, seed=1)
    assert max(len(rows) for rows, _ in D._softmax.carriers_of_spread(x, 0.01)) < 10
    assert max(len(rows) for rows, _ in D._softmax.carriers_of_spread(x, 10.0)) == 2_000


# Many noise variances
# ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_profile_agrees_with_the_denoiser(dtype, monkeypatch):
    """One pass for all t against one call for each t, with the same noise; several blocks of
    rows."""
    monkeypatch.setattr("memolib.memorization.BLOCK_BYTES", 100_000)
    y, times = images().to(dtype), np.geomspace(5, 0.01, 7)
    seen, noise, D = (
        profile(y, times, n=100, seed=np.random.default_rng(3)),
        gaussian(100, 60, seed=np.random.default_rng(3)),
        Empirical(y.double()),
    )
    assert seen.t.tolist() == times.tolist() and seen.log_odds.dtype == dtype
    for t, log_odds, Y in zip(
        times, seen.log_odds.double(), seen.participation.double(), strict=True
    ):
        x = y[:100].double() + t**0.5 * noise
        own = D.log_weights(x, t)[range(100), range(100)].exp()
        assert torch.allclose(
            torch.sigmoid(log_odds), own, atol=1e-10 if dtype == torch.float64 else 1e-4
        )
        assert torch.allclose(Y, 1 / D.n_eff(x, t), atol=1e-10 if dtype == torch.float64 else 1e-4)


def test_profile_information_is_that_of_a_pool_of_the_others():
    y, t = images(300), 0.3
    seen = profile(y, [t], seed=np.random.default_rng(4))
    noise = gaussian(300, 60, seed=np.random.default_rng(4))
    for k in (0, 17):
        others = Empirical(torch.cat([y[:k], y[k + 1 :]]))
        x = y[k : k + 1] + t**0.5 * noise[k]
        expected = -t * float((noise[k] ** 2).sum()) / (2 * t) - 30 * np.log(2 * np.pi * t)
        expected -= float(others.log_density(x, t))
        assert abs(float(seen.information()[0, k]) - expected) < 1e-9
    assert (
        abs(
            float(
                seen.information().mean() - pointwise_information(y, Empirical(y), t, seed=5).mean()
            )
        )
        > 0.1
    )


def test_profile_limits_and_invariances():
    y = images(400)
    high, low = profile(y, [1e6, 1e-5], seed=1).log_odds
    assert torch.allclose(high, torch.full((400,), -np.log(399), dtype=torch.float64), atol=0.05)
    assert (low > 50).all() and torch.isfinite(low).all()  # beyond where 1 - w underflows
    times = np.geomspace(3, 0.03, 5)
    scaled = profile(7 * y + 2, 49 * times, seed=1)
    assert torch.allclose(scaled.log_odds, profile(y, times, seed=1).log_odds, atol=1e-8)
    twins = profile(torch.cat([y[:10], y[:10]]), [1e-4], seed=2)
    # each point and its twin
    assert torch.allclose(twins.log_odds, torch.zeros(1, 20).double(), atol=1e-9)
    assert torch.allclose(twins.participation, torch.full((1, 20), 0.5).double())


def test_profile_refuses_what_it_cannot_answer():
    y = images(50)
    for bad, name in (
        ((y[:1], [1.0]), "data"),
        ((y, [0.0]), "t "),
        ((y, 1.0), "t "),
        ((y, []), "t "),
        ((y, [[1.0]]), "t "),
    ):
        with pytest.raises(ValueError, match=name):
            profile(*bad)
    with pytest.raises(ValueError, match=r"t is .*float32"):
        profile(y.float(), [1e-5])
    with pytest.raises(ValueError, match="n is 51"):
        profile(y, [1.0], n=51)


# A cluster
# ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def third_shard(tmp_path_factory):
    """Read on the worker."""
    path = tmp_path_factory.mktemp("shards") / "third.npy"
    np.save(path, images()[1_500:])
    return partial(np.load, path)


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        yield local


@pytest.mark.parametrize("t", [1e-3, 0.1, 10.0])
def test_shards_on_two_processes_give_the_same_numbers(cluster, third_shard, t, monkeypatch):
    monkeypatch.setattr("memolib.cluster.BLOCK", 64)  # several blocks of queries
    y = images()
    whole, x = Empirical(y), add_noise(y[:150], t, seed=1)
    shards = Sharded([y[:500], y[500:1_500].numpy(), third_shard], cluster.scheduler_address)
    try:
        assert shards.shape == (2_000, 60)
        assert (
            len({w["pid"] for w in shards._client.run(lambda: {"pid": os.getpid()}).values()}) == 2
        )
        for name in ("__call__", "log_density", "n_eff", "score"):
            ours, theirs = (getattr(D, name)(x, t) for D in (shards, whole))
            assert torch.allclose(
                ours, theirs, rtol=1e-12, atol=1e-12 * float(theirs.abs().max())
            ), name
        assert torch.allclose(
            shards.jacobian(x[:3], t), whole.jacobian(x[:3], t), rtol=0, atol=1e-10
        )
        assert torch.allclose(
            spectra.spectrum(shards, x[:3], t), whole.spectrum(x[:3], t), rtol=0, atol=1e-10
        )
        # each shard on one worker, and both workers hold some
        held = shards._client.who_has(shards._shards)
        assert (
            sorted(map(len, held.values())) == [1, 1, 1]
            and len({w for some in held.values() for w in some}) == 2
        )
    finally:
        shards.close()


@pytest.mark.slow
def test_a_lost_worker_costs_no_answers(third_shard, own_environment):
    from distributed import LocalCluster

    y = images()
    x, expected = y[:50], Empirical(y)(y[:50], 0.1)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as local:
        shards = Sharded([y[:700], y[700:1_500], third_shard], local.scheduler_address)
        os.kill(next(iter(local.workers.values())).pid, signal.SIGKILL)
        time.sleep(0.5)
        assert torch.allclose(shards(x, 0.1), expected, atol=1e-12)
        shards.close()


def test_shards_must_fit_together(cluster):
    with pytest.raises(ValueError, match="shards is empty"):
        Sharded([], cluster.scheduler_address)
    for other in (torch.zeros(5, 4), torch.zeros(5, 3).float()):
        with pytest.raises(
            ValueError, match=r"shards have shapes and types \[\(5, 3, 'torch.float64'\), \(5, "
        ):
            Sharded([torch.zeros(5, 3).double(), other], cluster.scheduler_address)
    shards = Sharded([images()], cluster.scheduler_address)
    with pytest.raises(ValueError, match="requires gradients"):
        shards(torch.zeros(2, 60, requires_grad=True), 0.1)
    shards.close()


def test_a_cluster_without_workers_is_refused():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as local,
        pytest.raises(ValueError, match="has workers"),
    ):
        Sharded([images()], local.scheduler_address)


def test_views_are_sent_without_what_they_view(cluster):
    """A slice of 1% of an array of 8 MB arrives as 80 kB."""
    big = torch.zeros(100_000, 10).double()
    shards = Sharded([big[:1_000]], cluster.scheduler_address)
    sizes = shards._client.gather(
        [shards._client.submit(lambda s: s.data.untyped_storage().nbytes(), shards._shards[0])]
    )
    assert sizes == [80_000]
    shards.close()
