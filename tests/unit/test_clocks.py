"""Models of training that can be solved, against plain training loops and simulations."""

import numpy as np
import pytest
from scipy.integrate import quad

from memolib import clocks

VARIANCES = np.r_[np.full(6, 2.0), np.full(24, 0.5)]
HIGH = np.arange(30) < 6


def points(N, variances=VARIANCES, seed=0):
    rng = np.random.default_rng([71, seed])
    return rng.standard_normal((N, len(variances))) * np.sqrt(variances)


def path(N=60, p=600, t=0.1, variances=VARIANCES, activation="cos", gains=1.0, seed=0, draws=200):
    features = clocks.random_features(len(variances), p, activation, gains=gains, seed=[72, seed])
    data = points(N, variances, seed)
    moments = clocks.training_moments(features, data, t, draws=draws, seed=[73, seed])
    return clocks.GradientFlow(moments), features, data, moments


def retentions(flow, tau, t=0.1, variances=VARIANCES, **options):
    """Means over the high and the low directions."""
    r = flow.kept(tau, **options) * (1 + t / variances)
    return np.array([r[..., HIGH].mean(axis=-1), r[..., ~HIGH].mean(axis=-1)])


@pytest.mark.parametrize("noise", [0.3, [0.1, 0.5, 0.9]], ids=["one", "each"])
@pytest.mark.parametrize("activation", clocks.ACTIVATIONS)
def test_moments_are_averages(activation, noise):
    """Closed forms within 5 standard errors of plain averages over noise, and over the law."""
    variances, N, n = np.array([1.0, 0.3, 2.0]), 4, 100_000
    features = clocks.random_features(3, 5, activation, gains=[1.0, 2.0, 0.5], seed=1)
    rng = np.random.default_rng(2)
    data, xi = points(N, variances), rng.standard_normal((n, 3))

    def sampled(clean):
        phi = features(clean + np.sqrt(noise) * xi)
        U = (phi[:, :, None] * phi[:, None]) / 5
        V = phi[:, :, None] * xi[:, None] / np.sqrt(5)
        return phi, [(a.mean(axis=0), a.std(axis=0) / np.sqrt(n)) for a in (U, V)]

    each = [sampled(y) for y in data]
    exact = clocks.training_moments(features, data, noise, draws=20_000, seed=3)
    errors = 5 if activation != "tanh" else 8  # draws on both sides
    for k, ours in enumerate((exact.U, exact.V)):
        mean = np.mean([e[1][k][0] for e in each], axis=0)
        error = np.mean([e[1][k][1] for e in each], axis=0) / np.sqrt(N)
        assert (np.abs(ours - mean) < errors * error + 1e-12).all()
    means = np.stack([e[0].mean(axis=0) for e in each])
    assert exact.labels == pytest.approx(means.T @ means / (N**2 * 5), abs=0.004)
    law = clocks.population_moments(features, variances, noise, draws=200_000, seed=4)
    clean = rng.standard_normal((n, 3)) * np.sqrt(variances)
    for ours, (mean, error) in zip(law[:2], sampled(clean)[1], strict=True):
        assert (np.abs(ours - mean) < errors * error + 1e-12).all()
    assert law.labels is None


def test_flow_is_gradient_descent():
    """A plain loop of small steps, all outputs and times, to 1e-3."""
    flow, _, _, (U, V, _) = path(5, 8, 0.2, np.array([1.0, 0.5, 2.0]))
    B, step = np.zeros((8, 3)), 0.002
    for k in range(1, 20_001):
        B -= step * 2 * (U @ B + V)
        if k in (50, 1_000, 20_000):
            tau = k * step
            assert flow.coefficients(tau) == pytest.approx(B, abs=1e-3)
            loss = 1 + 2 * (V * B).sum(axis=0) + ((U @ B) * B).sum(axis=0)
            assert flow.train_loss(tau) == pytest.approx(loss, abs=1e-3)
            assert flow.kept(tau) == pytest.approx(1 + (V * B).sum(axis=0), abs=1e-3)
    assert flow.speeds == pytest.approx(-(flow.kept(1e-6) - 1) / 2e-6, rel=1e-4)


def test_ridge_is_a_penalty():
    flow, _, _, (U, V, _) = path(5, 8, 0.2, np.array([1.0, 0.5, 2.0]))
    B = -np.linalg.solve(U + np.eye(8) / (2 * 7.0), V)
    assert flow.coefficients(7.0, ridge=True) == pytest.approx(B)
    assert flow.kept(7.0, ridge=True) == pytest.approx(1 + (V * B).sum(axis=0))


