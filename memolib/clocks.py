"""Models of training that can be solved: random features, linear denoisers, a balance of losses.

Random features guess the noise: ``e(x) = B phi(Wx/sqrt(d) + b)/sqrt(p)`` with W and b drawn once
and B trained, so that the denoiser is ``D(x) = x + sqrt(t) e(x)`` at one noise variance t, and the
score ``e/sqrt(t)``. The loss of output k is ``E (e_k + xi_k)^2``, quadratic in B: gradient flow
from ``B = 0`` is solved for all times by one eigendecomposition of ``U = E[phi phi^T]/p``. Its time
tau has no unit; in the clock of the score's coefficients ``B/sqrt(t)``, which Bonnaire et al. use,
times are longer by 1/t.

NumPy and SciPy only. Sources: Bonnaire, Urfin, Biroli and Mezard, arXiv 2505.17638; George, Veiga
and Macris, 2502.00336; Wang and Pehlevan, 2503.03206; Merger and Goldt, 2505.24769; Buchanan, Pai,
Ma and De Bortoli, 2508.17689. The effective variance and the identity of time are this book's.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.special import digamma, exp1

from memolib._validate import ArrayLike, Seed, count, flag, generator, real, real_array

FloatArray = np.ndarray
ACTIVATIONS = ("cos", "tanh", "linear")
BATCH = 2_000  # rows of features at a time, so that memory stays that of U
SMALLEST = 1e-14  # of the largest eigenvalue of U: below it is rounding


class Features(NamedTuple):
    """Random features ``phi(weights x + phases)``, as ``random_features`` draws them.

    Attributes:
        weights: shape (p, d), the factor 1/sqrt(d) included.
        phases: shape (p,).
        activation: one of "cos" (times sqrt(2)), "tanh" and "linear".
    """

    weights: FloatArray
    phases: FloatArray
    activation: str

    def __call__(self, x: ArrayLike) -> FloatArray:
        """Give the features of points.

        Args:
            x: points, shape (n, d).

        Returns:
            Shape (n, p).
        """
        h = x @ self.weights.T + self.phases
        if self.activation == "linear":
            return h
        return np.tanh(h) if self.activation == "tanh" else np.sqrt(2) * np.cos(h)

    def slopes(self, x: ArrayLike) -> FloatArray:
        """Give the derivatives of the features by their arguments.

        Args:
            x: points, shape (n, d).

        Returns:
            Shape (n, p).
        """
        h = x @ self.weights.T + self.phases
        if self.activation == "linear":
            return np.ones_like(h)
        return 1 / np.cosh(h) ** 2 if self.activation == "tanh" else -np.sqrt(2) * np.sin(h)

    def jacobian(self, coefficients: FloatArray, x: ArrayLike, t: ArrayLike) -> FloatArray:
        """Give the diagonal of the denoiser's Jacobian, averaged over points.

        Args:
            coefficients: shape (p, d), as ``GradientFlow.coefficients`` gives them.
            x: points, shape (n, d).
            t: noise variance, one number or shape (d,).

        Returns:
            ``mean over x of dD_k/dx_k``, shape (d,).
        """
        p, d = self.weights.shape
        slope = sum(self.slopes(part).sum(axis=0) for part in _parts(x)) / len(x)
        return 1 + np.sqrt(_noise(t, d) / p) * (slope @ (coefficients * self.weights))


class Moments(NamedTuple):
    """What a gradient flow needs to know of the law of its inputs.

    Attributes:
        U: ``E[phi phi^T]/p``, shape (p, p).
        V: ``E[phi xi^T]/sqrt(p)``, xi the noise in units of its own deviation, shape (p, d).
        labels: ``sum_i E_i[phi] E_i[phi]^T/(N^2 p)``, E_i the average over the noise at training
            point i, shape (p, p): what random labels of the training points feel. None for a
            population, which has no such points.
    """

    U: FloatArray
    V: FloatArray
    labels: FloatArray | None


def random_features(
    d: int,
    p: int,
    activation: str = "cos",
    *,
    gains: ArrayLike = 1.0,
    seed: Seed = None,
) -> Features:
    """Draw random features of points in d dimensions.

    Args:
        d: number of coordinates.
        p: number of features.
        activation: "cos" (random Fourier features, phases uniform: averages over Gaussian noise are
            closed forms), "tanh" or "linear" (no phases).
        gains: factors of the coordinates on their way into the features, one number or shape (d,):
            the inverse of their deviations whitens them. Outputs are not touched.
        seed: whole number from 0, a sequence of them, None or ``numpy.random.Generator``.

    Returns:
        ``Features``.

    Raises:
        ValueError: for other arguments.

    Source:
        Bonnaire et al., arXiv 2505.17638.

    Chapter:
        ``networks/two_clocks``.

    Example:
        >>> from memolib import clocks
        >>> clocks.random_features(3, 5, seed=0).weights.shape
        (5, 3)
    """
    d, p = count("d", d), count("p", p)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; allowed are {', '.join(ACTIVATIONS)}")
    gains = real_array("gains", gains)
    if gains.shape not in ((), (d,)):
        raise ValueError(f"gains has shape {gains.shape}; allowed are one number and ({d},)")
    rng = generator(seed, "random_features")
    weights = rng.standard_normal((p, d)) * gains / np.sqrt(d)
    phases = rng.uniform(0, 2 * np.pi, p) if activation == "cos" else np.zeros(p)
    return Features(weights, phases, activation)


def _noise(t: ArrayLike, d: int) -> FloatArray:
    """Noise variances of d coordinates."""
    t = real_array("t", t, minimum=0, strict=True)
    if t.shape not in ((), (d,)):
        raise ValueError(f"t has shape {t.shape}; allowed are one number and ({d},)")
    return np.broadcast_to(t, (d,))


def _variances(variances: ArrayLike) -> FloatArray:
    variances = real_array("variances", variances, minimum=0, strict=True)
    if variances.ndim != 1 or not variances.size:
        raise ValueError(f"variances has shape {variances.shape}; allowed is (d,)")
    return variances


def _parts(x: FloatArray) -> list[FloatArray]:
    return np.array_split(x, -(-len(x) // BATCH))


def training_moments(
    features: Features,
    data: ArrayLike,
    t: ArrayLike,
    *,
    draws: int = 200,
    seed: Seed = None,
) -> Moments:
    """Average over the noise at training points: exact for "cos" and "linear", drawn for "tanh".

    Args:
        features: from ``random_features``.
        data: training points, shape (N, d).
        t: noise variance, one number or one for each coordinate, shape (d,).
        draws: of noise at each training point, an even number, in pairs of opposite sign; for
            "tanh" only. The flow sees these draws as its data: it memorizes them, too, where tau is
            longer than one over the smallest eigenvalues that they make wrong.
        seed: of the draws.

    Returns:
        ``Moments``, with labels.

    Raises:
        ValueError: for other arguments.

    Source:
        This book; Gaussian averages of exponentials.

    Chapter:
        ``networks/two_clocks``.
    """
    p, d = features.weights.shape
    data = real_array("data", data)
    if data.ndim != 2 or data.shape[1] != d or not len(data):
        raise ValueError(f"data has shape {data.shape}; allowed is (N, {d})")
    t = _noise(t, d)
    N, scaled = len(data), features.weights * np.sqrt(t)
    if features.activation == "linear":
        mean = features(data)
        labels = mean.T @ mean / (N * p)
        return Moments(labels + scaled @ scaled.T / p, scaled / np.sqrt(p), labels / N)
    if features.activation == "cos":
        z = np.exp(1j * (data @ features.weights.T + features.phases))
        square, product = (scaled**2).sum(axis=1), scaled @ scaled.T
        damped = np.exp(-(square[:, None] + square) / 2)
        U = (z.conj().T @ z).real * (damped * np.exp(product))
        U += (z.T @ z).real * (damped * np.exp(-product))
        mean = np.sqrt(2) * z.real * np.exp(-square / 2)
        slope = -np.sqrt(2) * z.imag.mean(axis=0) * np.exp(-square / 2)
        labels = mean.T @ mean / (N**2 * p)
        return Moments(U / (N * p), slope[:, None] * scaled / np.sqrt(p), labels)
    draws = count("draws", draws, minimum=2)
    if draws % 2:
        raise ValueError(f"draws is {draws}; allowed are even numbers")
    rng = generator(seed, "training_moments")
    U, V, mean = np.zeros((p, p)), np.zeros((p, d)), np.zeros((N, p))
    for _ in range(draws // 2):
        half = rng.standard_normal(data.shape)
        for xi in (half, -half):
            phi = features(data + np.sqrt(t) * xi)
            U += phi.T @ phi
            V += phi.T @ xi
            mean += phi
    labels = mean.T @ mean / (N * draws) ** 2 / p
    return Moments(U / (N * draws * p), V / (N * draws * np.sqrt(p)), labels)


def population_moments(
    features: Features,
    variances: ArrayLike,
    t: ArrayLike,
    *,
    draws: int = 40_000,
    seed: Seed = None,
) -> Moments:
    """Average over a Gaussian law and the noise: exact for "cos" and "linear", drawn for "tanh".

    Args:
        features: from ``random_features``.
        variances: of the law's independent coordinates, of mean 0, shape (d,).
        t: noise variance, one number or shape (d,).
        draws: of noisy points, for "tanh" only.
        seed: of the draws.

    Returns:
        ``Moments``, without labels.

    Raises:
        ValueError: for other arguments.

    Source:
        This book; Gaussian averages of exponentials.

    Chapter:
        ``networks/two_clocks``.
    """
    p, d = features.weights.shape
    variances = _variances(variances)
    if len(variances) != d:
        raise ValueError(f"variances has shape {variances.shape}; allowed is ({d},)")
    t = _noise(t, d)
    scaled = features.weights * np.sqrt(variances + t)
    target = features.weights * np.sqrt(t / p)  # V where all slopes are 1
    if features.activation == "linear":
        return Moments(scaled @ scaled.T / p, target, None)
    if features.activation == "cos":
        square, product = (scaled**2).sum(axis=1), scaled @ scaled.T
        damped = np.exp(-(square[:, None] + square) / 2) / p
        b = features.phases
        U = np.cos(b[:, None] - b) * (damped * np.exp(product))
        U += np.cos(b[:, None] + b) * (damped * np.exp(-product))
        slope = -np.sqrt(2) * np.sin(b) * np.exp(-square / 2)
        return Moments(U, slope[:, None] * target, None)
    rng = generator(seed, "population_moments")
    draws = count("draws", draws, minimum=BATCH)
    U, V, steps = np.zeros((p, p)), np.zeros((p, d)), draws // BATCH
    for _ in range(steps):
        xi = rng.standard_normal((BATCH, d))
        phi = features(rng.standard_normal((BATCH, d)) * np.sqrt(variances) + np.sqrt(t) * xi)
        U += phi.T @ phi
        V += phi.T @ xi
    n = steps * BATCH
    return Moments(U / (n * p), V / (n * np.sqrt(p)), None)


class GradientFlow:
    """The whole path of random features under gradient flow from zero, at every time.

    What is left of a target after the time tau is ``exp(-2 kappa tau)`` of its part along an
    eigenvector of U of eigenvalue kappa. With ``ridge``, it is ``1/(1 + 2 kappa tau)``: that is the
    minimum of the loss plus ``|B|^2/(2 tau)``, where time has become a penalty.

    Attributes:
        rates: eigenvalues kappa of U, ascending, shape (p,).
        speeds: ``|V_k|^2`` of each output, shape (d,): its ``kept`` falls at first by ``2 |V_k|^2``
            in a unit of time.

    Source:
        This book, after Bonnaire et al., arXiv 2505.17638.

    Chapter:
        ``networks/two_clocks``.

    Example:
        >>> import numpy as np
        >>> from memolib import clocks
        >>> features = clocks.random_features(2, 50, seed=0)
        >>> flow = clocks.GradientFlow(clocks.training_moments(features, np.eye(2), 0.1))
        >>> flow.kept(0.0).tolist()  # at first the denoiser does nothing
        [1.0, 1.0]
    """

    def __init__(self, moments: Moments) -> None:
        """Decompose U once.

        Args:
            moments: of the law that the features are trained on.
        """
        rates, self._vectors = np.linalg.eigh(moments.U)
        self.rates = np.maximum(rates, SMALLEST * rates[-1])
        self._target = self._vectors.T @ moments.V
        self.speeds = (moments.V**2).sum(axis=0)
        self._labels = None
        if moments.labels is not None:
            seen = self._vectors.T @ moments.labels
            self._labels = np.einsum("jk,kj->j", seen, self._vectors) / self.rates

    def _learned(self, tau: ArrayLike, ridge: bool) -> FloatArray:
        """The learned share of each eigenvector, shape tau.shape + (p,)."""
        tau = real_array("tau", tau, minimum=0)[..., None]
        if flag("ridge", ridge):
            return 2 * self.rates * tau / (1 + 2 * self.rates * tau)
        return -np.expm1(-2 * self.rates * tau)

    def coefficients(self, tau: float, *, ridge: bool = False) -> FloatArray:
        """Give the coefficients of all outputs at one time.

        Args:
            tau: time, 0 or more.
            ridge: see the class.

        Returns:
            The transpose of B, shape (p, d).

        Raises:
            ValueError: for other arguments.
        """
        shares = self._learned(real("tau", tau), ridge) / self.rates
        return -self._vectors @ (shares[:, None] * self._target)

    def kept(self, tau: ArrayLike, *, ridge: bool = False) -> FloatArray:
        """Give the mean diagonal of the Jacobian at noisy training points (A).

        By Stein's identity it is ``1 + E[e_k xi_k]``. For the flow it is the training loss at half
        the time.

        Args:
            tau: times, 0 or more, any shape.
            ridge: see the class.

        Returns:
            Shape tau.shape + (d,); divided by the population's ``s_k^2/(s_k^2 + t)`` it is the
            retention.

        Raises:
            ValueError: for other arguments.
        """
        return 1 - (self._learned(tau, ridge) / self.rates) @ self._target**2

    def train_loss(self, tau: ArrayLike) -> FloatArray:
        """Give the training loss of each output, ``E (e_k + xi_k)^2``.

        Args:
            tau: times, 0 or more, any shape.

        Returns:
            Shape tau.shape + (d,), 1 at tau = 0: for the flow it is ``kept(2 tau)``.

        Raises:
            ValueError: for other arguments.
        """
        return self.kept(2 * real_array("tau", tau, minimum=0))

    def loss(self, tau: float, moments: Moments) -> FloatArray:
        """Give the loss of each output on another law than that of the training.

        Args:
            tau: time, 0 or more.
            moments: of that law, of the same features: a population's give the test loss.

        Returns:
            ``E (e_k + xi_k)^2`` on that law, shape (d,).

        Raises:
            ValueError: for other arguments.
        """
        B = self.coefficients(tau)
        return 1 + ((2 * moments.V + moments.U @ B) * B).sum(axis=0)

    def label_spectrum(self) -> tuple[FloatArray, FloatArray]:
        """Give at which rates random labels of the training points are learned.

        A random label is one number a training point, of mean 0 and variance 1, independent of
        where the point lies, to be told from its noisy copies.

        Returns:
            Eigenvalues kappa, shape (p,), and the share of a label's variance on each, averaged
            over labels, shape (p,), together at most 1.

        Raises:
            ValueError: where the flow is one of a population.
        """
        if self._labels is None:
            raise ValueError("moments has no labels; allowed are those of training_moments")
        return self.rates, self._labels

    def labels_left(self, tau: ArrayLike, *, ridge: bool = False) -> FloatArray:
        """Give the share of random labels that is not learned yet.

        Args:
            tau: times, 0 or more, any shape.
            ridge: see the class.

        Returns:
            Shape tau.shape, from 1 at tau = 0.

        Raises:
            ValueError: for other arguments, and where the flow is one of a population.
        """
        return 1 - self._learned(tau, ridge) @ self.label_spectrum()[1]

    def lag(self, tau: ArrayLike) -> FloatArray:
        """Give by how much the linear functions of the outputs are not learned, with a ridge.

        The penalty ``1/(2 tau)`` acts like a larger one, ``1/mean_j [1/(kappa_j + 1/(2 tau))]``,
        since p features do not hold all functions; it is divided by ``speeds``.

        Args:
            tau: times, above 0, any shape.

        Returns:
            Shape tau.shape + (d,).

        Raises:
            ValueError: for other arguments.
        """
        tau = real_array("tau", tau, minimum=0, strict=True)[..., None]
        ridge = 1 / (1 / (self.rates + 1 / (2 * tau))).mean(axis=-1, keepdims=True)
        return ridge / self.speeds


def effective_jacobian(
    variances: ArrayLike,
    t: ArrayLike,
    left: ArrayLike,
    *,
    lag: ArrayLike = 0.0,
) -> FloatArray:
    """Predict the mean diagonal of the Jacobian at noisy training points (A).

    ``v/(v + t)`` with the effective variance ``v = left s^2 + lag t``: a linear denoiser of what is
    not explained otherwise. It holds for a ridge; ``flow_from_ridge`` makes it that of a flow.

    Args:
        variances: s^2, second moments of the training points, above 0, shape (d,).
        t: noise variance, one number or shape (d,).
        left: share of random labels that is not learned, ``GradientFlow.labels_left``, from 0 to 1,
            any shape.
        lag: of the linear functions, ``GradientFlow.lag``, shape left.shape + (d,) or one that
            broadcasts; 0 where they are learned.

    Returns:
        Shape left.shape + (d,). Divided by the population's ``s^2/(s^2 + t)`` it is the retention.

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``networks/two_clocks``, theorem "clocks-effective".

    Example:
        >>> from memolib import clocks
        >>> clocks.effective_jacobian([2.0, 0.5], 0.1, 0.1).round(2).tolist()
        [0.67, 0.33]
    """
    variances = _variances(variances)
    left = real_array("left", left, minimum=0)[..., None]
    if (left > 1).any():
        raise ValueError(f"left is {left.max()}; allowed are numbers from 0 to 1")
    u = left * variances / _noise(t, len(variances)) + real_array("lag", lag, minimum=0)
    return u / (u + 1)


def flow_from_ridge(tau: ArrayLike, ridge: ArrayLike) -> FloatArray:
    """Turn curves under a ridge into those under gradient flow.

    Both are sums over one spectrum, of ``1/(1 + 2 kappa tau)`` and of ``exp(-2 kappa tau)``, with
    weights that are not negative. The spectrum is found by least squares.

    Args:
        tau: times, above 0, ascending, three to a decade or more, shape (T,).
        ridge: curves with ``ridge=True``, falling, shape (T, K).

    Returns:
        Shape (T, K).

    Raises:
        ValueError: for other arguments.

    Source:
        This book; Stieltjes and Laplace transforms of one measure.

    Chapter:
        ``networks/two_clocks``.
    """
    tau = real_array("tau", tau, minimum=0, strict=True)
    ridge = real_array("ridge", ridge)
    if tau.ndim != 1 or ridge.ndim != 2 or len(tau) != len(ridge):
        raise ValueError(f"ridge has shape {ridge.shape}; allowed is ({tau.size}, K)")
    kappa = np.append(0, np.geomspace(0.1 / tau[-1], 10 / tau[0], 2 * len(tau)))
    products = 2 * np.outer(tau, kappa)
    weights = [nnls(1 / (1 + products), curve, maxiter=1_000_000)[0] for curve in ridge.T]
    return np.exp(-products) @ np.transpose(weights)


class Shares(NamedTuple):
    """How the mean square of a feature is divided, in high dimension.

    Attributes:
        constant: what all inputs share.
        linear: linear functions of the noisy point.
        identity: the rest of what is the same at all noisy copies of a point.
        rest: what differs between the copies.
    """

    constant: float
    linear: float
    identity: float
    rest: float


def feature_shares(
    activation: str,
    variances: ArrayLike,
    t: ArrayLike,
    *,
    gains: ArrayLike = 1.0,
) -> Shares:
    """Divide the mean square of a random feature of Gaussian data, for d large.

    The arguments of a feature at two noisy copies of a point are Gaussian of variance v (the mean
    of ``gains^2 (s^2 + t)``) and correlation r (that of ``gains^2 s^2`` over v). For "cos" the four
    shares are ``e^-v`` times ``1``, ``v``, ``e^(rv) - 1 - rv`` and what is missing to ``e^v``.

    Args:
        activation: "cos" or "tanh".
        variances: s^2, above 0, shape (d,).
        t: noise variance, one number or shape (d,).
        gains: as for ``random_features``.

    Returns:
        ``Shares``.

    Raises:
        ValueError: for other arguments.

    Source:
        This book; the kernel of random Fourier features.

    Chapter:
        ``networks/two_clocks``.

    Example:
        >>> from memolib import clocks
        >>> shares = clocks.feature_shares("cos", [1.0], 0.1)
        >>> round(sum(shares), 12)
        1.0
    """
    variances = _variances(variances)
    squares = real_array("gains", gains) ** 2
    v = np.mean(squares * (variances + _noise(t, len(variances))))
    r = np.mean(squares * variances) / v
    if activation == "cos":
        constant, total = np.exp(-v), 1.0
        linear, identity = v * constant, constant * (np.expm1(r * v) - r * v)
    elif activation == "tanh":
        z, w = np.polynomial.hermite_e.hermegauss(80)
        w = w / w.sum()
        constant, total = 0.0, w @ np.tanh(np.sqrt(v) * z) ** 2
        linear = (w @ (np.tanh(np.sqrt(v) * z) * z)) ** 2
        mean = np.tanh(np.sqrt(v) * (np.sqrt(r) * z[:, None] + np.sqrt(1 - r) * z)) @ w
        identity = w @ mean**2 - r * linear
    else:
        raise ValueError(f"activation is {activation!r}; allowed are cos and tanh")
    shares = constant, linear, identity, total - constant - linear - identity
    return Shares(*(float(share) for share in shares))


def label_rates(
    N: int,
    p: int,
    d: int,
    shares: Shares,
    *,
    nodes: int = 400,
) -> tuple[FloatArray, FloatArray]:
    """Predict the spectrum of random labels from the law of Marchenko and Pastur.

    d of N labels are linear functions of the points, learned at the rate ``linear/d``. The others
    have min(N, p) eigenvalues ``identity x/min(N, p)``, on a floor of ``rest/p``, where x has mean
    1 and lies between ``(1 -+ sqrt(c))^2`` with ``c = min(N/p, p/N)``.

    Args:
        N: number of training points, far below the number of products of two coordinates (for odd
            activations, three).
        p: number of features.
        d: number of coordinates.
        shares: from ``feature_shares``.
        nodes: of the quadrature.

    Returns:
        Rates and weights as ``GradientFlow.label_spectrum`` gives them, shape (nodes + 1,).

    Raises:
        ValueError: for other arguments.

    Source:
        This book; Marchenko and Pastur (1967).

    Chapter:
        ``networks/two_clocks``, proposition "clocks-labels".

    Example:
        >>> from memolib import clocks
        >>> shares = clocks.feature_shares("cos", [1.0] * 30, 0.1)
        >>> rates, weights = clocks.label_rates(3_000, 600, 30, shares)
        >>> bool(weights.sum() < 600 / 3_000)  # p features cannot hold N labels
        True
    """
    N, p, d, nodes = count("N", N), count("p", p), count("d", d), count("nodes", nodes)
    few, linear = min(N, p), min(d / N, 1.0)
    root = np.sqrt(few / max(N, p))
    angle = (np.arange(nodes) + 0.5) * np.pi / nodes
    x = 1 + root**2 - 2 * root * np.cos(angle)
    density = np.sin(angle) ** 2 / x
    mode = shares.identity * x / few
    rates = mode + shares.rest / p
    weights = density / density.sum() * few / N * mode / rates
    weights = np.append((1 - linear) * weights, linear * weights.sum())
    return np.append(rates, shares.linear / d), weights


def linear_mode(variances: ArrayLike, t: ArrayLike, tau: ArrayLike) -> FloatArray:
    """Give the slope of a linear denoiser, trained at one noise by gradient flow from zero.

    ``s^2/(s^2 + t) (1 - exp(-2 (s^2 + t) tau))``, for the loss ``E (D - y)^2`` of each direction.

    Args:
        variances: s^2, above 0, shape (d,).
        t: noise variance, one number or shape (d,).
        tau: times, 0 or more, any shape.

    Returns:
        Shape tau.shape + (d,).

    Raises:
        ValueError: for other arguments.

    Source:
        Wang and Pehlevan, arXiv 2503.03206.

    Chapter:
        ``networks/two_clocks``.
    """
    variances = _variances(variances)
    total = variances + _noise(t, len(variances))
    tau = real_array("tau", tau, minimum=0)[..., None]
    return -variances / total * np.expm1(-2 * total * tau)


def linear_sampled(
    variances: ArrayLike, tau: ArrayLike, *, t_min: float, t_max: float
) -> FloatArray:
    """Give the variance that a linear denoiser samples after a training time.

    Each noise is trained for tau (``linear_mode``); the probability flow starts at ``s^2 + t_max``
    and ends at ``t_min``, where the exact denoiser gives ``s^2 + t_min``.

    Args:
        variances: s^2, above 0, shape (d,).
        tau: times, above 0, any shape.
        t_min: noise variance at which the flow ends, above 0.
        t_max: noise variance at which it starts, above ``t_min``.

    Returns:
        Shape tau.shape + (d,).

    Raises:
        ValueError: for other arguments.

    Source:
        This book, after Wang and Pehlevan, arXiv 2503.03206.

    Chapter:
        ``networks/two_clocks``.
    """
    s2 = _variances(variances)
    tau = real_array("tau", tau, minimum=0, strict=True)[..., None]
    t_min = real("t_min", t_min, minimum=0, strict=True)
    t_max = real("t_max", t_max, minimum=t_min, strict=True)
    lost = np.exp(-2 * s2 * tau) * (exp1(2 * tau * t_min) - exp1(2 * tau * t_max))
    lost -= exp1(2 * tau * (s2 + t_min)) - exp1(2 * tau * (s2 + t_max))
    return (s2 + t_min) * np.exp(-lost)


def linear_kl(d: int, N: int) -> float:
    """Give the divergence per dimension of what a fully trained linear denoiser samples.

    It samples the Gaussian q of the mean and covariance of N Gaussian points of law p.
    ``E KL(q || p)/d = sum_i [ln(N/2) - psi((N - i)/2)]/2d``, i = 1 to d, psi the digamma function:
    ``(d + 1)/4N + 1/2N`` for N far above d, and d/4N for d large.

    Args:
        d: number of dimensions.
        N: number of points, above d: fewer span no d dimensions, and the divergence is infinite.

    Returns:
        Nats a dimension, averaged over data sets.

    Raises:
        ValueError: for other arguments.

    Source:
        This book; the limit is that of Merger and Goldt, arXiv 2505.24769.

    Chapter:
        ``networks/two_clocks``.

    Example:
        >>> from memolib import clocks
        >>> round(clocks.linear_kl(30, 1_000), 5), round(31 / 4_000 + 1 / 2_000, 5)
        (0.00834, 0.00825)
    """
    d = count("d", d)
    N = count("N", N, minimum=d + 1)
    return float((np.log(N / 2) - digamma((N - np.arange(1, d + 1)) / 2)).mean() / 2)


def loss_balance(t: ArrayLike, weights: ArrayLike = 1.0, *, variance: float = 1.0) -> float:
    """Give the share of the training points above which storing beats generalizing, in loss.

    A model that stores M of N points has the loss 0 there and the data's variance s^2 elsewhere; a
    model that generalizes has ``s^2/(1 + s^2/t)`` everywhere. They are equal at
    ``M/N = 1 - <w/(1 + s^2/t)>/<w>``.

    Args:
        t: noise variances, as they are drawn in training, above 0, shape (n,).
        weights: w of the loss ``w |D - y|^2`` at each, 0 or more, one number or shape (n,).
        variance: s^2, above 0.

    Returns:
        M/N, from 0 to 1.

    Raises:
        ValueError: for other arguments.

    Source:
        Buchanan, Pai, Ma and De Bortoli, arXiv 2508.17689.

    Chapter:
        ``networks/two_clocks``.

    Example:
        >>> from memolib import clocks
        >>> clocks.loss_balance([1.0], variance=3.0)
        0.75
    """
    t = real_array("t", t, minimum=0, strict=True)
    weights = real_array("weights", weights, minimum=0)
    if t.ndim != 1 or weights.shape not in ((), t.shape) or not weights.any():
        raise ValueError(
            f"t has shape {t.shape}, weights {weights.shape}; allowed is (n,) for both, "
            "weights may be one number, and not all 0"
        )
    variance = real("variance", variance, minimum=0, strict=True)
    weights = np.broadcast_to(weights, t.shape)
    return float(1 - (weights / (1 + variance / t)).sum() / weights.sum())
