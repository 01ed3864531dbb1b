"""How a posterior was sampled, and what each run says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

# What each run says of itself.
OF_EACH_RUN = ("captured_mass", "captured_mass_lower", "likelihood_error", "inclusion_variance")


@dataclass(frozen=True)
class SamplingRecord:
    """How a posterior was sampled.

    Attributes:
        method: `smc`, `exact` or `tempered_gibbs`; `unknown` for draws from elsewhere.
        settings: Settings of the sampler, by name.
        seed: Seed of the sampler; None if there was none.
        seconds: Wall time; None where it was not measured.
        complete: Whether all runs finished; False after an interrupt, or when the CPU time was spent.
        budget_exhausted: Whether they did not for want of CPU time.
        captured_mass: Per run, estimated share of the posterior mass in the configurations that were visited; None
            where a run gives no estimate.
        captured_mass_lower: Per run, a lower bound of the same.
        likelihood_error: Per run, largest error of the log likelihoods that were updated instead of recomputed.
        inclusion_variance: Per run and term, variance of the inclusion probability within the run; empty where it is
            unknown.
    """

    method: str = "unknown"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    seconds: float | None = None
    complete: bool = True
    budget_exhausted: bool = False
    captured_mass: tuple[float | None, ...] = ()
    captured_mass_lower: tuple[float | None, ...] = ()
    likelihood_error: tuple[float | None, ...] = ()
    inclusion_variance: tuple[tuple[float, ...], ...] = ()

    def of_runs(self, here: np.ndarray) -> SamplingRecord:
        """The record of some of the runs, `[R]` bool."""
        kept: dict[str, Any] = {
            name: tuple(v for v, on in zip(getattr(self, name), here, strict=False) if on) for name in OF_EACH_RUN
        }
        return replace(self, **kept)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SamplingRecord:
        """What `record` described."""
        fields: dict[str, Any] = {k: _as_tuples(v) if isinstance(v, list) else v for k, v in record.items()}
        return cls(**fields)

    def record(self) -> dict[str, Any]:
        """All fields as JSON takes them."""
        return asdict(self)


def _as_tuples(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_as_tuples(v) if isinstance(v, list) else v for v in values)
