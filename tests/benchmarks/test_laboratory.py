"""The calibration laboratory: its statistics know calibrated from overconfident; its draws are what they say."""

import json

import numpy as np
import pytest
from laboratory.calibration import brier, calibration, log_score, mean_of
from laboratory.experiments import EXPECTED_TERMS, LARGEST, LIBRARY, NOISE, READOUT, clean, draw, observed, taken
from laboratory.misspecified import WAYS
from laboratory.store import Store, fill
from laboratory_verdict import fates, intervals


def claims(rng, count=400, terms=6, *, confidence=1.0):
    """Probabilities that are right, or whose log odds are multiplied by a number, and what was true."""
    odds = rng.normal(0, 2, (count, 1)) + rng.normal(0, 0.5, (count, terms))
    truth = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    experiment = np.repeat(np.arange(count), terms)
    return 1 / (1 + np.exp(-confidence * odds.ravel())), truth.ravel(), experiment


def test_calibrated_probabilities_have_slope_one_and_no_excess(seed):
    scores = []
    for k in range(40):
        found = calibration(*claims(np.random.default_rng([seed, k])))
        scores.append([found.excess.value / found.excess.error, (found.slope.value - 1) / found.slope.error])
    assert np.all(np.abs(np.mean(scores, axis=0)) < 5 / np.sqrt(40))
    # The errors are right too: scores have unit variance.
    assert np.all(np.abs(np.var(scores, axis=0) - 1) < 5 * np.sqrt(2 / 40))


def test_overconfidence_is_seen(rng):
    found = calibration(*claims(rng, confidence=2.0))
    assert abs(found.slope.value - 0.5) < 5 * found.slope.error
    assert found.bins[0, 1] > found.bins[0, 0]
    assert found.bins[-1, 1] < found.bins[-1, 0]
    assert found.bins[:, 2].sum() == found.count


def test_errors_count_experiments_and_not_numbers(rng):
    values = np.repeat(rng.standard_normal(100), 20)
    found = mean_of(values, np.repeat(np.arange(100), 20))
    assert found.error == pytest.approx(np.std(values[::20], ddof=1) / 10, rel=1e-12)


def test_scores_are_their_definitions():
    probability, truth = np.array([0.9, 0.2, 1.0]), np.array([True, True, True])
    assert brier(probability, truth, np.arange(3)).value == pytest.approx((0.01 + 0.64) / 3)
    assert log_score(probability, truth, np.arange(3)).value == pytest.approx(-np.log(0.9 * 0.2) / 3)


def test_draws_are_those_of_the_prior():
    """Terms with probability 3/19, empty equations left out; signs and sizes as published."""
    drawn = [draw(seed) for seed in range(2000)]
    spins = np.array([e.true for e in drawn])
    share = EXPECTED_TERMS / len(LIBRARY) / (1 - (1 - EXPECTED_TERMS / len(LIBRARY)) ** len(LIBRARY))
    assert np.all(np.abs(spins.mean(axis=0) - share) < 5 * np.sqrt(share * (1 - share) / 2000))
    values = np.array([v for e in drawn for v in e.truth.values()])
    assert abs(np.mean(values > 0) - 0.5) < 5 * 0.5 / np.sqrt(len(values))
    assert np.abs(values).min() >= 0.0499
    assert np.abs(values).max() <= 2.01
    assert {e.kind for e in drawn} == set(NOISE)
    assert draw(7) == drawn[7]


@pytest.mark.parametrize("kind", list(NOISE))
def test_noise_has_the_level_that_was_drawn(kind):
    field = clean(136)
    rng = np.random.default_rng(3)
    for level in (0.05, 0.2):
        noise = NOISE[kind](field, level, rng) - field.values
        wanted = np.hypot(level, READOUT) if kind == "jitter" else level
        # 201 displacements tell their size to a twentieth, and are not small.
        assert np.sqrt(np.mean(noise**2)) == pytest.approx(wanted * float(field.std()), rel=0.25)


def test_what_is_taken_can_be_seen_in_its_field():
    assert taken(130) is None
    assert taken(0) == "blows up"
    assert np.abs(clean(130).values).max() < LARGEST
    assert observed(draw(130)).shape == clean(130).shape
    assert np.isfinite(observed(draw(130)).values).all()


def test_a_laboratory_goes_on_where_it_stopped(tmp_path):
    store, asked = Store(tmp_path), []

    def measure(seed, store):
        asked.append(seed)
        if seed == 3:
            raise KeyboardInterrupt
        return {"square": seed**2}

    with pytest.raises(KeyboardInterrupt):
        fill(store, "squares", measure, range(5))
    assert store.results("squares") == {s: {"square": s**2} for s in range(3)}
    asked.clear()
    fill(store, "squares", lambda seed, store: asked.append(seed), range(3))
    assert asked == []
    # A partial file is never taken for a result.
    (tmp_path / "squares" / "9.123").write_text(json.dumps({"square": 0}))
    assert 9 not in store.results("squares")


def test_spoiled_experiments_are_spoiled_as_they_say():
    experiment = draw(136)
    field = clean(136)
    white = field.values + 0.0
    missing, library = WAYS["a_missing_term"](experiment)
    assert set(experiment.truth) - set(library.names) == {"u_xxx"}
    assert np.array_equal(missing.values, observed(experiment).values)
    memory, _ = WAYS["noise_with_memory"](experiment)
    noise = memory.values - white
    assert noise.std() == pytest.approx(experiment.level * float(field.std()), rel=1e-6)
    assert np.mean(noise[1:] * noise[:-1]) > 0.8 * noise.var()
    struck, _ = WAYS["struck_pixels"](experiment)
    far = np.abs(struck.values - white) > 6 * experiment.level * float(field.std())
    assert 0.01 < far.mean() < 0.03
    drifted, _ = WAYS["a_bent_drift"](experiment)
    size = experiment.level * float(field.std())
    assert np.abs(drifted.values[0] - white[0]).max() < 6 * size
    assert np.abs(drifted.values[-1] - white[-1]).max() > 10 * size
    assert WAYS["a_wrong_boundary"](experiment)[0].sizes["x"] == 2 * experiment.points // 3


def test_the_verdict_counts_what_pixels_judged_and_what_rows_kept():
    truth = [list(draw(s).truth.values()) for s in (130, 136)]
    rows = {
        s: {"failed": [], "lower": [v - 1 for v in t], "upper": [v + 1 for v in t], "sd": [0.5] * len(t)}
        for s, t in zip((130, 136), truth, strict=True)
    }
    by_pixels = {"lower": [v + 0.1 for v in truth[0]], "upper": [v + 1 for v in truth[0]], "sd": [0.1] * len(truth[0])}
    refined = {130: by_pixels | {"seconds": 2.0}, 136: {"kept": "It stopped at time 3.2", "seconds": 4.0}}
    last = intervals(rows, refined).splitlines()[-1]
    assert [cell.split()[0] for cell in last.strip("| ").split("|")[3:5]] == ["1", "1.000"]
    assert last.endswith("| 0.000 ± 0.000 | 1 | 0.20 |")
    assert "2 experiments, 1 by pixels\n  1 by rows: It stopped\nmedian 3 s" in fates(refined)
