"""Functions that the noise variance of a pixel follows: fitted to simulated residuals, chosen, and added."""

import numpy as np
import pytest
from residual_noise import FRAMES, X, counts

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.noise import shot
from bayespde.noise.estimate import estimate_noise
from bayespde.noise.variance_functions import VARIANCE_FUNCTIONS, choose_variance

# As another package would have it: the standard deviation is a share of the value, next to a small constant.
TOY = """
import numpy as np
from bayespde.noise.variance_functions import FittedVariance

def fit(residual, value, *, redundancy=1.0):
    seen = ~np.isnan(residual)
    square, height = residual[seen] ** 2, value**2
    variance = np.full(value.shape, square.mean())
    for _ in range(5):
        weight = 1 / variance[seen] ** 2
        information = np.sum(weight * height[seen] ** 2)
        share = np.sum(weight * height[seen] * square) / information
        variance = np.maximum(share * height, 0.01 * square.mean())
    return FittedVariance(variance, {"relative deviation": share**0.5}, share * (information / 2 / redundancy) ** 0.5)

"""


@pytest.fixture
def relative(tmp_path, monkeypatch):
    """The table: shot noise, and one more line."""
    for name in set(VARIANCE_FUNCTIONS) - {"shot"}:
        monkeypatch.delitem(VARIANCE_FUNCTIONS, name)
    (tmp_path / "bayespde_toy_variance.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VARIANCE_FUNCTIONS, "relative", "bayespde_toy_variance")


def test_the_gain_of_counted_electrons_is_one_over_the_electrons(seed):
    found = []
    for s in range(20):
        raw, clean = counts(np.random.default_rng([seed, s]), 50.0, read=0.05)
        raw[3, 4] = np.nan
        name, fitted = choose_variance(raw - clean, clean)
        assert name == "shot"
        assert np.allclose(fitted.variance, clean / 50 + 0.05**2, rtol=0.15)
        found.append(fitted.parameters["gain"])
    assert abs(np.mean(found) - 1 / 50) < 5 * np.std(found, ddof=1) / np.sqrt(20)


def test_a_constant_field_has_no_gain():
    variance, parameters, errors = shot.fit(np.ones((2, 5)), np.ones((2, 5)))
    assert (parameters["gain"], errors) == (0.0, 0.0)
    assert np.all(variance == 1)
    assert choose_variance(np.ones((2, 5)), np.ones((2, 5))) is None


@pytest.mark.parametrize("function", VARIANCE_FUNCTIONS)
def test_equal_pixels_follow_no_function_unless_it_is_asked_for(rng, function):
    _, clean = counts(rng, 50.0)
    residual = 0.1 * rng.standard_normal(clean.shape)
    assert choose_variance(residual, clean) is None
    name, fitted = choose_variance(residual, clean, kind=function)
    assert name == function
    assert np.allclose(fitted.variance, 0.01, rtol=0.3)


def test_a_new_variance_function_is_one_module_and_one_line(relative, rng):
    """It is chosen where it is the better one, only there, and known to the settings and to the rows."""
    wave = np.sin(X) * np.cos(0.1 * np.arange(FRAMES))[:, None]
    field = bp.make_field(wave * (1 + 0.1 * rng.standard_normal(wave.shape)), t=np.arange(FRAMES), x=X)
    smooth = bp.fit_field(field, smoother="spline")
    for kind in ("auto", "relative"):
        model = estimate_noise(field.values, smooth.spline.evaluate, smooth.spline.noise_scale, kind=kind)
        assert model.kind == "relative"
        assert model.parameters["relative deviation"] == pytest.approx(0.1, rel=0.05)
        assert np.corrcoef(np.ravel(model.sd), np.ravel(np.abs(wave)))[0, 1] > 0.95
    raw, clean = counts(rng, 50.0)
    assert choose_variance(raw - clean, clean)[0] == "shot"
    library = bp.Library.from_strings(["u_xx", "u_x"])
    rows = bp.assemble(library, smooth, form=bp.WeakForm(noise="relative"))
    assert rows.record.noise == "relative"
    assert set(rows.provenance["noise_parameters"]) == {"relative deviation"}
    with pytest.raises(ConfigError, match=f"'auto', 'white', {', '.join(map(repr, VARIANCE_FUNCTIONS))}, 'correlated'"):
        bp.WeakForm(noise="unknown")
