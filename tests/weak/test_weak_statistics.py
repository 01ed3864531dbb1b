"""Statistics of the weak form: units and the order of terms change what they should, and nothing else."""

import numpy as np
import pytest
from manufactured import BURGERS, Formula, ring

import bayespde as bp


def noisy_burgers(seed):
    formula = Formula(BURGERS, (np.linspace(0, 4, 81), np.linspace(0, 2 * np.pi, 121)))
    return bp.add_noise(formula.field(), 0.01, seed=seed)


NAMES = ["u", "u**2", "u_x", "u_xx", "u*u_x", "u*u_xx"]


def assembled(field, names=NAMES):
    library = bp.Library.from_strings(names)
    smooth = bp.fit_field(field, smoother="spline")
    statistics = bp.assemble(library, smooth)
    return library, statistics, bp.enumerate_models(bp.SpinModel(statistics, library))


@pytest.mark.parametrize(
    ("length", "time", "size"), [(1e-3, 1.0, 1.0), (1.0, 3600.0, 1.0), (1.0, 1.0, 1e-6), (1e9, 1e-3, 25.0)]
)
def test_other_units_change_coefficients_by_the_right_power_and_no_spins(length, time, size):
    field = noisy_burgers(0)
    _, base, exact = assembled(field)
    scaled = bp.make_field(field.values * size, t=field.time.values * time + 5, x=field.x.values * length - 3 * length)
    _, other, found = assembled(scaled)
    powers = {"u": (1, 0), "u**2": (2, 0), "u_x": (1, 1), "u_xx": (1, 2), "u*u_x": (2, 1), "u*u_xx": (2, 2)}
    factor = np.array([size / time / size**p * length**d for p, d in powers.values()])
    on = np.ones(6, dtype=bool)
    assert other.least_squares(on) == pytest.approx(base.least_squares(on) * factor, rel=1e-4)
    assert np.allclose(found.inclusion_probability, exact.inclusion_probability, atol=1e-6)
    assert np.array_equal(found.spins[0], exact.spins[0])
    assert np.log(found.probability[:5]) == pytest.approx(np.log(exact.probability[:5]), abs=1e-4)


def test_the_order_of_terms_does_not_matter():
    field = noisy_burgers(1)
    library, base, exact = assembled(field)
    other_library, other, found = assembled(field, NAMES[::-1])
    on = np.ones(6, dtype=bool)
    assert other.least_squares(on)[::-1] == pytest.approx(base.least_squares(on), rel=1e-6)
    assert np.allclose(found.inclusion_probability[::-1], exact.inclusion_probability, atol=1e-9)
    assert found.log_evidence == pytest.approx(exact.log_evidence, abs=1e-6)
    names = {library.names[i] for i in np.flatnonzero(exact.spins[0])}
    assert names == {other_library.names[i] for i in np.flatnonzero(found.spins[0])} == {"u*u_x", "u_xx"}


@pytest.mark.parametrize(("name", "noise", "moves"), [("heat", 0.1, True), ("burgers", 0.01, False)])
def test_the_provenance_says_whether_the_linearisation_point_has_moved(name, noise, moves):
    """A move is to the fixed point of one model: other terms are exactly zero there."""
    library = bp.Library.from_strings(["u", "u_xx", "u_xxxx"] if name == "heat" else ["u*u_x", "u_xx", "u"])
    smooth = bp.fit_field(ring(name, noise=noise, frames=31, points=48), smoother="spline")
    moved, stayed = (bp.assemble(library, smooth, form=bp.WeakForm(relinearised_models=n)) for n in (6, 0))
    assert moved.provenance["linearisation_moved"] == moves
    assert "linearisation_moved" not in stayed.provenance
    places = moved.provenance["linearised_at"], stayed.provenance["linearised_at"]
    assert (places[0] == places[1]) == (not moves)
    assert (places[0].keys() == {"u_xx"}) == moves
