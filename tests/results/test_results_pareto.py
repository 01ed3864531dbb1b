from itertools import pairwise

import numpy as np
import pytest

from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.pareto import cross_validate, non_dominated, pareto_front


def test_cross_validation_is_an_explicit_refit_on_rows(burgers_rows, burgers):
    design, target, _ = burgers_rows
    edges = np.linspace(0, len(target), burgers.statistics.blocks + 1).round().astype(int)
    spins = burgers.exact.spins
    expected = np.zeros((len(spins), burgers.statistics.blocks))
    for i, on in enumerate(spins):
        for b, (start, stop) in enumerate(pairwise(edges)):
            held = np.zeros(len(target), dtype=bool)
            held[start:stop] = True
            fit = np.linalg.lstsq(design[~held][:, on], target[~held], rcond=None)[0]
            expected[i, b] = np.sum((target[held] - design[held][:, on] @ fit) ** 2)
    np.testing.assert_allclose(cross_validate(burgers.statistics, spins), expected, rtol=1e-9)


def test_cross_validation_allows_an_exact_copy_of_a_column(rng):
    u = rng.standard_normal(120)
    design, target = np.column_stack([u, 1e6 * u]), u + 0.1 * rng.standard_normal(120)
    statistics = SufficientStatistics.from_rows(design, target, blocks=6)
    one, both = cross_validate(statistics, np.array([[True, False], [True, True]]))
    np.testing.assert_allclose(both, one, rtol=1e-6)


def test_no_candidate_dominates_the_front_and_every_other_is_dominated(burgers):
    front = pareto_front(burgers)
    points = np.column_stack([front["complexity"], front["cross_validated_error"]])
    for point, on_front in zip(points, front["on_front"].values, strict=True):
        is_dominated = np.any(np.all(points <= point, axis=1) & np.any(points < point, axis=1))
        assert on_front != is_dominated
    along = points[front["on_front"].values]
    assert np.all(np.diff(along[:, 0]) > 0)
    assert np.all(np.diff(along[:, 1]) < 0)


def test_front_of_random_points_against_the_definition(rng):
    complexity, error = rng.integers(0, 6, 80).astype(float), rng.integers(0, 9, 80).astype(float)
    expected = [
        not np.any((complexity <= c) & (error <= e) & ((complexity < c) | (error < e)))
        for c, e in zip(complexity, error, strict=True)
    ]
    np.testing.assert_array_equal(non_dominated(complexity, error), expected)


def test_the_front_holds_errors_coefficients_and_texts(burgers_rows, build, rng):
    design, target, names = burgers_rows
    posterior = build(design, target, names, rng=rng, complexities=[1.0, 1.5, 2.0, 2.5, 3.0])
    front = pareto_front(posterior)
    assert front.attrs["target"] == "u_t"
    best = front.isel(equation=int(np.flatnonzero(front["selected"])[0]))
    on = best["spin"].values.astype(bool)
    np.testing.assert_array_equal(on, posterior.exact.spins[0])
    assert float(best["complexity"]) == pytest.approx(np.array([1.0, 1.5, 2.0, 2.5, 3.0])[on].sum())
    fit = np.linalg.lstsq(design[:, on], target, rcond=None)[0]
    np.testing.assert_allclose(best["coefficient"].values[on], fit, rtol=1e-9)
    residual = target - design[:, on] @ fit
    assert float(best["error"]) == pytest.approx(np.sqrt(residual @ residual / (target @ target)))
    assert all(name in str(best["text"].values) for name in np.array(names)[on])
    empty = front.isel(equation=0)
    assert (float(empty["size"]), str(empty["text"].values)) == (0, "u_t = 0")
    assert float(empty["cross_validated_error"]) == pytest.approx(1.0)


def test_candidates_hold_singles_and_submodels_even_where_the_table_does_not(burgers_rows, build, rng):
    front = pareto_front(build(*burgers_rows, rng=rng, kept=2))
    listed = {tuple(s) for s in front["spin"].values.astype(bool)}
    selected = front["spin"].values[front["selected"].values][0].astype(bool)
    assert {tuple(row) for row in np.eye(5, dtype=bool)} <= listed
    for i in np.flatnonzero(selected):
        smaller = selected.copy()
        smaller[i] = False
        assert tuple(smaller) in listed
    assert len(listed) == front.sizes["equation"]
    assert np.isnan(front["probability"].values).sum() == front.sizes["equation"] - 2


def test_the_mass_of_the_front_is_that_of_its_configurations(burgers):
    front = pareto_front(burgers)
    exact = {s.tobytes(): p for s, p in zip(burgers.exact.spins, burgers.exact.probability, strict=True)}
    spins = front["spin"].values.astype(bool)
    masses = np.array([exact.get(s.tobytes(), 0.0) for s in spins])
    assert front.attrs["probability_on_front"] == pytest.approx(masses[front["on_front"].values].sum())
    assert front.attrs["probability_listed"] == pytest.approx(masses.sum())
    assert 0 < front.attrs["probability_on_front"] <= front.attrs["probability_listed"] <= 1 + 1e-12


def test_particles_alone_are_enough(sampled):
    front = pareto_front(sampled, maximum_terms=2)
    assert int(front["size"].where(~front["selected"]).max()) == 2
    assert int(front["size"].where(front["selected"]).max()) == 3  # the most probable one, whatever its size
    both = np.isin(front["names"].values, ["u_xx, u*u_x"])
    assert front["on_front"].values[both].all()


def test_one_block_cannot_be_cross_validated(burgers_rows, build, rng):
    with pytest.raises(StatisticsError, match="blocks"):
        pareto_front(build(*burgers_rows, rng=rng, blocks=1))


def test_at_least_one_term_is_needed(burgers):
    with pytest.raises(ConfigError):
        pareto_front(burgers, maximum_terms=0)
