"""How the transition of levels of any smooth law is rounded."""

import numpy as np

from memolib._validate import ArrayLike, broadcast_shape, finite, real_array
from memolib.rem import hazard
from memolib.theory._shared import FloatArray


def critical_window(beta: ArrayLike, critical: ArrayLike, curvature: ArrayLike) -> FloatArray:
    """Leading order of E[Y] across the transition of independent levels of a smooth law.

    With ``zeta(lam) = ln E exp(-lam E)``: ``h(delta)/(beta sqrt(zeta''))``, ``delta = sqrt(zeta'')
    (beta - lam_c)``, zeta'' taken at lam_c, h the hazard rate of the standard Gaussian. Holds where
    ``lam_c sqrt(zeta'')`` is large and ``zeta'''/zeta''^(3/2)`` small: the levels under the weights
    ``exp(-lam_c E)`` are then Gaussian on their own scale. Of relative width
    ``1/(lam_c sqrt(zeta''))``.

    Args:
        beta: inverse temperature, above 0, any shape.
        critical: lam_c, where ``ln N + zeta - lam zeta' = 0``, above 0, any shape.
        curvature: ``zeta''(lam_c)``, above 0, any shape, unit of energy squared.

    Returns:
        E[Y].

    Raises:
        ValueError: for other arguments.

    Source:
        This book.

    Chapter:
        ``glass/condensation``, theorem "cond-window".

    Example:
        >>> from memolib import rem, theory
        >>> beta_c = rem.critical_beta(1e6)  # Gaussian levels: zeta'' is their variance
        >>> round(float(theory.critical_window(beta_c, beta_c, 1.0)), 4)
        0.1518
    """
    beta = real_array("beta", beta, minimum=0, strict=True)
    critical = real_array("critical", critical, minimum=0, strict=True)
    curvature = real_array("curvature", curvature, minimum=0, strict=True)
    broadcast_shape(beta=beta, critical=critical, curvature=curvature)
    with np.errstate(all="ignore"):
        scale = np.sqrt(curvature)
        delta = finite(scale * beta - scale * critical, beta=beta, curvature=curvature)
        return finite(hazard(delta) / (scale * beta), beta=beta, curvature=curvature)
