"""A TOML declaration or keyword arguments -> validated, frozen settings of all stages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from bayespde.core.annotations import CountOrZero, OneOf, Positive, Range
from bayespde.core.checked import Checked
from bayespde.core.settings import as_table, build, build_kind, check_keys
from bayespde.core.slabs import SLABS
from bayespde.model.prior import Prior
from bayespde.smc.config import MOST_LINEAR_TERMS, SMCConfig
from bayespde.smooth.config import SmoothingConfig
from bayespde.weak.config import WeakForm
from bayespde.weak.strong_form import StrongForm

MATCHING = ("auto", "always", "never")
# Of a declaration, as `DiscoverConfig.from_mapping` reads them.
PLAIN = ("enumerate_up_to", "trajectory_matching", "budget")
SECTIONS = {"smooth", "form", "prior", "sample", *PLAIN}
FORMS = {"weak": WeakForm, "strong": StrongForm}
# Set once for the smoother, so that candidates can be compared.
OF_THE_WHOLE_STAGE = {"penalty.order", "penalty.weight", "networks.steps", "networks.penalty", "networks.hold_out"}


@dataclass(frozen=True)
class DiscoverConfig(Checked):
    """All settings of a discovery.

    Attributes:
        smoothing: FIELD -> DERIVATIVES.
        form: TERMS + FIELD -> STATISTICS.
        prior: STATISTICS -> TARGET.
        sampler: TARGET -> PARTICLES.
        enumerate_up_to: Largest library that is enumerated as well as sampled.
        trajectory_matching: Whether equations are compared by the observation likelihood at the end
            (`bayespde.fit_trajectories`): "auto", after the weak form of a single field whose pixels have noise;
            "always"; or "never".
        holdout_frames: Number of last frames that no stage sees, for `Discovery.forecast_holdout`.
        budget: CPU seconds that the stages may take together, above 0. When they are spent, further runs of the sampler
            and the search for trajectories end with what they have found, and `diagnose` says so; smoothing, rows and
            one run of the sampler are always finished.
    """

    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    form: WeakForm | StrongForm = field(default_factory=WeakForm)
    prior: Prior = field(default_factory=Prior)
    sampler: SMCConfig = field(default_factory=SMCConfig)
    enumerate_up_to: Annotated[int, Range(0, MOST_LINEAR_TERMS)] = 23
    trajectory_matching: Annotated[str, OneOf(MATCHING)] = "auto"
    holdout_frames: CountOrZero = 0
    budget: Positive = 300.0

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> DiscoverConfig:
        """Read sections `smooth`, `form`, `prior`, `sample`, and the keys that are no sections.

        Raises:
            ConfigError: If a section or key is unknown, or a value is out of range.
        """
        check_keys(settings, SECTIONS, "the declaration")
        prior = dict(as_table(settings.get("prior", {}), "prior"))
        prior["slab"] = build_kind(SLABS, prior.get("slab", {}), "prior.slab", default="hyper-g")
        return cls(
            smoothing=build(SmoothingConfig, settings.get("smooth", {}), "smooth", withheld=OF_THE_WHOLE_STAGE),
            form=build_kind(FORMS, settings.get("form", {}), "form", default="weak"),
            prior=build(Prior, prior, "prior"),
            sampler=build(SMCConfig, settings.get("sample", {}), "sample"),
            **{name: settings[name] for name in PLAIN if name in settings},
        )

    @classmethod
    def recorded_smoothing(cls, provenance: Mapping[str, Any]) -> SmoothingConfig:
        """The settings of smoothing in the provenance of a posterior; the defaults if they are not recorded."""
        recorded = provenance.get("settings", {}).get("smoothing", {})
        return build(SmoothingConfig, recorded, "settings.smoothing")

    def as_json(self) -> str:
        """All settings as JSON, for provenance and to tell whether a finished stage can be reused."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
