"""Finished stages <-> files in a run folder: read back where the key matches, computed and written otherwise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import xarray as xr

import bayespde
from bayespde import __version__
from bayespde.core.errors import BayespdeError, FileError
from bayespde.core.field import field_hash
from bayespde.core.files import atomic_path, check_schema, existing_file
from bayespde.core.posterior import Posterior
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.inference_data import load, save
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.stages.trajectory_files import read_trajectories, write_trajectories

Result = TypeVar("Result")
# Layout of the datasets of a run folder; a change of it is a new number.
SCHEMA = 2
INCOMPLETE = "incomplete"
TRAJECTORIES = "trajectories.nc"
RECORD = "provenance.json"
FORECAST, OBSERVED = "forecast.nc", "observed.nc"
# What comes before the stages or after them, and changes the result of none.
OTHER_CODE = re.compile(r"(cli|zoo|io|forecasting|results/(figures|report))/|discovery/(files|report)\.py$")


class Matched(NamedTuple):
    """The posterior of a discovery, and its trajectories if it is by the observation likelihood."""

    posterior: Posterior
    trajectories: TrajectoryPosterior | None


@dataclass(frozen=True)
class RunFolder:
    """Where finished stages are kept.

    Attributes:
        path: The folder; None keeps nothing.
        budget: CPU seconds that the stages may take: what they cut short is kept for runs with the same one.
    """

    path: Path | None
    budget: float = math.inf

    def key(self, *parts: Any) -> str:
        """Sixteen hexadecimal digits that identify the inputs of a stage, the code included; "" if nothing is kept.

        A field is identified by its values, name and units, anything else by its text.
        """
        if self.path is None:
            return ""
        texts = [
            f"{field_hash(part)} {part.name} {units_of(part)}" if isinstance(part, xr.DataArray) else str(part)
            for part in parts
        ]
        return sha256("\n".join([source_hash(), *texts]).encode()).hexdigest()[:16]

    def smooth(self, key: str, compute: Callable[[], SmoothField], name: str = "smooth.nc") -> SmoothField:
        """The smoothed field, from the file of this name if that was made under `key`."""
        return self._stage(name, key, compute, lambda r, p: _write(to_dataset(r), p), lambda p: from_dataset(_read(p)))

    def statistics(self, key: str, compute: Callable[[], SufficientStatistics]) -> SufficientStatistics:
        """The statistics, from `statistics.nc` if that was made under `key`."""
        return self._stage(
            "statistics.nc",
            key,
            compute,
            lambda r, p: _write(r.to_dataset(), p),
            lambda p: SufficientStatistics.from_dataset(_read(p)),
        )

    def weak_posterior(self, key: str, compute: Callable[[], Posterior], origin: Mapping[str, Any]) -> Posterior:
        """The posterior by the weak form, from `weak_posterior.nc` if made under `key`; redone if it was cut short.

        `origin` is its provenance in this run: settings of other stages may differ from those it was made with.
        """
        found = self._stage("weak_posterior.nc", key, compute, save, load, lambda found: found.stopped_by)
        return self._with_origin(found, origin, "weak_posterior.nc")

    def matched(self, key: str, compute: Callable[[], Matched], origin: Mapping[str, Any]) -> Matched:
        """The posterior and its trajectories, kept as `weak_posterior` is, in `posterior.nc` and `trajectories.nc`."""
        name = "posterior.nc"
        found = self._stage(
            name, key, compute, self._write_matched, read_matched, lambda matched: matched.posterior.stopped_by
        )
        posterior, trajectories = self._with_origin(found.posterior, origin, name), found.trajectories
        return Matched(posterior, None if trajectories is None else replace(trajectories, posterior=posterior))

    def _with_origin(self, found: Posterior, origin: Mapping[str, Any], name: str) -> Posterior:
        """With the provenance of this run, in the file too."""
        provenance = dict(found.provenance) | dict(origin)
        if provenance == found.provenance:
            return found
        renewed = replace(found, provenance=provenance)
        if self.path is not None:
            save(renewed, self.path / name)
        return renewed

    @staticmethod
    def _write_matched(matched: Matched, path: Path) -> None:
        """Trajectories first: those of another posterior are refused when both are read."""
        trajectories = path.parent / TRAJECTORIES
        if matched.trajectories is None:
            trajectories.unlink(missing_ok=True)
        else:
            with atomic_path(trajectories) as temporary:
                write_trajectories(matched.trajectories, temporary)
        save(matched.posterior, path)

    def _stage(
        self,
        name: str,
        key: str,
        compute: Callable[[], Result],
        write: Callable[[Result, Path], None],
        read: Callable[[Path], Result],
        stopped_by: Callable[[Result], str] = lambda _: "",
    ) -> Result:
        if self.path is None:
            return compute()
        file = self.path / name
        cut_short = f"{key}, {self.budget:g} CPU seconds"
        if self._finished().get(name) in (key, cut_short) and file.is_file():
            return _read_back(file, read)
        # Opened before the work, so that an unwritable folder is found out before hours of it, not after.
        with atomic_path(file) as temporary:
            result = compute()
            if name in self._finished():
                # A kill between file and record must not leave a new file under an old key.
                self._record(self.path, name, INCOMPLETE)
            write(result, temporary)
        self._record(self.path, name, {"": key, "budget": cut_short}.get(stopped_by(result), INCOMPLETE))
        return result

    def _finished(self) -> dict[str, str]:
        stages = read_record(Path(self.path or ".")).get("stages")
        # A record that cannot be read proves nothing finished, so every stage is computed again.
        return dict(stages) if isinstance(stages, dict) else {}

    def _record(self, path: Path, name: str, key: str) -> None:
        record = {
            "version": __version__,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "stages": self._finished() | {name: key},
        }
        with atomic_path(path / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=2), encoding="utf-8")


@cache
def source_hash() -> str:
    """Hash of the source that stages run: results of other code are not those of this code."""
    package = Path(bayespde.__file__).parent
    digest = sha256()
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if not OTHER_CODE.match(name):
            digest.update(name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def read_record(folder: Path) -> dict[str, Any]:
    """When stages were finished, by which version, and under which keys; nothing where that cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def finished_files(folder: Path) -> list[str]:
    """Files of finished stages in a run folder and the folders in it, by their path in it."""
    found = []
    for record in sorted(folder.rglob(RECORD)) if folder.is_dir() else ():
        stages = dict(read_record(record.parent).get("stages", {}))
        found += [record.parent / name for name, key in stages.items() if key != INCOMPLETE]
    return [str(file.relative_to(folder)) for file in found]


