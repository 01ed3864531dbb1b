"""Work that may take so long: what is left of its CPU time, and the error when none is."""

import pytest

from bayespde.core import progress
from bayespde.core.errors import BudgetError
from bayespde.core.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """CPU time of the process, set by hand."""
    times = [100.0]
    monkeypatch.setattr(progress, "process_time", lambda: times[0])
    return times


def test_without_a_limit_nothing_is_checked(clock):
    for every in (Progress(), Progress.of(True), Progress.of(False)):
        clock[0] += 1e9
        every.check()
        assert every.left == float("inf")


def test_the_budget_is_spent_when_its_cpu_time_has_passed(clock):
    watch = Progress(show=True).within(30.0)
    assert watch.show
    assert watch.left == 30.0
    clock[0] += 29.0
    watch.check()
    clock[0] += 1.0
    assert watch.left == 0.0
    with pytest.raises(BudgetError, match=r"(?s)30 CPU seconds.*--budget 120"):
        watch.check()
    watch.unlimited().check()


def test_a_part_takes_no_longer_than_the_whole(clock):
    whole = Progress().within(30.0)
    assert whole.within(10.0).left == 10.0
    clock[0] += 25.0
    assert whole.within(10.0).left == 5.0


def test_nothing_is_shown_unless_wanted(capsys):
    for show in (False, True):
        watch = Progress(show=show)
        watch.say("smoothing: 10 pixels")
        assert list(watch.bar([1, 2], desc="work")) == [1, 2]
        shown = capsys.readouterr()
        assert shown.out == ""
        assert ("smoothing: 10 pixels" in shown.err) == show
        assert ("work" in shown.err) == show


def test_one_object_serves_all():
    watch = Progress(show=True, seconds=3.0, end=4.0)
    assert Progress.of(watch) is watch
