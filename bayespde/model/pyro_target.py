"""Pyro program with one binary site -> `PyroTarget`, a target for samplers, from its traced log density."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch

from bayespde.core.annotations import Count
from bayespde.core.checked import validated
from bayespde.core.distinct import distinct
from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import forked_torch_seed, torch_generator
from bayespde.model.configurations import checked
from bayespde.model.traced import ONE_AT_A_TIME, examined, precision, traced, usable

# Prior draws on which a program is tested.
TRIALS = 30
# Largest number of values of a site in one run.
ELEMENTS = 2**22
# Largest number of configurations whose log likelihoods are cached.
CACHED = 2**20


@final
class PyroTarget:
    """Any Pyro program [bingham2019pyro] with one binary latent site, as a target over configurations.

    The binary site gives the prior; all other sites, observed ones and factors, give the likelihood. The site may be
    `dist.Bernoulli(...).to_event(1)`, a Bernoulli in one plate, or any other distribution over vectors of 0 and 1
    that can be scored and drawn from. The program must be a function of its spins, and draw nothing else.

    A program that also takes `[P, K]` spins, and then gives every site that depends on them a leading axis `[P]`, is
    run once for all particles. This is tested on some prior draws, the empty and the full configuration, against single
    runs. A linear predictor passes if it is written `(spins * weights) @ design.T`, and not
    `design @ (spins * weights)`. Any other program is run once per configuration, and its answers are cached. The test
    does not find a branch for rare configurations that accepts `[P, K]` spins; an `if` on a comparison of spins fails
    the test, and is safe.

    Log densities are computed in the precision of the program and returned in float64. Programs run one at a time,
    because the handlers of Pyro are global to the process: several threads are safe, but not faster.

    Args:
        program: A Pyro program without parameters from Pyro's store.
        *args: Its positional arguments.
        site: Name of the binary site; by default the only latent one.
        **kwargs: Its keyword arguments.

    Raises:
        ConfigError: If the program cannot be a target; the message gives the reason.
        StatisticsError: If a log density is NaN or +inf.

    Attributes:
        site: Name of the binary site.
        terms: Number of spins K.
        blank: All spins 0, `[K]`, in the type that the program draws.
        looped_because: Why the program is run once per configuration; empty if all particles share a run.
    """

    @validated
    def __init__(self, program: Callable[..., Any], *args: Any, site: str | None = None, **kwargs: Any) -> None:
        self._program = partial(program, *args, **kwargs)
        self.site, nodes = examined(self._program, site)
        binary = nodes[self.site]
        self._prior, self.blank = binary["fn"], torch.zeros_like(binary["value"])
        self.terms = len(self.blank)
        self._chunk = max(1, ELEMENTS // max(node["value"].numel() for node in nodes.values()))
        self._cache: dict[bytes, float] = {}
        trials = self.sample_prior(TRIALS, generator=torch_generator(0))
        trials = torch.cat([torch.tensor([[False], [True]]).expand(2, self.terms), trials])
        self._check_prior(trials)
        self._tolerance = precision(nodes) ** 0.6
        single = self._check_function(trials)
        self._shapes = {name: score.shape for name, score in single[0].items()}
        self.looped_because = self._try_together(trials, torch.stack([self._sum(scores) for scores in single]))

    def log_prior(self, spins: torch.Tensor) -> torch.Tensor:
        """Log prior of configurations (`[P, K]`, bool): `[P]`, float64.

        Raises:
            ConfigError: If they are not configurations.
            StatisticsError: If it is NaN or +inf.
        """
        score = usable(self._prior.log_prob(checked(spins, self.terms).to(self.blank)), self.site)
        return score.reshape(len(spins), -1).sum(dim=1)

    def log_likelihood(self, spins: torch.Tensor) -> torch.Tensor:
        """Log density of all sites but the spins for configurations (`[P, K]`, bool): `[P]`, float64, -inf allowed.

        Equal configurations are computed once.

        Raises:
            ConfigError: If they are not configurations, or the program draws more than the spins for some of them.
            StatisticsError: If the log density is NaN or +inf.
        """
        same = distinct(checked(spins, self.terms).numpy())
        some = spins[torch.as_tensor(same.first)]
        if self.looped_because:
            answer = torch.tensor([self._alone(row) for row in some], dtype=torch.float64)
        else:
            answer = torch.cat([self._together(part) for part in some.split(self._chunk)])
        return answer[torch.as_tensor(same.group)]

    @validated
    def sample_prior(self, particles: Count, *, generator: torch.Generator) -> torch.Tensor:
        """Draw configurations from the distribution of the binary site: `[P, K]`, bool."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        with ONE_AT_A_TIME, forked_torch_seed(seed):
            return (self._prior.sample((particles,)) > 0.5).cpu()

    def _traced(self, spins: torch.Tensor) -> dict[str, torch.Tensor]:
        return traced(self._program, self.site, spins.to(self.blank))

    def _sum(self, scores: dict[str, torch.Tensor]) -> torch.Tensor:
        """Log likelihood from the log densities by site of one configuration: scalar, float64."""
        total = torch.zeros((), dtype=torch.float64)
        return total + sum(score.sum() for name, score in scores.items() if name != self.site)

    def _alone(self, spins: torch.Tensor) -> float:
        """Log likelihood of one configuration, `[K]`, bool."""
        key = spins.numpy().tobytes()
        if key in self._cache:
            return self._cache[key]
        answer = float(self._sum(self._traced(spins)))
        if len(self._cache) < CACHED:
            self._cache[key] = answer
        return answer

    def _together(self, spins: torch.Tensor) -> torch.Tensor:
        """Log likelihood of all configurations (`[P, K]`, bool) from one run: `[P]`, float64."""
        total = torch.zeros(len(spins), dtype=torch.float64)
        for name, score in self._traced(spins).items():
            alone = self._shapes.get(name)
            if alone is None or score.shape not in (alone, (len(spins), *alone)):
                raise StatisticsError(
                    "The shape of a site does not match that of the spins.",
                    got=f"{name!r} of shape {tuple(score.shape)} for spins of shape {tuple(spins.shape)}",
                    wanted=f"{alone and tuple(alone)} as for one configuration, after an axis of {len(spins)}",
                    fix="index the axes of the spins from the last: spins[..., k]",
                )
            if name != self.site:
                total += score.sum() if score.shape == alone else score.reshape(len(spins), -1).sum(dim=1)
        return total

    def _check_prior(self, trials: torch.Tensor) -> None:
        try:
            scores = self._prior.log_prob(trials.to(self.blank))
        except Exception as error:
            raise ConfigError(
                f"The distribution of {self.site!r} cannot be evaluated for arbitrary configurations.",
                got=f"{type(self._prior).__name__}: {type(error).__name__}: {error}",
                wanted="a log density of [P, K] values of 0 and 1",
                fix="dist.Bernoulli(...).to_event(1); couple the spins by pyro.factor",
            ) from error
        if scores.shape[:1] != trials.shape[:1]:
            raise ConfigError(
                f"The distribution of {self.site!r} does not give one log density per configuration.",
                got=f"log densities of shape {tuple(scores.shape)} for values of shape {tuple(trials.shape)}",
                wanted=f"a leading axis of {len(trials)}",
                fix="write log_prob for values with leading axes",
            )

    def _check_function(self, trials: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        """Log densities by site of each configuration, which must be the same in two runs."""
        first, second = ([self._traced(row) for row in trials] for _ in range(2))
        prior = self.log_prior(trials)
        for a, b, log_prior in zip(first, second, prior, strict=True):
            same = a.keys() == b.keys() and all(self._equal(a[name], b[name]) for name in a)
            if not (same and self._equal(a[self.site].sum(), log_prior)):
                raise ConfigError(
                    "The program gives different log densities for the same spins.",
                    got="random numbers, or another state that changes between calls, inside the program",
                    wanted="a function of the spins",
                    fix="draw such numbers once, outside the program",
                )
        return first

    def _try_together(self, trials: torch.Tensor, wanted: torch.Tensor) -> str:
        """Why the program cannot be run for all particles at once; empty if the result equals that of single runs."""
        # Two batches: the length of one can coincide with that of another axis.
        for part in (slice(None), slice(3)):
            try:
                got = self._together(trials[part])
            except Exception as error:
                return f"it does not take [P, K] spins ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
            if not self._equal(got, wanted[part]):
                return "its log densities for [P, K] spins are not those of single runs"
        return ""

    def _equal(self, a: torch.Tensor, b: torch.Tensor) -> bool:
        """Whether log densities agree up to rounding by different orders of summation; -inf equals -inf."""
        return a.shape == b.shape and torch.allclose(a, b, rtol=self._tolerance, atol=self._tolerance)
