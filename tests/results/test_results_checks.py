"""Checks of fit: a correct discovery passes them all, and every planted fault fails its own check."""

import dataclasses
import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import bayespde as bp
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab
from bayespde.results.checks import format_checks
from bayespde.results.checks.weak_form import weak_form_checks
from bayespde.weak.strong_form import StrongFormWarning

SPLINE = bp.SmoothingConfig(smoother="spline")
SMC = bp.SMCConfig(particles=256, runs=1)
TERMS = ["u", "u**2", "u_x", "u_xx", "u*u_x", "u_xxx"]


def simulated(equation="u_t = -u*u_x + 0.1*u_xx", *, noise=0.1, seed=1, modes=4, stop=6.0, frames=81, points=128):
    spec = bp.SimulationSpec(
        equation=equation,
        extent={"x": 16.0},
        points={"x": points},
        times={"start": 0.0, "stop": stop, "frames": frames},
        initial={"kind": "random_waves", "modes": modes, "seed": 3},
    )
    field = bp.simulate(spec)
    return bp.add_noise(field, noise, seed=seed) if noise else field


def posterior_of(field, *, terms=TERMS, form=None, slab=None):
    library = bp.Library.from_strings(terms)
    statistics = bp.assemble(library, bp.fit_field(field, options=SPLINE), form=form)
    model = bp.SpinModel(statistics, library, prior=bp.Prior(slab=slab or HyperGSlab()))
    return bp.sample(model, config=SMC, enumerate_up_to=19, seed=0)


@pytest.fixture(scope="module")
def correct():
    return posterior_of(simulated())


@pytest.fixture(scope="module")
def smeared_in_time():
    return posterior_of(with_smeared_noise(0))


@pytest.fixture(scope="module")
def smeared_in_space_taken_as_white():
    return posterior_of(with_smeared_noise(1), form=bp.WeakForm(noise="white"))


def failed(posterior):
    checks = bp.model_checks(posterior)
    assert all(c.passed == (c.value <= c.limit) for c in checks)
    assert [c.passed for c in checks] == sorted(c.passed for c in checks)
    return {c.name: c for c in checks if not c.passed}


def test_a_correct_discovery_passes_every_check(correct):
    checks = bp.model_checks(correct)
    assert not failed(correct), format_checks(checks)
    names = {"residual", "residual map", "noise", "test functions", "linearisation", "relinearisation"}
    assert names | {"condition", "groups"} <= {c.name for c in checks}
    assert format_checks(checks) == f"all {len(checks)} checks of fit passed"


CLEAN = {
    "u_t = -u_x + 0.2*u_xx": {"u_x", "u_xx"},
    "u_t = 0.5*u_xx": {"u_xx"},
    "u_t = u - u**3 + 0.3*u_xx": {"u", "u**3", "u_xx"},
    "u_t = -u*u_x + 0.1*u_xx": {"u*u_x", "u_xx"},
}


@pytest.mark.parametrize("equation", CLEAN)
def test_a_clean_video_is_right_and_passes_every_check(equation):
    """The residual is the error of the smoother alone: neither noise nor a misfit."""
    posterior = posterior_of(simulated(equation, noise=0, points=96), terms=[*TERMS, "u**3"])
    spins, _ = posterior.configurations()
    assert {n for n, on in zip(posterior.statistics.names, spins[0], strict=True) if on} == CLEAN[equation]
    assert not failed(posterior), format_checks(bp.model_checks(posterior))


def test_the_checks_of_added_statistics_are_the_worst_of_the_parts(correct, smeared_in_time):
    together = bp.SpinModel(correct.statistics + smeared_in_time.statistics, bp.Library.from_strings(TERMS))
    flags = failed(bp.sample(together, config=SMC, enumerate_up_to=19, seed=0))
    assert "in video 2 of 2" in flags["noise"].reason


def with_smeared_noise(axis):
    field = simulated(noise=0)
    white = np.random.default_rng(0).standard_normal(field.shape)
    smeared = sum(np.roll(white, shift, axis=axis) for shift in range(-2, 3)) / np.sqrt(5)
    return field + 0.1 * float(field.std()) * smeared


