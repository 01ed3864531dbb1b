"""A field, or coupled fields -> the posterior over equations of each: all stages with good defaults."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, overload

import xarray as xr

from bayespde.core.checked import validated
from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.field import validate_field, validate_fields
from bayespde.core.field_values import MINIMUM_SAMPLES
from bayespde.core.one_order import in_one_order
from bayespde.core.progress import Progress
from bayespde.core.random import spawn_seeds
from bayespde.core.settings import override
from bayespde.discovery.config import DiscoverConfig
from bayespde.discovery.coupled import CoupledDiscovery
from bayespde.discovery.discovery import Discovery
from bayespde.discovery.pipeline import Pipeline, Seeds, smoothed
from bayespde.library.candidates import check_library, polynomial_library, system_library
from bayespde.stages.run_folder import RunFolder
from bayespde.weak.strong_form import StrongForm

Folder = str | PathLike[str] | None


@overload
def discover(
    field: xr.DataArray,
    *,
    library: Library | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    folder: Folder = None,
    progress: bool | Progress = False,
    **settings: Any,
) -> Discovery: ...
@overload
def discover(
    field: xr.Dataset,
    *,
    library: Mapping[str, Library] | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    folder: Folder = None,
    progress: bool | Progress = False,
    **settings: Any,
) -> CoupledDiscovery: ...
@validated
@in_one_order
def discover(
    field: xr.DataArray | xr.Dataset,
    *,
    library: Library | Mapping[str, Library] | None = None,
    config: DiscoverConfig | None = None,
    seed: int = 0,
    folder: Folder = None,
    progress: bool | Progress = False,
    **settings: Any,
) -> Discovery | CoupledDiscovery:
    """Find the equation of a field, or the coupled equations of several fields: smooth, assemble, sample, compare.

    Each of several coupled fields is smoothed separately. The weak form of an equation takes its left side from its own
    raw field and its terms from all smoothed fields, which are conditioned on it together; its covariance has the noise
    of every field. Given the fields, the equations are independent of each other; they are compared by the weak form.

    Args:
        field: The noisy field; or a Dataset with one noisy field for each variable, on one grid.
        library: The candidate terms; for coupled fields libraries by variable. By default `polynomial_library` of the
            field's dimension, `system_library` for each variable.
        config: Settings of all stages.
        seed: Non-negative integer.
        folder: Where finished stages are kept; a rerun with the same data and settings resumes after them. Coupled
            equations have one folder in it each.
        progress: Show what each stage may cost, and bars.
        settings: Fields of `config` to replace, such as `budget=1800` (CPU seconds), `holdout_frames=12` or
            `trajectory_matching="never"`.

    Returns:
        The discovery; of coupled fields that of every equation, by the name of its variable.

    Raises:
        FieldError: If a field does not satisfy its schema, or several do not share their grid.
        TermError: If a term does not fit the fields.
        ConfigError: If a setting is unknown or out of range, or asks of coupled fields what only one field has.
        FileError: If the folder cannot be written.
        KeyboardInterrupt: At Ctrl-C; finished stages are in the folder.
    """
    chosen = override(config or DiscoverConfig(), settings)
    place = None if folder is None else Path(folder)
    if isinstance(field, xr.Dataset):
        return _discover_coupled(field, library, chosen, seed, place, progress)
    if isinstance(library, Mapping):
        raise _wrong_library(library, "a Library", "library=bp.polynomial_library('u')")
    checked, holdout = _without_last(validate_field(field), chosen.holdout_frames)
    library = library or polynomial_library(str(checked.name), space=checked.ndim - 1)
    check_library(library, checked)
    run, seeds = RunFolder(place, chosen.budget), Seeds.spawned(seed, seed)
    watch = Progress.of(progress).within(chosen.budget)
    smooth = smoothed(run, checked, chosen, seeds.smooth, progress=watch)
    return Pipeline(library, {library.variable: smooth}, chosen, seeds, watch).discovery(run, holdout)


def _discover_coupled(
    fields: xr.Dataset,
    libraries: Library | Mapping[str, Library] | None,
    config: DiscoverConfig,
    seed: int,
    folder: Path | None,
    progress: bool | Progress,
) -> CoupledDiscovery:
    if config.trajectory_matching == "always":
        raise ConfigError(
            "Trajectories are fitted to one field only.",
            got="trajectory_matching='always'",
            wanted="'auto' or 'never' for coupled fields",
            fix="DiscoverConfig(trajectory_matching='never')",
        )
    if isinstance(config.form, StrongForm):
        raise ConfigError(
            "The strong form takes one field only.",
            got="a Dataset of coupled fields",
            wanted="the weak form for coupled fields",
            fix="discover(fields, form=WeakForm())",
        )
    cut = {str(f.name): _without_last(f, config.holdout_frames) for f in validate_fields(fields)}
    checked = {name: field for name, (field, _) in cut.items()}
    chosen = _libraries(libraries, checked)
    seeds = {n: Seeds.spawned(seed, s) for n, s in zip(cut, spawn_seeds(seed, len(cut)), strict=True)}
    runs = {name: RunFolder(None if folder is None else folder / name, config.budget) for name in cut}
    watch = Progress.of(progress).within(config.budget)
    smooths = {n: smoothed(runs[n], f, config, seeds[n].smooth, progress=watch) for n, f in checked.items()}
    parts = {
        name: Pipeline(chosen[name], smooths, config, seeds[name], watch).discovery(runs[name], holdout)
        for name, (_, holdout) in cut.items()
    }
    return CoupledDiscovery(parts, folder)


def _libraries(given: Library | Mapping[str, Library] | None, fields: Mapping[str, xr.DataArray]) -> dict[str, Library]:
    """One library for each field, with terms in these fields only."""
    names, space = tuple(fields), next(iter(fields.values())).ndim - 1
    if isinstance(given, Library) or set(given or {}) - set(fields):
        raise _wrong_library(
            given,
            "libraries by variable, for some of " + ", ".join(fields),
            "library={'u': Library.from_strings([...], variable='u', coupled_variables=('v',), target='u_t')}",
        )
    default = {name: system_library(names, f"{name}_t", space=space) for name in names}
    chosen = default | dict(given or {})
    for name, library in chosen.items():
        check_library(library, fields[name], [f for other, f in fields.items() if other != name])
    return chosen


def _wrong_library(given: object, wanted: str, fix: str) -> ConfigError:
    got = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
    return ConfigError("The library does not fit the fields.", got=got, wanted=wanted, fix=fix)


def _without_last(field: xr.DataArray, frames: int) -> tuple[xr.DataArray, xr.DataArray | None]:
    """The field without its last `frames` frames, and these; all and None if none are held out."""
    left = field.sizes["time"] - MINIMUM_SAMPLES
    if frames > left:
        raise ConfigError(
            "The number of frames to hold out is out of range.",
            got=repr(frames),
            wanted=f"0 to {left} of {field.sizes['time']}",
            fix="holdout_frames=0",
        )
    if not frames:
        return field, None
    return field.isel(time=slice(None, -frames)), field.isel(time=slice(-frames, None))