def test_training_loss_is_the_jacobian_at_twice_the_time():
    """Both from their definitions: the loss on the training law, the slopes at fresh noise."""
    for activation in ("cos", "tanh"):
        flow, features, data, moments = path(20, 100, 0.2, activation=activation, draws=2_000)
        rng = np.random.default_rng(5)
        noisy = np.repeat(data, 2_000, axis=0)
        noisy = noisy + np.sqrt(0.2) * rng.standard_normal(noisy.shape)
        for tau in (30.0, 3_000.0):
            loss = flow.loss(tau, moments)
            seen = features.jacobian(flow.coefficients(2 * tau), noisy, 0.2)
            assert flow.train_loss(tau) == pytest.approx(loss, abs=1e-9)
            assert loss == pytest.approx(seen, abs=0.02)
            early = features.jacobian(flow.coefficients(tau), noisy, 0.2)
            assert np.abs(early - loss).max() > 0.05 or tau > 100


def test_labels_are_learned_like_an_output():
    """Explicit regressions on drawn labels, as one more output of the same features."""
    flow, features, data, moments = path(12, 80, 0.2, np.ones(4))
    rng = np.random.default_rng(6)
    z = rng.standard_normal((12, 4_000))
    square = (features.weights**2 * 0.2).sum(axis=1)
    mean = features(data) * np.exp(-square / 2)  # over the noise: cos is damped
    target = mean.T @ z / (12 * np.sqrt(80))
    for tau in (3.0, 300.0):
        B = np.linalg.solve(moments.U + np.eye(80) / (2 * tau), target)
        left = 1 - (target * B).sum(axis=0)
        error = left.std() / np.sqrt(4_000)
        assert flow.labels_left(tau, ridge=True) == pytest.approx(left.mean(), abs=4 * error)
    rates, weights = flow.label_spectrum()
    assert 1 - (-np.expm1(-2 * rates * 9) * weights).sum() == pytest.approx(flow.labels_left(9.0))


def test_long_training_interpolates():
    """Far more features than points: labels are learned, and the rest is a least-squares fit."""
    flow, _, _, (U, V, _) = path(10, 400, 0.05)
    assert flow.labels_left(1e9) < 0.02
    fit = 1 - (V * (np.linalg.pinv(U, rcond=1e-12) @ V)).sum(axis=0)
    assert flow.kept(1e12) == pytest.approx(fit, abs=1e-4)
    assert retentions(flow, 1e12, 0.05).max() < 0.35


SETTINGS = {
    "base": {},
    "small noise": {"t": 0.05, "p": 1_000},
    "more points": {"N": 150, "t": 0.2, "p": 800},
    "tanh": {"activation": "tanh", "p": 800},
    "whitened": {"gains": VARIANCES**-0.5},
}


def predicted(flow, data, tau, t=0.1):
    """Retentions from random labels: under a ridge, and under the flow."""
    G = clocks.effective_jacobian(
        (data**2).mean(axis=0), t, flow.labels_left(tau, ridge=True), lag=flow.lag(tau)
    )
    r = G * (1 + t / VARIANCES)
    ridge = np.stack([r[:, HIGH].mean(axis=1), r[:, ~HIGH].mean(axis=1)])
    return ridge, clocks.flow_from_ridge(tau, ridge.T).T


@pytest.mark.parametrize("name", SETTINGS)
def test_effective_variance(name):
    """Retention at A from random labels, with no free number, for ridge and flow, at all times:
    within 0.07, and 0.03 on average. Wrong laws are farther off."""
    setting = {"N": 60, "p": 600, "t": 0.1} | SETTINGS[name]
    t, tau = setting["t"], np.geomspace(1, 1e7, 50)
    flow, _, data, _ = path(**setting)
    found, measured = retentions(flow, tau, t, ridge=True), retentions(flow, tau, t)
    law, curve = predicted(flow, data, tau, t)
    off = np.abs(law - found), np.abs(curve - measured)
    print(name, [(o.max().round(3), o.mean().round(3)) for o in off])
    assert max(o.max() for o in off) < 0.07 and max(o.mean() for o in off) < 0.03
    late = slice(25, None)
    assert (measured[1] < measured[0] - 0.02)[late].all()  # low variance first
    left, u = flow.labels_left(tau, ridge=True), np.array([2.0, 0.5])[:, None] / t
    for wrong in (
        left + 0 * u,  # retention is the share itself
        left * u / (left * u + 1),  # not over the population's
        left * (u[::-1] + 1) / (left * u[::-1] + 1),  # high and low exchanged
        (1 - left) * (u + 1) / ((1 - left) * u + 1),  # what is learned for what is left
    ):
        assert np.abs(wrong - found)[:, late].mean() > 2 * off[0][:, late].mean()