def test_noise_correlated_in_space_is_detected_where_it_was_taken_as_white(smeared_in_space_taken_as_white):
    flags = failed(smeared_in_space_taken_as_white)
    assert "along x" in flags["noise"].reason
    assert str(flags["noise"]).startswith("do not trust intervals")


def test_noise_correlated_in_space_is_modelled_unless_told_otherwise(smeared_in_space_taken_as_white):
    """Five pixels that share their noise carry up to five times its variance into a sum over many."""
    posteriors = [posterior_of(with_smeared_noise(1)), smeared_in_space_taken_as_white]
    assert posteriors[0].statistics.record.noise == "correlated"
    assert not failed(posteriors[0]), format_checks(bp.model_checks(posteriors[0]))
    true = np.isin(TERMS, ["u_xx", "u*u_x"])
    known, white = (np.linalg.norm(np.linalg.pinv(p.statistics.factor[:-1, :-1][:, true]), axis=1) for p in posteriors)
    assert np.all((known / white > 1.5) & (known / white < 1.05 * np.sqrt(5)))


def test_noise_correlated_over_more_than_is_modelled_is_detected():
    clean = simulated(noise=0, points=256)
    wide = gaussian_filter1d(np.random.default_rng(0).standard_normal(clean.shape), 15.0, axis=1)
    posterior = posterior_of(clean + 0.2 * float(clean.std()) * wide / wide.std())
    assert posterior.statistics.record.noise == "correlated"
    flags = failed(posterior)
    assert "over more than the 24 samples modelled" in flags["noise"].reason


def test_a_value_that_is_not_a_number_is_the_worst(correct):
    """In any order of the added statistics."""
    record = correct.statistics.record
    broken = dataclasses.replace(record, linearisation_change=float("nan"))
    for records in ([record, broken], [broken, record]):
        assert not {c.name: c for c in weak_form_checks(records)}["linearisation"].passed


def test_noise_correlated_in_time_is_detected(smeared_in_time):
    flags = failed(smeared_in_time)
    assert "along time" in flags["noise"].reason


def test_noise_that_is_stronger_in_a_part_of_the_video_is_detected():
    field = simulated(noise=0)
    noise = np.random.default_rng(0).standard_normal(field.shape) * np.where(field.x.values < 5, 0.3, 0.05)
    flags = failed(posterior_of(field + float(field.std()) * noise))
    assert "x 1 of" in flags["residual map"].reason or "x 2 of" in flags["residual map"].reason


def test_a_coefficient_that_changes_in_space_is_detected():
    """Burgers on the left, and on the right with more diffusion."""
    quick, slow = (simulated(f"u_t = -u*u_x + {d}*u_xx", noise=0) for d in (0.1, 0.8))
    mixed = quick.copy(data=np.where(quick.x.values < 8, quick.values, slow.values))
    assert {"residual", "residual map"} & set(failed(posterior_of(bp.add_noise(mixed, 0.02, seed=0))))


def test_a_video_of_noise_is_no_error():
    t, x = np.linspace(0, 4, 41), np.linspace(0, 6, 64)
    field = bp.make_field(np.random.default_rng(0).standard_normal((41, 64)), t=t, x=x)
    posterior = posterior_of(field, terms=["u", "u_x", "u_xx"])
    assert posterior.configurations()[0][0].sum() <= 1
    assert all(np.isfinite(c.value) for c in bp.model_checks(posterior))


def test_a_missing_term_is_detected():
    assert "residual" in failed(posterior_of(simulated(noise=0.05), terms=["u", "u_x", "u_xx", "u_xxx"]))


def test_errors_in_variables_are_detected():
    """Kuramoto-Sivashinsky at half noise on narrow test functions, without conditioning on the equation."""
    narrow = bp.WeakForm(
        support_radius={"time": 16, "x": 32}, condition_on_equation=False, relinearised_models=0, coarse_rows=900
    )
    field = simulated("u_t = -u*u_x - u_xx - u_xxxx", noise=0.5, stop=40.0, frames=161, points=256, modes=3)
    flags = failed(posterior_of(field, form=narrow, terms=["u_xx", "u*u_x", "u_xxxx"]))
    assert "errors in variables" in flags["test functions"].reason


