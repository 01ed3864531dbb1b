"""Pyro program and values of its latent sites -> the log density of each of its sites there, or draws of them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.distributions import biject_to
from torch.distributions.constraints import interval, is_dependent

from bayespde.core.errors import ConfigError

Program = Callable[[], Any]

# The handlers of Pyro, and the generator of torch that it draws from, are global to the process.
ONE_AT_A_TIME = threading.RLock()


class NoParameters(Messenger):
    """Refuses parameters before they enter Pyro's store."""

    def _pyro_param(self, msg: dict[str, Any]) -> None:
        if msg["value"] is None:
            raise ConfigError(
                "The program has a parameter in Pyro's store.",
                got=f"the parameter {msg['name']!r}",
                wanted="a program whose numbers come from its arguments",
                fix="pass the value as an argument, or fix it with pyro.poutine.substitute",
            )


@dataclass(frozen=True, eq=False)
class LatentLayout:
    """Where the continuous latent sites of a program are in a vector of unconstrained real numbers.

    Attributes:
        blanks: A value of each site by name, in the shape and type that the program draws.
        shapes: Shape of each in unconstrained coordinates, which a simplex, say, has one fewer of.
    """

    blanks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    shapes: Mapping[str, torch.Size] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Number of unconstrained coordinates D."""
        return sum(shape.numel() for shape in self.shapes.values())

    def split(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Unconstrained coordinates of each site, of all, `[D]`."""
        parts = latents.split([shape.numel() for shape in self.shapes.values()])
        return {name: part.reshape(self.shapes[name]) for name, part in zip(self.shapes, parts, strict=True)}


class _Fixed(NoParameters):
    """Sets discrete sites and, through the bijection to their supports, continuous ones; refuses any other one."""

    def __init__(
        self, values: Mapping[str, torch.Tensor], reals: Mapping[str, torch.Tensor], layout: LatentLayout
    ) -> None:
        super().__init__()
        self.values, self.reals, self.layout = values, reals, layout
        # Log determinants of the bijections, by site.
        self.jacobians: dict[str, torch.Tensor] = {}

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        name = msg["name"]
        if name in self.values:
            msg["value"] = self.values[name]
        elif name in self.reals:
            # The support may depend on other sites, so that the bijection belongs to this run.
            real, blank = self.reals[name], self.layout.blanks[name]
            bijection = bijection_of(msg["fn"])
            value = bijection(real)
            self.jacobians[name] = bijection.log_abs_det_jacobian(real, value).sum()
            msg["value"] = value.to(blank.dtype)
        elif is_random(msg):
            refuse_latent([name])


