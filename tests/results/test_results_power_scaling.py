"""Powers of prior and likelihood: against enumerated posteriors with another prior, or with the data twice."""

import numpy as np
import pytest

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab
from bayespde.model.couplings import Coupling

TERMS = ("u", "u_x", "u_xx", "u*u_x", "u**2")
KNOWN = 1e7


@pytest.fixture(scope="module", params=[(), (Coupling("u_x", "u", 2.0), Coupling("u_xx", "u_x", kind="heredity"))])
def model(request):
    """Rows of a known variance, so that the data twice are the likelihood squared."""
    rng = np.random.default_rng(4)
    design = rng.standard_normal((60, len(TERMS)))
    target = 0.5 * design[:, 1] + 0.3 * design[:, 2] + rng.standard_normal(60)
    rows = bp.SufficientStatistics.from_rows(
        design, target, names=TERMS, model=RowModel(prior_variance=1.0, prior_rows=KNOWN)
    )
    library = bp.Library.from_strings({t: 1 + (i == 3) for i, t in enumerate(TERMS)})
    return bp.SpinModel(
        rows, library, prior=bp.Prior(expected_terms=2, slab=GPriorSlab(g=100.0), couplings=request.param)
    )


@pytest.fixture(scope="module")
def posterior(model):
    return bp.sample(model, method="exact", particles=64, runs=1, seed=0)


def by_hand(model, *, prior=1.0, likelihood=1.0):
    """All 2^K, one by one."""
    import torch

    spins = (np.arange(2 ** len(TERMS))[:, None] >> np.arange(len(TERMS)) & 1).astype(bool)
    given = torch.from_numpy(spins)
    log = prior * model.log_prior(given).numpy() + likelihood * model.log_likelihood(given).numpy()
    weight = np.exp(log - log.max())
    return weight @ spins / weight.sum()


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_powers_are_those_of_all_configurations(model, posterior, power):
    found = bp.power_scaling_sensitivity(posterior, powers=(power,))
    assert float(found["held"]) == pytest.approx(1)
    assert found["inclusion"].values == pytest.approx(by_hand(model))
    prior, likelihood = (found["scaled"].sel(part=p, power=power).values for p in ("prior", "likelihood"))
    assert prior == pytest.approx(by_hand(model, prior=power))
    assert likelihood == pytest.approx(by_hand(model, likelihood=power))


def test_a_power_of_the_prior_is_another_complexity(model, posterior):
    """The prior squared is that of twice the complexity penalty, with a smaller number of expected terms."""
    if model.prior.couplings:
        pytest.skip("no complexity is that of a coupled prior squared")
    squared = 2 * bp.Prior(expected_terms=2).of_spins(model.library.complexities).fields
    fewer = float((1 / (1 + np.exp(-squared))).sum())
    other = bp.enumerate_models(
        bp.SpinModel(model.statistics, model.library, prior=bp.Prior(expected_terms=fewer, slab=GPriorSlab(g=100.0)))
    )
    found = bp.power_scaling_sensitivity(posterior)["scaled"].sel(part="prior", power=2.0)
    assert found.values == pytest.approx(other.inclusion_probability, abs=1e-6)


def test_slopes_are_those_of_small_powers(posterior):
    step = 1e-4
    near = bp.power_scaling_sensitivity(posterior, powers=(2**-step, 2**step))
    for part in ("prior", "likelihood"):
        low, high = near["scaled"].sel(part=part).values
        assert near[part].values == pytest.approx((high - low) / (2 * step), abs=1e-6)


def test_powers_must_be_positive(posterior):
    for powers in ((), (0.0,), (np.inf,)):
        with pytest.raises(ConfigError, match=r"No power is given|powers"):
            bp.power_scaling_sensitivity(posterior, powers=powers)
