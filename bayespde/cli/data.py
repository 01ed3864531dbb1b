"""Declarations and videos -> fields and derivatives: `simulate`, `smooth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayespde.cli.options import FieldFile, Model, Output, Seed, SpaceOrder, TimeOrder, Variable


def simulate(
    context: typer.Context,
    model: Model,
    output: Output = Path("field.nc"),
    noise: Annotated[float | None, typer.Option(help="Relative noise level, overrides the declaration.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise, overrides the declaration.")] = None,
) -> None:
    """Integrate the equation of a declaration that has a [simulate] section, and write the video."""
    from bayespde.core.files import check_writable
    from bayespde.io.write import write_field
    from bayespde.solve.simulate import SimulationSpec
    from bayespde.solve.simulate import simulate as simulate_field
    from bayespde.zoo.declaration import read_declaration

    changes = {k: v for k, v in {"noise": noise, "seed": seed}.items() if v is not None}
    spec = SimulationSpec.from_mapping(dict(read_declaration(model).simulation) | changes)
    check_writable(output)
    write_field(simulate_field(spec, progress=context.obj.progress), output)
    context.obj.answer(output)


def smooth(
    context: typer.Context,
    field: FieldFile,
    output: Output = Path("derivatives.nc"),
    smoother: Annotated[str, typer.Option(help="spline, network or auto.")] = "spline",
    noise: Annotated[str, typer.Option(help="auto, or a family such as gaussian, student_t, poisson, logit.")] = "auto",
    device: Annotated[str, typer.Option(help="Where networks are trained: cpu or cuda.")] = "cpu",
    deviations: Annotated[bool, typer.Option("--std", help="Those of networks too: minutes.")] = False,
    space: SpaceOrder = 2,
    time: TimeOrder = 1,
    variable: Variable = None,
    seed: Seed = 0,
) -> None:
    """Smooth a field and write its derivatives, with their standard deviations if the spline is chosen."""
    from bayespde.core.files import new_file
    from bayespde.core.netcdf import put_netcdf
    from bayespde.io.read import describe_field, read_field
    from bayespde.smooth.config import SmoothingConfig
    from bayespde.smooth.differentiate import differentiate
    from bayespde.smooth.fit import fit_field

    options = SmoothingConfig(smoother=smoother, noise=noise, uncertainty=deviations, device=device)
    data = read_field(field, variable)
    context.obj.note(f"read {describe_field(data)}")
    with new_file(output) as stream:
        fitted = fit_field(data, options=options, seed=seed, progress=context.obj.progress)
        found = differentiate(fitted, space=space, time=time, deviations=deviations or None)
        put_netcdf(found, stream, "derivatives")
    context.obj.note(fitted.summary())
    context.obj.answer(output)
