"""STATISTICS -> TARGET: the spin model, its priors, its evidence and its Pyro programs."""

from bayespde.model.couplings import Coupling, isotropic_couplings
from bayespde.model.evidence import ClosedForm, SpinEvidence
from bayespde.model.priors import (
    GPriorSlab,
    HyperGSlab,
    IsotropicSlab,
    ProfileLikelihood,
    Slab,
    complexity_logits,
    complexity_prior,
)
from bayespde.model.programs import collapsed, generative
from bayespde.model.regression import Regression, regress
from bayespde.model.spin import SpinModel

__all__ = [
    "ClosedForm",
    "Coupling",
    "GPriorSlab",
    "HyperGSlab",
    "IsotropicSlab",
    "ProfileLikelihood",
    "Regression",
    "Slab",
    "SpinEvidence",
    "SpinModel",
    "collapsed",
    "complexity_logits",
    "complexity_prior",
    "generative",
    "isotropic_couplings",
    "regress",
]
