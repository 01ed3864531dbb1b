"""STATISTICS -> TARGET: the spin model, its priors, its evidence and its Pyro programs."""

from bayespde.model.evidence import ClosedForm, SpinEvidence
from bayespde.model.priors import GPriorSlab, HyperGSlab, IsotropicSlab, PlugInSlab, Slab, complexity_logits
from bayespde.model.programs import collapsed, generative
from bayespde.model.regression import Regression, regress
from bayespde.model.spin import SpinModel

__all__ = [
    "ClosedForm",
    "GPriorSlab",
    "HyperGSlab",
    "IsotropicSlab",
    "PlugInSlab",
    "Regression",
    "Slab",
    "SpinEvidence",
    "SpinModel",
    "collapsed",
    "complexity_logits",
    "generative",
    "regress",
]
