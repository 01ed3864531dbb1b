"""A TOML declaration or keyword arguments -> validated, frozen settings of all stages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bayespde.core.errors import ConfigError
from bayespde.core.settings import as_table, build, build_each, build_kind, check_keys
from bayespde.model.couplings import Coupling
from bayespde.model.prior import Prior
from bayespde.model.priors import GPriorSlab, HyperGSlab, IsotropicSlab, ProfileLikelihood
from bayespde.smc.base import SMCConfig
from bayespde.smooth.fit import SmoothingConfig
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.penalty import Penalty
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.weak.config import WeakForm
from bayespde.weak.strong_form import StrongForm

SLABS = {
    "hyper-g": HyperGSlab,
    "g-prior": GPriorSlab,
    "isotropic": IsotropicSlab,
    "profile-likelihood": ProfileLikelihood,
}
MATCHING = ("auto", "always", "never")
FORMS = {"weak": WeakForm, "strong": StrongForm}
PENALTY_KEYS = {"kind", "axis_weights", "mixed", "isotropic", "chosen"}


@dataclass(frozen=True)
class DiscoverConfig:
    """All settings of a discovery.

    Attributes:
        smoothing: FIELD -> DERIVATIVES.
        form: TERMS + FIELD -> STATISTICS.
        prior: STATISTICS -> TARGET.
        sampler: TARGET -> PARTICLES.
        enumerate_up_to: Largest library that is enumerated besides being sampled.
        trajectory_matching: Whether equations are judged by the pixels themselves at the end (`bayespde.fit_trajectories`): "auto", where that
            is affordable and the field has a boundary that can be integrated; "always"; or "never".
    """

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    form: WeakForm | StrongForm = field(default_factory=WeakForm)
    prior: Prior = field(default_factory=Prior)
    sampler: SMCConfig = field(default_factory=SMCConfig)
    enumerate_up_to: int = 23
    trajectory_matching: str = "auto"

    def __post_init__(self) -> None:
        if self.trajectory_matching not in MATCHING:
            raise ConfigError(
                "Whether to refine is not known.",
                got=repr(self.trajectory_matching),
                wanted=", ".join(map(repr, MATCHING)),
                fix="trajectory_matching='auto'",
            )
        if (
            isinstance(self.enumerate_up_to, bool)
            or not isinstance(self.enumerate_up_to, int)
            or not 0 <= self.enumerate_up_to <= 26
        ):
            raise ConfigError(
                "The number of terms to enumerate is out of range.",
                got=repr(self.enumerate_up_to),
                wanted="an int from 0 to 26",
                fix="enumerate_up_to=23",
            )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> DiscoverConfig:
        """Read the sections `smooth`, `form`, `prior`, `sample` and the keys `enumerate_up_to` and `fit_trajectories`.

        Raises:
            ConfigError: If a section or key is unknown, or a value is out of range.
        """
        check_keys(
            settings, {"smooth", "form", "prior", "sample", "enumerate_up_to", "trajectory_matching"}, "the declaration"
        )
        prior = dict(as_table(settings.get("prior", {}), "prior"))
        slab = build_kind(prior.pop("slab", {}), SLABS, "hyper-g", "prior.slab")
        prior["couplings"] = build_each(Coupling, prior.get("couplings", []), "prior.couplings")
        return cls(
            smoothing=_smoothing(settings.get("smooth", {})),
            form=build_kind(settings.get("form", {}), FORMS, "weak", "form"),
            prior=dataclasses.replace(build(Prior, prior, "prior"), slab=slab),
            sampler=build(SMCConfig, settings.get("sample", {}), "sample"),
            enumerate_up_to=settings.get("enumerate_up_to", 23),
            trajectory_matching=settings.get("trajectory_matching", "auto"),
        )

    def as_json(self) -> str:
        """All settings as JSON, for provenance and to tell whether a finished stage can be reused."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)


def _smoothing(settings: Any) -> SmoothingConfig:
    values = dict(as_table(settings, "smooth"))
    if "spline" in values:
        values["spline"] = build(SplineConfig, values["spline"], "smooth.spline")
    if "penalty" in values:
        # Order and weight belong to the stage.
        check_keys(as_table(values["penalty"], "smooth.penalty"), PENALTY_KEYS, "smooth.penalty")
        values["penalty"] = build(Penalty, values["penalty"], "smooth.penalty")
    if "networks" in values:
        # Steps, penalty and hold-out are those of the whole stage, so that candidates can be compared.
        allowed = {f.name for f in dataclasses.fields(NetworkConfig)} - {"steps", "penalty", "hold_out"}
        values["networks"] = build_each(NetworkConfig, values["networks"], "smooth.networks", allowed)
    return build(SmoothingConfig, values, "smooth")
