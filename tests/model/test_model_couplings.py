"""Couplings: prior odds, the limit of large strength, and the expected number of terms."""

import numpy as np
import pytest
from oracles import all_spins

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.discovery.config import DiscoverConfig
from bayespde.model import Coupling, isotropic_couplings
from bayespde.model.prior import Prior

NAMES = ("a", "b", "c", "d")


def prior_of(*couplings, expected=1.3):
    return Prior(expected, couplings=couplings).of_spins(np.array([1.0, 2.0, 1.0, 1.5]), NAMES)


def log_density(prior, *on):
    return float(prior.log_density(np.array([n in on for n in NAMES])))


@pytest.mark.parametrize("strength", [2.5, -1.0])
def test_breaking_an_ising_coupling_costs_its_strength(strength):
    prior = prior_of(Coupling("a", "b", strength))
    free = Prior(1.3).of_spins(np.array([1.0, 2.0, 1.0, 1.5]))
    price = log_density(prior, "c") - log_density(prior)
    # agreement is priced by complexity alone, in units of what one term costs
    assert log_density(prior, "a", "b") - log_density(prior) == pytest.approx(3 * price)
    assert log_density(prior, "a") - log_density(prior) == pytest.approx(price - strength)
    assert log_density(prior, "b") - log_density(prior) == pytest.approx(2 * price - strength)
    assert price != pytest.approx(log_density(free, "c") - log_density(free))


def test_breaking_a_heredity_coupling_costs_its_strength():
    prior = prior_of(Coupling("d", "a", 2.0, kind="heredity"))
    price = log_density(prior, "c") - log_density(prior)
    assert log_density(prior, "d") - log_density(prior) == pytest.approx(1.5 * price - 2.0)
    assert log_density(prior, "a", "d") - log_density(prior, "a") == pytest.approx(1.5 * price)
    assert log_density(prior, "a") - log_density(prior) == pytest.approx(price)


def test_couplings_of_one_pair_add_up():
    once, twice = prior_of(Coupling("a", "b", 3.0)), prior_of(Coupling("a", "b", 1.0), Coupling("b", "a", 2.0))
    assert np.array_equal(once.couplings, twice.couplings)
    np.testing.assert_allclose(once.fields, twice.fields, rtol=1e-12)


@pytest.mark.parametrize("couplings", [(), (Coupling("a", "b", 4.0), Coupling("c", "d", -2.0))])
@pytest.mark.parametrize("expected", [0.4, 1.3, 3.5])
def test_couplings_do_not_change_the_expected_number_of_terms(couplings, expected):
    prior, states = prior_of(*couplings, expected=expected), all_spins(4)
    assert np.exp(prior.log_density(states)) @ states.sum(axis=1) == pytest.approx(expected)


def test_strong_couplings_are_obeyed():
    locked = prior_of(Coupling("a", "b", 60.0), Coupling("d", "c", 60.0, kind="heredity"))
    states = all_spins(4)
    broken = (states[:, 0] != states[:, 1]) | (states[:, 3] & ~states[:, 2])
    assert np.exp(locked.log_density(states[broken])).sum() < 1e-20
    assert np.exp(locked.log_density(states[~broken])).sum() == pytest.approx(1)


def test_isotropic_couplings_pair_terms_that_an_exchange_of_axes_maps_to_each_other():
    library = bp.Library.from_strings(["u", "u_x", "u_y", "u_xx", "u_xy", "u_yy", "u*u_x", "u*u_y", "u_x**2", "u_xxy"])
    pairs = {(c.first, c.second) for c in isotropic_couplings(library, strength=2.0)}
    assert pairs == {("u_x", "u_y"), ("u_xx", "u_yy"), ("u*u_x", "u*u_y")}
    assert {c.strength for c in isotropic_couplings(library, strength=2.0)} == {2.0}
    space = bp.polynomial_library("u", degree=1, space=3)
    trios = {frozenset((c.first, c.second)) for c in isotropic_couplings(space)}
    assert {frozenset(p) for p in (("u_xx", "u_yy"), ("u_xx", "u_zz"), ("u_yy", "u_zz"), ("u_xy", "u_xz"))} <= trios
    assert isotropic_couplings(bp.polynomial_library("u", degree=2, space=1)) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Coupling("a", "a"),
        lambda: Coupling("a", "b", float("inf")),
        lambda: Coupling("a", "b", True),
        lambda: Coupling("a", "b", kind="likes"),
        lambda: prior_of(Coupling("a", "e")),
        lambda: Prior(couplings=Coupling("a", "b")),
        lambda: Prior(couplings=("a", "b")),
    ],
)
def test_invalid_couplings_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_couplings_from_a_declaration():
    settings = {"prior": {"couplings": [{"first": "u_xx", "second": "u_yy", "strength": 2.0}]}}
    config = DiscoverConfig.from_mapping(settings)
    assert config.prior.couplings == (Coupling("u_xx", "u_yy", 2.0),)
    assert "u_yy" in config.as_json()
    for wrong in ({"couplings": {"first": "u"}}, {"couplings": [{"one": "u"}]}, {"couplings": ["u"]}):
        with pytest.raises(ConfigError):
            DiscoverConfig.from_mapping({"prior": wrong})
