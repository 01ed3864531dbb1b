"""Fields -> smooth fields: which smoother is chosen and why, uncertainty, derivatives with names and units."""

from dataclasses import replace

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import BayespdeError, ConfigError, FieldError
from bayespde.smooth.fit import fit_field
from bayespde.smooth.network.architectures import candidate_configs
from bayespde.smooth.network.config import NetworkConfig
from bayespde.smooth.network.train import train
from bayespde.smooth.observations import GridObservations
from bayespde.smooth.spline.basis import SplineConfig

T, X, Y = np.linspace(0, 2, 31), np.linspace(-2, 2, 45), np.linspace(0, 1, 9)
UNITS = {"u": "K", "time": "s", "x": "nm"}
TINY = NetworkConfig(width=10, depth=2, batch=512, collocation=64, learning_rate=1e-2, check_every=25)
QUICK = bp.SmoothingConfig(smoother="auto", networks=(TINY,), steps=75, weight=0.0, uncertainty=False)
NO_SD = bp.SmoothingConfig(uncertainty=False)
ORDERS = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]


def wave():
    return np.sin(1.5 * X - T[:, None])


@pytest.fixture
def noisy(rng):
    return bp.make_field(wave() + 0.1 * rng.standard_normal((31, 45)), t=T, x=X, units=UNITS)


@pytest.fixture(scope="module")
def front():
    """A front much thinner than its path: splines that follow it follow the noise as well."""
    t, x = np.linspace(0, 1, 41), np.linspace(-1, 1, 81)
    clean = np.tanh((x - 0.9 * t[:, None] + 0.4) / 0.06)
    noise = 0.3 * np.random.default_rng(0).standard_normal(clean.shape)
    return clean, bp.make_field(clean + noise, t=t, x=x)


@pytest.fixture(scope="module")
def chosen_on_front(front):
    network = replace(TINY, width=16, depth=3)
    return fit_field(front[1], options=replace(QUICK, networks=(network,), steps=500), seed=1)


def test_the_network_is_chosen_on_a_noisy_travelling_front(front, chosen_on_front):
    clean, field = front
    assert chosen_on_front.chosen == "network"
    spline = fit_field(field, smoother="spline")
    errors = [np.sqrt(np.mean((s.evaluate((0, 0)) - clean) ** 2)) for s in (chosen_on_front, spline)]
    assert errors[0] < 0.7 * errors[1]
    scores = chosen_on_front.choice.held_out_rmse
    assert min(scores, key=scores.get) != "spline"
    assert chosen_on_front.choice.reason == "lower error on held-out pixels"
    assert "network chosen" in chosen_on_front.summary()


def test_the_held_out_errors_are_those_of_pixels_that_were_hidden(front, chosen_on_front):
    _, field = front
    hidden = np.zeros(field.shape, dtype=bool)
    hidden[~np.isnan(field.values)] = chosen_on_front.network.ensemble.held_out
    assert 0.08 < hidden.mean() < 0.12
    gappy = field.copy(data=np.where(hidden, np.nan, field.values))
    predicted = fit_field(gappy, smoother="spline").evaluate((0, 0))
    wanted = np.sqrt(np.mean((field.values - predicted)[hidden] ** 2))
    assert chosen_on_front.choice.held_out_rmse["spline"] == pytest.approx(wanted, rel=1e-6)
    network = np.sqrt(np.mean((field.values - chosen_on_front.evaluate((0, 0)))[hidden] ** 2))
    assert chosen_on_front.choice.held_out_rmse["mean of networks"] == pytest.approx(network, rel=1e-4)


def test_the_spline_is_chosen_where_it_is_right():
    values = 0.2 * X**3 - X * T[:, None] + T[:, None] ** 2 + 0.001 * np.random.default_rng(1).standard_normal((31, 45))
    smooth = fit_field(bp.make_field(values, t=T, x=X), options=QUICK)
    assert smooth.chosen == "spline"
    assert smooth.network is not None
    scores = smooth.choice.held_out_rmse
    assert scores["spline"] == min(scores.values())
    assert scores["spline"] == pytest.approx(0.001, rel=0.2)


