"""A library + a smooth field -> the posterior over its equation, each finished stage on disk before the next begins."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import NamedTuple

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.field import field_hash
from bayespde.core.posterior import Posterior
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.discovery.config import DiscoverConfig
from bayespde.discovery.discovery import Discovery
from bayespde.discovery.trajectory_matching import refined_or_rows
from bayespde.smooth.fit import fit_field
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.assemble import assemble
from bayespde.stages.model_average import EXACT_TERMS
from bayespde.stages.run_folder import RunFolder, stage_key
from bayespde.stages.sample import sample
from bayespde.weak.config import WeakForm


class Seeds(NamedTuple):
    """Of one discovery: the user's, and those spawned from it for each stage."""

    user: int
    smooth: int
    sample: int
    pilot: int
    refine: int


def smoothed(
    run: RunFolder, field: xr.DataArray, config: DiscoverConfig, seed: int, *, progress: bool = False
) -> SmoothField:
    """The smooth field of a checked field, from the folder if it is there."""
    return run.smooth(
        stage_key(_data_key(field), config.smoothing, seed),
        lambda: fit_field(field, options=config.smoothing, seed=seed, progress=progress),
    )


@dataclass(frozen=True, eq=False)
class Task:
    """One equation to be found.

    Attributes:
        library: The candidate terms.
        smooth: The smooth field of its variable, with the field itself.
        config: Settings of all stages.
        seeds: Of all stages.
        beside: The smooth fields of the other variables of a system.
        workers: Sampler runs at a time.
        progress: Whether to show bars.
    """

    library: Library
    smooth: SmoothField
    config: DiscoverConfig
    seeds: Seeds
    coupled_fields: tuple[SmoothField, ...] = ()
    workers: int = 1
    progress: bool = False

    def discovery(self, run: RunFolder, holdout: xr.DataArray | None) -> Discovery:
        """Form rows, sample, and judge by pixels where that can be done."""
        config, keys = self.config, self._keys()
        statistics = run.statistics(keys["statistics"], self._statistics)
        if config.trajectory_matching == "never":
            rows = posterior = run.posterior(keys["rows"], lambda: self._sampled(statistics))
        else:
            rows = run.rows(keys["rows"], lambda: self._sampled(statistics))
            key = stage_key(keys["rows"], config.trajectory_matching, self.seeds.refine)
            posterior = run.posterior(key, lambda: self._by_pixels(rows))
        model = config.prior.model(posterior.statistics, self.library)
        return Discovery(self.smooth, posterior, rows, model, run.path, holdout)

    def _statistics(self) -> SufficientStatistics:
        return assemble(
            self.library,
            self.smooth.field,
            smooth=self.smooth,
            coupled_fields=self.coupled_fields,
            form=self.config.form,
            prior=self.config.prior,
            seed=self.seeds.pilot,
            progress=self.progress,
        )

    def _sampled(self, statistics: SufficientStatistics) -> Posterior:
        """The posterior over rows, with what it was made from."""
        found = sample(
            self.config.prior.model(statistics, self.library),
            config=self.config.sampler,
            seed=self.seeds.sample,
            enumerate_up_to=self.config.enumerate_up_to,
            workers=self.workers,
            progress=self.progress,
        )
        units = {k: v for s in (*self.coupled_fields, self.smooth) for k, v in units_of(s.field).items()}
        extra = {
            "seed": int(self.seeds.user),
            "units": units,
            "data": field_hash(self.smooth.field),
            "settings": json.loads(self.config.as_json()),
        }
        return replace(found, provenance=dict(found.provenance) | extra)

    def _by_pixels(self, rows: Posterior) -> Posterior:
        return refined_or_rows(
            rows,
            self.smooth.field,
            self.smooth,
            config=self.config,
            seed=self.seeds.refine,
            workers=self.workers,
            progress=self.progress,
        )

    def _keys(self) -> dict[str, str]:
        """What the stages after smoothing depend on, hashed: one on disk is reused only if its key is the same."""
        config, seeds, library = self.config, self.seeds, self.library
        # Weak rows see the spline only, so that training the network longer does not make them stale.
        smoother = self.smooth.spline_config if isinstance(config.form, WeakForm) else (config.smoothing, seeds.smooth)
        terms = [(t.name, t.complexity) for t in library]
        drawn = seeds.pilot if len(library) > EXACT_TERMS else None
        others = [(_data_key(s.field), s.spline_config) for s in self.coupled_fields]
        data = _data_key(self.smooth.field)
        statistics = stage_key(data, smoother, config.form, config.prior, terms, library.target, drawn, *others)
        rows = stage_key(statistics, config.sampler, config.enumerate_up_to, seeds.sample)
        return {"statistics": statistics, "rows": rows}


def _data_key(field: xr.DataArray) -> str:
    return stage_key(field_hash(field), field.name, units_of(field))
