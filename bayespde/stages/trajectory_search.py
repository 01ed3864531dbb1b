"""Leading equations -> the one of largest evidence by its trajectory, and statistics of all terms along it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import kurtosis

from bayespde.core.assembly_record import TrajectoryRecord
from bayespde.core.equation import Equation, Library
from bayespde.core.errors import BudgetError, ConfigError, FitError, IntegrationError, OutOfReachError, StepLimitError
from bayespde.core.noise import NoiseModel
from bayespde.core.progress import Progress
from bayespde.core.statistics import SufficientStatistics
from bayespde.model.prior import Prior
from bayespde.noise.estimate import estimate_noise
from bayespde.results.checks.trajectory import CYCLE_SKIPPING, SLOW
from bayespde.stages.model_average import ModelAverage
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory, initial_state
from bayespde.trajectory.linearised_rows import linearised_rows
from bayespde.trajectory.trajectory import Trajectory
from bayespde.trajectory.whiteness import REJECT_SCORE

# Largest number of linearisations, each at the best equation so far.
ITERATIONS = 4
# Equations that are fitted after a linearisation: least probability along it, and largest number.
LIKELY, FEW = 0.2, 3
# Equations that are tried in spite of others whose trajectories are out of reach.
FUTILE = 2
# Largest difference in log mass, in nats, of equations by which the linearisation is checked.
CLOSE = 5.0
# Gauss-Newton steps after which an adequate equation is told from an inadequate one, and most modes of its first state.
FIRST_STEPS, FIRST_MODES = 12, 300


@dataclass(eq=False)
class Search:
    """Trajectories of one field.

    Attributes:
        library: The candidate terms.
        prior: Prior of the spin model.
        data: The field, its noise model, and an estimate of its first frame.
        config: How a trajectory is fitted; with few modes of the initial state until more of them prove better.
        progress: Show bars; the CPU time that the search may take.
        leading: Trajectory by other settings: what cannot come near it is given up.
        found: Trajectories, by the names of their terms.
        failed: Why an equation has no trajectory, by the names of its terms.
        budget_exhausted: Whether the search ended because its CPU time was spent.
        out_of_reach: Equations whose trajectories diverge from each other, are lost in noise, or are not resolved.
        futile: Number of these, and of equations whose trajectories take too many steps; other boundaries and equations
            would hardly change that.
        expected_noise: Root mean square noise of the pixels as it was known before there was a trajectory.
        most_modes: Of the initial state.
    """

    library: Library
    prior: Prior
    data: TrajectoryData
    config: TrajectoryConfig
    progress: Progress = field(default_factory=Progress)
    leading: Trajectory | None = None
    found: dict[tuple[str, ...], Trajectory] = field(default_factory=dict)
    failed: dict[tuple[str, ...], str] = field(default_factory=dict)
    budget_exhausted: bool = False
    out_of_reach: list[tuple[str, ...]] = field(default_factory=list)
    futile: int = 0
    expected_noise: float = field(init=False)
    most_modes: int = field(init=False)

    def __post_init__(self) -> None:
        self.expected_noise, self.most_modes = self.data.noise.rms, self.config.most_modes
        self.config = replace(self.config, most_modes=min(FIRST_MODES, self.most_modes))

    def fit_until_adequate(self, spins: np.ndarray, statistics: SufficientStatistics) -> None:
        """Fit configurations `[n, K]` until the residuals of one are noise; continue its fit if it has not converged.

        Equations that explain the pixels as well share its trajectory, and are found along it. Parts of an equation
        that does not explain them explain less, and parts of one whose trajectory is out of reach no more.
        """
        for on in self.progress.bar(spins, desc="trajectories", leave=False):
            if self.budget_exhausted or self.is_adequate or self.is_out_of_reach:
                break
            if not any(self.library.spins(names)[on].all() for names in self._no_better_parts):
                self._try(on, statistics, self._first_config)
                self._widen()
        best = self.best
        if best is None or best.converged or best.known_mode().whiteness_score >= REJECT_SCORE:
            return
        if best.steps == self._first_config.iterations:
            self._fit(best.equation, self.config, near=best)

    @property
    def _no_better_parts(self) -> list[tuple[str, ...]]:
        """Equations of which no part explains the pixels better, by the names of their terms."""
        return [*(names for names, t in self.found.items() if t.converged), *self.out_of_reach]

    @property
    def _first_config(self) -> TrajectoryConfig:
        return replace(self.config, iterations=min(FIRST_STEPS, self.config.iterations))

    def _widen(self) -> None:
        """Fit with more modes of the initial state where these leave more than noise, and keep what is better."""
        best, before = self.best, (self.config, self.found, self.failed, self.log_evidence)
        if best is None or self.budget_exhausted or self.is_adequate or self.config.most_modes == self.most_modes:
            return
        self.config, self.found, self.failed = replace(self.config, most_modes=self.most_modes), {}, {}
        _, basis = initial_state(self.data, self.config)
        if len(basis.deviation) > len(best.known_mode().problem.basis.deviation):
            # Where the slopes of all of them do not fit into memory, the few have to do.
            with suppress(ConfigError):
                self._fit(best.equation, self._first_config)
        if not self.log_evidence > before[-1]:
            self.config, self.found, self.failed, _ = before
        # That a state has more modes was not the reason: the next equation need not try.
        self.most_modes = self.config.most_modes

    def renew_noise(self) -> None:
        """Take the kind of noise from the residuals of an adequate trajectory, and fit that once more if it is another.

        A smoother that cannot follow a steep front leaves errors, which look like noise that varies with the value or
        from place to place.
        """
        if self.budget_exhausted or not self.is_adequate or self.data.noise.jitter:
            return
        best = self.ranked()[0][0]
        raw, fitted = self.data.field.values, best.fitted.values
        scale = float(np.sqrt(np.nanmean((raw - fitted) ** 2)))
        noise = estimate_noise(raw, lambda orders: np.where(np.isnan(raw), 0.0, fitted), scale, kind="frame_jitter")
        if _kind(noise) == _kind(self.data.noise):
            return
        before = self.data, self.found, self.failed
        self.data, self.found, self.failed, self.leading = replace(self.data, noise=noise), {}, {}, None
        self._fit(best.equation, self.config)
        if not self.found:
            self.data, self.found, self.failed = before

    def converged_statistics(self) -> SufficientStatistics:
        """Statistics linearised along the trajectory of the best equation, iterated until the best stays the best.

        Raises:
            BudgetError: If the CPU time was spent before an equation had a trajectory.
            ConfigError: If no equation has a trajectory.
            FitError: If the best trajectory diverges with the smallest share of another term.
            IntegrationError: If there is no trajectory next to it.
        """
        if self.budget_exhausted and not self.found:
            self.progress.check()
        models = ModelAverage(self.library, self.prior)
        for _ in range(ITERATIONS):
            best = self.ranked()[0][0]
            rows = linearised_rows(best.known_mode(), self.library, variance=best.variance)
            if self.budget_exhausted or not self._leads_on(best):
                break
            spins, probability = models.average(rows)
            for on in spins[(probability > LIKELY) & spins.any(axis=1)][:FEW]:
                self._try(on, rows, self.config, near=best)
            if self.ranked()[0][0] is best:
                break
        return replace(rows, records=(replace(rows.record, trajectory=self._record(best, rows)),))

    def _try(
        self, on: np.ndarray, rows: SufficientStatistics, config: TrajectoryConfig, near: Trajectory | None = None
    ) -> None:
        """Fit the equation of a configuration, from its least-squares coefficients, unless that has been tried."""
        start = Equation.from_library(self.library, rows.least_squares(on))
        if not self.budget_exhausted and start.names not in self.found and start.names not in self.failed:
            self._fit(start, config, near)

    def _fit(self, start: Equation, config: TrajectoryConfig, near: Trajectory | None = None) -> None:
        try:
            self.found[start.names] = fit_trajectory(
                start, self.data, config=config, near=near, progress=self.progress, leading=self.best or self.leading
            )
        except BudgetError:
            # What has been found counts; the best of it still has to be linearised.
            self.budget_exhausted = True
        except (FitError, IntegrationError) as error:
            self.futile += isinstance(error, StepLimitError | OutOfReachError)
            if isinstance(error, OutOfReachError):
                self.out_of_reach.append(start.names)
            if start.names not in self.found:
                self.failed[start.names] = str(error).splitlines()[0]

    @staticmethod
    def _leads_on(best: Trajectory) -> bool:
        """Whether other equations are worth a fit: what is linearised along a poor trajectory says little of them."""
        is_near = best.known_mode().whiteness_score < REJECT_SCORE
        return best.converged and best.cycle_skipping < CYCLE_SKIPPING and is_near

    @property
    def is_out_of_reach(self) -> bool:
        """Whether further equations are not worth a try."""
        # Where some have a trajectory, if a poor one, that of others may take many steps for a wrong boundary.
        is_poor = all(t.known_mode().whiteness_score > REJECT_SCORE for t in self.found.values())
        return is_poor and (len(self.out_of_reach) if self.found else self.futile) >= FUTILE

    @property
    def best(self) -> Trajectory | None:
        """The trajectory that leads, if there is one."""
        return self.ranked()[0][0] if self.found else None

    @property
    def is_adequate(self) -> bool:
        """Whether the residuals of a trajectory are noise."""
        return any(t.known_mode().whiteness_score < SLOW for t in self.found.values())

    @property
    def log_evidence(self) -> float:
        """Largest log evidence of a trajectory; -inf if there is none."""
        return max((t.log_evidence for t in self.found.values()), default=-np.inf)

    def ranked(self) -> tuple[tuple[Trajectory, ...], np.ndarray]:
        """Trajectories by evidence and prior, the best first, and their probabilities among themselves.

        Raises:
            ConfigError: If there is none.
            OutOfReachError: If there can be none.
        """
        if self.is_out_of_reach:
            raise OutOfReachError(
                f"Trajectories of these pixels are out of reach: {next(iter(self.failed.values()))}",
                got="; ".join(f"{' + '.join(names)}: {why}" for names, why in self.failed.items()),
                wanted="pixels whose initial state decides those of the last frame",
                fix="fewer frames, field.isel(time=slice(0, 40)), or the weak form: trajectory_matching='never'",
            )
        if not self.found:
            raise ConfigError(
                "None of the equations has a trajectory through the field.",
                got="; ".join(f"{' + '.join(names)}: {why}" for names, why in self.failed.items()) or "no terms",
                wanted="an equation that can be integrated from the first to the last frame",
                fix="fewer frames, field.isel(time=slice(0, 40)), or a method whose boundary is that of the field",
            )
        trajectories = list(self.found.values())
        prior = self.prior.of_spins(self.library.complexities, self.library.names)
        log_prior = [float(prior.log_density(self.library.spins(t.equation.names))) for t in trajectories]
        log_mass = np.array([t.log_evidence + log for t, log in zip(trajectories, log_prior, strict=True)])
        order = np.argsort(-log_mass, kind="stable")
        probability = np.exp(log_mass[order] - log_mass[order[0]])
        return tuple(trajectories[k] for k in order), probability / probability.sum()

    def _record(self, best: Trajectory, rows: SufficientStatistics) -> TrajectoryRecord:
        """How well the trajectory fits, and how well the linearisation along it holds for other equations."""
        (ranked, probability), mode = self.ranked(), best.known_mode()
        near = [t for t, p in zip(ranked, probability, strict=True) if p > probability[0] * np.exp(-CLOSE)]
        change = max(abs(_linearised_loss(t, best, rows) - _loss(t, best)) for t in near)
        return TrajectoryRecord(
            converged=best.converged,
            cycle_skipping=best.cycle_skipping,
            excess_noise=best.noise_scale / self.expected_noise,
            whiteness_score=mode.whiteness_score,
            excess_kurtosis=float(kurtosis(mode.residual[mode.problem.seen])),
            log_odds_change_left=change,
        )


def _kind(noise: NoiseModel) -> tuple[str, bool]:
    """What noise varies with, and whether neighbours are correlated."""
    return noise.variance_function, noise.is_correlated


def _loss(one: Trajectory, best: Trajectory) -> float:
    """Difference in log posterior at the mode between a trajectory and the best."""
    modes = [t.known_mode() for t in (one, best)]
    worse, least = (m.problem.objective(m.residual, m.parameters) for m in modes)
    return (worse - least) / best.variance


def _linearised_loss(one: Trajectory, best: Trajectory, rows: SufficientStatistics) -> float:
    """The same difference by the statistics linearised along the best."""
    spins = [np.isin(rows.names, t.equation.names) for t in (one, best)]
    worse, least = (float(rows.block_residuals(rows.least_squares(on)).sum()) for on in spins)
    return (worse - least) / (2 * best.variance)
