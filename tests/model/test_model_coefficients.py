"""The batched coefficients of the spin model against the conjugate posterior of one configuration."""

import numpy as np
import pytest
from oracles import all_spins, random_rows

from bayespde.core.conjugate import CoefficientPosterior
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, IsotropicSlab, ProfileLikelihood
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import SpinModel, regress
from bayespde.model.prior import Prior

TERMS = 5


@pytest.mark.parametrize("slab", [GPriorSlab(), GPriorSlab(3.0), IsotropicSlab(0.5), ProfileLikelihood()])
def test_mean_covariance_and_noise_are_those_of_the_conjugate_posterior(slab):
    design, target = random_rows(np.random.default_rng(41), 60, TERMS)
    statistics = SufficientStatistics.from_rows(
        design * [1.0, 50.0, 1e-2, 1.0, 3.0],
        target,
        names=["u_x", "u", "u*u_x", "u_xx", "1"],
        model=RowModel(power=0.7, prior_rows=3.0, prior_variance=0.9),
    )
    model = SpinModel(statistics, prior=Prior(slab=slab))
    (g,) = model.closed_form.mixture[0]
    shrinkage = 1 / (1 + 1 / g)
    for spins in all_spins(TERMS)[1:]:
        wanted = CoefficientPosterior.of(statistics, spins, shrinkage=shrinkage, ridge=model.regression.ridge)
        canonical, back = spins[model.regression.order], np.argsort(model.regression.order)
        many = np.tile(canonical, (TERMS, 1))

        def physical(columns, spins=spins, back=back):
            return columns[:, back][:, spins] / statistics.column_scale[spins]

        data, none = np.full(TERMS, shrinkage), np.zeros((TERMS, TERMS))
        mean = physical(model.solve(many, data, none))[0]
        np.testing.assert_allclose(mean, wanted.mean, rtol=1e-12, atol=1e-12 * np.abs(wanted.mean).max())
        # One unit of noise on every column in turn gives the columns of a root of the covariance.
        root = physical(model.solve(many, np.zeros(TERMS), np.sqrt(shrinkage) * np.eye(TERMS)))
        scaled = np.sqrt(shrinkage) * wanted.root / wanted.scale[:, None]
        unit = np.sqrt(np.sum(scaled**2, axis=1))
        covariance, other = (root / unit).T @ (root / unit), (scaled / unit[:, None]) @ (scaled / unit[:, None]).T
        np.testing.assert_allclose(covariance, other, rtol=0, atol=1e-12)
        rss, _, _ = regress(model.regression.factor, canonical[None], model.regression.ridge)
        square = model.closed_form.scaled_square(rss, model.regression.energy)
        assert float(square[0, 0]) == pytest.approx(wanted.square, rel=1e-12)
        assert model.closed_form.shape == pytest.approx(wanted.freedom, rel=1e-12)
