"""Pyro programs with discrete and continuous sites as joint targets: densities, Jacobians, gradients, prior draws."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import torch_generator
from bayespde.model.joint_target import JointPyroTarget, program_target
from bayespde.model.pyro_target import PyroTarget

PROBABILITIES = torch.tensor([0.3, 0.6], dtype=torch.float64)
DATA = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def bernoulli():
    return pyro.sample("spins", dist.Bernoulli(PROBABILITIES).to_event(1))


def scaled():
    """Spins choose the mean, a continuous site is the scale."""
    spins = bernoulli()
    scale = pyro.sample("scale", dist.Gamma(number(2.0), number(3.0)))
    pyro.sample("data", dist.Normal(spins[0] - spins[1], scale).expand([3]).to_event(1), obs=DATA)


def scaled_by_branches():
    spins = bernoulli()
    scale = pyro.sample("scale", dist.Gamma(number(2.0), number(3.0)))
    mean = 1.0 if spins[0] > spins[1] else (0.0 if spins[0] == spins[1] else -1.0)
    pyro.sample("data", dist.Normal(number(mean), scale).expand([3]).to_event(1), obs=DATA)


def hand_log_prior(spins):
    p = PROBABILITIES.numpy()
    return np.where(spins.numpy(), np.log(p), np.log(1 - p)).sum(axis=1)


def drawn(target, count=50, seed=0):
    return target.sample_joint(count, generator=torch_generator(seed))


@pytest.mark.parametrize(("program", "looped"), [(scaled, False), (scaled_by_branches, True)])
def test_log_densities_are_those_of_scipy(program, looped):
    target = JointPyroTarget(program)
    assert bool(target.looped_because) == looped
    spins, latents = drawn(target)
    found = target.log_densities(spins, latents)
    s, x = spins.numpy(), latents[:, 0].numpy()
    scale = np.exp(x)
    prior = hand_log_prior(spins)
    # d scale / d log scale = scale
    prior += stats.gamma.logpdf(scale, 2, scale=1 / 3) + x
    mean = s[:, 0].astype(float) - s[:, 1]
    likelihood = stats.norm.logpdf(DATA.numpy(), mean[:, None], scale[:, None]).sum(axis=1)
    np.testing.assert_allclose(found.log_prior, prior, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.log_likelihood, likelihood, rtol=1e-12)
    given = target.given(latents)
    np.testing.assert_allclose(given.log_prior(spins), prior, rtol=0, atol=1e-12)
    np.testing.assert_allclose(given.log_likelihood(spins), likelihood, rtol=1e-12)
    assert target.has_gradient
    # Row by row: other spins at the same coordinates.
    other = target.log_densities(~spins, latents)
    torch.testing.assert_close(given.log_likelihood(~spins), other.log_likelihood)
    with pytest.raises(ConfigError, match="one configuration for each particle"):
        given.log_prior(spins[:3])


@pytest.mark.parametrize("program", [scaled, scaled_by_branches])
@pytest.mark.parametrize("beta", [0.2, 1.0])
def test_the_gradient_is_that_of_finite_differences(program, beta):
    target = JointPyroTarget(program)
    spins, latents = drawn(target, 20)
    _, gradient = target.with_gradient(spins, latents, beta)
    h = 1e-5

    def total(x):
        found = target.proposed(spins, x)
        return found.log_prior + beta * found.log_likelihood

    differences = (total(latents + h) - total(latents - h)) / (2 * h)
    torch.testing.assert_close(gradient[:, 0], differences, rtol=1e-6, atol=1e-6)
    assert not total(latents).requires_grad


SITES = {
    "normal": (lambda: dist.Normal(number(0.5), number(2.0)), (), 1),
    "gamma": (lambda: dist.Gamma(number(2.0), number(1.0)), (), 1),
    "uniform": (lambda: dist.Uniform(number(-1.0), number(3.0)), (), 1),
    "beta": (lambda: dist.Beta(number(2.0), number(0.7)), (), 1),
    "student": (lambda: dist.StudentT(number(5.0)), (), 1),
    "exponential": (lambda: dist.Exponential(number(2.0)), (), 1),
    "half cauchy": (lambda: dist.HalfCauchy(number(2.0)), (), 1),
    "laplace": (lambda: dist.Laplace(number(1.0), number(2.0)), (), 1),
    "simplex": (lambda: dist.Dirichlet(torch.tensor([0.5, 1.0, 3.0]).double()), (3,), 2),
    "vectors": (lambda: dist.Normal(torch.zeros(2, 3).double(), 1.0).to_event(2), (2, 3), 6),
    "ordered": (
        lambda: dist.TransformedDistribution(
            dist.Normal(torch.zeros(3).double(), 1.0).to_event(1), [dist.transforms.OrderedTransform()]
        ),
        (3,),
        3,
    ),
    "correlations": (lambda: dist.LKJCholesky(3, number(2.0)), (3, 3), 3),
    "angle": (lambda: dist.VonMises(number(2.0), number(1.5)), (), 1),
    "mixture": (
        lambda: dist.MixtureSameFamily(
            dist.Categorical(torch.tensor([0.4, 0.6]).double()),
            dist.Gamma(torch.tensor([2.0, 9.0]).double(), torch.tensor([1.0, 3.0]).double()),
        ),
        (),
        1,
    ),
    "covariance": (lambda: dist.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()), (2,), 2),
}


@pytest.mark.parametrize("name", SITES)
def test_sites_of_any_support_have_normalised_priors_and_their_draws(name, seed):
    """Importance sampling with a wide normal gives the normaliser; draws are compared with those of the site itself."""
    make, shape, dimension = SITES[name]

    def program():
        bernoulli()
        pyro.sample("x", make())

    target = JointPyroTarget(program)
    assert target.looped_because == ""
    assert target.dimension == dimension
    count = 200 if name == "correlations" else 4000
    spins, latents = drawn(target, count, seed)
    values = target.values(spins, latents)["x"]
    assert values.shape == (count, *shape)
    with pyro.poutine.seed(rng_seed=seed):
        direct = make().sample((4000,))
    for element in range(values[0].numel()):
        one, other = values.reshape(count, -1)[:, element], direct.reshape(4000, -1)[:, element]
        if float(other.std()) > 0:
            assert stats.ks_2samp(one, other).pvalue > 1e-5
    centre, spread = latents.mean(dim=0), 2 * latents.std(dim=0)
    wide = dist.StudentT(3.0, centre, spread).to_event(1)
    with pyro.poutine.seed(rng_seed=seed + 1):
        points = wide.sample((20_000,))
    found = target.proposed(torch.zeros(20_000, 2, dtype=torch.bool), points).log_prior
    ratio = torch.exp(found - wide.log_prob(points)) / float((1 - PROBABILITIES).prod())
    assert abs(float(ratio.mean()) - 1) < 5 * float(ratio.std()) / 20_000**0.5 + 1e-3


def test_a_support_may_depend_on_other_sites():
    def program():
        spins = bernoulli()
        top = pyro.sample("top", dist.Gamma(number(3.0), number(1.0)))
        pyro.sample("x", dist.Uniform(number(0.0), top * (1 + spins[0])))

    target = JointPyroTarget(program)
    spins, latents = drawn(target, 1000)
    values = target.values(spins, latents)
    top = values["top"] * (1 + spins[:, 0])
    assert ((values["x"] > 0) & (values["x"] < top)).all()
    share = torch.special.expit(latents[:, 1])
    torch.testing.assert_close(values["x"], share * top)
    found = target.log_densities(spins, latents)
    wanted = (
        hand_log_prior(spins)
        + stats.gamma.logpdf(values["top"].numpy(), 3)
        + latents[:, 0].numpy()
        + (share * (1 - share)).log().numpy()
    )
    np.testing.assert_allclose(found.log_prior, wanted, rtol=0, atol=1e-9)


def test_a_program_of_discrete_sites_is_a_target_of_spins():
    def program():
        pyro.factor("fit", bernoulli().sum())

    assert isinstance(program_target(program, (), {}, None), PyroTarget)
    assert isinstance(program_target(scaled, (), {}, None), JointPyroTarget)


def test_a_delta_is_no_latent_site():
    def program():
        spins = bernoulli()
        slope = pyro.sample("slope", dist.Delta(number(2.0)))
        pyro.factor("fit", slope * spins.sum())

    assert isinstance(program_target(program, (), {}, None), PyroTarget)


def test_programs_without_a_gradient_are_known():
    class Steps(dist.Normal):
        def log_prob(self, value):
            return torch.as_tensor(super().log_prob(torch.as_tensor(value.detach().numpy())))

    def program():
        bernoulli()
        pyro.sample("x", Steps(number(0.0), number(1.0)))
        pyro.factor("fit", number(0.0))

    target = JointPyroTarget(program)
    assert "numpy" in target.looped_because or "torch cannot map" in target.looped_because

    def constant():
        bernoulli()
        x = pyro.sample("x", dist.Uniform(number(0.0), number(1.0)))
        pyro.factor("fit", (x > 0.5).double())

    found = JointPyroTarget(constant)
    assert found.has_gradient  # that of the Jacobian


def test_proposals_that_cannot_be_evaluated_are_impossible():
    def program():
        bernoulli()
        x = pyro.sample("x", dist.Normal(number(0.0), number(1.0)))
        pyro.factor("fit", torch.where(x > 50, torch.nan, torch.where(x < -50, -torch.inf, x)))

    target = JointPyroTarget(program)
    spins, latents = torch.zeros(3, 2, dtype=torch.bool), torch.tensor([[60.0], [-60.0], [1.0]]).double()
    found, gradient = target.with_gradient(spins, latents, 1.0)
    assert found.log_likelihood.tolist() == [-np.inf, -np.inf, 1.0]
    assert gradient[:2].tolist() == [[0.0], [0.0]]
    with pytest.raises(StatisticsError, match="'fit'"):
        target.log_densities(spins, latents)


def improper():
    bernoulli()
    pyro.sample("x", dist.ImproperUniform(dist.constraints.real, (), ()))


def changing_site():
    spins = bernoulli()
    if spins[0] == 1:
        pyro.sample("x", dist.Normal(number(0.0), number(1.0)))
    else:
        pyro.sample("y", dist.Normal(number(0.0), number(1.0)))


def changing_shape():
    spins = bernoulli()
    pyro.sample("x", dist.Normal(torch.zeros(1 + int(spins.sum())).double(), 1.0).to_event(1))


def masked_latent():
    bernoulli()
    with pyro.poutine.mask(mask=False):
        pyro.sample("x", dist.Normal(number(0.0), number(1.0)))


def no_discrete():
    pyro.sample("x", dist.Normal(number(0.0), number(1.0)))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (improper, "cannot be drawn from"),
        (changing_site, "not the same in every run|other latent sites"),
        (changing_shape, "not the same in every run"),
        (masked_latent, "masked or scaled"),
        (no_discrete, "no discrete latent site"),
    ],
)
def test_programs_that_cannot_be_sampled_are_refused(program, words):
    with pytest.raises(ConfigError, match=words):
        program_target(program, (), {}, None)


def test_values_outside_a_domain_are_found_without_pyros_validation():
    """Mapped programs run without it: a rare value outside a domain must not become a number."""

    def program():
        spins = bernoulli()
        x = pyro.sample("x", dist.Normal(number(0.0), number(1.0)))
        pyro.sample("y", dist.Exponential(number(1.0)), obs=torch.where(x > 10, -1.0, 1.0) + 0 * spins[0])

    target = JointPyroTarget(program)
    assert target.looped_because == ""
    with pytest.raises(StatisticsError, match="outside the domain"):
        target.log_densities(torch.zeros(1, 2, dtype=torch.bool), torch.tensor([[11.0]]).double())


def test_distributions_that_are_not_validated_may_be_impossible():
    """An observation outside a support that depends on a latent has no likelihood, if the program says so."""

    def program(**validation):
        bernoulli()
        top = pyro.sample("top", dist.Exponential(number(1.0)))
        pyro.sample("y", dist.Uniform(number(0.0), top + 0.1, **validation), obs=number(0.5))

    with pytest.raises(StatisticsError, match="outside its domain"):
        JointPyroTarget(program)
    target = JointPyroTarget(program, validate_args=False)
    assert target.looped_because == ""
    spins, latents = drawn(target, 200)
    top = target.values(spins, latents)["top"]
    found = target.log_densities(spins, latents).log_likelihood
    torch.testing.assert_close(found, torch.where(top > 0.4, -torch.log(top + 0.1), -torch.inf))
