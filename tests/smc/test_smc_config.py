"""Settings of the samplers are checked."""

import pytest

from bayespde.core.errors import ConfigError
from bayespde.smc import SMCConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"particles": 1},
        {"runs": 0},
        {"sweeps": 0},
        {"flips": -1.0},
        {"min_passes": 0},
        {"max_passes": 0},
        {"decorrelation_target": 1.5},
        {"kernel": "unknown"},
        {"swaps": -1},
        {"final_passes": 1.5},
        {"ess_fraction": 1.0},
        {"resampling": "bootstrap"},
        {"schedule": (0.5, 0.4, 1.0)},
        {"schedule": (0.5,)},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match="fix:"):
        SMCConfig(**wrong)
