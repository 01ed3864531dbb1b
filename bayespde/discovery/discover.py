"""The stages, joined: a field -> a posterior over equations; fields that move each other -> one for each."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import MINIMUM_SAMPLES, validate_field, validate_fields
from bayespde.core.random import check_workers, spawn_seeds
from bayespde.discovery.config import DiscoverConfig
from bayespde.discovery.coupled import CoupledDiscovery
from bayespde.discovery.discovery import Discovery
from bayespde.discovery.task import Seeds, Task, smoothed
from bayespde.library.candidates import check_library, polynomial_library, system_library
from bayespde.stages.run_folder import RunFolder


def discover(
    field: xr.DataArray,
    *,
    library: Library | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    holdout_frames: int = 0,
    folder: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> Discovery:
    """Find the equation behind a field: smooth, form rows, sample.

    Args:
        field: The noisy field.
        library: The candidate terms; the default library of the field's dimension if absent.
        config: Settings of all stages.
        seed: Non-negative integer.
        holdout_frames: Last frames that nothing sees, by which the equation can be judged: `Discovery.forecast_holdout`.
        folder: Where finished stages are kept; a rerun with the same data and settings resumes after them.
        workers: Sampler runs at a time; the answer does not depend on it.
        progress: Show bars.

    Returns:
        The discovery.

    Raises:
        FieldError: If the field does not satisfy its schema.
        TermError: If a term does not fit the field.
        FileError: If the folder cannot be written.
    """
    field, config = validate_field(field), config or DiscoverConfig()
    field, holdout = _without_last(field, holdout_frames)
    library = library or polynomial_library(str(field.name), space=field.ndim - 1)
    check_library(library, field)
    check_workers(workers)
    run, seeds = RunFolder(Path(folder) if folder is not None else None), Seeds(seed, *spawn_seeds(seed, 4))
    smooth = smoothed(run, field, config, seeds.smooth, progress=progress)
    task = Task(library, smooth, config, seeds, workers=workers, progress=progress)
    return task.discovery(run, holdout)


def _without_last(field: xr.DataArray, frames: int) -> tuple[xr.DataArray, xr.DataArray | None]:
    """The first frames, and so many last ones; all and None if none are held out."""
    left = field.sizes["time"] - MINIMUM_SAMPLES
    if isinstance(frames, bool) or not isinstance(frames, int) or not 0 <= frames <= left:
        raise ConfigError(
            "The number of frames to hold out is out of range.",
            got=repr(frames),
            wanted=f"0 to {left} of {field.sizes['time']}",
            fix="holdout_frames=0",
        )
    if not frames:
        return field, None
    return field.isel(time=slice(None, -frames)), field.isel(time=slice(-frames, None))


def discover_system(
    fields: xr.Dataset,
    *,
    libraries: Mapping[str, Library] | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    holdout_frames: int = 0,
    folder: str | PathLike[str] | None = None,
    workers: int = 1,
    progress: bool = False,
) -> CoupledDiscovery:
    """Find the equations behind fields that move each other, one for each.

    Every field is smoothed by itself. The rows of an equation take its left side from its own raw field and its terms
    from all smooth fields, which are made to obey it together; their covariance has the noise of every field. Given
    the fields, the equations are independent of each other. Equations are judged by rows.

    Args:
        fields: One noisy field for each variable, on one grid.
        libraries: The candidate terms by variable; `system_library` if absent.
        config: Settings of all stages, the same for all equations.
        seed: Non-negative integer.
        holdout_frames: Last frames that nothing sees, by which the equations can be judged: `forecast_holdout`.
        folder: Where finished stages are kept, one folder in it for each variable.
        workers: Sampler runs at a time; the answer does not depend on it.
        progress: Show bars.

    Returns:
        The discovery of every equation, under the name of its variable.

    Raises:
        FieldError: If a field does not satisfy its schema, or they do not share their grid.
        TermError: If a term does not fit the fields.
        ConfigError: If rows or trajectories are asked for that only one field has.
        FileError: If the folder cannot be written.
    """
    checked, config = validate_fields(fields), config or DiscoverConfig()
    check_workers(workers)
    if config.trajectory_matching == "always":
        raise ConfigError(
            "Trajectories are fitted to one field only.",
            got="trajectory_matching='always'",
            wanted="'auto' or 'never' for a system",
            fix="DiscoverConfig(trajectory_matching='never')",
        )
    cut = [_without_last(f, holdout_frames) for f in checked]
    names, space = tuple(str(f.name) for f, _ in cut), cut[0][0].ndim - 1
    default = {name: system_library(names, f"{name}_t", space=space) for name in names}
    chosen = default | dict(libraries or {})
    _check_libraries(chosen, {str(f.name): f for f, _ in cut})
    spawned = dict(zip(names, spawn_seeds(seed, len(names)), strict=True))
    seeds = {name: Seeds(seed, *spawn_seeds(s, 4)) for name, s in spawned.items()}
    runs = {name: RunFolder(Path(folder) / name if folder is not None else None) for name in names}
    smooths = {
        str(f.name): smoothed(runs[str(f.name)], f, config, seeds[str(f.name)].smooth, progress=progress)
        for f, _ in cut
    }
    parts = {}
    for name, (_, holdout) in zip(names, cut, strict=True):
        beside = tuple(smooths[other] for other in chosen[name].coupled_variables)
        task = Task(
            chosen[name], smooths[name], config, seeds[name], coupled_fields=beside, workers=workers, progress=progress
        )
        parts[name] = task.discovery(runs[name], holdout)
    return CoupledDiscovery(parts, Path(folder) if folder is not None else None)


def _check_libraries(libraries: Mapping[str, Library], fields: Mapping[str, xr.DataArray]) -> None:
    """Check that there is one library for each field, which speaks of these fields."""
    if set(libraries) != set(fields):
        raise ConfigError(
            "There are libraries for other variables than the fields.",
            got=", ".join(sorted(set(libraries) - set(fields))),
            wanted="some of " + ", ".join(fields),
            fix="libraries={'u': Library.from_strings([...], variable='u', coupled_variables=('v',), target='u_t')}",
        )
    for name, library in libraries.items():
        check_library(library, fields[name], [f for other, f in fields.items() if other != name])
