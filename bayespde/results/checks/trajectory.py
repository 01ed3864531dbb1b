"""Record of a fitted trajectory -> checks: convergence, cycle skipping, and structure in its residuals."""

from __future__ import annotations

from collections.abc import Iterator

from bayespde.core.assembly_record import TrajectoryRecord
from bayespde.results.checks.check import Check, at_most

# Share of the information that comes from waves of the initial state that are lost in noise.
CYCLE_SKIPPING = 0.3
# Residual noise over that of the smoothed field, and score by which residuals are slower than white noise.
EXCESS_NOISE = 1.05
SLOW = 4.0
# Excess kurtosis of the residuals; counts of a few electrons have less.
TAILS = 1.0
LOG_ODDS_CHANGE = 1.0


def trajectory_checks(found: TrajectoryRecord) -> Iterator[Check]:
    """Checks of the trajectory around which equations are linearised, one for each entry of its record."""
    coefficients = "coefficients and odds along this trajectory"
    equation = "the equation, or its boundary"
    share, excess, kurtosis = found.cycle_skipping, found.excess_noise, found.excess_kurtosis
    score, change = found.whiteness_score, found.log_odds_change_left
    reason = "its fit did not converge"
    yield at_most("trajectory", 1 - found.converged, 0, "anything along this trajectory", reason)
    reason = (
        f"{share:.0%} of the information comes from waves of the initial state that are lost in noise: "
        "the likelihood has many local maxima"
    )
    yield at_most("cycle skipping", share, CYCLE_SKIPPING, coefficients, reason)
    reason = f"the residual of the trajectory is {excess:.2f} times that of the smoothed field"
    yield at_most("excess noise", excess, EXCESS_NOISE, equation, reason)
    reason = f"the residual of the trajectory varies more slowly than noise ({score:.1f} standard deviations)"
    yield at_most("slow residual", score, SLOW, equation, reason)
    reason = f"some pixels are outliers (excess kurtosis {kurtosis:.1f}): mask them"
    yield at_most("tails", kurtosis, TAILS, "intervals and probabilities", reason)
    reason = f"along their own trajectories they change by {change:.1f} nats"
    yield at_most("own trajectory", change, LOG_ODDS_CHANGE, "the odds between the leading equations", reason)
