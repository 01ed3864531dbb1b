"""A discovery beside the truth and beside the reference posterior: what differs is named, what may differ is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import small_problem
import torch

from bayespde.core.errors import ConfigError
from bayespde.zoo.reference import (
    Reference,
    compare_with_posterior,
    compare_with_truth,
    read_reference,
    reference_posterior,
    write_reference_posterior,
)

TRUTH = Reference(small_problem.TRUTH, relative_tolerance=0.02, sd_tolerance=4)


@pytest.fixture(scope="module")
def found():
    return small_problem.discover(small_problem.video(), seed=3)


@pytest.fixture(scope="module")
def known(found):
    return reference_posterior(found)


def test_the_true_equation_is_met_and_a_wrong_one_is_noticed(found):
    assert compare_with_truth(found, TRUTH) == []
    wrong = replace(TRUTH, coefficients=TRUTH.coefficients | {"u_xx": 0.12})
    assert [c.split()[0] for c in compare_with_truth(found, wrong)] == ["u_xx"]
    wrong = replace(TRUTH, coefficients={"u": -1.0, "u_xx": 0.1})
    assert "the true one u, u_xx" in compare_with_truth(found, wrong)[0]


def test_terms_of_the_truth_may_be_written_in_any_way(found):
    assert compare_with_truth(found, replace(TRUTH, coefficients={"u_x*u": -1.0, "u_xx": 0.1})) == []


def test_the_record_is_the_exact_posterior(found, known):
    """Against the closed form: normalised probabilities of all 64 equations, computed one by one."""
    spins = (np.arange(64)[:, None] >> np.arange(6)) & 1 == 1
    on = torch.as_tensor(spins)
    log_mass = (found.model.log_prior(on) + found.model.log_likelihood(on)).numpy()
    mass = np.exp(log_mass - log_mass.max())
    expected = mass @ spins / mass.sum()
    np.testing.assert_allclose(list(known.inclusion_probability.values()), expected, atol=1e-9)
    assert known.log_evidence == pytest.approx(log_mass.max() + np.log(mass.sum()), abs=1e-9)
    assert known.probability == pytest.approx(mass.max() / mass.sum(), abs=1e-9)
    assert set(known.mean) == set(known.sd) == set(small_problem.TRUTH)
    assert known.likelihood == "weak_form"


def test_another_seed_of_the_sampler_changes_less_than_is_tolerated(known, seed):
    again = small_problem.discover(small_problem.video(), seed=seed + 100)
    assert compare_with_posterior(again, known) == []


def test_other_noise_changes_more(known):
    field = small_problem.video()
    other = field + 0.02 * float(field.std()) * np.random.default_rng(5).standard_normal(field.shape)
    other = other.assign_attrs(field.attrs)
    complaints = compare_with_posterior(small_problem.discover(other, seed=3), known)
    assert any("log evidence" in c for c in complaints)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"log_evidence": 1.5}, "the log evidence"),
        ({"probability": -0.1}, "the probability of the best equation"),
    ],
)
def test_a_number_that_differs_is_named(found, known, change, named):
    [(name, by)] = change.items()
    [complaint] = compare_with_posterior(found, replace(known, **{name: getattr(known, name) + by}))
    assert complaint.startswith(named)


@pytest.mark.parametrize(
    ("what", "term", "by", "named"),
    [
        ("inclusion_probability", "u", 0.1, "the inclusion probability of u"),
        ("mean", "u_xx", 1e-3, "the coefficient of u_xx"),
        ("sd", "u*u_x", 0.01, "the standard deviation of u*u_x"),
    ],
)
def test_a_number_of_one_term_that_differs_is_named(found, known, what, term, by, named):
    values = dict(getattr(known, what))
    values[term] += by
    [complaint, *others] = compare_with_posterior(found, replace(known, **{what: values}))
    assert complaint.startswith(named + " is")
    assert all(term in c for c in others)


def test_what_cannot_be_compared_is_said_first(found, known):
    [complaint] = compare_with_posterior(found, replace(known, likelihood="observation"))
    assert "by the weak_form likelihood" in complaint
    assert "by the observation likelihood" in complaint
    [complaint] = compare_with_posterior(found, replace(known, inclusion_probability={"u": 1.0}))
    assert complaint.startswith("the library has other terms")
    [complaint] = compare_with_posterior(found, replace(known, mean={"u": 1.0}, sd={"u": 0.1}))
    assert "the most probable equation has the terms" in complaint


def test_not_a_number_is_no_agreement(found, known):
    [complaint] = compare_with_posterior(found, replace(known, log_evidence=float("nan")))
    assert complaint.startswith("the log evidence")


def test_what_is_written_is_read_and_met(found, known, tmp_path):
    file = tmp_path / "reference.json"
    head = {"coefficients": {"u*u_x": -1.0, "u_xx": 0.1}, "relative_tolerance": 0.02, "sd_tolerance": 4, "source": "x"}
    file.write_text(json.dumps(head))
    assert read_reference(file).posterior is None
    write_reference_posterior(found, file)
    reference = read_reference(file)
    assert compare_with_truth(found, reference) == []
    assert compare_with_posterior(found, reference.posterior) == []
    assert reference.posterior.log_evidence == pytest.approx(known.log_evidence, abs=1e-2)
    assert {k: v for k, v in json.loads(file.read_text()).items() if k != "posterior"} == head


def test_a_sampled_posterior_is_no_reference():
    config = replace(small_problem.CONFIG, enumerate_up_to=0)
    with pytest.raises(ConfigError, match="must be exact"):
        reference_posterior(small_problem.discover(small_problem.video(), config=config))


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"coefficients": {"u": "much"}, "relative_tolerance": 1, "sd_tolerance": 1}',
        '{"coefficients": {"u": 1}, "sd_tolerance": 1}',
        '{"coefficients": {"u": 1}, "relative_tolerance": 1, "sd_tolerance": 1, "posteriors": {}}',
        '{"coefficients": {"u": 1}, "relative_tolerance": 1, "sd_tolerance": 1, "posterior": {"probability": 1}}',
    ],
)
def test_an_unusable_file_is_refused(tmp_path, text):
    (tmp_path / "reference.json").write_text(text)
    with pytest.raises(ConfigError, match="cannot be used"):
        read_reference(tmp_path / "reference.json")