def test_flow_from_ridge():
    """The exact curves of one spectrum turn into each other."""
    tau = np.geomspace(1, 1e7, 50)
    flow, *_ = path(40, 200)
    ours = clocks.flow_from_ridge(tau, flow.kept(tau, ridge=True)[:, :3])
    assert ours == pytest.approx(flow.kept(tau)[:, :3], abs=2e-3)


def test_lag_is_that_of_few_features():
    """The linear function of data without labels (one point at the origin, all is noise): what the
    ridge keeps of it."""
    features = clocks.random_features(30, 600, seed=1)
    flow = clocks.GradientFlow(clocks.training_moments(features, np.zeros((1, 30)), 0.1))
    tau = np.geomspace(1, 1e4, 9)
    lag = flow.lag(tau)
    assert flow.kept(tau, ridge=True) == pytest.approx(lag / (1 + lag), abs=0.02)


def test_order_follows_variance_over_noise():
    """Noise of variance like the data's: next to no difference; like its square: high variance is
    lost first."""
    tau, gaps = np.geomspace(1e3, 1e6, 10), []
    for power in (0, 1, 2):
        t = 0.1 * VARIANCES**power / (VARIANCES**power).mean()
        flow, _, data, _ = path(60, 600, t, seed=1)
        found = retentions(flow, tau, t, ridge=True)
        assert predicted(flow, data, tau, t)[0] == pytest.approx(found, abs=0.07)
        gaps.append(found[0] - found[1])
    assert (gaps[0] > 0.1).all() and (gaps[2] < -0.1).all()
    assert np.abs(gaps[1]).max() < 0.1, gaps[1]


def test_controls():
    """A population loses nothing, linear features have no labels to learn, equal variances do not
    differ."""
    features = clocks.random_features(30, 600, seed=[72, 0])
    flow = clocks.GradientFlow(clocks.population_moments(features, VARIANCES, 0.1))
    assert retentions(flow, 1e7) == pytest.approx(1, abs=0.03)
    with pytest.raises(ValueError, match="moments has no labels"):
        flow.labels_left(1.0)
    flow, *_ = path(60, 600, 0.1, activation="linear")
    assert flow.labels_left(1e6) > 0.5  # d of N labels are linear functions
    assert retentions(flow, 1e7).min() > 0.8
    flow, *_ = path(60, 600, 0.1, np.ones(30))
    high, low = retentions(flow, np.geomspace(1e2, 1e7, 10), 0.1, np.ones(30))
    assert np.abs(high - low).max() < 0.1 and high[-1] < 0.5


def half_time(rates, weights):
    tau = np.geomspace(1, 1e9, 2_000)
    share = -np.expm1(-2 * np.outer(tau, rates)) @ weights
    return np.exp(np.interp(weights.sum() / 2, share, np.log(tau)))


def test_labels_follow_marchenko_pastur():
    """How many, and at which time half of them, below, at and above N = p."""
    d, p, t = 30, 400, 0.05  # N below 2 d would be mostly linear functions, above d^2/2 no labels
    shares = clocks.feature_shares("cos", np.ones(d), t)
    for N in (100, 200, 400, 800):
        found = path(N, p, t, np.ones(d))[0].label_spectrum()
        law = clocks.label_rates(N, p, d, shares)
        print(N, half_time(*found), half_time(*law), found[1].sum(), law[1].sum())
        assert law[1].sum() == pytest.approx(found[1].sum(), abs=0.02)
        assert half_time(*law) == pytest.approx(half_time(*found), rel=0.25)


@pytest.mark.parametrize("activation", ["cos", "tanh"])
def test_feature_shares(activation):
    """Two noisy copies of points in many dimensions."""
    d, t, n = 400, 0.2, 200
    variances = np.full(d, 1.0)
    features = clocks.random_features(d, 4_000, activation, seed=8)
    rng = np.random.default_rng(9)
    y = points(n, variances, 9)
    a, b = (features(y + np.sqrt(t) * rng.standard_normal(y.shape)) for _ in range(2))
    shares = clocks.feature_shares(activation, variances, t)
    same = (a * b).mean(axis=1).mean()
    assert sum(shares) == pytest.approx((a**2).mean(), abs=0.01)
    r = 1 / (1 + t)
    assert shares.constant + r * shares.linear + shares.identity == pytest.approx(same, abs=0.01)


