"""From rows to pixels: leading equations fitted as trajectories, and their odds."""

from dataclasses import fields, replace

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.stages import trajectory_files
from bayespde.trajectory.fit import TrajectoryConfig

T, X = np.linspace(0, 4, 60), 2 * np.pi * np.arange(64) / 64
TRUTH = {"u_xx": 0.1, "u*u_x": -1.0}


@pytest.fixture(scope="module")
def found():
    start = xr.DataArray(1 + 0.8 * np.sin(X), dims="x", coords={"x": X}, name="u")
    clean = bp.integrate(bp.Equation.from_string("u_t = 0.1*u_xx - u*u_x"), start, T, method=SolverConfig(rtol=1e-8))
    field = bp.add_noise(bp.make_field(clean.values, t=T, x=X), 0.2, seed=0)
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx", "u*u_x", "u**2*u_x"])
    smooth = bp.fit_field(field, smoother="spline")
    statistics = bp.assemble(library, smooth)
    return field, smooth, bp.sample(bp.SpinModel(statistics, library), particles=512, runs=2, seed=0)


@pytest.fixture(scope="module")
def refined(found):
    _, smooth, posterior = found
    return bp.fit_trajectories(posterior, smooth)


def test_the_true_equation_gains_by_its_trajectory(found, refined):
    *_, posterior = found
    best = refined.trajectories[0]
    assert set(best.equation.names) == set(TRUTH)
    assert refined.is_trusted
    assert refined.probability.sum() == pytest.approx(1.0)
    error = np.array([best.equation.as_dict()[n] - TRUTH[n] for n in best.equation.names])
    assert error @ np.linalg.solve(best.covariance, error) < 25
    assert best.noise_scale == pytest.approx(refined.noise.rms, rel=0.05)
    first, second = (bp.equations(p, top=1)[0] for p in (posterior, refined.posterior))
    assert set(first.names) == set(second.names) == set(TRUTH)
    assert second.probability > first.probability
    sd = dict(zip(second.names, second.sd, strict=True))
    assert all(sd[n] < wide for n, wide in zip(first.names, first.sd, strict=True))
    # One posterior by two ways: of the one equation, and of all of them along its trajectory.
    assert dict(zip(best.equation.names, best.sd, strict=True)) == pytest.approx(sd, rel=0.2)


def test_every_part_of_the_noise_is_kept_in_a_file(tmp_path):
    sd = np.linspace(0.1, 0.2, 12).reshape(3, 4)
    noise = NoiseModel(sd, (np.array([1.0, 0.4, 0.0]),), (0.2,), 0.05, "shot", {"gain": 0.3}, sd / sd.max())
    trajectory_files.noise_dataset(noise).to_netcdf(tmp_path / "noise.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "noise.nc", engine="h5netcdf") as dataset:
        again = trajectory_files.read_noise(dataset)
    defaults = NoiseModel(0.1)
    for one in fields(NoiseModel):
        np.testing.assert_equal(getattr(again, one.name), getattr(noise, one.name))
        assert np.any(getattr(noise, one.name) != getattr(defaults, one.name)), f"{one.name} is not tested"


def test_all_terms_are_compared_along_the_trajectory(found, refined):
    inclusion = refined.inclusion_probability
    true = refined.posterior.library.spins(list(TRUTH))
    assert inclusion.values[true].min() > 0.99
    assert np.all((inclusion.values[~true] > 0) & (inclusion.values[~true] < 0.5))
    assert refined.posterior.exact.models_enumerated == 2 ** len(inclusion)
    assert "u*u_x" in str(refined)
    assert "checks of fit passed" in str(refined)
    assert set(refined.posterior.statistics.record.along) == set(TRUTH)


def test_a_missing_term_is_seen(found):
    """Without u_xx in the library the best equation leaves a slow residual."""
    _, smooth, posterior = found
    kept = [n for n in posterior.library.names if n != "u_xx"]
    library = posterior.library.chosen(posterior.library.spins(kept))
    poor = bp.sample(bp.SpinModel(posterior.statistics.select(kept), library), method="exact", seed=0)
    refined = bp.fit_trajectories(poor, smooth, search=bp.TrajectorySearchConfig(top=1))
    assert not refined.is_trusted
    assert "slow residual" in [c.name for c in bp.model_checks(refined.posterior) if not c.passed]


def test_outliers_are_seen(found):
    field, smooth, posterior = found
    rng = np.random.default_rng(0)
    hit = rng.random(field.shape) < 0.02
    struck = field.copy(data=np.where(hit, field.values + 8 * smooth.noise_scale, field.values))
    search = bp.TrajectorySearchConfig(top=1)
    refined = bp.fit_trajectories(posterior, bp.fit_field(struck, smoother="spline"), search=search)
    assert [c.name for c in bp.model_checks(refined.posterior) if not c.passed] == ["tails"]


def test_a_wrong_weak_form_leads_to_the_truth(found):
    """The most probable equation by the weak form lacks a true term and has a false one."""
    _, smooth, posterior = found
    wrong = posterior.library.spins(["u_xx", "u_x"])
    exact = bp.enumerate_models(bp.SpinModel(posterior.statistics, posterior.library))
    order = np.argsort(~(exact.spins == wrong).all(axis=1), kind="stable")
    misled = replace(posterior, exact=replace(exact, spins=exact.spins[order]))
    refined = bp.fit_trajectories(misled, smooth)
    assert refined.is_trusted
    assert set(refined.trajectories[0].equation.names) == set(TRUTH)
    assert refined.inclusion_probability.sel(term=list(TRUTH)).min() > 0.99


def test_the_answer_depends_on_the_seed_only(found, refined):
    _, smooth, posterior = found
    again = bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(sampler=bp.SMCConfig(workers=2)))
    assert np.array_equal(again.posterior.coefficients, refined.posterior.coefficients)
    assert np.array_equal(again.posterior.statistics.factors, refined.posterior.statistics.factors)


