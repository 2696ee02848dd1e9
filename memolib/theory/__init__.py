"""Condensation, own weight and loss laws of the empirical score of Gaussian data, in closed form.

Setting, unless a function says otherwise: N points y with independent coordinates of variances
``s_k^2`` (``variances``, shape (d,), any order; 0 off the manifold), seen from x at noise variance
t. ``u_k = s_k^2/t``. The unit of x is the data's, that of t and of ``variances`` its square;
information and entropies are in nats. N is a float, since it may be astronomical, and need not be
whole: the formulas continue what they say of whole numbers. NumPy and SciPy only.

Three kinds of point give different answers: A, a training point plus noise; B, a training point;
C, a fresh noisy point. Sources: Achilli et al., arXiv 2410.08727 (the paper); Biroli, Bonnaire,
de Bortoli and Mezard, Nat. Commun. 15, 9957 (2024); the rest is derived in the chapters named.
"""

from memolib.theory._shared import Estimate
from memolib.theory.channel import dispersion, index_information, own_weight_normal
from memolib.theory.collapse import (
    collapse_time,
    collapse_time_at,
    condensed_participation,
    entropy_at,
    information,
    information_density,
    local_collapse_time,
    own_weight,
)
from memolib.theory.condensation import critical_window
from memolib.theory.gaps import (
    jacobian_density,
    tangent_density,
    tangent_distribution,
    tangent_edges,
)
from memolib.theory.losses import (
    law_limit,
    loss_fresh,
    loss_noisy,
    participation,
    retention_training,
)
from memolib.theory.memory import retrieval_capacity, sign_capacity
from memolib.theory.paper import (
    gaussian_collapse_time,
    gaussian_loss_time,
    paper_singular_values,
    sphere_variances,
)
from memolib.theory.speciation import (
    class_minimum,
    class_potential,
    clone_agreement,
    mixture_information,
    noise_variance,
    speciation_time,
    spinodal_time,
)

__all__ = [
    "Estimate",
    "class_minimum",
    "class_potential",
    "clone_agreement",
    "collapse_time",
    "collapse_time_at",
    "condensed_participation",
    "critical_window",
    "dispersion",
    "entropy_at",
    "gaussian_collapse_time",
    "gaussian_loss_time",
    "index_information",
    "information",
    "information_density",
    "jacobian_density",
    "law_limit",
    "local_collapse_time",
    "loss_fresh",
    "loss_noisy",
    "mixture_information",
    "noise_variance",
    "own_weight",
    "own_weight_normal",
    "paper_singular_values",
    "participation",
    "retention_training",
    "retrieval_capacity",
    "sign_capacity",
    "speciation_time",
    "sphere_variances",
    "spinodal_time",
    "tangent_density",
    "tangent_distribution",
    "tangent_edges",
]
