"""Settings of the weak form."""

import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError


@pytest.mark.parametrize(
    "settings",
    [
        {"support_factor": 0}, {"space_cap": 0.6}, {"time_cap": 0}, {"rows": 10}, {"floor": -1}, {"max_iterations": 0},
        {"space_power": 2}, {"noise": "pink"}, {"floor": float("nan")}, {"coarse_rows": 10.5},
        {"relinearised_models": -1}, {"condition_on_equation": 1},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"out of range|unknown value|True or False"):
        bp.WeakForm(**settings)


@pytest.mark.parametrize("radius", [{"x": 1}, {"x": 2.5}, {"x": True}, 12])
def test_a_support_radius_is_a_table_of_whole_numbers(radius):
    with pytest.raises(ConfigError, match="'support_radius' is not usable"):
        bp.WeakForm(support_radius=radius)