def test_a_wrong_boundary_is_seen(found):
    """With Neumann boundaries the trajectory misses the pixels, and a check fails."""
    _, smooth, posterior = found
    method = SolverConfig(space="difference", order=4, boundary="neumann", rtol=1e-5)
    config = TrajectoryConfig(method=method, most_modes=12, iterations=4)
    refined = bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(top=1), config=config)
    assert not refined.is_trusted
    assert "do not trust the equation, or its boundary" in str(refined)


def test_the_observations_choose_between_boundaries(found):
    _, smooth, posterior = found
    neumann = TrajectoryConfig(
        method=SolverConfig(space="difference", order=4, boundary="neumann", rtol=1e-5), most_modes=12
    )
    refined = bp.fit_trajectories(posterior, smooth, config=[neumann, TrajectoryConfig()])
    assert refined.config.method.boundary == "periodic"
    assert refined.is_trusted
    with pytest.raises(ConfigError, match="no way to integrate"):
        bp.fit_trajectories(posterior, smooth, config=[])


def test_a_raw_field_is_smoothed_by_the_spline(found, refined):
    field, _, posterior = found
    search = bp.TrajectorySearchConfig(top=1)
    again = bp.fit_trajectories(posterior, field, search=search)
    assert again.trajectories[0].equation.names == refined.trajectories[0].equation.names


def test_equations_without_a_trajectory_are_named(found):
    _, smooth, posterior = found
    config = TrajectoryConfig(method=SolverConfig(maximum_steps=1))
    with pytest.raises(ConfigError, match="None of the equations"):
        bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(top=1), config=config)


@pytest.mark.slow  # every equation that the weak form suggests is tried
def test_a_field_below_the_noise_is_refused_or_a_misfit():
    """A wave of a twentieth of the noise: no foreign error, whichever equations the weak form suggests."""
    t, x = np.linspace(0, 1, 60), 2 * np.pi * np.arange(48) / 48
    clean = 0.05 * np.exp(-3 * t[:, None]) * np.sin(x)
    field = bp.make_field(clean + np.random.default_rng(1).standard_normal(clean.shape), t=t, x=x)
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    smooth = bp.fit_field(field, smoother="spline")
    posterior = bp.sample(bp.SpinModel(bp.assemble(library, smooth), library), method="exact", seed=0)
    try:
        refined = bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(top=4))
    except ConfigError as error:
        assert error.what.startswith("None of the equations")  # noqa: PT017  either is right
        return
    assert refined.probability.sum() == pytest.approx(1)
    assert refined.inclusion_probability.sizes == {"term": 3}


def test_top_of_zero_is_refused(found):
    _, smooth, posterior = found
    with pytest.raises(ConfigError, match="top"):
        bp.fit_trajectories(posterior, smooth, search=bp.TrajectorySearchConfig(top=0))
