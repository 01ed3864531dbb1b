"""Pyro program -> log prior and log likelihood of many values of its latent sites at once, and draws from its prior."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyro
import torch

from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import forked_torch_seed, torch_generator
from bayespde.model.draw_mode import DirichletDraws, MappedDraws
from bayespde.model.program_sites import domain_errors, examined
from bayespde.model.site_codes import SiteCodes
from bayespde.model.traced import ONE_AT_A_TIME, Program, drawn, traced

# Prior draws on which a program is tested.
TRIALS = 30
# How many of them are run twice, to see whether the program is a function.
REPEATED = 6
# Largest number of values of a site in one run.
ELEMENTS = 2**22

Scores = Mapping[str, torch.Tensor]


class LogDensities(NamedTuple):
    """Log prior and log likelihood of particles, `[P]` each, float64."""

    log_prior: torch.Tensor
    log_likelihood: torch.Tensor


class ProgramDensity:
    """The log density of a Pyro program [bingham2019pyro] over its latent sites, all particles at once.

    The latent sites give the prior; all others, observed ones and factors, give the likelihood. Discrete sites are
    coded by spins (`SiteCodes`), continuous ones by unconstrained real numbers (`LatentLayout`).

    The program is written for one configuration, and torch maps it over all particles, which it can unless values
    decide what is run next, or leave torch. This is tested on some prior draws, the empty and the full configuration,
    against single runs. Any other program is run once for each particle.

    Args:
        program: A Pyro program without arguments.
        site: Name of the only discrete latent site; None for all that there are.
        discrete_only: Whether continuous latent sites are refused.

    Raises:
        ConfigError: If the program cannot be sampled; the message gives the reason.
        StatisticsError: If a log density is NaN or +inf.

    Attributes:
        codes: Of the discrete sites.
        layout: Of the continuous ones.
        looped_because: Why the program is run once for each particle; empty if all particles share a run.
    """

    def __init__(self, program: Program, site: str | None = None, *, discrete_only: bool = False) -> None:
        self._program = program
        self.codes, self.layout, rounding, largest = examined(program, site)
        if discrete_only and self.dimension:
            raise ConfigError(
                "The program has continuous latent sites.",
                got=", ".join(map(repr, self.layout.blanks)),
                wanted="discrete latent sites only",
                fix="sample it with bayespde.SpinSMC, integrate them out, or fix them with pyro.condition",
            )
        self._chunk, self._tolerance = max(1, ELEMENTS // largest), rounding**0.6
        self.looped_because = ""
        generator = torch_generator(0)
        spins, latents = self.draw(TRIALS + 2, generator=generator)
        spins[0], spins[1] = False, True
        single = self._tested(spins, latents)
        # Two batches: the length of one can coincide with that of another axis.
        self.looped_because = self._why_not_together(spins, latents, single) or self._why_not_together(
            spins[:3], latents[:3], single
        )

    @property
    def dimension(self) -> int:
        """Number of unconstrained coordinates D of the continuous sites."""
        return self.layout.dimension

    def __call__(self, spins: torch.Tensor, latents: torch.Tensor) -> LogDensities:
        """Log densities of configurations (`[P, K]`, bool) and coordinates (`[P, D]`, float64), without a gradient.

        Raises:
            ConfigError: If the program draws other sites for some of them.
            StatisticsError: If a log density is NaN or +inf.
        """
        if self.looped_because:
            rows = [self._alone(s, x) for s, x in zip(spins, latents, strict=True)]
            return LogDensities(*(torch.stack(parts) for parts in zip(*rows, strict=True)))
        parts = zip(spins.split(self._chunk), latents.split(self._chunk), strict=True)
        found = [self._summed(_usable(self._together(s, x)), s) for s, x in parts]
        return LogDensities(*(torch.cat(both) for both in zip(*found, strict=True)))

    def proposed(self, spins: torch.Tensor, latents: torch.Tensor) -> LogDensities:
        """The same where moves may propose what the program cannot evaluate: the likelihood is then 0.

        Gradients with respect to `latents` flow through the answer if they require them.
        """
        if self.looped_because:
            scores = [self._mapped(*row) for row in zip(self._rows(spins), latents, strict=True)]
            rows = [self._summed(one, s[None]) for one, s in zip(scores, spins, strict=True)]
            found = [LogDensities(*(torch.cat(both) for both in zip(*rows, strict=True)))]
        else:
            parts = zip(spins.split(self._chunk), latents.split(self._chunk), strict=True)
            found = [self._summed(self._together(s, x), s) for s, x in parts]
        prior, likelihood = (torch.cat(both) for both in zip(*found, strict=True))
        return LogDensities(*(torch.where(part.isfinite(), part, -torch.inf) for part in (prior, likelihood)))

    def draw(self, particles: int, *, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw configurations `[P, K]`, bool, and coordinates `[P, D]`, float64, from the prior."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        blanks = {code.name: code.blank for code in self.codes}

        def one(_: Any) -> tuple[dict[str, Any], torch.Tensor]:
            return drawn(self._program, blanks, self.layout)

        with ONE_AT_A_TIME:
            try:
                with forked_torch_seed(seed), _mapping(), MappedDraws(), DirichletDraws():
                    values, latents = torch.func.vmap(one, randomness="different")(torch.arange(particles))
            except Exception:
                with forked_torch_seed(seed), domain_errors():
                    rows = [one(None) for _ in range(particles)]
                values = {name: torch.stack([row[0][name] for row in rows]) for name in blanks}
                latents = torch.stack([row[1] for row in rows])
        return self.codes.spins(values, generator=generator), latents

    def values(self, spins: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Values of all latent sites, `[P, *shape]` each, in the types that the program draws."""
        if not self.dimension:
            return self.codes.values(spins)

        def one(values: Mapping[str, torch.Tensor], reals: torch.Tensor) -> dict[str, torch.Tensor]:
            return traced(self._program, values, reals, self.layout)[1]

        discrete = self.codes.values(spins)
        with ONE_AT_A_TIME, torch.no_grad():
            if self.looped_because:
                rows = [one(*row) for row in zip(self._rows(spins), latents, strict=True)]
                return discrete | {name: torch.stack([row[name] for row in rows]) for name in self.layout.blanks}
            with _mapping():
                return discrete | torch.func.vmap(one)(discrete, latents)

    def _rows(self, spins: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        """Values of the discrete sites of each configuration."""
        values = self.codes.values(spins)
        return [{name: value[p] for name, value in values.items()} for p in range(len(spins))]

    def _alone(self, spins: torch.Tensor, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log prior and log likelihood, each a number, from a run of the program with Pyro's validation."""
        (values,) = self._rows(spins[None])
        with ONE_AT_A_TIME, domain_errors(), torch.no_grad():
            scores, _ = traced(self._program, values, latents, self.layout)
        prior, likelihood = self._summed(_usable({n: score[None] for n, score in scores.items()}), spins[None])
        return prior[0], likelihood[0]

    def _together(self, spins: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Log density by site from one run for all particles, `[P]` each."""
        with ONE_AT_A_TIME, _mapping():
            return torch.func.vmap(self._one)(self.codes.values(spins), latents)

    def _mapped(self, values: Mapping[str, torch.Tensor], latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Log density by site of one particle, `[1]` each, from a run of its own without Pyro's validation."""
        with ONE_AT_A_TIME, _mapping():
            return {name: score[None] for name, score in self._one(values, latents).items()}

    def _one(self, values: Mapping[str, torch.Tensor], latents: torch.Tensor) -> dict[str, torch.Tensor]:
        return traced(self._program, values, latents, self.layout, mark_invalid=True)[0]

    def _summed(self, scores: Scores, spins: torch.Tensor) -> LogDensities:
        """Log prior and log likelihood from the log densities by site, `[P]` each."""
        latent = {code.name for code in self.codes} | set(self.layout.blanks)
        zero = torch.zeros(len(spins), dtype=torch.float64)
        prior = zero + sum(score for name, score in scores.items() if name in latent)
        likelihood = zero + sum(score for name, score in scores.items() if name not in latent)
        return LogDensities(prior - self.codes.log_multiplicity(spins), likelihood)

    def _tested(self, spins: torch.Tensor, latents: torch.Tensor) -> LogDensities:
        """Log densities from single runs, which must be the same in two of them."""
        rows = [self._alone(*row) for row in zip(spins, latents, strict=True)]
        again = [self._alone(*row) for row in zip(spins[:REPEATED], latents[:REPEATED], strict=True)]
        first, second = (LogDensities(*map(torch.stack, zip(*both, strict=True))) for both in (rows, again))
        if not self._equal(LogDensities(*(part[:REPEATED] for part in first)), second):
            raise ConfigError(
                "The program gives different log densities for the same values of its latent sites.",
                got="random numbers, or another state that changes between calls, inside the program",
                wanted="a function of the latent sites",
                fix="draw such numbers once, outside the program",
            )
        return first

    def _why_not_together(self, spins: torch.Tensor, latents: torch.Tensor, single: LogDensities) -> str:
        """Why the program cannot be run for all particles at once; empty if the result equals that of single runs."""
        try:
            got = self(spins, latents)
        except Exception as error:
            return f"torch cannot map it over particles ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
        wanted = LogDensities(*(part[: len(spins)] for part in single))
        return "" if self._equal(got, wanted) else "its log densities for all particles are not those of single runs"

    def _equal(self, a: LogDensities, b: LogDensities) -> bool:
        """Whether log densities agree up to rounding by different orders of summation; -inf equals -inf."""
        return all(torch.allclose(x, y, rtol=self._tolerance, atol=self._tolerance) for x, y in zip(a, b, strict=True))


class ProgramTarget:
    """What targets over the latent sites of a program have in common: how spins code its discrete ones."""

    _density: ProgramDensity

    @property
    def terms(self) -> int:
        """Number of spins K."""
        return self.codes.terms

    @property
    def codes(self) -> SiteCodes:
        """How spins code the discrete sites."""
        return self._density.codes

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Sets of spins by which categories change, apart from single spins."""
        return self.codes.blocks

    @property
    def looped_because(self) -> str:
        """Why the program is run once per particle or configuration; empty if all particles share a run."""
        return self._density.looped_because


@contextmanager
def _mapping() -> Iterator[None]:
    """Without Pyro's validation, which torch cannot map, and without warnings that a mapped function is slow."""
    with pyro.validation_enabled(False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def _usable(scores: Scores) -> dict[str, torch.Tensor]:
    """Log densities by site, float64 on the host without a gradient, none of which may be NaN or +inf."""
    answer = {name: score.detach().to("cpu", torch.float64) for name, score in scores.items()}
    total = sum(answer.values(), torch.zeros((), dtype=torch.float64))
    if bool((total < torch.inf).all()):
        return answer
    for name, score in answer.items():
        if bool((score.isnan() | (score == torch.inf)).any()):
            raise StatisticsError(
                f"The log density of the site {name!r} is not comparable.",
                got="NaN or a value outside the domain of its distribution" if bool(score.isnan().any()) else "+inf",
                wanted="a finite number, or -inf where a configuration is impossible",
                fix="return -inf from pyro.factor for impossible configurations",
            )
    return answer
