"""The two Pyro programs against the closed form: candidate's identity, and equal log densities."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from oracles import all_spins, random_rows

from bayespde.core.random import forked_torch_seed
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, HyperGSlab, IsotropicSlab
from bayespde.core.statistics import SufficientStatistics
from bayespde.model import Coupling, SpinModel, collapsed, generative
from bayespde.model.prior import Prior
from bayespde.model.programs import CompressedNormal

SLABS = [HyperGSlab(nodes=5), GPriorSlab(), IsotropicSlab(2.0)]


def small_model(slab, power=1.0, couplings=()):
    design, target = random_rows(np.random.default_rng(1), 30, 4)
    design *= [1.0, 20.0, 0.1, 1.0]
    statistics = SufficientStatistics.from_rows(
        design,
        target,
        names=("d", "a", "c", "b"),
        model=RowModel(power=power, prior_rows=4.0, prior_variance=1.5, log_jacobian=0.7),
    )
    return SpinModel(statistics, prior=Prior(slab=slab, expected_terms=1.5, couplings=couplings))


def log_density(program, values):
    conditioned = pyro.poutine.condition(program, data=values)
    return pyro.poutine.trace(conditioned).get_trace().log_prob_sum().item()


def posterior_log_density(model, on, node, coefficients, variance):
    """Log density of the coefficients and variance given data, spins and g, from the normal equations."""
    statistics = model.statistics
    factor, a0, v0 = statistics.factor, statistics.prior_rows, statistics.prior_variance
    columns, target = factor[:, :-1][:, on], factor[:, -1]
    gram = columns.T @ columns
    if isinstance(model.prior.slab, IsotropicSlab):
        precision = gram + np.diag(np.diag(gram)) / statistics.rows / model.prior.slab.scale**2
    else:
        precision = gram * (1 + 1 / model.closed_form.mixture[0][node].item())
    mean = np.linalg.solve(precision, columns.T @ target)
    square = a0 * v0 + target @ target - mean @ precision @ mean
    shape = (statistics.rows + a0) / 2
    log_variance = dist.InverseGamma(
        torch.tensor(shape, dtype=torch.float64), torch.tensor(square / 2, dtype=torch.float64)
    ).log_prob(variance)
    if not on.any():
        return log_variance.item()
    normal = dist.MultivariateNormal(torch.as_tensor(mean), precision_matrix=torch.as_tensor(precision) / variance)
    return (log_variance + normal.log_prob(coefficients)).item()


@pytest.mark.parametrize("power", [1.0, 0.4])
@pytest.mark.parametrize("slab", SLABS)
@pytest.mark.parametrize("couplings", [(), (Coupling("d", "a", 1.5),)])
def test_candidates_identity(slab, power, couplings):
    model, rng = small_model(slab, power, couplings), np.random.default_rng(2)
    nodes = len(model.closed_form.mixture[0])
    for on in all_spins(4):
        spins, components = torch.as_tensor(on.astype(float)), []
        for node in range(nodes):
            answers = []
            for _ in range(2):
                variance = torch.tensor(rng.uniform(0.5, 3.0), dtype=torch.float64)
                coefficients = torch.as_tensor(rng.normal(size=on.sum()) * 2)
                values = {"spins": spins, "node": torch.tensor(node), "noise_variance": variance}
                if on.any():
                    values["coefficients"] = coefficients
                joint = log_density(generative(model), values)
                answers.append(joint - posterior_log_density(model, on, node, coefficients, variance))
            assert answers[0] == pytest.approx(answers[1], abs=1e-9)
            components.append(answers[0])
        batch = torch.as_tensor(on[None])
        wanted = (model.log_prior(batch) + model.log_likelihood(batch)).item()
        assert np.logaddexp.reduce(components) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("slab", SLABS)
def test_collapsed_program_is_the_target(slab):
    model = small_model(slab)
    for on in all_spins(4):
        batch = torch.as_tensor(on[None])
        wanted = (model.log_prior(batch) + model.log_likelihood(batch)).item()
        got = log_density(collapsed(model), {"spins": torch.as_tensor(on.astype(float))})
        assert got == pytest.approx(wanted, abs=1e-9)


def test_the_collapsed_program_evaluates_a_batch():
    model = small_model(HyperGSlab())
    spins = torch.as_tensor(all_spins(4))
    conditioned = pyro.poutine.condition(collapsed(model), data={"spins": spins.double()})
    trace = pyro.poutine.trace(conditioned).get_trace()
    trace.compute_log_prob()
    got = trace.nodes["observation"]["log_prob"]
    torch.testing.assert_close(got, model.log_likelihood(spins), rtol=0, atol=1e-10)


def test_refused_configurations_have_density_zero():
    design, target = random_rows(np.random.default_rng(3), 20, 3)
    design[:, 2] = design[:, 0]
    model = SpinModel(SufficientStatistics.from_rows(design, target))
    values = {"spins": torch.tensor([1.0, 0.0, 1.0])}
    assert log_density(collapsed(model), values) == -np.inf
    with forked_torch_seed(0):
        assert log_density(generative(model), values) == -np.inf


def test_the_prior_predictive_has_the_energy_that_the_model_implies(seed):
    model = small_model(GPriorSlab(3.0))
    story = pyro.poutine.uncondition(generative(model))
    energies, size = [], []
    with forked_torch_seed(seed):
        for _ in range(600):
            trace = pyro.poutine.trace(story).get_trace()
            column = trace.nodes["observation"]["value"]
            energies.append((column @ column / trace.nodes["noise_variance"]["value"]).item())
            size.append(trace.nodes["spins"]["value"].sum().item())
    # given the noise variance, each of the k directions has variance 1 + g and the rest of the 30 rows variance 1
    excess = np.array(energies) - 30 - 3.0 * np.array(size)
    assert abs(excess.mean()) < 5 * excess.std() / np.sqrt(600)


@pytest.mark.parametrize(("rows", "shape"), [(30.0, (4000,)), (30.0, (50, 80)), (3.0, (4000,))])
def test_drawn_columns_have_the_energy_of_their_rows(rows, shape, seed):
    """Standard normal on each of three directions, and what is left of the rows in the last element."""
    design = torch.as_tensor(np.triu(np.random.default_rng(0).normal(size=(4, 3))))
    centre = design @ torch.tensor([1.0, -2.0, 0.5]).double()
    with forked_torch_seed(seed):
        drawn = CompressedNormal(
            design, torch.tensor([1.0, -2.0, 0.5]).double(), torch.tensor(0.25).double(), rows=rows, log_jacobian=0.0
        ).sample(torch.Size(shape))
    assert drawn.shape == (*shape, 4)
    square = ((drawn - centre) ** 2 / 0.25).reshape(4000, 4).numpy()
    spare = rows - 3
    wanted = np.array([1.0, 1.0, 1.0, spare])
    assert np.all(np.abs(square.mean(axis=0) - wanted) <= 5 * np.sqrt(2 * wanted / 4000))
    assert np.all(square[:, -1] > 0) == (spare > 0)