def test_a_linearisation_point_that_has_not_converged_is_detected():
    flags = failed(
        posterior_of(
            simulated(), form=bp.WeakForm(max_iterations=1, condition_on_equation=False, relinearised_models=0)
        )
    )
    assert "did not converge" in flags["linearisation"].reason


def test_descriptions_that_cannot_be_told_apart_are_detected():
    rng = np.random.default_rng(0)
    design = rng.standard_normal((300, 3))
    design[:, 2] = design[:, 0] - design[:, 1] + 1e-5 * rng.standard_normal(300)
    library = bp.Library.from_strings(["u", "u**2", "u_x"])
    target = design[:, 2] + 0.1 * rng.standard_normal(300)
    statistics = bp.SufficientStatistics.from_rows(design, target, names=library.names)
    flags = failed(bp.sample(bp.SpinModel(statistics, library), config=SMC, enumerate_up_to=3, seed=0))
    assert "u_x | u with u**2" in flags["groups"].reason


def test_a_fixed_g_that_does_not_resolve_the_residual_is_detected():
    rng = np.random.default_rng(0)
    design = rng.standard_normal((60, 4))
    target = design @ [1.0, 0.5, 0, 0] + 1e-4 * rng.standard_normal(60)
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx"])
    statistics = bp.SufficientStatistics.from_rows(design, target, names=library.names, model=RowModel(floor=0.0))
    fixed, mixed = (
        bp.sample(bp.SpinModel(statistics, library, prior=bp.Prior(slab=slab)), config=SMC, seed=0)
        for slab in (GPriorSlab(), HyperGSlab())
    )
    assert "1/g" in failed(fixed)["g-prior resolution"].reason
    assert "g-prior resolution" not in failed(mixed)


def test_terms_that_cancel_are_detected():
    rng = np.random.default_rng(0)
    first = rng.standard_normal(400)
    design = np.column_stack([first, first + 2e-4 * rng.standard_normal(400), rng.standard_normal(400)])
    target = 1e4 * (design[:, 0] - design[:, 1]) + 0.01 * rng.standard_normal(400)
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    statistics = bp.SufficientStatistics.from_rows(design, target, names=library.names, model=RowModel(floor=0.0))
    assert "condition" in failed(bp.sample(bp.SpinModel(statistics, library), config=SMC, seed=0))


def test_few_rows_and_the_strong_form_are_detected():
    rng = np.random.default_rng(0)
    library = bp.Library.from_strings(TERMS)
    statistics = bp.SufficientStatistics.from_rows(rng.standard_normal((30, 6)), rng.standard_normal(30), names=TERMS)
    assert "effective rows" in failed(bp.sample(bp.SpinModel(statistics, library), config=SMC, seed=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StrongFormWarning)
        assert "form" in failed(posterior_of(simulated(), form=bp.StrongForm()))


@pytest.mark.parametrize("shape", [(16, 60, 40)])
def test_the_residual_map_names_places_in_two_dimensions(shape):
    t, y, x = (np.linspace(0, e, n) for e, n in zip((1.2, 6.0, 6.0), shape, strict=True))
    grid = np.meshgrid(t, y, x, indexing="ij")
    clean = np.exp(-0.5 * grid[0]) * np.sin(grid[2]) * np.cos(grid[1]) + 0.3 * np.exp(-0.2 * grid[0]) * np.cos(
        0.8 * grid[2] + 0.6 * grid[1]
    )
    noise = np.random.default_rng(0).standard_normal(shape) * np.where(grid[1] > 4, 0.3, 0.02)
    field = bp.make_field(clean + noise, t=t, y=y, x=x)
    flags = failed(posterior_of(field, terms=["u", "u_xx", "u_yy"]))
    assert "y " in flags["residual map"].reason
