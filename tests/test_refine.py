"""From rows to pixels: leading equations fitted as trajectories, and their odds."""

import numpy as np
import pytest
import xarray as xr

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.solve.method import Method
from bayespde.solve.trajectory import TrajectoryConfig

T, X = np.linspace(0, 4, 60), 2 * np.pi * np.arange(64) / 64
TRUTH = {"u_xx": 0.1, "u*u_x": -1.0}


@pytest.fixture(scope="module")
def found():
    start = xr.DataArray(1 + 0.8 * np.sin(X), dims="x", coords={"x": X}, name="u")
    clean = bp.integrate(bp.Equation.from_string("u_t = 0.1*u_xx - u*u_x"), start, T, method=Method(rtol=1e-8))
    field = bp.add_noise(bp.make_field(clean.values, t=T, x=X), 0.2, seed=0)
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx", "u*u_x", "u**2*u_x"])
    smooth = bp.fit_field(field, method="spline")
    statistics = bp.assemble(library, field, smooth=smooth)
    return field, smooth, bp.sample(bp.SpinModel(statistics, library), particles=512, runs=2, seed=0)


def test_the_true_equation_gains_by_its_trajectory(found):
    field, smooth, posterior = found
    refined = bp.refine(posterior, field, smooth=smooth, top=3)
    best = refined.trajectories[0]
    assert set(best.equation.names) == set(TRUTH)
    assert refined.probability.sum() == pytest.approx(1.0)
    assert refined.probability[0] > 0.5
    error = np.array([best.equation.as_dict()[n] - TRUTH[n] for n in best.equation.names])
    assert error @ np.linalg.solve(best.covariance, error) < 25
    first = dict(zip(refined.first[0].names, refined.first[0].sd, strict=True))
    assert all(sd < first[n] for n, sd in zip(best.equation.names, best.sd, strict=True))
    assert best.noise_scale == pytest.approx(refined.recording.size, rel=0.05)
    assert "u*u_x" in str(refined)
    assert "do not trust" not in str(refined).splitlines()[1]


def test_a_wrong_boundary_is_seen(found):
    """Between walls the pulse has nowhere to go: the trajectory misses the pixels, and says so."""
    field, smooth, posterior = found
    method = Method(space="difference", order=4, boundary="no-flux", rtol=1e-5)
    config = TrajectoryConfig(method=method, most_modes=12, iterations=4)
    refined = bp.refine(posterior, field, smooth=smooth, top=1, config=config)
    assert "do not trust" in str(refined)


def test_a_field_and_its_smooth_must_belong_together(found):
    field, smooth, posterior = found
    with pytest.raises(ConfigError, match="not made from this field"):
        bp.refine(posterior, field.isel(x=slice(0, 60)), smooth=smooth)


def test_equations_without_a_trajectory_are_named(found):
    field, smooth, posterior = found
    config = TrajectoryConfig(method=Method(maximum_steps=1))
    with pytest.raises(ConfigError, match="None of the equations"):
        bp.refine(posterior, field, smooth=smooth, top=1, config=config)


def test_what_hardly_shows_is_refused_by_name_or_doubted():
    """A wave of a twentieth of the noise: no foreign error, whatever the equations that rows suggest."""
    t, x = np.linspace(0, 1, 60), 2 * np.pi * np.arange(48) / 48
    clean = 0.05 * np.exp(-3 * t[:, None]) * np.sin(x)
    field = bp.make_field(clean + np.random.default_rng(1).standard_normal(clean.shape), t=t, x=x)
    library = bp.Library.from_strings(["u", "u_x", "u_xx"])
    smooth = bp.fit_field(field, method="spline")
    posterior = bp.sample(bp.SpinModel(bp.assemble(library, field, smooth=smooth), library), method="exact", seed=0)
    try:
        refined = bp.refine(posterior, field, smooth=smooth, top=4)
    except ConfigError as error:
        assert error.what.startswith("None of the equations")  # noqa: PT017  either is right
        return
    assert refined.probability.sum() == pytest.approx(1)
    assert refined.inclusion_probability.sizes == {"term": 3}


def test_terms_have_probabilities_among_the_refined(found):
    field, smooth, posterior = found
    refined = bp.refine(posterior, field, smooth=smooth, top=3)
    inclusion = refined.inclusion_probability
    for name in posterior.library.names:
        holding = [
            p for p, t in zip(refined.probability, refined.trajectories, strict=True) if name in t.equation.names
        ]
        assert float(inclusion.sel(term=name)) == pytest.approx(sum(holding))
    # Parts of the best equation are among those looked at.
    names = [set(t.equation.names) for t in refined.trajectories] + [set(n) for n, _ in refined.failed]
    assert any(n < set(refined.trajectories[0].equation.names) for n in names)
    with pytest.raises(ConfigError, match="No equation is asked for"):
        bp.refine(posterior, field, smooth=smooth, top=0)
