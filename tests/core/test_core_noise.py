"""The noise model: its kind, its size and its words."""

import numpy as np
import pytest

from bayespde.core.errors import ConfigError
from bayespde.core.noise import NoiseModel

LAGS = np.array([1.0, 0.4, 0.0])


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        (NoiseModel(0.1), "white", "white noise, sd 0.1"),
        (NoiseModel(np.full((3, 4), 0.1)), "white", "white noise, sd 0.1"),
        (NoiseModel(0.1, (np.ones(1), np.ones(1))), "white", "white noise, sd 0.1"),
        (
            NoiseModel(np.array([3.0, 4.0]), variance_function="shot", parameters={"gain": 0.5}),
            "shot",
            "shot noise, sd 3.536 (root mean square); gain 0.5",
        ),
        (
            NoiseModel(0.1, (np.ones(1), LAGS)),
            "correlated",
            "correlated noise, sd 0.1; correlation of neighbours 0.00, 0.40",
        ),
        (NoiseModel(0.1, jitter=(0.2, 0.3)), "frame_jitter", "white noise, sd 0.1; frame jitter, sd 0.2, 0.3"),
        (
            NoiseModel(0.1, jitter=(0.2,), walk=0.05),
            "front_jitter",
            "white noise, sd 0.1; front jitter, sd 0.2; random walk of the front, sd 0.05 per frame",
        ),
    ],
)
def test_the_kind_and_its_words(model, kind, words):
    assert model.kind == kind
    assert str(model) == words


def test_the_size_is_the_root_mean_square():
    assert NoiseModel(np.array([3.0, 4.0])).rms == pytest.approx(np.sqrt(12.5))
    assert NoiseModel(2.0).rms == 2.0


@pytest.mark.parametrize(
    "wrong",
    [{"sd": -0.1}, {"sd": np.nan}, {"sd": np.inf}, {"sd": 1.0, "jitter": (-0.1,)}, {"sd": 1.0, "walk": np.nan}],
)
def test_numbers_that_are_negative_or_not_finite_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"not usable|out of range"):
        NoiseModel(**wrong)
