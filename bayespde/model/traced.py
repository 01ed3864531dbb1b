"""Pyro program -> the log density of each of its sites at given spins, or why there is none."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro
import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.distributions import constraints

from bayespde.core.errors import ConfigError, StatisticsError
from bayespde.core.random import forked_torch_seed

# Rounding error of a log density, in nats, above which there is a warning.
VISIBLE_ROUNDING = 1e-3

# The handlers of Pyro, and the generator of torch that it draws from, are global to the process.
ONE_AT_A_TIME = threading.RLock()


class _NoParameters(Messenger):
    """Refuses parameters before they enter Pyro's store."""

    def _pyro_param(self, msg: dict[str, Any]) -> None:
        if msg["value"] is None:
            raise ConfigError(
                "The program has a parameter in Pyro's store.",
                got=f"the parameter {msg['name']!r}",
                wanted="a program whose numbers come from its arguments",
                fix="pass the value as an argument, or fix it with pyro.poutine.substitute",
            )


class _Pinned(_NoParameters):
    """Sets the value of the binary site, and refuses any other latent site."""

    def __init__(self, site: str, value: torch.Tensor) -> None:
        super().__init__()
        self.site, self.value = site, value

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["name"] == self.site:
            msg["value"] = self.value
        elif _is_random(msg):
            _refuse_latent(self.site, [msg["name"]])


