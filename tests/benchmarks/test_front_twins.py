"""Coverage of the speed's interval on simulated twins of a recorded front: jitter, random walk, constant drift.

`--full` takes 200 twins; without it, 12.
"""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.conjugate import CoefficientPosterior

pytestmark = pytest.mark.slow

# The sizes of the series that the twins resemble: frames, pixels, their distance, and the noise found in it.
FRAMES, PIXELS, SPACING = 641, 500, 0.896
SPEED, JITTER, WALK, PIXEL_NOISE, WIDTH = 0.51, 1.69, 2.06, 0.0127, 1.39
SPLINE = bp.SmoothingConfig(smoother="spline")


def twin(rng):
    """A sigmoid front that drifts, wanders and is displaced anew in every frame."""
    walk = np.cumsum(WALK * rng.standard_normal(FRAMES))
    position = SPEED * np.arange(FRAMES) + walk - walk.mean() + JITTER * rng.standard_normal(FRAMES)
    x = SPACING * np.arange(PIXELS)
    middle = 0.5 * SPACING * PIXELS + position - 0.5 * SPEED * FRAMES
    values = 1 / (1 + np.exp((x - middle[:, None]) / WIDTH))
    return bp.make_field(values + PIXEL_NOISE * rng.standard_normal(values.shape), t=np.arange(FRAMES), x=x)


def test_the_speed_is_covered_as_often_as_it_says(request, seed):
    full = request.config.getoption("--full")
    library, covered, scores = bp.Library.from_strings(["u_x"]), [], []
    for draw in range(200 if full else 12):
        field = twin(np.random.default_rng([seed, draw]))
        statistics = bp.assemble(library, bp.fit_field(field, options=SPLINE))
        assert statistics.record.noise == "front_jitter"
        found = CoefficientPosterior.of(statistics, np.ones(1, dtype=bool))
        fit, sd, (lower, upper) = found.mean, found.sd, found.interval(0.95)
        covered.append(bool(lower[0] <= -SPEED <= upper[0]))
        scores.append(float((fit[0] + SPEED) / sd[0]))
    share, error = np.mean(covered), np.sqrt(0.95 * 0.05 / len(covered))
    assert 0.92 <= share <= 0.97 if full else share >= 0.95 - 4 * error, (share, np.mean(scores), np.std(scores))
