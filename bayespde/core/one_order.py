"""A function -> the same function, whose matrix products are summed in one order, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def in_one_order(function: Callable[P, R]) -> Callable[P, R]:
    """Let a stage use one thread of BLAS: divided among several, a sum would have other last digits.

    Threads over runs, particles, networks or draws are not touched: each computes numbers of its own.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return run
