"""The random energy model: N independent Gaussian levels of mean 0 and variance v; NumPy and SciPy only.

Boltzmann weights at inverse temperature beta: ``w_i = exp(-beta E_i) / Z``. Energies carry any unit, v its square and
beta its inverse; entropies are in nats. Results have the shape of the arguments, broadcast, unless one is stated.
Sources: Derrida, Phys. Rev. B 24, 2613 (1981); Mezard and Montanari, Information, Physics, and Computation (2009),
here MM with the section. Derived in the chapter ``glass/random_energy_model``.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtri_exp

from memolib._validate import count, real, real_array

FloatArray = np.ndarray


class Thermodynamics(NamedTuple):
    """What one set of levels gives at each inverse temperature.

    Attributes:
        free_energy: -ln(Z)/beta, unit of energy.
        energy: mean energy under the Boltzmann weights, unit of energy.
        entropy: Shannon entropy of the Boltzmann weights, nats, from 0 to ln N.
        participation: Y = sum of squared weights, from 1/N to 1; 1/Y is the number of levels that count.
    """

    free_energy: FloatArray
    energy: FloatArray
    entropy: FloatArray
    participation: FloatArray


def _levels(N) -> FloatArray:
    """Check numbers of levels; floats, since formulas take N far beyond the integers."""
    return real_array("N", N, minimum=1)


def _variance(v) -> float:
    return real("v", v, minimum=0, strict=True)


def _beta(beta) -> FloatArray:
    return real_array("beta", beta, minimum=0, strict=True)


def sample_levels(N: int, v: float = 1.0, *, samples: int = 1, seed=None) -> FloatArray:
    """Draw ``samples`` independent sets of N Gaussian levels.

    Args:
        N: number of levels, 1 or more.
        v: variance of a level, above 0, unit of energy squared.
        samples: number of sets, 1 or more.
        seed: int or ``numpy.random.Generator``.
    Returns: shape (samples, N). Raises: ValueError otherwise. Source: MM 5.2. Chapter: ``glass/random_energy_model``.
    """
    shape = count("samples", samples), count("N", N)
    return np.sqrt(_variance(v)) * np.random.default_rng(seed).standard_normal(shape)


def sample_lowest_levels(N: float, v: float = 1.0, *, keep: int, samples: int = 1, seed=None) -> FloatArray:
    """Draw only the ``keep`` lowest of N Gaussian levels, exactly in law, for N up to 1e300.

    Args:
        N: number of levels, 1 or more; a float, since it may be astronomical.
        v: variance of a level, above 0, unit of energy squared.
        keep: how many of the lowest levels to return, from 1 to N.
        samples: number of independent sets, 1 or more.
        seed: int or ``numpy.random.Generator``.
    The ordered uniform variables of N levels follow from sums of exponential ones (Renyi 1953):
    ``-ln(1 - U_(k)) = sum_{j<=k} X_j / (N - j + 1)``; the inverse normal distribution turns them into energies.
    Returns: shape (samples, keep), rising along the last axis. Raises: ValueError for other arguments.
    Source: Renyi, Acta Math. Hung. 4, 191 (1953). Chapter: ``glass/random_energy_model``.
    """
    N = real("N", N, minimum=1)
    keep = count("keep", keep, maximum=N)
    gaps = np.random.default_rng(seed).standard_exponential((count("samples", samples), keep))
    log_survival = np.cumsum(gaps / (N - np.arange(keep)), axis=1)
    return np.sqrt(_variance(v)) * ndtri_exp(np.log(-np.expm1(-log_survival)))


def thermodynamics(energies, beta) -> Thermodynamics:
    """Free energy, energy, entropy and participation ratio of given levels: any levels, not only Gaussian ones.

    Args:
        energies: shape (..., N), N at least 1, unit of energy.
        beta: inverse temperature, above 0: one number, or shape (B,).
    Returns: Thermodynamics, fields of shape (...) for one beta, (..., B) for an array.
    Raises: ValueError for other arguments. Source: MM 2.2. Chapter: ``glass/random_energy_model``.
    """
    energies, beta = real_array("energies", energies), _beta(beta)
    if energies.ndim == 0 or energies.shape[-1] == 0:
        raise ValueError(f"energies has shape {energies.shape}; allowed is (..., N) with N at least 1")
    if beta.ndim > 1 or not beta.size:
        raise ValueError(f"beta has shape {beta.shape}; allowed is one number or (B,) with B at least 1")
    fields = zip(*(_at_one_beta(energies, b) for b in beta.flat), strict=True)
    return Thermodynamics(*(np.stack(f, axis=-1).reshape(energies.shape[:-1] + beta.shape) for f in fields))


def _at_one_beta(energies: FloatArray, beta: float) -> tuple[FloatArray, ...]:
    lowest = energies.min(axis=-1, keepdims=True)
    weights = np.exp(-beta * (energies - lowest))  # relative to the lowest level: never overflows
    z = weights.sum(axis=-1)
    excess = (weights * (energies - lowest)).sum(axis=-1) / z
    log_z, lowest = np.log(z), lowest[..., 0]
    return lowest - log_z / beta, lowest + excess, log_z + beta * excess, (weights**2).sum(axis=-1) / z**2


def critical_beta(N, v: float = 1.0) -> FloatArray:
    """Inverse temperature of the entropy crisis, ``sqrt(2 ln N / v)``: one over the critical temperature.

    Args:
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: beta_c; 0 for N = 1, which is condensed at any temperature. Raises: ValueError for other arguments.
    Source: Derrida; MM 5.2. Chapter: ``glass/random_energy_model``, theorem "rem-phases".
    """
    return np.sqrt(2 * np.log(_levels(N)) / _variance(v))


def level_entropy(energy, N, v: float = 1.0) -> FloatArray:
    """Logarithm of the expected number of levels near an energy, to leading order: ``ln N - energy^2/2v``.

    Args:
        energy: any shape, unit of energy.
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: entropy in nats; negative where no level is expected.
    Raises: ValueError for other arguments. Source: Derrida; MM 5.2. Chapter: ``glass/random_energy_model``.
    """
    return np.log(_levels(N)) - real_array("energy", energy) ** 2 / (2 * _variance(v))


def annealed_free_energy(beta, N, v: float = 1.0) -> FloatArray:
    """``-ln(E Z)/beta = -ln(N)/beta - beta v/2``, exact at any N and a lower bound on the quenched one.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: unit of energy. Raises: ValueError otherwise. Source: MM 5.4. Chapter: ``glass/random_energy_model``.
    """
    beta = _beta(beta)
    return -np.log(_levels(N)) / beta - beta * _variance(v) / 2


def quenched_free_energy(beta, N, v: float = 1.0) -> FloatArray:
    """Leading order of ``-E[ln Z]/beta`` at large N: annealed above the transition, frozen below it.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: unit of energy; constant ``-sqrt(2 v ln N)`` for beta above ``critical_beta``.
    Raises: ValueError otherwise. Source: Derrida; MM 5.2. Chapter: ``glass/random_energy_model``, theorem "rem-phases".
    """
    return annealed_free_energy(np.minimum(_beta(beta), np.maximum(critical_beta(N, v), 1e-300)), N, v)


def quenched_entropy(beta, N, v: float = 1.0) -> FloatArray:
    """Leading order of the Boltzmann entropy at large N: ``ln N - beta^2 v/2`` until it vanishes, then 0.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: entropy in nats. Raises: ValueError for other arguments.
    Source: Derrida; MM 5.2. Chapter: ``glass/random_energy_model``, theorem "rem-phases".
    """
    return np.maximum(level_entropy(-_beta(beta) * _variance(v), N, v), 0)


def participation_limit(beta, N, v: float = 1.0) -> FloatArray:
    """Leading order of E[Y] at large N: 0 above the transition, ``1 - beta_c/beta`` below it.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, 1 or more, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: participation ratio. Raises: ValueError for other arguments.
    Source: MM 5.3. Chapter: ``glass/random_energy_model``, theorem "rem-condensation".
    """
    return np.maximum(1 - critical_beta(N, v) / _beta(beta), 0)


def lowest_level(N, v: float = 1.0) -> FloatArray:
    """Energy below which one level of N is expected, ``sqrt(v) Phi^-1(1/N)``; leading order -sqrt(2 v ln N).

    Args:
        N: number of levels, above 1, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: energy. Raises: ValueError otherwise. Source: extreme-value theory. Chapter: ``glass/random_energy_model``.
    """
    return np.sqrt(_variance(v)) * ndtri_exp(-np.log(real_array("N", N, minimum=1, strict=True)))


def participation_exact(beta, N, v: float = 1.0, *, step: float = 0.2) -> FloatArray:
    """E[Y] at any finite N, by quadrature: no limit, no sampling.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, from 1 to 1e100, any shape.
        v: variance of a level, above 0, unit of energy squared.
        step: of both trapezoid rules, in ln(s), above 0; both converge exponentially, and 0.2 leaves less than 1e-9.
    Returns: E[Y]. Raises: ValueError for other arguments. Source: ``1/Z^2 = int s exp(-s Z) ds``, so with
    ``a = exp(-beta E)``, ``phi(s) = E exp(-s a)``, ``psi(s) = E[a^2 exp(-s a)]``,
    ``E[Y] = N int_0^inf s psi(s) phi(s)^(N-1) ds``. Chapter: ``glass/random_energy_model``, proposition "rem-exact".
    """
    N, beta, step = _levels(N), _beta(beta), real("step", step, minimum=0, strict=True)
    if (N > 1e100).any():
        raise ValueError(f"N is {N.max():g}; allowed are numbers from 1 to 1e100")
    width, N = np.broadcast_arrays(beta * np.sqrt(_variance(v)), N)  # width: standard deviation of ln(a)
    return np.reshape([_mean_participation(w, n, step) for w, n in zip(width.flat, N.flat, strict=True)], width.shape)


def _mean_participation(width: float, N: float, step: float) -> float:
    if N == 1:
        return 1.0
    spacing = min(step / width, step / 2)
    z = np.arange(-12.0, 40.0, spacing)  # a standard normal variable; ln(a) = width * z
    density = np.exp(-(z**2) / 2) * spacing / np.sqrt(2 * np.pi)

    def log_survival(log_s: FloatArray) -> FloatArray:
        """-ln(phi), exact where phi is within 1e-100 of 1."""
        sa = np.exp(np.minimum(log_s[:, None] + width * z, 6.7))  # exp(-sa) is 0 from there on
        one_minus_phi, phi = -np.expm1(-sa) @ density, np.exp(-sa) @ density
        return np.where(one_minus_phi < 0.5, -np.log1p(-np.minimum(one_minus_phi, 0.5)), -np.log(phi + 1e-300))

    def where(exponent: float) -> float:
        """ln(s) at which phi^N = exp(-exponent)."""
        return brentq(
            lambda log_s: np.log(N * log_survival(np.array([log_s]))[0] + 1e-300) - np.log(exponent),
            -45 * width - 400, 12 * width + 6, xtol=0.01,
        )  # fmt: skip

    # In ln(s) the integrand is below N (1 - phi) on the left and dies with phi^N on the right.
    grid = np.arange(where(1e-15), where(40), step * max(1, width / np.sqrt(2 * np.log(max(N, 2)))))
    total = 0.0
    for log_s in np.array_split(grid, 1 + grid.size * z.size // 500_000):  # blocks of a few MB
        sa = np.exp(np.minimum(log_s[:, None] + width * z, 6.7))
        s2_psi = (sa**2 * np.exp(-sa)) @ density
        total += s2_psi @ np.exp(-(N - 1) * log_survival(log_s))
    return N * total * (grid[1] - grid[0])


def participation_window(beta, N, v: float = 1.0) -> FloatArray:
    """Leading order of E[Y] across the transition, ``h(delta)/(beta sqrt(v))``, ``delta = sqrt(v) (beta - beta_c)``.

    Args:
        beta: inverse temperature, above 0, any shape.
        N: number of levels, above 1, any shape.
        v: variance of a level, above 0, unit of energy squared.
    Returns: E[Y]; h is the hazard rate of the standard Gaussian, its density over its upper tail. For delta much above
    1 it is delta, which gives the limit ``1 - beta_c/beta``; at the transition E[Y] is ``1/sqrt(pi ln N)``. Holds for
    large N at fixed delta, with corrections of relative order ``1/sqrt(ln N)``.
    Raises: ValueError for other arguments. Source: this book. Chapter: ``glass/condensation``.
    """
    beta, N, width = _beta(beta), real_array("N", N, minimum=1, strict=True), np.sqrt(_variance(v))
    delta = width * (beta - critical_beta(N, v))
    return np.exp(-(delta**2) / 2 - log_ndtr(-delta)) / np.sqrt(2 * np.pi) / (width * beta)


def participation_from_lowest(levels, beta: float, N: float, v: float = 1.0) -> FloatArray:
    """Participation ratio of N levels of which only the lowest are given, for N up to 1e300.

    Args:
        levels: the K lowest energies of each system, shape (..., K), rising along the last axis, unit of energy.
        beta: inverse temperature, above 0, one number.
        N: number of levels, K or more.
        v: variance of a level, above 0, unit of energy squared.
    The sums over the levels above are replaced by their mean given the highest one known, in closed form:
    ``(N - K) E[exp(-b E) | E > E_K]`` for b = beta and 2 beta. With K = N nothing is replaced. K = 1,000 leaves a
    root-mean-square error below 0.0005 for one system (tested) from 0.6 ``critical_beta`` on; below it, take more.
    Returns: shape (...). Raises: ValueError otherwise. Source: this book. Chapter: ``glass/random_energy_model``.
    """
    levels, beta, width = (
        real_array("levels", levels),
        real("beta", beta, minimum=0, strict=True),
        np.sqrt(_variance(v)),
    )
    if levels.ndim == 0 or levels.shape[-1] == 0:
        raise ValueError(f"levels has shape {levels.shape}; allowed is (..., K) with K at least 1")
    unseen = real("N", N, minimum=levels.shape[-1]) - levels.shape[-1]
    if (np.diff(levels, axis=-1) < 0).any():
        raise ValueError("levels is not sorted; allowed are energies that rise along the last axis")
    lowest, top = levels[..., 0], levels[..., -1]
    relative = np.exp(-beta * (levels - lowest[..., None]))

    def rest(b: float) -> FloatArray:
        log_mean = b**2 * v / 2 + log_ndtr(-(top / width + b * width)) - log_ndtr(-top / width)
        return unseen * np.exp(log_mean + b * lowest)

    return ((relative**2).sum(axis=-1) + rest(2 * beta)) / (relative.sum(axis=-1) + rest(beta)) ** 2
