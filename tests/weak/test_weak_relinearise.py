"""Leading models compared at linearisation points of their own: which ones, and what that corrects."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from manufactured import BURGERS, SMOOTH, Formula, ring
from weak_problems import CLEAN, problem

import bayespde as bp
from bayespde.core.distinct import distinct
from bayespde.model.prior import Prior
from bayespde.smooth.spline.basis import SplineConfig
from bayespde.smooth.spline.fit import fit_spline
from bayespde.stages.model_average import ModelAverage
from bayespde.weak import relinearise as relinearise_module
from bayespde.weak import statistics as statistics_module
from bayespde.weak.assembler import Assembler
from bayespde.weak.linearisation import LinearisationPoint
from bayespde.weak.moments import weak_problem
from bayespde.weak.observed_field import ObservedField
from bayespde.weak.placement import dense_test_functions
from bayespde.weak.relinearise import Relinearised, _noise_of_difference, occam_window, relinearise
from bayespde.weak.whitening import WhitenedRows


def bits(*texts):
    return np.array([[c == "1" for c in t] for t in texts])


def test_the_window_holds_the_best_its_submodels_the_best_of_each_size_and_the_most_probable():
    spins = bits("1100", "1110", "0011", "1000", "0001", "1111", "0111")
    probability = np.array([0.5, 0.2, 0.1, 0.01, 0.02, 0.05, 0.12])
    found = occam_window(spins, probability, 20)
    assert (found[0] == spins[0]).all()
    as_text = ["".join("1" if s else "0" for s in row) for row in found]
    assert as_text[1:3] == ["0100", "1000"]
    # the most probable without the first and without the second term, then the best of one, three and four terms
    assert as_text[3:7] == ["0111", "0011", "0001", "1110"]
    assert set(as_text[7:]) == {"1111"}
    assert len(set(as_text)) == len(as_text)
    assert len(occam_window(spins, probability, 3)) == 3


def relinearised(shared, own, advantage, sd, *spins):
    chosen = bits(*spins)
    return Relinearised(chosen, *(np.array(a, dtype=float) for a in (shared, own, advantage, sd)), chosen * 1.0)


def test_a_change_counts_only_for_models_that_contend():
    three = ("11", "10", "01")
    assert relinearised([0, -1, -80], [0, -4, -10], [0, 0, 0], [0, 0, 0], *three).change == pytest.approx(3)
    # the last is confirmed by its own rows: it counts unless it explains the data clearly worse
    assert relinearised([0, -1, -80], [0, -4, 2], [0, 0, -9], [0, 0, 5], *three).change == pytest.approx(82)
    assert relinearised([0, -1, -80], [0, -4, 2], [0, 0, -9], [0, 0, 4], *three).change == pytest.approx(3)


def test_alternatives_are_confirmed_and_better_or_a_submodel_that_is_not_worse():
    assert relinearised([0, -9], [0, 3], [0, 9], [0, 3], "110", "011").alternatives == [1]
    assert relinearised([0, -9], [0, 3], [0, 9], [0, 4.5], "110", "011").alternatives == []
    assert relinearised([0, -9], [0, -3], [0, 9], [0, 3], "110", "011").alternatives == []
    # a part of the preferred one need not be better, and the smaller comes first
    assert relinearised([0, -50, -60], [0, 2, 1], [0, -3, -9], [0, 2, 5], "111", "011", "010").alternatives == [2, 1]
    assert relinearised([0, -50], [0, 2], [0, -9], [0, 2], "110", "100").alternatives == []
    assert relinearised([0, -50], [0, -2], [0, 0], [0, 2], "110", "100").alternatives == []


def test_the_noise_of_a_difference_is_that_of_two_quadratic_forms(seed):
    formula = Formula(SMOOTH, (np.linspace(0, 1.6, 24), np.linspace(0, 4, 30)), noise_scale=0.05)
    options = bp.WeakForm(
        floor=0.0, scheme_error=False, noise="white", support_radius={"time": 5, "x": 7}, coarse_rows=40
    )
    library = bp.Library.from_strings(["u_xx", "u_xxxx"])
    weak = weak_problem(library, (ObservedField(formula.field(), formula),), options=options)
    points = [np.array([0.3, 0.0]), np.array([0.3, 0.02])]
    rows = [WhitenedRows(weak, p) for p in points]
    assert _noise_of_difference(rows[0], rows[0]) == pytest.approx(0, abs=0.05)
    sd = _noise_of_difference(rows[1], rows[0])
    assert 0.5 < sd < np.sqrt(len(weak.target))
    rng, halves = np.random.default_rng(seed), []
    for _ in range(400):
        raw = formula.field(0.05 * rng.standard_normal(formula.shape))
        noisy = weak_problem(library, (ObservedField(raw, formula, noise=weak.noise),), options=options)
        change = [
            r.whiten((noisy.target - weak.target) - (noisy.correction - weak.correction) @ p)
            for r, p in zip(rows, points, strict=True)
        ]
        halves.append(0.5 * (change[0] @ change[0] - change[1] @ change[1]))
    assert abs(np.mean(halves)) < 5 * np.std(halves) / 20
    assert np.std(halves) == pytest.approx(sd, rel=5 / np.sqrt(2 * len(halves)))


def test_a_wrong_linearisation_point_is_detected():
    """From a point with a term too many the true equation is an alternative; at its own point there is none."""
    field, library = ring("heat", noise=0.05), bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxxx", "u*u_x"])
    smooth, options, models = (
        fit_spline(field, config=SplineConfig(hold_out="pixels")),
        bp.WeakForm(),
        ModelAverage(library, Prior()),
    )
    first = weak_problem(library, (ObservedField(field, smooth),), options=options)
    assembler = Assembler(library, first, dense_test_functions(first.test_functions, ("time", "x"), options))
    for point, is_wrong in ((np.array([0, 0, 1.5, 0.3, 0]), True), (np.array([0, 0, 1.5, 0, 0]), False)):
        rows = WhitenedRows(assembler(point), point)
        spins = occam_window(*models.average(rows.statistics), 20)
        found = relinearise(assembler, models, LinearisationPoint(rows, point, 1, 0.0, True, spins[:1]), spins)
        preferred = found.spins[0]
        assert preferred[library.index("u_xx")]
        assert preferred[library.index("u_xxxx")] == is_wrong
        true = library.spins(["u_xx"])
        assert any((found.spins[i] == true).all() for i in found.alternatives) == is_wrong
        if not is_wrong:
            assert not found.alternatives


@pytest.mark.slow  # four videos, each with models at linearisation points of their own
def test_assembly_finds_the_true_equation_or_reports_that_the_odds_depend_on_the_linearisation(seed):
    library, escaped = bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxxx", "u*u_x"]), []
    for draw in range(4):
        field = ring("heat", noise=0.1, seed=4 * seed + draw)
        smooth = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline"))
        statistics = bp.assemble(library, smooth)
        exact = bp.enumerate_models(bp.SpinModel(statistics, library))
        escaped.append(bool((exact.spins[np.argmax(exact.probability)] == library.spins(["u_xx"])).all()))
        assert escaped[-1] or statistics.record.log_odds_change_left > 1.0
        assert ["u_xx"] in [r["terms"] for r in statistics.provenance["relinearised"]]
    # Without relinearisation most of these end with a fourth derivative.
    assert sum(escaped) >= 3


def test_equations_that_led_on_the_way_are_compared_at_their_own_points(monkeypatch):
    """In strong noise the linearisation point need not settle: an equation may lead only at the point of another."""
    field, library = ring("burgers", noise=0.3), bp.Library.from_strings(["u", "u_x", "u_xx", "u_xxx", "u*u_x"])
    smooth, leaders, compared = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline")), [], []
    average, inner = ModelAverage.average, statistics_module.relinearise

    def watched(self, statistics):
        """The least probable equation leads at first."""
        spins, probability = average(self, statistics)
        if not leaders:
            probability = (np.arange(len(spins)) == np.flatnonzero(spins.any(axis=1))[-1]).astype(float)
        leaders.append(spins[np.argmax(probability)])
        return spins, probability

    def spy(assembler, models, point, spins, **settings):
        compared.append(spins)
        return inner(assembler, models, point, spins, **settings)

    monkeypatch.setattr(ModelAverage, "average", watched)
    monkeypatch.setattr(statistics_module, "relinearise", spy)
    bp.assemble(library, smooth)
    first = leaders[0]
    assert any((first == on).all() for on in compared[0])
    assert len(distinct(compared[0]).first) == len(compared[0])


def test_a_small_video_with_a_hole_is_relinearised_on_the_rows_it_has(seed):
    field = ring("burgers", noise=0.05, seed=seed, frames=31, points=48)
    field[9:21, 8:42] = np.nan
    library = bp.Library.from_strings(["u", "u_x", "u_xx", "u*u_x"])
    smooth = bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline"))
    record = bp.assemble(library, smooth).provenance
    assert record["dropped_for_gaps"] > 5 * record["rows"]
    assert "relinearised" in record


def test_an_empty_equation_is_not_relinearised(rng):
    field = ring("heat", noise=0.1).copy(data=rng.standard_normal((81, 128)))
    library = bp.Library.from_strings(["u_xx", "u*u_x"])
    statistics = bp.assemble(library, bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline")))
    exact = bp.enumerate_models(bp.SpinModel(statistics, library))
    assert exact.probability[~exact.spins.any(axis=1)] > 0.5
    assert "relinearised" not in statistics.provenance


def test_terms_that_are_equal_on_this_video_are_left_out():
    t, x = np.linspace(0, 2, 41), np.linspace(0, 10, 64)
    wave = np.sin(2 * np.pi * x / 10) * np.exp(-0.5 * (2 * np.pi / 10) ** 2 * t)[:, None]
    field, library = bp.make_field(wave, t=t, x=x), bp.Library.from_strings(["u", "u_xx", "u_x"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        statistics = bp.assemble(library, bp.fit_field(field, options=bp.SmoothingConfig(smoother="spline")))
    assert np.isfinite(statistics.record.log_odds_change_left)


def test_submodels_of_the_preferred_one_get_all_iterations_however_little_they_explain(monkeypatch):
    """With nothing else within reach the models that are followed to their fixed points are these."""
    formula = Formula(BURGERS, (np.linspace(0, 4, 41), np.linspace(0, 2 * np.pi, 61)), noise_scale=0.02)
    noise = 0.02 * np.random.default_rng(1).standard_normal(formula.shape)
    weak = problem(formula, ["u*u_x", "u_xx", "u"], noise=noise, options=CLEAN)
    assembler = Assembler(weak.library, weak, weak.test_functions, conditioned=False)
    start = np.array([-1.0, 0.1, 0.0])
    point = LinearisationPoint(WhitenedRows(weak, start), start, 1, 0.0, True, np.zeros((0, len(start)), bool))
    spins = bits("110", "100", "010", "111", "011", "001")
    followed, inner = [], relinearise_module._own_point

    def unfinished(near, on, other, start, *, max_iterations):
        if max_iterations > 1:
            followed.append("".join("01"[int(s)] for s in on))
        return replace(inner(near, on, other, start, max_iterations=max_iterations), change=1.0, converged=False)

    monkeypatch.setattr(relinearise_module, "_own_point", unfinished)
    monkeypatch.setattr(relinearise_module, "WITHIN_REACH", -1.0)
    models = ModelAverage(weak.library, Prior())
    found = relinearise_module.relinearise(assembler, models, point, spins)
    assert followed == ["110", "100", "010"]
    assert np.array_equal(found.spins, spins)
