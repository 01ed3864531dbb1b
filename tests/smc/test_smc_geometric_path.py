"""Geometric paths: the same masses, the same posterior from any reference, and moves that leave them invariant."""

import numpy as np
import pytest
import torch
from compiled import linear_model
from oracles import all_spins, codes, table_target

import bayespde.smc as smc
from bayespde.core.errors import ConfigError
from bayespde.core.random import torch_generator
from bayespde.core.slabs import IsotropicSlab
from bayespde.model import Coupling
from bayespde.smc import GeometricPath, SMCConfig, SMCState, make_kernel, run
from bayespde.smc.geometric_path import reference_logits
from bayespde.smc.kernels import cached_jumps

MODELS = {
    "mixture": linear_model(),
    "ridge": linear_model(IsotropicSlab(1.0)),
    "coupled": linear_model(couplings=(Coupling("x0", "x4", 3.0), Coupling("x2", "x3", 2.0, kind="heredity"))),
}


def some_path(target):
    return GeometricPath(target, torch.as_tensor(np.random.default_rng(2).normal(scale=2.0, size=target.terms)))


@pytest.mark.parametrize("target", [table_target(np.random.default_rng(0), 5), linear_model()], ids=["table", "model"])
def test_masses_are_those_of_the_target(target):
    path, spins = some_path(target), torch.as_tensor(all_spins(target.terms))
    mass = path.log_prior(spins) + path.log_likelihood(spins)
    np.testing.assert_allclose(mass, target.log_prior(spins) + target.log_likelihood(spins), rtol=1e-13)
    assert float(path.log_prior(spins).exp().sum()) == pytest.approx(1.0, abs=1e-13)
    up = torch.sigmoid(path.logits)
    wanted = torch.where(spins, up, 1 - up).prod(dim=1)
    np.testing.assert_allclose(path.log_prior(spins).exp(), wanted, rtol=1e-12)


def test_reference_draws_follow_its_density(seed):
    path, draws = some_path(table_target(np.random.default_rng(0), 5)), 40000
    spins = path.sample_prior(draws, generator=torch_generator(seed))
    wanted = path.log_prior(torch.as_tensor(all_spins(5))).exp().numpy()
    counts = np.bincount(codes(spins.numpy()), minlength=32)
    assert np.all(np.abs(counts - draws * wanted) < 5 * np.sqrt(draws * wanted) + 5)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("kernel", "cached"), [("gibbs", True), ("barker", True), ("barker", False)])
@pytest.mark.parametrize("name", MODELS)
def test_moves_leave_the_path_invariant(kernel, cached, name, beta, seed, monkeypatch):
    """Exact draws from `q^(1-beta) (prior x likelihood)^beta` keep their distribution after flips and swaps."""
    if not cached:
        monkeypatch.setattr(cached_jumps, "MOST_TERMS", 0)
    model, particles = MODELS[name], 20000
    path, spins = some_path(model), torch.as_tensor(all_spins(6))
    log_mass = (1 - beta) * path.log_prior(spins)
    log_mass += beta * (model.log_prior(spins) + model.log_likelihood(spins))
    wanted = torch.softmax(log_mass, 0)
    generator = torch_generator(seed)
    start = spins[torch.multinomial(wanted, particles, replacement=True, generator=generator)]
    state = SMCState(start, path.log_prior(start), path.log_likelihood(start), beta, 0.0, torch.arange(particles))
    moves = make_kernel(path, SMCConfig(kernel=kernel, swaps=2))
    moved, report = moves(state, path, sweeps=2.0, generator=generator)
    assert float((moved.spins ^ start).double().mean()) > 0.05
    counts = np.bincount(codes(moved.spins.numpy()), minlength=64)
    expected = particles * wanted.numpy()
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 5)
    inclusion = (wanted @ spins.double()).numpy()
    assert np.all(np.abs(report.rao_blackwell.numpy() - inclusion) < 5 * np.sqrt(0.25 / particles))
    np.testing.assert_allclose(moved.log_prior, path.log_prior(moved.spins), rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved.log_likelihood, path.log_likelihood(moved.spins), rtol=0, atol=1e-8)


def test_the_reference_lies_between_pilot_runs_and_prior():
    inclusion, prior = torch.tensor([0.0, 1.0, 0.5]).double(), torch.tensor([0.1, 0.1, 0.3]).double()
    start = torch.sigmoid(reference_logits(inclusion, prior))
    assert torch.isfinite(reference_logits(inclusion, prior)).all()
    assert torch.all(start >= torch.minimum(inclusion, prior))
    assert torch.all(start <= torch.maximum(inclusion, prior))


def test_a_path_is_run_without_pilot_runs(generator):
    path = some_path(linear_model())
    found = run(path, config=SMCConfig(particles=200, final_passes=1), generator=generator)
    assert torch.equal(found.state.log_prior, path.log_prior(found.state.spins))


def test_moves_for_another_target_are_refused(generator):
    model, config = linear_model(), SMCConfig(kernel="barker", particles=50)
    kernel, path = make_kernel(linear_model(), config), some_path(model)
    state = smc.init(path, particles=50, generator=generator)
    with pytest.raises(ConfigError, match="another target"):
        smc.step(state, path, kernel=kernel, generator=generator, config=config)
    with pytest.raises(ConfigError, match="another target"):
        kernel.sweeps_for(state, model, flips=2.0)


@pytest.mark.parametrize("logits", [torch.zeros(3), torch.tensor([0.0, np.inf, 0.0, 0.0, 0.0])])
def test_unusable_references_are_refused(logits):
    with pytest.raises(ConfigError, match="reference distribution of a geometric path"):
        GeometricPath(table_target(np.random.default_rng(0), 5), logits.double())
    with pytest.raises(ConfigError, match="pilot_fraction"):
        SMCConfig(pilot_fraction=-0.1)
