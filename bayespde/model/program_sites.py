"""Pyro program -> its discrete latent sites and their codes, its continuous ones, or why it cannot be sampled."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyro
import torch
from torch.distributions import constraints

from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import forked_torch_seed
from bayespde.model.site_codes import SiteCode, SiteCodes
from bayespde.model.traced import (
    ONE_AT_A_TIME,
    LatentLayout,
    NoParameters,
    Program,
    bijection_of,
    innermost,
    is_random,
    refuse_latent,
    score,
    sites,
)

# Rounding error of a log density, in nats, above which there is a warning.
VISIBLE_ROUNDING = 1e-3
# Largest number of levels of a discrete site.
MOST_LEVELS = 1024


class ProgramSites(NamedTuple):
    """The latent sites of a program.

    Attributes:
        codes: Of the discrete ones, in the order of the program.
        layout: Of the continuous ones.
        rounding: Largest relative rounding error among the log densities of its sites.
        largest: Largest number of elements of a site.
    """

    codes: SiteCodes
    layout: LatentLayout
    rounding: float
    largest: int


def examined(program: Program, site: str | None = None) -> ProgramSites:
    """Run a program once, and find its latent sites.

    Args:
        program: A Pyro program without arguments.
        site: Name of the only discrete latent site; None for all that there are.

    Raises:
        ConfigError: If there is no discrete latent site, one has too many levels, a prior is not a normalised
            distribution that can be drawn from, plates subsample, or a parameter is used.
    """
    with ONE_AT_A_TIME, forked_torch_seed(0), domain_errors(), pyro.poutine.trace() as tape, NoParameters():
        program()
    nodes = sites(tape.trace)
    random = {name: node for name, node in tape.trace.nodes.items() if node["type"] == "sample" and is_random(node)}
    for name in random:
        if name not in nodes:
            refuse_latent([name])
    discrete = {name: node for name, node in random.items() if _support(node).is_discrete}
    _refuse_wrong_choice(site, discrete, random, nodes)
    for node in random.values():
        _refuse_changed_prior(node)
    reals = {name: node for name, node in random.items() if name not in discrete}
    layout = LatentLayout(
        {name: torch.zeros_like(node["value"]) for name, node in reals.items()},
        {name: _unconstrained_shape(node) for name, node in reals.items()},
    )
    with domain_errors():
        scores = {name: score(node).detach() for name, node in nodes.items()}
    _warn_of_rounding({name: value for name, value in scores.items() if name not in random})
    return ProgramSites(
        codes=SiteCodes(_code(name, node) for name, node in discrete.items()),
        layout=layout,
        rounding=max(map(_rounding, scores.values())),
        largest=max(node["value"].numel() for node in nodes.values()),
    )


@contextmanager
def domain_errors() -> Iterator[None]:
    """Convert errors for values outside the domain of a distribution, and for what a distribution does not offer."""
    try:
        yield
    except NotImplementedError as error:
        raise ConfigError(
            "A distribution of the program cannot be drawn from, or has no density.",
            got=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            wanted="a proper prior of every latent site, which can be drawn from and evaluated",
            fix="take a distribution of Pyro, such as dist.Normal(0.0, 10.0); couple spins by pyro.factor",
        ) from error
    except ValueError as error:
        first = str(error).partition("\n")[0]
        if not first.startswith("Expected "):
            raise
        raise StatisticsError(
            "A distribution of the program received a value outside its domain, such as NaN.",
            got=first,
            wanted="valid numbers for every configuration",
            fix="return -inf from pyro.factor for impossible configurations",
        ) from error


def _refuse_wrong_choice(
    site: str | None, discrete: dict[str, Any], random: dict[str, Any], nodes: dict[str, Any]
) -> None:
    """Refuse a program without a discrete latent site, and a name that is not that of the only one."""
    if site is None and discrete:
        return
    if site is None or site not in random:
        what = f"The site {site!r} is observed." if site in nodes else f"The program has no site called {site!r}."
        raise ConfigError(
            what if site is not None else "The program has no discrete latent site.",
            got=f"latent sites: {', '.join(map(repr, random)) or 'none'}",
            wanted="a discrete site whose value is to be inferred",
            fix=f"site={next(iter(discrete))!r}"
            if discrete
            else "pyro.sample('spins', dist.Bernoulli(...).to_event(1))",
        )
    if site not in discrete:
        raise ConfigError(
            f"The site {site!r} is not discrete.",
            got=f"{type(innermost(random[site]['fn'])).__name__} with support {_support(random[site])}",
            wanted="a distribution over 0 and 1, or over categories",
            fix="dist.Bernoulli(...).to_event(1)",
        )
    if len(discrete) > 1:
        raise ConfigError(
            f"The program has more discrete latent sites than {site!r}.",
            got=", ".join(map(repr, discrete)),
            wanted="all of them sampled",
            fix="leave out site=, or fix the others with pyro.condition",
        )


def _refuse_changed_prior(node: dict[str, Any]) -> None:
    """Refuse a latent site whose density is not that of its draws."""
    fn = node["fn"]
    changed = node["mask"] is not None or not bool(torch.all(torch.as_tensor(node["scale"]) == 1))
    while hasattr(fn, "base_dist"):
        changed, fn = changed or hasattr(fn, "_mask"), fn.base_dist
    if changed:
        raise ConfigError(
            f"The density of the site {node['name']!r} is masked or scaled, and does not belong to its draws.",
            got="a mask, a scale or a subsampled plate",
            wanted="a normalised prior",
            fix="apply pyro.poutine.mask and pyro.poutine.scale to the other sites only",
        )


def _support(node: dict[str, Any]) -> Any:
    """The support of a site."""
    with domain_errors():
        return node["fn"].support


def _code(name: str, node: dict[str, Any]) -> SiteCode:
    """How spins code a discrete site: its support must be 0 and 1, or a range of integers."""
    support, blank = _support(node), torch.zeros_like(node["value"])
    if not blank.numel():
        raise ConfigError(
            f"The site {name!r} is empty.",
            got=f"a value of shape {tuple(blank.shape)}",
            wanted="at least one variable",
            fix="dist.Bernoulli(probs).to_event(1) with at least one probability",
        )
    rule = getattr(support, "base_constraint", support)
    if isinstance(rule, type(constraints.boolean)):
        return SiteCode(name, blank, 0, 2)
    low, high = (torch.as_tensor(getattr(rule, f"{end}_bound", torch.inf)).unique() for end in ("lower", "upper"))
    if len(low) != 1 or len(high) != 1 or not torch.isfinite(high).all() or high - low >= MOST_LEVELS:
        raise ConfigError(
            f"The levels of the site {name!r} cannot be coded by spins.",
            got=f"{type(innermost(node['fn'])).__name__} with support {support}",
            wanted=f"0 and 1, or categories 0, 1, ..., at most {MOST_LEVELS}, as many for each variable",
            fix="dist.Categorical(probs), or sum the site out",
        )
    return SiteCode(name, blank, int(low), int(high - low) + 1)


def _unconstrained_shape(node: dict[str, Any]) -> torch.Size:
    try:
        return torch.Size(bijection_of(node["fn"]).inv(node["value"]).shape)
    except NotImplementedError as error:
        raise ConfigError(
            f"The support of the site {node['name']!r} has no bijection to the real numbers.",
            got=f"{type(innermost(node['fn'])).__name__} with support {_support(node)}",
            wanted="a support that torch.distributions.biject_to knows",
            fix="write the site as a deterministic function of others, by pyro.deterministic",
        ) from error


def _warn_of_rounding(scores: dict[str, torch.Tensor]) -> None:
    for name, value in scores.items():
        step = _rounding(value) * abs(float(value.sum()))
        if VISIBLE_ROUNDING < step < torch.inf:
            warnings.warn(
                f"The log density of {name!r} is computed in {value.dtype} and has an error of about {step:.0e}; "
                "give the program float64 data and a float64 prior.",
                stacklevel=4,
            )


def _rounding(value: torch.Tensor) -> float:
    return torch.finfo(value.dtype).eps if value.dtype.is_floating_point else 0.0
