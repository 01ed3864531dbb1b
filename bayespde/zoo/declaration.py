"""A declaration `models/NAME/model.toml` -> a field, a library, settings, and the reference to check against.

After posteriordb: a posterior is data, a model and a reference, joined by one small file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError
from bayespde.core.files import existing_file
from bayespde.core.progress import Progress
from bayespde.core.settings import as_table, check_keys, read_toml, wrong_type
from bayespde.discovery.config import SECTIONS, DiscoverConfig
from bayespde.discovery.coupled import CoupledDiscovery
from bayespde.discovery.discover import discover
from bayespde.discovery.discovery import Discovery
from bayespde.io.read import read_field
from bayespde.library.declared import libraries_from_mapping, library_from_mapping
from bayespde.solve.simulate import SimulationSpec, simulate
from bayespde.zoo.reference import Reference, read_reference
from bayespde.zoo.shipped import declaration_file, declaration_title


@dataclass(frozen=True)
class Declaration:
    """A named posterior.

    Attributes:
        name: Of its folder.
        title: One line for people.
        folder: Where it lives.
        settings: The whole TOML file.
        references: The known answers, as far as there are any: of a system by the names of its fields, else under "".
    """

    name: str
    title: str
    folder: Path
    settings: Mapping[str, Any]
    references: Mapping[str, Reference]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields of a system; empty for one field."""
        section = self.settings.get("simulate", {})
        is_system = isinstance(section, Mapping) and not isinstance(section.get("equation", ""), str)
        return SimulationSpec.from_mapping(section).fields if is_system else ()

    def field(
        self, data: str | PathLike[str] | None = None, *, progress: bool | Progress = False
    ) -> xr.DataArray | xr.Dataset:
        """Simulate the field, or read it from the declared file (or from `data` in its place); of a system all."""
        if data is not None:
            return read_field(data, variables=self.fields) if self.fields else read_field(data)
        if "simulate" in self.settings:
            return simulate(SimulationSpec.from_mapping(self.settings["simulate"]), progress=progress)
        section = check_keys(self.settings.get("data", {}), {"file", "variable"}, "data")
        if not isinstance(section.get("variable", ""), str):
            raise wrong_type("text", section["variable"], "data.variable", "variable = 'u'")
        if not isinstance(section.get("file"), str):
            raise ConfigError(
                "The declaration says nothing about data.",
                got=list(self.settings),
                wanted="[simulate], or [data] with file",
                fix="add one, or pass --data",
            )
        return read_field(self.folder / section["file"], section.get("variable"))

    def with_noise(self, seed: int) -> Declaration:
        """The same model under other noise; of its reference the truth remains.

        Raises:
            ConfigError: If it does not simulate.
        """
        known = {name: replace(reference, posterior=None) for name, reference in self.references.items()}
        simulation = dict(self.simulation) | {"seed": seed}
        return replace(self, settings=dict(self.settings) | {"simulate": simulation}, references=known)

    def reference_file(self, field: str = "") -> Path:
        """Where the reference of a field of a system is kept, or that of the only one."""
        return self.folder / (f"reference_{field}.json" if field else "reference.json")

    @property
    def simulation(self) -> Mapping[str, Any]:
        """What is simulated.

        Raises:
            ConfigError: If nothing is.
        """
        if "simulate" not in self.settings:
            raise ConfigError(
                "The declaration does not simulate.",
                got=list(self.settings),
                wanted="[simulate]",
                fix="choose another model",
            )
        return as_table(self.settings["simulate"], "simulate")

    def library(self, field: xr.DataArray) -> Library:
        """The library declared, or the default one of the field's dimension."""
        return library_from_mapping(self.settings.get("library", {}), space=field.ndim - 1, variable=str(field.name))

    @property
    def config(self) -> DiscoverConfig:
        """Settings of all stages."""
        return DiscoverConfig.from_mapping({k: v for k, v in self.settings.items() if k in SECTIONS})

    def libraries(self, fields: xr.Dataset) -> dict[str, Library]:
        """The declared libraries of coupled fields, by variable; those that are absent are the default."""
        space = fields[self.fields[0]].ndim - 1
        return libraries_from_mapping(self.settings.get("library", {}), space=space, variables=self.fields)

    def run(
        self,
        *,
        folder: str | PathLike[str] | None = None,
        data: str | PathLike[str] | None = None,
        seed: int | None = None,
        workers: int | None = None,
        progress: bool | Progress = False,
    ) -> Discovery | CoupledDiscovery:
        """All stages: data, smoothed field, sufficient statistics, posterior."""
        field, config = self.field(data, progress=progress), self.config
        config = replace(config, sampler=replace(config.sampler, workers=workers))
        chosen = self.settings.get("seed", 0) if seed is None else seed
        if isinstance(field, xr.Dataset):
            library = self.libraries(field)
            return discover(field, library=library, config=config, seed=chosen, folder=folder, progress=progress)
        one = self.library(field)
        return discover(field, library=one, config=config, seed=chosen, folder=folder, progress=progress)


def read_declaration(name_or_path: str | PathLike[str]) -> Declaration:
    """Read a declaration by name, by its folder, or by its TOML file.

    Raises:
        FileError: If there is no such declaration.
        ConfigError: If it has unknown sections, or its reference is not usable.
    """
    file = declaration_file(name_or_path)
    settings = read_toml(file)
    check_keys(settings, SECTIONS | {"title", "seed", "simulate", "data", "library"}, str(file.name))
    bare = Declaration(file.parent.name, declaration_title(file, settings), file.parent, settings, {})
    files = {name: bare.reference_file(name) for name in bare.fields or ("",)}
    return replace(bare, references={name: read_reference(f) for name, f in files.items() if f.is_file()})


def references_of(declaration: Declaration) -> Mapping[str, Reference]:
    """The references of a declaration, all of them: as `Declaration.references`.

    Raises:
        FileError: If one is missing.
    """
    for name in declaration.fields or ("",):
        existing_file(declaration.reference_file(name))
    return declaration.references


def parts_of(found: Discovery | CoupledDiscovery) -> Mapping[str, Discovery]:
    """The discoveries of all fields of a system by name, or the only one under ""."""
    return found.parts if isinstance(found, CoupledDiscovery) else {"": found}
