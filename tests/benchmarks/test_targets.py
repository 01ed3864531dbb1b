"""The benchmark problems are what they are said to be: prior, rows, modes; and peers are given the same posterior."""

import itertools

import numpy as np
import pytest
import targets
from oracles import all_spins
from original_algorithm import Walker, proposals_per_second
from peers import problem
from peers.launch import run_peer

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, IsotropicSlab
from bayespde.smc import enumerate_exact

SIZES = {"kdv14_g1000": 14, "burg16_g30000": 16, "burg16_iso30000": 16, "hard16": 16, "original_2d": 114, "ac2d_50": 50}


@pytest.mark.parametrize("name", SIZES)
def test_simulated_targets_have_the_prior_and_rows_of_their_names(name):
    spin = targets.model(name)
    assert spin.terms == SIZES[name]
    degree = np.ones(16) if name == "hard16" else spin.library.complexities
    np.testing.assert_allclose(spin.spin_prior.fields, -0.5 * degree, atol=1e-9)
    effective = {"kdv14_g1000": 1000, "original_2d": 1000, "ac2d_50": 1000}.get(name, 30000)
    assert spin.statistics.rows == pytest.approx(effective)
    assert isinstance(spin.prior.slab, IsotropicSlab if "iso" in name else GPriorSlab)


@pytest.mark.data
@pytest.mark.parametrize(("name", "rows"), [("seed20_g1000", 1000), ("seed20_iso200", 200), ("seed20_g200", 200)])
def test_phase_field_targets(data_folder, name, rows):
    spin = targets.model(name, data_folder=data_folder)
    assert spin.terms == 20
    assert spin.statistics.rows == pytest.approx(rows)
    assert targets.condition_number(spin) > 1e6
    np.testing.assert_allclose(spin.spin_prior.fields, -0.5 * spin.library.complexities, atol=1e-9)


def test_targets_that_are_not_there_are_refused():
    with pytest.raises(ConfigError, match="no such target"):
        targets.model("heat7_g10")
    with pytest.raises(ConfigError, match="benchmark file"):
        targets.model("seed20_g200")


@pytest.mark.parametrize(("name", "least"), [("kdv14_g1000", 2), ("burg16_g30000", 3), ("burg16_iso30000", 3)])
def test_posteriors_are_rugged_and_their_rows_collinear(name, least):
    spin = targets.model(name)
    log_mass = targets.log_masses(spin)
    modes = targets.local_modes(log_mass)
    probability = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    assert len(modes) >= least
    assert probability[modes[1]] > 0.1
    assert targets.condition_number(spin) > 1e4
    exact = enumerate_exact(spin)
    np.testing.assert_allclose(probability @ all_spins(spin.terms), exact.inclusion_probability, atol=1e-8)


def test_hard16_has_two_modes_four_flips_apart():
    spin = targets.model("hard16")
    log_mass = targets.log_masses(spin)
    modes = targets.local_modes(log_mass)
    probability = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    np.testing.assert_allclose(probability[modes[:2]], [0.7, 0.3], atol=0.01)
    assert bin(modes[0] ^ modes[1]).count("1") == 4


@pytest.mark.parametrize("count", [50, 110, 209, 461, 923])
def test_polynomials_are_all_monomials_by_degree(count):
    terms = targets.polynomials(targets.FRONT_POWERS, count)
    degrees = np.array(list(terms.values()))
    assert len(terms) == count
    assert (np.diff(degrees) >= 0).all()
    whole = {6: 1, 27: 2, 83: 3, 209: 4, 461: 5, 923: 6}
    for size, degree in whole.items():
        if size <= count:
            assert (degrees[:size] <= degree).all()
            assert (degrees[size:] > degree).all()
    library = bp.Library.from_strings(dict(itertools.islice(terms.items(), 40)))
    for term in library:
        assert sum(term.monomial_powers().values()) == term.complexity


def test_smoothed_derivatives_of_a_wave():
    x, t = np.arange(128) * 2 * np.pi / 128, np.linspace(0, 1, 40)
    field = bp.make_field(np.sin(x - t[:, None]), t=t, x=x)
    for orders, truth in {(0, 1): np.cos, (1, 0): lambda p: -np.cos(p), (0, 2): lambda p: -np.sin(p)}.items():
        found = targets.smoothed_derivative(field, orders, window=11)
        np.testing.assert_allclose(found, truth(x - t[4:-4, None]), atol=2e-3)


def test_local_modes_against_flips_one_by_one(rng):
    table = rng.normal(size=2**5)
    table[rng.integers(32)] = -np.inf
    slow = [c for c in range(32) if np.isfinite(table[c]) and all(table[c] >= table[c ^ (1 << b)] for b in range(5))]
    found = targets.local_modes(table)
    assert set(found) == set(slow)
    assert (np.diff(table[found]) <= 0).all()


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("slab", [GPriorSlab(90.0), IsotropicSlab(1.5)])
def test_peers_are_given_the_same_posterior(rng, tmp_path, slab, compressed):
    design, target = rng.normal(size=(60, 5)) + rng.normal(size=(60, 1)), rng.normal(size=60)
    statistics = bp.SufficientStatistics.from_rows(
        design, target, names=list("badce"), model=RowModel(power=0.5, prior_rows=0.3)
    )
    spin = bp.SpinModel(statistics, prior=bp.Prior(slab=slab, expected_terms=2.0))
    problem.write(tmp_path / "p.npz", spin, rows=None if compressed else (design, target))
    found = problem.read(tmp_path / "p.npz")
    assert len(found.target) == (6 if compressed else 60)
    spins = all_spins(5)
    log_mass = np.array([_log_posterior(found, s) for s in spins])
    probability = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    inclusion = found.in_library_order(probability @ spins)
    np.testing.assert_allclose(inclusion, enumerate_exact(spin).inclusion_probability, atol=1e-9)


