"""A library + a smoothed field -> the posterior over its equation, stage by stage, each kept on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.field import field_hash
from bayespde.core.posterior import Posterior
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.discovery import costs
from bayespde.discovery.config import DiscoverConfig
from bayespde.discovery.discovery import Discovery
from bayespde.discovery.trajectory_matching import match_trajectories
from bayespde.model.prior import Prior
from bayespde.model.spin import SpinModel
from bayespde.smooth.fit import fit_field
from bayespde.smooth.smooth_field import FieldDraw, SmoothField
from bayespde.stages.assemble import assemble
from bayespde.stages.cut_posterior import cut_posterior
from bayespde.stages.model_average import ENUMERATE_UP_TO
from bayespde.stages.run_folder import Matched, RunFolder
from bayespde.stages.sample import sample
from bayespde.weak.strong_form import StrongForm

# Share of the budget that networks may take.
SMOOTHING = 0.5


class Seeds(NamedTuple):
    """Seeds of one discovery: the user's, and those spawned from it for each stage."""

    user: int
    smooth: int
    sample: int
    average: int
    trajectories: int

    @classmethod
    def spawned(cls, user: int, seed: int) -> Seeds:
        """Seeds of all stages from one, which is that of the user or spawned from it."""
        return cls(user, *spawn_seeds(seed, 4))


def smoothed(
    run: RunFolder, field: xr.DataArray, config: DiscoverConfig, seed: int, *, progress: Progress
) -> SmoothField:
    """The smoothed field of a checked field, from the folder if it is there."""
    options = config.smoothing
    if isinstance(config.form, StrongForm) and config.form.smoother is not None:
        options = replace(options, smoother=config.form.smoother)

    def fitted() -> SmoothField:
        progress.say(f"smoothing: {costs.smoothing(field, options)}")
        return fit_field(field, options=options, seed=seed, progress=progress.within(SMOOTHING * progress.left))

    return run.smooth(run.key(field, options, seed), fitted)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The stages of one equation after smoothing.

    Attributes:
        library: The candidate terms.
        smooths: The smoothed field of its variable, with the field itself, and those of coupled variables, by name.
        config: Settings of all stages.
        seeds: Of all stages.
        progress: What is shown, and how long the stages may take.
    """

    library: Library
    smooths: dict[str, SmoothField]
    config: DiscoverConfig
    seeds: Seeds
    progress: Progress

    @property
    def smooth(self) -> SmoothField:
        """The smoothed field of the equation's own variable."""
        return self.smooths[self.library.variable]

    def discovery(self, run: RunFolder, holdout: xr.DataArray | None) -> Discovery:
        """Assemble, sample, and compare by the observation likelihood where that can be done."""
        config, origin = self.config, self._origin
        statistics_key, weak_key = self._keys(run)
        statistics = run.statistics(statistics_key, self._statistics)
        if config.trajectory_matching == "never":
            matched = run.matched(weak_key, lambda: Matched(self._sampled(statistics), None), origin)
            weak = matched.posterior
        else:
            weak = run.weak_posterior(weak_key, lambda: self._sampled(statistics), origin)
            key = run.key(weak_key, config.trajectory_matching, self.seeds.trajectories)
            matched = run.matched(key, lambda: self._matched(weak), origin)
        model = SpinModel(matched.posterior.statistics, self.library, prior=config.prior)
        return Discovery(
            smooth=self.smooth,
            posterior=matched.posterior,
            weak_posterior=weak,
            model=model,
            trajectories=matched.trajectories,
            folder=run.path,
            holdout=holdout,
        )

    def _sample(self, statistics: SufficientStatistics, seed: int) -> Posterior:
        self.progress.say(f"sampling: {costs.sampling(self.library, self.config)}")
        found = sample(
            SpinModel(statistics, self.library, prior=self.config.prior),
            config=self.config.sampler,
            seed=seed,
            enumerate_up_to=self.config.enumerate_up_to,
            progress=self.progress,
        )
        if found.stopped_by == "interrupt":
            # The user has asked for an end, not for a part of the result.
            raise KeyboardInterrupt
        return found

    def _statistics(self, draw: FieldDraw | None = None) -> SufficientStatistics:
        """The sufficient statistics of the smoothed field, or of one draw of it."""
        form, smooth = self.config.form, self.smooths if self.library.coupled_variables else self.smooth
        if isinstance(form, StrongForm):
            # Of one smoothed field: smoother and draws are those of the pipeline.
            form = replace(form, smoother=None, field_draws=0)
        self.progress.say(f"rows: {costs.rows(self.library, self.smooth.field)}")
        return assemble(
            self.library,
            smooth if draw is None else draw,
            form=form,
            prior=self.config.prior,
            seed=self.seeds.average,
            progress=self.progress,
        )

    def _sampled(self, statistics: SufficientStatistics) -> Posterior:
        """The posterior over equations by the weak or strong form, with its origin."""
        form, seed = self.config.form, self.seeds.sample
        if isinstance(form, StrongForm) and form.field_draws:
            draw_seed, sample_seed = spawn_seeds(seed, 2)
            draws = [self._statistics(self.smooth.draw(s)) for s in spawn_seeds(draw_seed, form.field_draws)]
            found = cut_posterior(statistics, draws, self._sample, spawn_seeds(sample_seed, len(draws)))
        else:
            found = self._sample(statistics, seed)
        likelihood = found.likelihood
        if isinstance(form, StrongForm) and self.smooth.choice.stopped_by:
            likelihood = replace(likelihood, budget_exhausted=True)
        return replace(
            found,
            likelihood=likelihood,
            units={k: v for s in self._ordered() for k, v in units_of(s.field).items()},
            provenance=dict(found.provenance) | self._origin,
        )

    def _matched(self, weak: Posterior) -> Matched:
        if not weak.sampling.complete:
            return Matched(weak, None)
        return match_trajectories(
            weak, self.smooth, config=self.config, seed=self.seeds.trajectories, progress=self.progress
        )

    def _ordered(self) -> list[SmoothField]:
        """Coupled fields, then the equation's own."""
        return [*(self.smooths[name] for name in self.library.coupled_variables), self.smooth]

    @cached_property
    def _origin(self) -> dict[str, Any]:
        """Seed, data and settings of this run, for the provenance of its posterior."""
        settings = json.loads(self.config.as_json())
        return {"seed": int(self.seeds.user), "data": field_hash(self.smooth.field), "settings": settings}

    def _keys(self, run: RunFolder) -> tuple[str, str]:
        """Keys of the statistics and of the posterior by the weak form, from the inputs of these stages only."""
        config, seeds, library = self.config, self.seeds, self.library
        # The weak form reads the spline only, so that training a network longer does not invalidate it.
        smoother: Any = self.smooth.spline_config
        if isinstance(config.form, StrongForm):
            stopped = self.smooth.choice.stopped_by and run.budget
            smoother = config.smoothing, seeds.smooth, stopped
        # Models are averaged under slabs of their own.
        prior = replace(config.prior, slab=Prior().slab)
        terms = [(t.name, t.complexity) for t in library]
        drawn = seeds.average if len(library) > ENUMERATE_UP_TO else None
        *coupled, own = self._ordered()
        others = [part for s in coupled for part in (s.field, s.spline_config)]
        statistics = run.key(own.field, smoother, config.form, prior, terms, library.target, drawn, *others)
        # The number of workers does not change the result.
        sampler = replace(config.sampler, workers=1)
        return statistics, run.key(statistics, config.prior.slab, sampler, config.enumerate_up_to, seeds.sample)