def test_linear_denoisers():
    variances, t, tau = np.array([1.0, 0.2]), 0.3, 0.7
    w, step = np.zeros(2), 1e-4
    for _ in range(7_000):
        w -= step * 2 * ((variances + t) * w - variances)
    assert clocks.linear_mode(variances, t, tau) == pytest.approx(w, abs=1e-4)

    def slope(t, k):
        return (1 - clocks.linear_mode(variances, t, tau)[k]) / t

    ours = clocks.linear_sampled(variances, tau, t_min=1e-3, t_max=4.0)
    for k, s2 in enumerate(variances):  # d ln(variance)/dt = (1 - w)/t along the flow
        lost = quad(lambda v, k=k: slope(np.exp(v), k) * np.exp(v), np.log(1e-3), np.log(4.0))[0]
        assert ours[k] == pytest.approx((s2 + 4.0) * np.exp(-lost), rel=1e-6)


@pytest.mark.parametrize(("d", "N"), [(5, 20), (20, 40)])
def test_linear_divergence(d, N):
    """Empirical Gaussians against their law, 4 standard errors of at most 1%."""
    rng = np.random.default_rng([d, N])
    found = []
    for _ in range(4_000):
        y = rng.standard_normal((N, d))
        C, m = np.cov(y.T, ddof=0), y.mean(axis=0)
        found.append((np.trace(C) - d - np.linalg.slogdet(C)[1] + m @ m) / (2 * d))
    error = np.std(found) / np.sqrt(len(found))
    assert error < 0.01 * np.mean(found)
    assert clocks.linear_kl(d, N) == pytest.approx(np.mean(found), abs=4 * error)
    large = clocks.linear_kl(d, 100 * N * d)
    assert large == pytest.approx(((d + 1) / 4 + 1 / 2) / (100 * N * d), rel=0.01)


def test_balance_of_losses():
    """Excess losses of two models on drawn points and noise."""
    rng = np.random.default_rng(10)
    t = np.exp(rng.uniform(np.log(0.01), np.log(9), 200_000))
    y, xi = 1.3 * rng.standard_normal(t.size), rng.standard_normal(t.size)
    for weights in (np.ones_like(t), 1 / t + 1 / 1.3**2):
        D = 1.69 / (1.69 + t) * (y + np.sqrt(t) * xi)
        general = (weights * (D - y) ** 2).mean()
        stored = clocks.loss_balance(t, weights, variance=1.69)
        assert (weights * y**2).mean() * (1 - stored) == pytest.approx(general, rel=0.02)
    assert clocks.loss_balance(t, variance=1.69) < 0.9 < stored


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clocks.random_features(2, 3, "relu"), "activation is 'relu'"),
        (lambda: clocks.random_features(2, 3, gains=[1, 2, 3]), "gains has shape"),
        (lambda: clocks.random_features(0, 3), "d is 0"),
        (lambda: path(4, 5, -1.0), "t is -1"),
        (lambda: path(4, 5, [0.1, 0.2]), "t has shape"),
        (lambda: path(4, 5, activation="tanh", draws=3), "draws is 3"),
        (lambda: clocks.effective_jacobian([1.0], 0.1, 1.2), "left is 1.2"),
        (lambda: clocks.effective_jacobian([[1.0]], 0.1, 1.0), "variances has shape"),
        (lambda: clocks.flow_from_ridge([1.0, 2.0], [1.0, 0.5]), "ridge has shape"),
        (lambda: clocks.feature_shares("relu", [1.0], 0.1), "activation is 'relu'"),
        (lambda: clocks.label_rates(0, 5, 3, clocks.Shares(0, 0, 1, 0)), "N is 0"),
        (lambda: clocks.linear_sampled([1.0], 1.0, t_min=1.0, t_max=0.5), "t_max is 0.5"),
        (lambda: clocks.linear_kl(5, 5), "N is 5"),
        (lambda: clocks.loss_balance([1.0], [0.0]), "weights"),
        (lambda: clocks.training_moments(clocks.random_features(2, 3), np.ones(2), 1), "data has"),
        (
            lambda: clocks.population_moments(clocks.random_features(2, 3), [1.0], 1),
            "variances has shape",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
