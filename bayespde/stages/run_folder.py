"""Finished stages <-> files in a run folder: read back where the key matches, computed and written otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
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
from bayespde.core.files import atomic_path, existing_file
from bayespde.core.posterior import Posterior
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.inference_data import load, save
from bayespde.smooth.config import SmoothingConfig
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.fit import fit_field
from bayespde.smooth.scattered_observations import ScatteredObservations
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


class Matched(NamedTuple):
    """The posterior of a discovery, and its trajectories if it is by the observation likelihood."""

    posterior: Posterior
    trajectories: TrajectoryPosterior | None


@dataclass(frozen=True)
class RunFolder:
    """Where finished stages are kept.

    Attributes:
        path: The folder; None keeps nothing.
    """

    path: Path | None

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

    def weak_posterior(self, key: str, compute: Callable[[], Posterior]) -> Posterior:
        """The posterior by the weak form, from `weak_posterior.nc` if made under `key`; redone if interrupted."""
        return self._stage("weak_posterior.nc", key, compute, save, load, finished=_is_complete)

    def posterior(self, key: str, compute: Callable[[], Posterior]) -> Posterior:
        """The posterior, from `posterior.nc` if made under `key`; redone if interrupted."""
        return self._stage("posterior.nc", key, compute, save, load, finished=_is_complete)

    def matched(self, key: str, compute: Callable[[], Matched]) -> Matched:
        """Posterior and trajectories, from `posterior.nc` and `trajectories.nc` if made under `key`."""
        return self._stage(
            "posterior.nc",
            key,
            compute,
            self._write_matched,
            read_matched,
            finished=lambda m: _is_complete(m.posterior),
        )

    def smoothed_by(self, options: SmoothingConfig, smooth: SmoothField, *, seed: int, progress: bool) -> SmoothField:
        """The same field by another smoother, from `smooth_<smoother>.nc` if it is there."""
        return self.smooth(
            stage_key(data_key(smooth.field), options, seed),
            lambda: fit_field(_source(smooth), options=options, seed=seed, progress=progress),
            name=f"smooth_{options.smoother}.nc",
        )

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
        finished: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        if self.path is None:
            return compute()
        file = self.path / name
        if self._finished().get(name) == key and file.is_file():
            return _read_back(file, read)
        # Opened before the work, so that an unwritable folder is found out before hours of it, not after.
        with atomic_path(file) as temporary:
            result = compute()
            if name in self._finished():
                # A kill between file and record must not leave a new file under an old key.
                self._record(self.path, name, INCOMPLETE)
            write(result, temporary)
        self._record(self.path, name, key if finished(result) else INCOMPLETE)
        return result

    def _finished(self) -> dict[str, str]:
        file = Path(self.path or ".") / RECORD
        if not file.is_file():
            return {}
        try:
            return dict(json.loads(file.read_text(encoding="utf-8"))["stages"])
        except (ValueError, KeyError, TypeError):
            return {}  # a record that cannot be read proves nothing finished, so every stage is computed again

    def _record(self, path: Path, name: str, key: str) -> None:
        record = {
            "version": __version__,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "stages": self._finished() | {name: key},
        }
        with atomic_path(path / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=2), encoding="utf-8")


def _source(smooth: SmoothField) -> xr.DataArray:
    """The field, or the scattered samples, that was smoothed."""
    return smooth.data.samples if isinstance(smooth.data, ScatteredObservations) else smooth.field


def _is_complete(found: Posterior) -> bool:
    return found.sampling.complete


@cache
def source_hash() -> str:
    """Hash of the source of the package: results of other code are not those of this code."""
    package = Path(bayespde.__file__).parent
    digest = sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def stage_key(*parts: Any) -> str:
    """Sixteen hexadecimal digits that identify the inputs of a stage, the code included."""
    return sha256("\n".join(map(str, (source_hash(), *parts))).encode()).hexdigest()[:16]


def data_key(field: xr.DataArray) -> str:
    """What identifies a field: its values, name and units."""
    return stage_key(field_hash(field), field.name, units_of(field))


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
        version = int(dataset.attrs.get("schema_version", SCHEMA))
        if version > SCHEMA:
            raise FileError(
                "The file was written by a later version of bayespde.",
                got=f"{path}, schema version {version}",
                wanted=f"{SCHEMA} or earlier",
                fix="pip install --upgrade bayespde",
            )
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