def traced(
    program: Program,
    values: Mapping[str, torch.Tensor],
    latents: torch.Tensor,
    layout: LatentLayout,
    *,
    mark_invalid: bool = False,
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Run a program with its latent sites fixed.

    Args:
        program: A Pyro program without arguments.
        values: Values of its discrete latent sites, in the shapes and types that they draw.
        latents: Unconstrained coordinates of the continuous ones, `[D]`, float64.
        layout: Which is which.
        mark_invalid: Whether a site outside the domain of its distribution has the log density NaN. This is for runs
            without Pyro's validation, which raises errors of its own.

    Returns:
        Log density by site, each a number in float64, with the Jacobian of the bijection; and the values of the
        continuous sites.

    Raises:
        ConfigError: If the program draws anything else or uses a parameter, or leaves out a site.
    """
    fixed = _Fixed(values, layout.split(latents), layout)
    with pyro.poutine.trace() as tape, fixed:
        program()
    nodes = sites(tape.trace)
    _refuse_varying(nodes, {**values, **layout.blanks})
    # Outside the handlers of Pyro, because a density may run a program itself.
    densities = {name: score(node).double().sum() for name, node in nodes.items()}
    for name, jacobian in fixed.jacobians.items():
        densities[name] = densities[name] + jacobian
    if mark_invalid:
        densities = {n: torch.where(_is_valid(nodes[n]), density, torch.nan) for n, density in densities.items()}
    return densities, {name: nodes[name]["value"] for name in layout.blanks}


def drawn(
    program: Program, discrete: Mapping[str, torch.Tensor], layout: LatentLayout
) -> tuple[dict[str, Any], torch.Tensor]:
    """Run a program freely: the values of its discrete sites, and the coordinates `[D]` of its continuous ones.

    Args:
        program: A Pyro program without arguments.
        discrete: Any value of each of its discrete sites.
        layout: Of its continuous sites.

    Raises:
        ConfigError: If the program leaves out a site, or a site has another shape.
    """
    with pyro.poutine.trace() as tape, NoParameters():
        program()
    nodes = sites(tape.trace)
    _refuse_varying(nodes, {**discrete, **layout.blanks})
    reals = [bijection_of(nodes[name]["fn"]).inv(nodes[name]["value"].double()) for name in layout.blanks]
    flat = [torch.zeros(0, dtype=torch.float64), *(real.reshape(-1) for real in reals)]
    return {name: nodes[name]["value"] for name in discrete}, torch.cat(flat)


def _refuse_varying(nodes: Mapping[str, Any], wanted: Mapping[str, torch.Tensor]) -> None:
    """Refuse a run without some latent site, or with one of another shape."""
    for name, value in wanted.items():
        found = nodes[name]["value"].shape if name in nodes else None
        if found != value.shape:
            raise ConfigError(
                "The latent sites are not the same in every run of the program.",
                got=f"no {name!r}" if found is None else f"{name!r} of shape {tuple(found)}",
                wanted=f"{name!r} of shape {tuple(value.shape)}, whatever the values of the others",
                fix="draw it always and whole, and use what is needed of it",
            )


def refuse_latent(names: list[str]) -> None:
    """Refuse what a program draws apart from the sites that are sampled."""
    raise ConfigError(
        "The program has other latent sites than those that are sampled.",
        got=", ".join(map(repr, names)),
        wanted="the same latent sites in every run, and no plate with subsampling",
        fix="integrate the others out, or fix them with pyro.condition",
    )


def sites(trace: Any) -> dict[str, Any]:
    """The sites of a trace that have a density, by name."""
    return {n: node for n, node in trace.nodes.items() if node["type"] == "sample" and not site_is_subsample(node)}


def score(node: dict[str, Any]) -> torch.Tensor:
    """Log density of a site in the shape and precision of the program."""
    log_density = node["fn"].log_prob(node["value"], *node["args"], **node["kwargs"])
    return scale_and_mask(log_density, node["scale"], node["mask"])


def _is_valid(node: dict[str, Any]) -> torch.Tensor:
    """Whether value and parameters of a site are in the domain of its distribution, as a truth value of torch.

    Distributions of users need not declare domains, those with `validate_args=False` are not checked, and torch cannot
    map a few checks, such as that of a covariance.
    """
    inner, valid = node["fn"], torch.tensor(True)
    with suppress(RuntimeError):
        if _is_checked(inner):
            valid = valid & inner.support.check(node["value"]).all()
    while inner is not None:
        with suppress(NotImplementedError):
            for name, rule in inner.arg_constraints.items() if _is_checked(inner) else ():
                if name in inner.__dict__ and not is_dependent(rule):
                    with suppress(RuntimeError):
                        valid = valid & rule.check(inner.__dict__[name]).all()
        inner = getattr(inner, "base_dist", None)
    return valid


def _is_checked(fn: Any) -> bool:
    """Whether a distribution was not made with `validate_args=False`; the default of its class is switched off here."""
    return fn.__dict__.get("_validate_args") is not False


def bijection_of(fn: Any) -> Any:
    """The bijection from real numbers to where a distribution is normalised.

    That is its support; of a mixture that of its components, of an angle one turn.
    """
    if isinstance(innermost(fn), torch.distributions.VonMises):
        return biject_to(interval(-torch.pi, torch.pi))
    # By its name, because older versions of torch have no such class.
    if type(fn.support).__name__ == "MixtureSameFamilyConstraint":
        return biject_to(fn.support.base_constraint)
    return biject_to(fn.support)


def is_random(node: dict[str, Any]) -> bool:
    """Whether running the program draws this sample site's value."""
    if site_is_subsample(node):
        return node["fn"].subsample_size is not None and node["fn"].subsample_size < node["fn"].size
    return not node["is_observed"] and not isinstance(innermost(node["fn"]), dist.Delta)


def innermost(fn: Any) -> Any:
    """The distribution within others that only reshape, repeat or mask it."""
    while hasattr(fn, "base_dist") and not isinstance(fn, torch.distributions.TransformedDistribution):
        fn = fn.base_dist
    return fn