def read_matched(file: Path) -> Matched:
    """The posterior of a run folder and its trajectories, by the path of `posterior.nc`.

    Raises:
        FileError: If a file is missing or cannot be read.
    """
    posterior = load(file)
    if not posterior.likelihood.is_observation:
        return Matched(posterior, None)
    trajectories = file.parent / TRAJECTORIES
    if not trajectories.is_file():
        raise FileError(
            "The trajectories of the posterior are missing.",
            got=f"{file} without {TRAJECTORIES}",
            wanted="both files, as they were written",
            fix="delete posterior.nc and run the discovery again; that stage is then computed again",
        )
    return Matched(posterior, _read_back(trajectories, lambda path: read_trajectories(path, posterior)))


def read_smooth(file: Path) -> SmoothField:
    """The smoothed field of a run folder.

    Raises:
        FileError: If it is missing or cannot be read.
    """
    return _read_back(existing_file(file), lambda path: from_dataset(_read(path)))


def read_dataset(file: Path) -> xr.Dataset:
    """Another dataset of a run folder, such as a forecast.

    Raises:
        FileError: If it is missing or cannot be read.
    """
    return _read_back(existing_file(file), _read)


def check_belong(posterior: Posterior, smooth: SmoothField) -> None:
    """Check that the stages of a run folder are of one field.

    Raises:
        FileError: If not.
    """
    if posterior.provenance.get("data", field_hash(smooth.field)) != field_hash(smooth.field):
        raise FileError(
            "The posterior and the smoothed field are of different videos.",
            got="a run that was interrupted between two stages",
            wanted="stages of one video",
            fix="run the discovery again; it resumes after the stages that are finished",
        )


def _write(dataset: xr.Dataset, path: Path) -> None:
    dataset.assign_attrs(schema_version=SCHEMA).to_netcdf(path, engine="h5netcdf")


def _read(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as dataset:
        check_schema(dataset.attrs.get("schema_version", SCHEMA), SCHEMA, path)
        return dataset.load()


def _read_back(file: Path, read: Callable[[Path], Result]) -> Result:
    try:
        return read(file)
    except BayespdeError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise FileError(
            "A finished stage cannot be read back.",
            got=f"{file}: {error}",
            wanted="the file as it was written",
            fix="delete it; the stage is then computed again",
        ) from error
