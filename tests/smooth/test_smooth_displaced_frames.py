"""A video whose frames jitter: its equation is found, the noise is named, and the sd of a speed includes the jitter."""

import numpy as np
import pytest

import bayespde as bp

T, X = np.linspace(0, 3, 90), np.linspace(0, 10, 90)
JITTER = 0.15


def heat(x):
    """Three waves that decay at 0.5 k^2 and drift at 0.6."""
    t = T[:, None]
    waves = ((0.8, 1.0, 0.3), (1.5, 0.7, 1.0), (2.3, 0.5, 2.0))
    return sum(a * np.exp(-0.5 * k**2 * t) * np.sin(k * (x - 0.6 * t) + p) for k, a, p in waves)


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(2)
    shown = heat(X + JITTER * rng.standard_normal((len(T), 1))) + 0.01 * rng.standard_normal((len(T), len(X)))
    field = bp.make_field(shown, t=T, x=X)
    library = bp.Library.from_strings(["u", "u**2", "u_x", "u_xx", "u_xxx", "u*u_x", "u*u_xx"])
    smooth = bp.fit_field(field, smoother="spline")
    return bp.sample(bp.SpinModel(bp.assemble(library, smooth), library), method="exact", seed=0)


def test_the_equation_is_found(found):
    best = bp.equations(found, top=1)[0]
    assert set(best.names) == {"u_x", "u_xx"}
    for name, value in (("u_x", -0.6), ("u_xx", 0.5)):
        k = best.names.index(name)
        assert abs(best.coefficients[k] - value) < 4 * best.sd[k]


def test_the_noise_is_named(found):
    provenance = found.statistics.provenance
    assert found.statistics.record.noise == "frame_jitter"
    assert provenance["jitter"] == pytest.approx([JITTER], rel=0.35)
    assert provenance["noise_scale"] == pytest.approx(0.01, rel=0.1)
    assert found.statistics.record.frames_settled


def test_the_sd_of_a_speed_includes_the_jitter(found):
    """At least the error of a line through the positions of all frames."""
    best = bp.equations(found, top=1)[0]
    line = JITTER / np.sqrt(np.sum((T - T.mean()) ** 2))
    assert best.sd[best.names.index("u_x")] > 0.6 * line
