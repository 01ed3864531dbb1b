"""Sequential Monte Carlo against enumeration on posteriors of benchmark videos: 20 runs, bounds in standard errors."""

import pytest
from data_sets import load
from statistical import checks

import bayespde as bp
from bayespde.smc import SMCConfig, enumerate_exact

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.mark.parametrize(("name", "noise"), [("burgers", 0.2), ("kdv", 0.2), ("phase_field_noisy", 0.0)])
def test_inclusion_and_evidence_agree_with_enumeration(data_folder, seed, name, noise):
    field = load(data_folder, name, noise=noise)
    library = bp.polynomial_library(extra=["u_x**2"])
    smooth = bp.fit_field(field, smoother="spline")
    model = bp.SpinModel(bp.assemble(library, smooth), library)
    exact = enumerate_exact(model)
    config = SMCConfig(particles=512, runs=20)
    runs = checks.check_inclusion(model, exact.inclusion_probability, exact.log_evidence, seed=seed, config=config)
    assert (runs.captured_mass > 0.5).all()