def test_networks_are_trained_only_if_asked_for(noisy):
    smooth = fit_field(noisy)
    assert (smooth.chosen, smooth.network) == ("spline", None)
    assert np.array_equal(smooth.evaluate((0, 1)), fit_field(noisy, smoother="spline").evaluate((0, 1)))


def test_a_smoother_asked_for_by_name_is_used(noisy):
    spline = fit_field(noisy, options=QUICK, smoother="spline")
    assert (spline.chosen, spline.network) == ("spline", None)
    assert spline.choice.reason.startswith("asked for")
    network = fit_field(noisy, options=QUICK, smoother="network")
    assert network.chosen == "network"
    assert network.choice.reason == "asked for"
    with pytest.raises(ConfigError, match="No neural field"):
        spline.network_posterior  # noqa: B018


def test_same_seed_same_field_other_seed_other_field(noisy):
    first, again, other = (
        fit_field(noisy, options=QUICK, smoother="network", seed=s).evaluate((0, 1)) for s in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def with_residuals(monkeypatch, tables):
    """Let training end with given residuals, one architecture after the other: `[E]` sizes of an alternating series."""
    import bayespde.smooth.network.selection as module

    turns, configs = iter(tables), []

    def changed(*arguments, config, **settings):
        fit = train(*arguments, config=replace(config, steps=1), **settings)
        configs.append(config)
        signs = np.where(np.arange(fit.residuals.shape[1]) % 2, 1.0, -1.0)
        return replace(fit, config=config, residuals=np.array(next(turns))[:, None] * signs)

    monkeypatch.setattr(module, "train", changed)
    return configs


def test_networks_are_kept_whose_held_out_loss_is_within_one_percent(noisy, monkeypatch):
    """Members and architectures alike; the squares of the sizes below are losses."""
    tables = [(0.1, 0.1003), (0.1006, 0.0999), (0.2, 0.3)]
    with_residuals(monkeypatch, tables)
    options = bp.SmoothingConfig(networks=(TINY,) * 3, uncertainty=False)
    smooth = fit_field(noisy, options=options, smoother="network")
    assert [fit.members for fit in smooth.network.ensemble.fits] == [2, 1]
    assert [fit.config.penalty.weight for fit in smooth.network.ensemble.fits] == [(1e-4, 0.0), (0.0,)]
    assert smooth.choice.networks == ("tanh 2x10", "tanh 2x10")
    # Architectures of one name have a score each.
    assert list(smooth.choice.held_out_rmse)[1:] == [
        "tanh 2x10",
        "tanh 2x10 (2)",
        "tanh 2x10 (3)",
        "mean of networks",
    ]


def test_architectures_are_never_alone_and_larger_ones_follow_where_the_first_fall_short(noisy, monkeypatch):
    """A gain over the spline is a smaller residual; the rmse of the spline at hidden pixels is about 0.1."""
    unit = 0.1 / float(np.std(noisy.values))
    configs = with_residuals(monkeypatch, [(0.5 * unit,) * 2] * 2)
    fit_field(noisy, smoother="network", options=NO_SD)
    first = [(c.activation, c.depth, c.width) for c in candidate_configs(2)]
    assert [(c.activation, c.depth, c.width) for c in configs] == first
    configs = with_residuals(monkeypatch, [(0.9 * unit,) * 2, (0.5 * unit,) * 2, (0.5 * unit,) * 2])
    assert len(fit_field(noisy, smoother="network", options=NO_SD).network.ensemble.fits) == 2
    assert [(c.activation, c.depth, c.width) for c in configs[2:]] == [("sine", 3, 60)]
    configs = with_residuals(monkeypatch, [(2 * unit,) * 2] * 4)
    fit_field(noisy, smoother="network", options=NO_SD)
    assert [(c.activation, c.depth, c.width, c.steps) for c in configs[2:]] == [
        ("tanh", 4, 40, 2000),
        ("sine", 4, 50, 2000),
    ]


def test_the_scale_of_the_input_follows_the_wave_numbers(noisy, monkeypatch):
    """sin(1.5 x - t) on x in [-2, 2] and t in [0, 2] has the wave numbers 3 and 1 in coordinates [-1, 1]."""
    configs = with_residuals(monkeypatch, [(0.1, 0.1)] * 3)
    fit_field(noisy, options=replace(NO_SD, networks=candidate_configs(2)), smoother="network")
    for config, share in zip(configs, (0.35, 0.5), strict=True):
        np.testing.assert_allclose(config.input_scale, (share * 1.0, share * 3.0), rtol=0.1)
    fixed = replace(TINY, input_scale=(1.5, 4.0))
    smooth = fit_field(noisy, options=replace(NO_SD, networks=(fixed,)), smoother="network")
    assert smooth.network.ensemble.fits[0].config.input_scale == (1.5, 4.0)


def test_a_penalty_asked_for_is_used(noisy):
    for weight in (0.0, 1e-2):
        smooth = fit_field(noisy, options=replace(QUICK, steps=2, weight=weight, order=3), smoother="network")
        (fit,) = smooth.network.ensemble.fits
        assert fit.config.penalty.weight == weight
        assert fit.config.penalty.order == 3


def test_whole_frames_are_held_out_where_their_noise_is_correlated(rng):
    shaken = np.sin(1.5 * (X - 0.2 * rng.standard_normal((31, 1))) - T[:, None])
    smooth = fit_field(
        bp.make_field(shaken + 0.01 * rng.standard_normal((31, 45)), t=T, x=X),
        options=replace(QUICK, steps=5),
    )
    assert smooth.choice.hold_out == "frames"
    held = smooth.network.ensemble.held_out.reshape(31, 45)
    assert np.all(held.all(axis=1) == held.any(axis=1))
    assert 1 <= held.all(axis=1).sum() <= 4
    # The frames are shaken by 0.2, of which the smooth field follows a part.
    assert smooth.choice.displacement.share > 0.8
    assert 0.1 < smooth.choice.displacement.scale[0] < 0.3
    assert "shifts of whole frames: rms" in smooth.summary()
    assert smooth.choice.noise.startswith("gaussian")


def test_the_unit_to_hold_out_can_be_set(noisy):
    for unit in ("pixels", "frames"):
        smooth = fit_field(noisy, options=replace(QUICK, steps=5, hold_out=unit))
        assert (
            smooth.choice.hold_out == smooth.spline.hold_out == smooth.network.ensemble.fits[0].config.hold_out == unit
        )


@pytest.mark.parametrize("smoother", ["spline", "network"])
def test_scattered_points_have_the_field_of_the_grid_and_an_error(noisy, rng, smoother):
    smooth = fit_field(noisy, options=replace(QUICK, uncertainty=True), smoother=smoother)
    index = rng.integers(0, 31, 20), rng.integers(0, 45, 20)
    points = np.column_stack([T[index[0]], X[index[1]]])
    for orders in ORDERS:
        mean, sd = smooth.at_points(orders, points)
        assert np.allclose(mean, smooth.evaluate(orders)[index], rtol=1e-6, atol=1e-6)
        assert np.all(np.isfinite(sd))
        assert np.all(sd > 0)
        step = 1e-3
        if orders == (0, 0):
            ahead, behind = (smooth.at_points(orders, points + np.array([0, s]))[0] for s in (step, -step))
            slope = smooth.at_points((0, 1), points)[0]
            assert np.allclose((ahead - behind) / (2 * step), slope, atol=1e-3)


def test_the_derivatives_of_a_network_are_in_physical_units(noisy):
    """The same pixels in other units: derivatives change by the powers of the units."""
    scaled = bp.make_field(1e3 * noisy.values + 7, t=60 * T + 100, x=1e-9 * X)
    base, other = (fit_field(f, options=QUICK, smoother="network") for f in (noisy, scaled))
    for orders in ORDERS[1:]:
        factor = 1e3 * 60.0 ** -orders[0] * 1e9 ** orders[1]
        scale = np.abs(base.evaluate(orders)).max()
        assert np.allclose(other.evaluate(orders) / factor, base.evaluate(orders), atol=0.05 * scale)


@pytest.mark.slow
def test_three_dimensions_of_space():
    """exp(-t) sin(x) cos(y) sin(z) on a small grid, through spline and networks."""
    t, z, y, x = (np.linspace(0, 1.5, n) for n in (9, 10, 11, 12))
    clean = np.einsum("t,z,y,x->tzyx", np.exp(-t), np.sin(z), np.cos(y), np.sin(x))
    field = bp.make_field(clean + 0.01 * np.random.default_rng(0).standard_normal(clean.shape), t=t, z=z, y=y, x=x)
    wanted = {
        (0, 0, 0, 0): clean,
        (1, 0, 0, 0): -clean,
        (0, 0, 1, 1): -np.einsum("t,z,y,x->tzyx", np.exp(-t), np.sin(z), np.sin(y), np.cos(x)),
    }
    network = replace(TINY, width=24, depth=3, members=1)
    smooth = fit_field(
        field, options=bp.SmoothingConfig(networks=(network,), steps=600, weight=0.0), smoother="network"
    )
    # Wide bounds, for a small network; a wrong factor or axis is outside them.
    for (orders, exact), bound in zip(wanted.items(), (0.03, 0.15, 0.3), strict=True):
        for values in (smooth.evaluate(orders), smooth.spline.evaluate(orders)):
            assert np.linalg.norm(values - exact) < bound * np.linalg.norm(exact)
    assert {"u_xy", "u_zz", "u_yz"} <= set(bp.differentiate(smooth).data_vars)
    _, sd = smooth.at_points((0, 0, 0, 1), np.array([[0.5, 0.5, 0.5, 0.5]]))
    assert 0 < sd[0] < 0.1


def test_the_error_at_a_pixel_left_out_is_that_of_a_fit_without_it(noisy, monkeypatch):
    """The formula that long videos use, with one pixel of a small one hidden in turn, at fixed smoothing weights."""
    import bayespde.smooth.observations as module

    spline = fit_field(noisy, smoother="spline").spline
    monkeypatch.setattr(module, "LEAVE_ONE_OUT", 0)
    for index in ((3, 7), (15, 22), (28, 40)):
        mask = np.zeros(noisy.shape, dtype=bool)
        mask[index] = True
        found = GridObservations(noisy).held_out_residual(spline, SplineConfig(), mask.ravel())
        gappy = noisy.copy(data=np.where(mask, np.nan, noisy.values))
        without = fit_field(gappy, smoother="spline", options=bp.SmoothingConfig(hold_out="pixels")).spline
        wanted = noisy.values[index] - without.evaluate((0, 0))[index]
        # The weights are chosen once more without the pixel, which changes them a little.
        assert found == pytest.approx(wanted, abs=0.02 * spline.noise_scale)


@pytest.mark.parametrize(
    "settings",
    [
        {"smoother": "magic"}, {"order": 0}, {"order": 4}, {"weight": -1.0}, {"weight": "much"},
        {"hold_out": "rows"}, {"uncertainty": 1}, {"steps": 0}, {"weight": float("nan")},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_before_any_fit(noisy, settings):
    with pytest.raises(ConfigError):
        fit_field(noisy, options=bp.SmoothingConfig(**settings))


def test_arguments_override_options_and_are_checked_too(noisy):
    with pytest.raises(ConfigError, match="setting 'smoother'"):
        fit_field(noisy, smoother="magic")
    with pytest.raises(ConfigError, match="seed"):
        fit_field(noisy, options=replace(QUICK, steps=2), seed=-1)


def test_the_spline_config_is_used(noisy):
    coarse = fit_field(noisy, options=bp.SmoothingConfig(smoother="spline", spline=SplineConfig(samples_per_knot=10.0)))
    assert len(coarse.spline.bases[1].knots) < len(fit_field(noisy, smoother="spline").spline.bases[1].knots)


def test_a_bad_field_is_refused_before_any_fit():
    with pytest.raises(FieldError):
        fit_field(np.zeros((10, 10)))
    with pytest.raises(BayespdeError):
        fit_field(bp.make_field(wave(), t=T, x=X).isel(time=slice(4)))