def traced(program: Callable[[], Any], site: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run a program with its binary site fixed.

    Args:
        program: A Pyro program without arguments.
        site: Name of the binary site.
        value: Its value, `[K]` or `[P, K]`, of the type that the site draws.

    Returns:
        Log density by site, float64, in the shapes of the program.

    Raises:
        ConfigError: If the program draws anything or uses a parameter.
        StatisticsError: If a log density is NaN or +inf.
    """
    with ONE_AT_A_TIME, _invalid_values_refused():
        with pyro.poutine.trace() as tape, _Pinned(site, value):
            program()
        # Outside the handlers of Pyro, because a density may run a program itself.
        return {name: usable(_score(node), name) for name, node in _sites(tape.trace).items()}


def examined(program: Callable[[], Any], site: str | None) -> tuple[str, dict[str, Any]]:
    """Run a program once without a fixed site, and refuse it unless its binary site is the only latent one.

    Args:
        program: A Pyro program without arguments.
        site: Name of the binary site; None for the only latent one.

    Returns:
        Its name, and Pyro's record of every site that has a density, by name.

    Raises:
        ConfigError: If there is no such site, it is not a vector of 0 and 1 with a normalised prior, other sites are
            drawn, or a parameter is used.
    """
    guard = _invalid_values_refused()
    with ONE_AT_A_TIME, forked_torch_seed(0), guard, pyro.poutine.trace() as tape, _NoParameters():
        program()
    random = {name: node for name, node in tape.trace.nodes.items() if node["type"] == "sample" and _is_random(node)}
    name = _only_binary(random) if site is None else site
    if name not in random:
        observed = name in tape.trace.nodes and tape.trace.nodes[name]["type"] == "sample"
        what = f"The site {name!r} is observed." if observed else f"The program has no site called {name!r}."
        raise ConfigError(
            what if name else "The program has not one binary latent site.",
            got=f"latent sites: {', '.join(map(repr, random)) or 'none'}",
            wanted="a binary site whose value is to be inferred",
            fix=f"site={next(iter(random))!r}" if random else "pyro.sample('spins', dist.Bernoulli(...).to_event(1))",
        )
    if len(random) > 1:
        _refuse_latent(name, [other for other in random if other != name])
    nodes = _sites(tape.trace)
    _refuse_wrong_prior(nodes[name])
    _warn_of_rounding({other: _score(node) for other, node in nodes.items() if other != name})
    return name, nodes


def _only_binary(random: dict[str, Any]) -> str:
    """Name of the only latent site, or of the only one of zeros and ones; empty if there is none."""
    binary = [name for name, node in random.items() if bool(((node["value"] == 0) | (node["value"] == 1)).all())]
    names = list(random) if len(random) == 1 else binary
    return names[0] if len(names) == 1 else ""


@contextmanager
def _invalid_values_refused() -> Iterator[None]:
    """Convert the error of torch for NaN and other values outside the domain of a distribution."""
    try:
        yield
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


def _refuse_latent(site: str, names: list[str]) -> None:
    raise ConfigError(
        f"The program has more latent sites than {site!r}.",
        got=", ".join(map(repr, names)),
        wanted=f"{site!r} as the only latent site, and no plate with subsampling",
        fix="integrate the others out, or fix them with pyro.condition",
    )


def _refuse_wrong_prior(node: dict[str, Any]) -> None:
    """Refuse a site that is not a vector of 0 and 1, or whose density is not normalised."""
    fn, value = node["fn"], node["value"]
    changed = node["mask"] is not None or not bool(torch.all(torch.as_tensor(node["scale"]) == 1))
    while hasattr(fn, "base_dist"):
        changed, fn = changed or hasattr(fn, "_mask"), fn.base_dist
    support = getattr(fn, "support", None)
    if not isinstance(getattr(support, "base_constraint", support), type(constraints.boolean)):
        raise ConfigError(
            f"The site {node['name']!r} is not binary.",
            got=f"{type(fn).__name__} with support {support}",
            wanted="a distribution over 0 and 1",
            fix="dist.Bernoulli(...).to_event(1)",
        )
    if value.ndim != 1 or not len(value):
        raise ConfigError(
            f"The site {node['name']!r} is not a vector.",
            got=f"a value of shape {tuple(value.shape)}",
            wanted="[K] spins",
            fix="dist.Bernoulli(probs).expand([K]).to_event(1), and reshape in the program",
        )
    if changed:
        raise ConfigError(
            f"The density of the site {node['name']!r} is masked or scaled, and does not belong to its draws.",
            got="a mask, a scale or a subsampled plate",
            wanted="a normalised prior",
            fix="apply pyro.poutine.mask and pyro.poutine.scale to the other sites only",
        )


def _warn_of_rounding(scores: dict[str, torch.Tensor]) -> None:
    for name, score in scores.items():
        step = _rounding(score) * abs(float(score.sum()))
        if VISIBLE_ROUNDING < step < torch.inf:
            warnings.warn(
                f"The log density of {name!r} is computed in {score.dtype} and has an error of about {step:.0e}; "
                "give the program float64 data and a float64 prior.",
                stacklevel=4,
            )


def _is_random(node: dict[str, Any]) -> bool:
    """Whether running the program draws this sample site's value."""
    if site_is_subsample(node):
        return node["fn"].subsample_size is not None and node["fn"].subsample_size < node["fn"].size
    return not node["is_observed"]


def _sites(trace: Any) -> dict[str, Any]:
    """The sites of a trace that have a density, by name."""
    return {n: node for n, node in trace.nodes.items() if node["type"] == "sample" and not site_is_subsample(node)}


def _score(node: dict[str, Any]) -> torch.Tensor:
    """Log density of a site in the shape and precision of the program."""
    log_density = node["fn"].log_prob(node["value"], *node["args"], **node["kwargs"])
    return scale_and_mask(log_density, node["scale"], node["mask"]).detach()


def _rounding(score: torch.Tensor) -> float:
    return torch.finfo(score.dtype).eps if score.dtype.is_floating_point else 0.0


def precision(nodes: dict[str, Any]) -> float:
    """Largest relative rounding error among the log densities of recorded sites."""
    return max(_rounding(_score(node)) for node in nodes.values())


def usable(score: torch.Tensor, name: str) -> torch.Tensor:
    """Convert a log density to float64 on the host.

    Args:
        score: Log density, any shape and precision.
        name: Of the site, for the message.

    Returns:
        The same numbers, float64, without a gradient.

    Raises:
        StatisticsError: If any is NaN or +inf.
    """
    score = score.detach().to("cpu", torch.float64)
    if bool((score.isnan() | (score == torch.inf)).any()):
        raise StatisticsError(
            f"The log density of the site {name!r} is not comparable.",
            got="NaN" if bool(score.isnan().any()) else "+inf",
            wanted="a finite number, or -inf where a configuration is impossible",
            fix="return -inf from pyro.factor for impossible configurations",
        )
    return score
