"""Trajectories through noisy pixels: closed forms of the heat equation, the information bound, independent seeds."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter1d
from scipy.stats import chi2

import bayespde as bp
from bayespde.core.errors import ConfigError, FitError, IllPosedError, IntegrationError
from bayespde.core.noise import NoiseModel
from bayespde.solve.config import SolverConfig
from bayespde.stages.trajectory_search import Search
from bayespde.trajectory.config import TrajectoryConfig
from bayespde.trajectory.data import TrajectoryData
from bayespde.trajectory.fit import fit_trajectory
from bayespde.trajectory.initial_state_basis import state_basis
from bayespde.trajectory.problem import TrajectoryProblem

POINTS, LENGTH = 32, 2 * np.pi
X = LENGTH * np.arange(POINTS) / POINTS
T = np.linspace(0, 1, 25)
NOISE = 0.1


def frame(values):
    return xr.DataArray(values, dims="x", coords={"x": X}, name="u")


def heat(seed):
    """Three decaying waves, exactly, and noise."""
    clean = sum(a * np.exp(-0.2 * k**2 * T[:, None]) * np.sin(k * X + k) for k, a in ((1, 1.0), (2, 0.7), (3, 0.5)))
    return clean, bp.make_field(clean + NOISE * np.random.default_rng(seed).standard_normal(clean.shape), t=T, x=X)


def marginal_of_heat(field, basis, grid):
    """Log likelihood of every coefficient on the grid at the true noise, initial modes integrated out, one by one.

    A mode of wave number k is c exp(-a k^2 t) in its own time series; y ~ N(0, noise^2 + dev^2 e e').
    """
    series, total = field.values @ basis.modes, np.zeros(len(grid))
    for mode, deviation, y in zip(basis.modes.T, basis.deviation, series.T, strict=True):
        k = np.abs(np.fft.rfft(mode)).argmax()
        decay = np.exp(-grid[:, None] * k**2 * T)
        energy = np.sum(decay**2, axis=1) * deviation**2 / NOISE**2
        projected = decay @ y * deviation / NOISE**2
        total += 0.5 * projected**2 / (1 + energy) - 0.5 * np.log1p(energy)
    return total


def test_the_posterior_of_heat_is_its_closed_form(seed):
    clean, field = heat(seed)
    basis = state_basis(clean[0], boundary="periodic", error=NOISE, most=7)
    found = fit_trajectory(
        bp.Equation.from_string("u_t = 0.3*u_xx"),
        TrajectoryData(field, NoiseModel(NOISE), frame(clean[0])),
        config=TrajectoryConfig(most_modes=7),
    )
    grid = np.linspace(0.1, 0.35, 4001)
    logs = marginal_of_heat(field, basis, grid)
    weights = np.exp(logs - logs.max())
    mean = np.sum(grid * weights) / weights.sum()
    sd = math.sqrt(np.sum((grid - mean) ** 2 * weights) / weights.sum())
    assert found.converged
    assert found.equation.coefficients[0] == pytest.approx(mean, abs=0.1 * sd)
    # The noise of the fit is estimated from the pixels, and replaces the true one.
    assert found.sd[0] * NOISE / found.noise_scale == pytest.approx(sd, rel=0.03)
    assert abs(found.noise_scale / NOISE - 1) < 5 / math.sqrt(2 * found.freedom)


def test_an_ill_posed_equation_has_no_trajectory():
    clean, field = heat(1)
    rough = frame(clean[0] + 0.5 * np.cos(15 * X))
    data = TrajectoryData(field, NoiseModel(0.01), rough)
    config = TrajectoryConfig(most_modes=31)
    with pytest.raises(IllPosedError, match="ill-posed"):
        fit_trajectory(bp.Equation.from_string("u_t = -0.3*u_xx"), data, config=config)
    search = Search(bp.Library.from_strings(["u", "u_xx"]), bp.Prior(), data, config)
    rows = np.linspace(1, 2, 60)[:, None] ** [1, 2]
    search.fit_until_adequate(
        np.array([[False, True]]), bp.SufficientStatistics.from_rows(rows, -0.3 * rows[:, 1], names=["u", "u_xx"])
    )
    assert not search.found
    assert search.failed == {("u_xx",): "The equation is ill-posed: the shorter a wave, the faster it grows."}


def test_evidence_integrates_the_state_exactly_where_the_equation_is_linear():
    """The normal density of all pixels, its covariance written out, at the fitted coefficient and noise."""
    clean, field = heat(1)
    basis = state_basis(clean[0], boundary="periodic", error=NOISE, most=7)
    config = TrajectoryConfig(most_modes=7, method=SolverConfig(rtol=1e-9))
    data = TrajectoryData(field, NoiseModel(NOISE), frame(clean[0]))
    found = fit_trajectory(bp.Equation.from_string("u_t = 0.2*u_xx"), data, config=config)
    rate = found.equation.coefficients[0]
    waves = np.fft.rfftfreq(POINTS, 1 / POINTS)
    columns = []
    for mode, deviation in zip(basis.modes.T, basis.deviation, strict=True):
        spectrum = np.fft.rfft(deviation * mode) * np.exp(-rate * waves**2 * T[:, None])
        columns.append(np.fft.irfft(spectrum, POINTS, axis=1).ravel())
    states = np.array(columns)
    covariance = states.T @ states + NOISE**2 * np.eye(field.size)
    _, volume = np.linalg.slogdet(2 * np.pi * covariance)
    y = field.values.ravel()
    exact = -0.5 * (y @ np.linalg.solve(covariance, y) + volume)
    assert found.log_evidence + 0.5 * math.log(field.size) == pytest.approx(exact, abs=0.05)


BURGERS = bp.Equation.from_string("u_t = 0.1*u_xx - u*u_x")


def burgers(seed, level=0.2):
    clean = bp.integrate(BURGERS, frame(1 + 0.8 * np.sin(X)), T, method=SolverConfig(rtol=1e-8))
    field = bp.make_field(clean.values, t=T, x=X)
    return clean, bp.add_noise(field, level, seed=seed), level * float(field.std())


def fitted_burgers(seed, start=(0.12, -0.9), **settings):
    clean, field, noise = burgers(seed)
    begin = bp.Equation(BURGERS.terms, tuple(np.sort(start)[[1, 0]]), "u_t", "u")
    config = TrajectoryConfig(most_modes=9, **settings)
    return fit_trajectory(begin, TrajectoryData(field, NoiseModel(noise), frame(clean.values[0])), config=config)


def test_errors_have_the_covariance_of_the_posterior(seed):
    """Scores of both coefficients over twelve noise draws: their squares add to a chi-squared variable."""
    scores = []
    for k in range(12):
        found = fitted_burgers(12 * seed + k)
        error = np.array(found.equation.coefficients) - np.array(BURGERS.coefficients)
        scores.append(error @ np.linalg.solve(found.covariance, error))
        assert found.converged
    assert chi2.ppf(1e-4, 24) < sum(scores) < chi2.ppf(1 - 1e-4, 24)


def test_errors_are_the_cramer_rao_bound():
    """Sensitivities by central differences of the public integrator, the state integrated out by hand."""
    found = fitted_burgers(0)
    clean, _, noise = burgers(0)
    basis = state_basis(clean.values[0], boundary="periodic", error=noise, most=9)
    method = SolverConfig(rtol=1e-10, atol=1e-12)

    def run(coefficients, start):
        equation = bp.Equation(BURGERS.terms, tuple(coefficients), "u_t", "u")
        return bp.integrate(equation, frame(start), T, method=method).values.ravel()

    start, coefficients, columns = found.start.values, np.array(found.equation.coefficients), []
    for k in range(2):
        step = 1e-4 * np.eye(2)[k]
        columns.append((run(coefficients + step, start) - run(coefficients - step, start)) / 2e-4)
    for mode in basis.modes.T:
        columns.append((run(coefficients, start + 1e-4 * mode) - run(coefficients, start - 1e-4 * mode)) / 2e-4)
    slopes = np.stack(columns, axis=1) / found.noise_scale
    information = slopes.T @ slopes + np.diag(np.r_[0, 0, 1 / basis.deviation**2])
    bound = np.linalg.inv(information)[:2, :2]
    np.testing.assert_allclose(found.covariance, bound, rtol=0.02)


def test_the_fit_does_not_depend_on_its_start():
    first, second = fitted_burgers(3), fitted_burgers(3, start=(0.08, -1.15))
    assert np.all(np.abs(np.subtract(first.equation.coefficients, second.equation.coefficients)) < 0.02 * first.sd)


def test_units_of_space_change_coefficients_only():
    """Metres for nanometres: the two coefficients then differ by eighteen powers of ten."""
    clean, field, noise = burgers(0)
    equation = bp.Equation.from_string("u_t = 0.1*u_xx - 0.3*u")
    found = []
    for unit in (1.0, 1e-9):
        powers = [unit**2 if name == "u_xx" else 1.0 for name in equation.names]
        scaled = bp.Equation(equation.terms, tuple(np.multiply(equation.coefficients, powers)))
        first = frame(clean.values[0]).assign_coords(x=X * unit)
        data = TrajectoryData(field.assign_coords(x=X * unit), NoiseModel(noise), first)
        found.append(fit_trajectory(scaled, data, config=TrajectoryConfig(most_modes=9)))
    ratio = np.array([1e-18 if "xx" in n else 1.0 for n in equation.names])
    np.testing.assert_allclose(found[1].sd, found[0].sd * ratio, rtol=1e-3)
    assert found[0].steps == found[1].steps
    assert found[0].log_evidence == pytest.approx(found[1].log_evidence, abs=1e-2)


def test_sine_and_cosine_of_a_wave_number_are_included_together():
    for phase in (0.0, 0.5, np.pi / 2):
        basis = state_basis(1 + 0.8 * np.sin(X + phase), boundary="periodic", error=0.1, most=5)
        assert basis.modes.shape == (POINTS, 3)
        np.testing.assert_allclose(basis.deviation[1], basis.deviation[2], rtol=1e-9)
        np.testing.assert_allclose(basis.modes.T @ basis.modes, np.eye(3), atol=1e-12)
    first = np.outer(np.cos(X), 1 + np.sin(X))
    basis = state_basis(first, boundary="periodic", error=0.1, most=200)
    np.testing.assert_allclose((basis.modes @ basis.coefficients(first)).reshape(first.shape), first, atol=1e-9)


def test_pixels_without_noise_give_exact_coefficients():
    """Precisions of pixels and of the prior differ by sixteen digits; nothing warns, and the answer is exact."""
    clean, _ = heat(0)
    data = TrajectoryData(bp.make_field(clean, t=T, x=X), NoiseModel(1e-8), frame(clean[0]))
    equation, config = bp.Equation.from_string("u_t = 0.3*u_xx"), TrajectoryConfig(most_modes=7)
    found = fit_trajectory(equation, data, config=config)
    assert found.equation.coefficients[0] == pytest.approx(0.2, rel=1e-5)


def test_a_step_that_diverges_is_no_improvement():
    clean, field = heat(0)
    basis = state_basis(clean[0], boundary="periodic", error=NOISE, most=7)
    equation = bp.Equation.from_string("u_t = 0.2*u_xx")
    data = TrajectoryData(field, NoiseModel(NOISE), frame(clean[0]))
    problem = TrajectoryProblem.of(equation, data, basis, SolverConfig())
    start = problem.start(clean[0])
    best = problem.objective(problem.residual(start), start)
    assert np.isfinite(best)
    assert not problem.objective(np.full(clean.shape, 1e232), start) < best


def test_missing_pixels_have_no_information():
    clean, field, noise = burgers(5)
    first, config = frame(clean.values[0]), TrajectoryConfig(most_modes=9)
    gone = np.random.default_rng(0).random(field.shape) < 0.25
    gappy = field.copy(data=np.where(gone, np.nan, field.values))
    whole, part = (
        fit_trajectory(BURGERS, TrajectoryData(given, NoiseModel(noise), first), config=config)
        for given in (field, gappy)
    )
    assert part.sd / whole.sd == pytest.approx(1 / math.sqrt(0.75), rel=0.15)
    assert np.array_equal(np.isnan(part.fitted.values), gone)
    assert part.freedom < whole.freedom - 0.9 * gone.sum()


def test_neumann_boundaries(seed):
    """Heat between walls, by cosines; the coefficient within its errors."""
    x = (np.arange(24) + 0.5) / 24
    clean = 1 + np.exp(-0.5 * np.pi**2 * T[:, None]) * np.cos(np.pi * x)
    field = bp.make_field(clean + 0.05 * np.random.default_rng(seed).standard_normal(clean.shape), t=T, x=x)
    data = TrajectoryData(field, NoiseModel(0.05), xr.DataArray(clean[0], dims="x", coords={"x": x}))
    method = SolverConfig(space="difference", order=4, boundary="neumann", rtol=1e-5)
    config = TrajectoryConfig(method=method, most_modes=6)
    found = fit_trajectory(bp.Equation.from_string("u_t = 0.4*u_xx"), data, config=config)
    assert abs(found.equation.coefficients[0] - 0.5) < 5 * found.sd[0]
    assert found.start.dims == ("x",)


def observed(kind, rng, clean):
    """Frames with noise of a kind, and its noise model."""
    if kind == "correlated":
        # A moving average of two neighbours: correlation 1/2 at lag 1, none beyond.
        noise = rng.standard_normal(clean.shape)
        noise = NOISE * (noise + np.roll(noise, 1, axis=1)) / np.sqrt(2)
        return clean + noise, NoiseModel(NOISE, correlation=(np.array([1.0, 0.5, 0.0]),))
    if kind == "shot":
        scale = NOISE * np.sqrt(0.2 + np.abs(clean))
        return clean + scale * rng.standard_normal(clean.shape), NoiseModel(scale)
    waves, spectrum = 1j * np.fft.rfftfreq(POINTS, 1 / POINTS), np.fft.rfft(clean, axis=1)
    moved = 0.2 * rng.standard_normal((len(T), 1))
    shown = np.fft.irfft(spectrum * np.exp(waves * moved), POINTS, axis=1)
    return shown + 0.02 * rng.standard_normal(clean.shape), NoiseModel(0.02, jitter=(0.2,))


@pytest.mark.parametrize("kind", ["correlated", "shot", "jitter"])
def test_errors_account_for_the_kind_of_noise(seed, kind):
    """Scores of a speed and a decay over twelve draws; frames that jitter hold little information on the speed."""
    rng, scores = np.random.default_rng([5, seed]), []
    clean = sum(
        a * np.exp(-0.2 * k**2 * T[:, None]) * np.sin(k * (X - 0.7 * T[:, None])) for k, a in ((1, 1.0), (2, 0.7))
    )
    equation = bp.Equation.from_string("u_t = 0.2*u_xx - 0.7*u_x")
    truth = np.array(equation.coefficients)
    for _ in range(12):
        shown, noise = observed(kind, rng, clean)
        data = TrajectoryData(bp.make_field(shown, t=T, x=X), noise, frame(clean[0]))
        found = fit_trajectory(equation, data, config=TrajectoryConfig(most_modes=5))
        error = np.array(found.equation.coefficients) - truth
        scores.append(error @ np.linalg.solve(found.covariance, error))
        assert found.converged
        assert found.noise_scale == pytest.approx(noise.rms, rel=0.2)
    assert chi2.ppf(1e-4, 24) < sum(scores) < chi2.ppf(1 - 1e-4, 24)
    # With white noise of that size the error of the speed would be that of the size of the steps.
    speed = found.sd[list(found.equation.names).index("u_x")]
    if kind == "jitter":
        # A straight line through 25 displacements of .2 each.
        line = 0.2 / math.sqrt(np.sum((T - T.mean()) ** 2))
        assert 0.8 * line < speed < 1.2 * line


def test_waves_below_the_error_of_the_first_frame_are_fitted_if_the_trajectory_has_them(seed):
    """The third wave is below the error of the first frame, and far above that of all frames."""
    _, field = heat(seed)
    rng = np.random.default_rng([6, seed])
    first = np.sin(X + 1) + 0.7 * np.sin(2 * X + 2) + 0.3 * rng.standard_normal(POINTS)
    draws = first + 0.3 * rng.standard_normal((50, POINTS))
    equation, noise = bp.Equation.from_string("u_t = 0.2*u_xx"), NoiseModel(NOISE)
    found = fit_trajectory(equation, TrajectoryData(field, noise, frame(first), draws))
    exact = fit_trajectory(equation, TrajectoryData(field, noise, frame(first)))
    third = np.abs(np.fft.rfft(found.start.values))[3] / (POINTS / 2)
    assert third == pytest.approx(0.5, abs=0.1)
    # Waves without significance are left out, and with them the noise that they would fit.
    assert found.freedom > exact.freedom
    assert abs(found.equation.coefficients[0] - 0.2) < 5 * found.sd[0]


def test_what_cannot_be_fitted_is_refused():
    clean, field, noise = burgers(0)
    data = TrajectoryData(field, NoiseModel(noise), frame(clean.values[0]))
    with pytest.raises(IntegrationError):
        fit_trajectory(bp.Equation.from_string("u_t = 9*u**2"), data)
    with pytest.raises(FitError, match="no coefficients to begin at"):
        fit_trajectory(bp.Equation(BURGERS.terms, (0.0, 1.0)), data)
    with pytest.raises(ConfigError, match="out of range"):
        TrajectoryConfig(iterations=0)
    for sd, jitter in ((0.0, ()), (np.array([[0.1, 0.0]]), ()), (1.0, (0.0,))):
        with pytest.raises(ConfigError, match="not usable"):
            TrajectoryData(field, NoiseModel(sd, jitter=jitter), frame(clean.values[0]))


def test_pure_noise_gives_an_error_or_a_coefficient_near_zero(seed):
    for k in range(3):
        rng = np.random.default_rng([9, seed, k])
        field = bp.make_field(rng.standard_normal((len(T), POINTS)), t=T, x=X)
        first = frame(0.3 * rng.standard_normal(POINTS))
        draws = first.values + 0.3 * rng.standard_normal((20, POINTS))
        data = TrajectoryData(field, NoiseModel(1.0), first, draws)
        try:
            found = fit_trajectory(bp.Equation.from_string("u_t = -0.1*u"), data)
        except (FitError, IntegrationError):
            continue
        assert abs(found.equation.coefficients[0]) < 6 * found.sd[0]


def test_absent_terms_gain_by_their_score_only(seed):
    """Noise through a filter of 1.5 pixels, its correlations estimated: evidence is t^2 / 2 less a term's price."""
    clean, _ = heat(seed)
    rng, gains = np.random.default_rng([10, seed]), []
    noise = gaussian_filter1d(rng.standard_normal((200, POINTS)), 1.5, axis=1, mode="wrap")
    lags = correlated_lags(noise / noise.std())
    shown = clean + NOISE * noise[: len(T)] / noise.std()
    field = bp.make_field(shown, t=T, x=X)
    data = TrajectoryData(field, NoiseModel(NOISE, correlation=(lags,)), frame(clean[0]))
    config = TrajectoryConfig(most_modes=7)
    base = fit_trajectory(bp.Equation.from_string("u_t = 0.2*u_xx"), data, config=config)
    for term in ("u_x", "u", "u_xxx"):
        wider = bp.Equation.from_string(f"u_t = 0.2*u_xx + 0.001*{term}")
        found = fit_trajectory(wider, data, config=config)
        k = list(found.equation.names).index(term)
        score = found.equation.coefficients[k] / (found.sd[k] * NOISE / found.noise_scale)
        gains.append(found.log_evidence - base.log_evidence + 0.5 * math.log(field.size) - score**2 / 2)
    assert np.abs(gains).max() < 0.75


def correlated_lags(noise):
    """Correlations of neighbours at lags to the first that is not significant, as estimated from residuals."""
    found = [float(np.mean(noise * np.roll(noise, lag, axis=1))) for lag in range(8)]
    return np.append([v for v in found if v > 0.02], 0.0)


def test_a_start_that_diverges_at_once_is_not_tried_again(monkeypatch):
    """Fewer frames of the same start come no further."""
    tried = []
    residual = TrajectoryProblem.residual

    def counted(problem, parameters):
        tried.append(len(problem.times))
        return residual(problem, parameters)

    monkeypatch.setattr(TrajectoryProblem, "residual", counted)
    clean, field = heat(0)
    data = TrajectoryData(field, NoiseModel(NOISE), frame(5 * clean[0]))
    allowed = TrajectoryConfig(method=SolverConfig(maximum_steps=2000, allow_ill_posed=True))
    with pytest.raises(IntegrationError) as caught:
        fit_trajectory(bp.Equation.from_string("u_t = -u_xx + u**3*u_xx"), data, config=allowed)
    assert 0 < caught.value.time < T[1]
    assert set(tried) == {len(T)}
