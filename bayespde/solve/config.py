"""Settings -> a checked `SolverConfig`: how an equation is discretised in space and stepped in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from bayespde.core.annotations import Count, OneOf, Range
from bayespde.core.checked import Checked, validated
from bayespde.core.errors import ConfigError
from bayespde.core.settings import build

Boundary = Annotated[str, OneOf(("periodic", "neumann", "dirichlet"))]


@dataclass(frozen=True)
class SolverConfig(Checked):
    """How to integrate an equation.

    Attributes:
        space: Derivatives by "fourier" (periodic only) or by central "difference".
        order: Order of accuracy of the differences, 2 or 4.
        boundary: "periodic" (the point after the last one is the first); "neumann" (zero flux: values are mirrored at a
            wall half a step outside the last point, so that diffusion conserves the sum of u); "dirichlet" (boundary
            values are prescribed, and u is continued odd about them).
        scheme: "explicit" is Dormand-Prince 5(4); "etd" is ETDRK4, exact in the linear part that the transform of the
            grid makes diagonal; "auto" is etd if that part is stiff, else explicit. "rkc" is Runge-Kutta-Chebyshev,
            compiled and without gradients: for differences, and equations in which diffusion dominates advection.
        rtol: Tolerated error per step, relative to the largest `|u|`.
        atol: Tolerated error per step in the units of u, added to the relative one.
        maximum_steps: Number of steps tried before the integration fails.
        dealias: Whether Fourier products drop the upper third of the wavenumbers (the 2/3 rule).
        allow_ill_posed: Whether an equation whose shortest waves grow without bound, such as `u_t = -u_xx`, is
            integrated over times after which rounding errors are larger than the solution.
    """

    space: Annotated[str, OneOf(("fourier", "difference"))] = "fourier"
    order: Annotated[int, OneOf((2, 4))] = 2
    boundary: Boundary = "periodic"
    scheme: Annotated[str, OneOf(("auto", "explicit", "etd", "rkc"))] = "auto"
    rtol: Annotated[float, Range(1e-13)] = 1e-6
    atol: Annotated[float, Range(1e-300)] = 1e-9
    maximum_steps: Count = 100_000
    dealias: bool = True
    allow_ill_posed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.space == "fourier" and self.boundary != "periodic":
            raise ConfigError(
                "Fourier derivatives need a periodic field.",
                got=f"boundary={self.boundary!r}",
                wanted="boundary='periodic'",
                fix="space='difference'",
            )
        if self.space == "fourier" and self.scheme == "rkc":
            raise ConfigError(
                "Chebyshev steps are compiled for differences only.",
                got="space='fourier', scheme='rkc'",
                wanted="space='difference'",
                fix="SolverConfig(space='difference', order=4, scheme='rkc')",
            )

    @validated
    def with_boundary(self, boundary: Boundary) -> SolverConfig:
        """The same settings for a boundary condition; unless it is periodic, with differences of order 4."""
        if boundary == "periodic":
            return self
        return replace(self, space="difference", order=4, boundary=boundary)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> SolverConfig:
        """Build the settings from a table, as read from a declaration.

        Raises:
            ConfigError: If a key is unknown or a value is not allowed.
        """
        return build(cls, settings, "method")
