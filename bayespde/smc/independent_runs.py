"""SEEDS -> independent runs, one after the other or several at a time; those that finished, if they are stopped."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from bayespde.core.errors import BudgetError
from bayespde.core.progress import Progress
from bayespde.smc.collect import Finished

Item = TypeVar("Item")
Made = TypeVar("Made")
Check = Callable[[], None]
"""Raises where a run must stop: called by each between its stages."""


def finish_all(
    one: Callable[[int, Check], Made], seeds: list[int], *, workers: int, progress: Progress | None = None
) -> Finished[Made]:
    """Make one run per seed, several at a time; after an interrupt, or when CPU time is spent, those that finished.

    The first run is made whatever time is left: without any there is no result.

    Raises:
        KeyboardInterrupt: If none has finished at the interrupt.
    """
    watch, interrupted = progress or Progress(), Event()

    def attempt(place: int) -> Made | None:
        def check() -> None:
            if interrupted.is_set():
                raise KeyboardInterrupt
            if place:
                watch.check()

        try:
            check()
            return one(seeds[place], check)
        except BudgetError:
            return None

    places = range(len(seeds))
    tried = _in_turn(attempt, places) if workers == 1 else _in_threads(attempt, places, workers, interrupted)
    runs = [run for run in tried if run is not None]
    return Finished(runs, len(runs) == len(seeds), None in tried)


def apply_to_all(function: Callable[[Item], Made], items: list[Item], *, workers: int) -> list[Made]:
    """What a function returns for every item, several at a time."""
    if workers == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def _in_turn(attempt: Callable[[int], Made | None], places: range) -> list[Made | None]:
    tried: list[Made | None] = []
    try:
        for place in places:
            tried.append(attempt(place))
    except KeyboardInterrupt:
        if not tried:
            raise
    return tried


def _in_threads(
    attempt: Callable[[int], Made | None], places: range, workers: int, interrupted: Event
) -> list[Made | None]:
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(attempt, place) for place in places]
        try:
            return [future.result() for future in futures]
        except KeyboardInterrupt:
            # Runs that are under way end at their next stage.
            interrupted.set()
            tried = [future.result() for future in futures if _has_finished(future)]
            if not tried:
                raise
            return tried


def _has_finished(future: Future[Made | None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
