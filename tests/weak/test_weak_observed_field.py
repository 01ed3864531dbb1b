"""A raw field with gaps: the values filled in, and the noise that its pixels have in sums."""

import numpy as np
import pytest
from manufactured import HEAT, Formula

import bayespde as bp
from bayespde.core.noise import NoiseModel
from bayespde.weak.observed_field import NoiseTransfer, ObservedField

AXES = (np.linspace(0, 3, 60), np.linspace(0, 6, 70))
FORMULA = Formula(HEAT, AXES, noise_scale=0.05)
LIBRARY = bp.Library.from_strings(["u", "u_xx"])


def with_gaps(rng, *places):
    noise = 0.05 * rng.standard_normal(FORMULA.shape)
    for place in places:
        noise[place] = np.nan
    return ObservedField(FORMULA.field(noise), FORMULA)


def values(name):
    return FORMULA.evaluate((0, name.count("x")))


def test_missing_pixels_take_the_values_of_the_filler(rng):
    field = with_gaps(rng, (3, 4))
    other = Formula(HEAT + 1, AXES)
    for filler, offset in ((None, 0.0), (other, 1.0)):
        filled = ObservedField(field.raw, FORMULA, filler).filled()
        assert filled[3, 4] == pytest.approx(FORMULA.evaluate((0, 0))[3, 4] + offset)
        assert np.array_equal(filled[10:], field.raw.values[10:])


def test_filled_pixels_count_by_how_much_of_the_noise_they_repeat(rng):
    """Around one that repeats the noise of the others these count for more, else it is one pixel fewer."""
    transfer = NoiseTransfer.of(with_gaps(rng, (3, 4)), LIBRARY, values, "white")
    sd = 0.05
    assert transfer.effective_sd[3, 4] == pytest.approx(sd / np.sqrt(1 - 1 / 49))
    exact = NoiseTransfer(transfer.noise, fill_gain=0.0)
    assert exact.effective_sd[3, 4] == pytest.approx(sd * np.sqrt(1 - 1 / 49))
    assert np.allclose(transfer.effective_sd[10:], sd)


@pytest.mark.parametrize("size", [7, 9, 15, 30])
def test_the_noise_inside_a_hole_is_bounded(rng, size):
    transfer = NoiseTransfer.of(with_gaps(rng, np.s_[12 : 12 + size, 20 : 20 + size]), LIBRARY, values, "white")
    # A seventh is the smallest share of seen pixels that is recorded.
    assert np.all(transfer.effective_sd >= 0.99 * transfer.noise.sd)
    assert np.all(transfer.effective_sd <= np.sqrt(7.01) * transfer.noise.sd)


def test_a_known_noise_model_is_kept(rng):
    known = NoiseModel(0.3)
    assert ObservedField(with_gaps(rng).raw, FORMULA, noise=known).noise_model(values, "white") is known
