"""STATISTICS -> TARGET: the spin model, its priors, its evidence and its Pyro programs.

`SpinModel` joins `SufficientStatistics` with a `Prior`: it is a target for samplers, whose prior distribution is a
`PairwiseSpins` (with `couplings`), and whose likelihood is the `ClosedForm` evidence of a
`Regression`. `generative` and `collapsed` are the same model as Pyro programs; `PyroTarget` makes a target of any Pyro
program with discrete latent sites, coded by spins (`SiteCode`), `JointPyroTarget` of one with continuous sites too.
"""

from bayespde.model.couplings import Coupling, isotropic_couplings
from bayespde.model.evidence import ClosedForm, SpinEvidence
from bayespde.model.prior import Prior
from bayespde.model.programs import collapsed, generative
from bayespde.model.regression import Regression, regress
from bayespde.model.spin import SpinModel

__all__ = [
    "ClosedForm",
    "Coupling",
    "Prior",
    "Regression",
    "SpinEvidence",
    "SpinModel",
    "collapsed",
    "generative",
    "isotropic_couplings",
    "regress",
]