def _log_posterior(p, spins):
    """Log posterior of a problem as the file tells it, by normal equations."""
    x, size = p.design[:, spins], spins.sum()
    gram = x.T @ x + p.ridge * np.eye(size)
    fitted = p.target @ x @ np.linalg.solve(gram, x.T @ p.target) if size else 0.0
    square = p.prior_rows * p.prior_variance + p.target @ p.target - fitted / (1 + 1 / p.g)
    volume = size * np.log(1 + p.g) if p.ridge == 0 else np.linalg.slogdet(gram / p.ridge)[1]
    return p.log_odds @ spins - 0.5 * volume - 0.5 * (p.rows + p.prior_rows) * np.log(square)


def test_problems_as_text_keep_the_gram_matrix_and_are_centred(rng, tmp_path):
    statistics = bp.SufficientStatistics.from_rows(
        rng.normal(size=(80, 3)), rng.normal(size=80), model=RowModel(power=0.5)
    )
    problem.write(
        tmp_path / "p.npz", bp.SpinModel(statistics, prior=bp.Prior(slab=GPriorSlab(40.0), expected_terms=1.0))
    )
    found = problem.read(tmp_path / "p.npz")
    problem.write_text(tmp_path / "p.csv", found)
    table = np.loadtxt(tmp_path / "p.csv", delimiter=",")
    factor = np.column_stack([found.design, found.target])
    np.testing.assert_allclose(table[0], [*found.log_odds, 40.0])
    assert len(table) == 1 + 41
    np.testing.assert_allclose(table[1:].T @ table[1:], factor.T @ factor, atol=1e-10)
    np.testing.assert_allclose(table[1:].mean(axis=0), 0, atol=1e-12)
    isotropic = found._replace(ridge=0.1)
    with pytest.raises(ValueError, match="g-prior"):
        problem.write_text(tmp_path / "p.csv", isotropic)


def test_a_peer_that_is_not_there_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESPDE_PEERS", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        run_peer("particles", tmp_path / "p.npz", tmp_path / "a.json")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["particles", "millipede", "bms"])
def test_installed_peers_agree_with_enumeration_on_an_easy_problem(tmp_path, rng, name):
    design = rng.normal(size=(200, 12)) @ (np.eye(12) + 0.2 * rng.normal(size=(12, 12)))
    target = 0.25 * design[:, 0] + rng.normal(size=200)
    statistics = bp.SufficientStatistics.from_rows(design, target, model=RowModel(power=0.5, prior_rows=1e-6))
    spin = bp.SpinModel(statistics, prior=bp.Prior(slab=GPriorSlab(100.0), expected_terms=1.5))
    problem.write(tmp_path / "p.npz", spin)
    settings = {"particles": {"states": 20000}, "millipede": {"seconds": 4.0}, "bms": {"enumerate": True}}[name]
    (answer,) = run_peer(name, tmp_path / "p.npz", tmp_path / "a.json", **settings)
    tolerance = {"particles": 0.04, "millipede": 0.06, "bms": 1e-4}[name]
    exact = enumerate_exact(spin).inclusion_probability
    np.testing.assert_allclose(answer["inclusion"], exact, atol=tolerance)


def test_the_original_walker_has_the_stationary_law_of_its_metropolis_rule(rng):
    design = rng.normal(size=(20, 2))
    target = design @ [0.5, 0.3] + rng.normal(size=20)
    walker = Walker(design, target, np.array([0.5, 1.0]), np.zeros(2, bool), temperature=3.0)
    log_probability = np.array([walker.log_posterior(s) for s in all_spins(2)])
    wanted = np.exp(log_probability - np.logaddexp.reduce(log_probability))
    visits = np.zeros(4)
    for _ in range(20000):
        walker.propose(rng)
        visits[2 * walker.spins[0] + walker.spins[1]] += 1
    np.testing.assert_allclose(visits / visits.sum(), wanted, atol=0.04)


def test_the_original_log_posterior_is_a_mean_log_likelihood(rng):
    from scipy import stats

    design, target = rng.normal(size=(30, 3)), rng.normal(size=30)
    walker = Walker(design, target, np.array([0.5, 1.0, 1.5]), np.array([True, False, True]), temperature=2.0)
    fit = np.linalg.pinv(design[:, [0, 2]]) @ target
    residual = target - design[:, [0, 2]] @ fit
    wanted = 2 * stats.norm.logpdf(residual, scale=np.sqrt(np.mean(residual**2))).mean()
    assert walker.log_probability == pytest.approx(wanted - 2.0)
    rate, size = proposals_per_second(design, target, walker.cost, start=[True, False, True], seconds=0.05)
    assert rate > 100
    assert 0 <= size <= 3
