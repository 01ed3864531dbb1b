"""Finished stages <-> files in a run folder: read back where the key matches, computed and written otherwise."""

from __future__ import annotations

import json
import math
import re
import warnings
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
from bayespde.core.checksum import json_digest, unreadable
from bayespde.core.errors import FileError, FileWarning
from bayespde.core.field import field_hash
from bayespde.core.files import new_file, read_text, write_text
from bayespde.core.netcdf import put_netcdf, read_netcdf
from bayespde.core.output_stream import OutputStream
from bayespde.core.posterior import Posterior
from bayespde.core.scales import units_of
from bayespde.core.statistics import SufficientStatistics
from bayespde.results.inference_data import load, put_posterior, save
from bayespde.smooth.files import from_dataset, to_dataset
from bayespde.smooth.smooth_field import SmoothField
from bayespde.stages.fit_trajectories import TrajectoryPosterior
from bayespde.stages.trajectory_files import read_trajectories, write_trajectories

Result = TypeVar("Result")
# Layout of the record of stages; a change of it is a new number.
RECORD_SCHEMA = 2
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
        """The smoothed field, from the file of this name if made under `key`; redone if networks were cut short."""
        return self._stage(name, key, compute, _put_smooth, read_smooth, lambda found: found.choice.stopped_by)

    def statistics(self, key: str, compute: Callable[[], SufficientStatistics]) -> SufficientStatistics:
        """The statistics, from `statistics.nc` if that was made under `key`."""
        return self._stage(
            "statistics.nc", key, compute, lambda r, s: put_netcdf(r.to_dataset(), s, "statistics"), read_statistics
        )

    def weak_posterior(self, key: str, compute: Callable[[], Posterior], origin: Mapping[str, Any]) -> Posterior:
        """The posterior by the weak form, from `weak_posterior.nc` if made under `key`; redone if it was cut short.

        `origin` is its provenance in this run: settings of other stages may differ from those it was made with.
        """
        found = self._stage("weak_posterior.nc", key, compute, put_posterior, load, lambda found: found.stopped_by)
        return self._with_origin(found, origin, "weak_posterior.nc")

    def matched(self, key: str, compute: Callable[[], Matched], origin: Mapping[str, Any]) -> Matched:
        """The posterior and its trajectories, kept as `weak_posterior` is, in `posterior.nc` and `trajectories.nc`."""
        name = "posterior.nc"
        found = self._stage(
            name, key, compute, self._put_matched, read_matched, lambda matched: matched.posterior.stopped_by
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

    def _put_matched(self, matched: Matched, stream: OutputStream) -> None:
        """Trajectories first: those of another posterior are refused when both are read."""
        trajectories = stream.path.parent / TRAJECTORIES
        if matched.trajectories is None:
            trajectories.unlink(missing_ok=True)
        else:
            write_trajectories(matched.trajectories, trajectories)
        put_posterior(matched.posterior, stream)

    def _stage(
        self,
        name: str,
        key: str,
        compute: Callable[[], Result],
        put: Callable[[Result, OutputStream], None],
        read: Callable[[Path], Result],
        stopped_by: Callable[[Result], str] = lambda _: "",
    ) -> Result:
        if self.path is None:
            return compute()
        file, before = self.path / name, self._finished(self.path)
        cut_short = f"{key}, {self.budget:g} CPU seconds"
        if before.get(name) in (key, cut_short) and file.is_file():
            try:
                return read(file)
            except FileError as error:
                warnings.warn(f"{error.what} Its stage is computed again: {error.got}", FileWarning, stacklevel=3)
        # Opened before the work, so that an unwritable folder is found out before hours of it, not after.
        with new_file(file) as stream:
            result = compute()
            if name in before:
                # A kill between file and record must not leave a new file under an old key.
                self._record(self.path, before | {name: INCOMPLETE})
            put(result, stream)
        ended = {"": key, "budget": cut_short}.get(stopped_by(result), INCOMPLETE)
        self._record(self.path, before | {name: ended})
        return result

    @staticmethod
    def _finished(path: Path) -> dict[str, str]:
        stages = read_record(path).get("stages")
        # A record that cannot be read proves nothing finished, so every stage is computed again.
        return dict(stages) if isinstance(stages, dict) else {}

    @staticmethod
    def _record(path: Path, stages: Mapping[str, str]) -> None:
        record = {
            "schema_version": RECORD_SCHEMA,
            "version": __version__,
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "stages": stages,
        }
        write_text(path / RECORD, json.dumps(record | {"checksum": json_digest(record)}, indent=2))


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
    """When stages were finished, by which version, and under which keys; nothing, with a warning, if it is damaged."""
    file = folder / RECORD
    if not file.is_file():
        return {}
    try:
        found = json.loads(read_text(file))
        # Records of schema version 1 have neither number nor checksum.
        if not {"schema_version", "checksum"} & set(found) or found.get("checksum") == json_digest(found):
            return dict(found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    warnings.warn(f"{file} is damaged: no stage counts as finished.", FileWarning, stacklevel=2)
    return {}


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
        raise unreadable(
            file, f"there is no {TRAJECTORIES} in its folder", what="The trajectories of the posterior are missing."
        )
    return Matched(posterior, read_trajectories(trajectories, posterior))


def _put_smooth(smooth: SmoothField, stream: OutputStream) -> None:
    put_netcdf(to_dataset(smooth), stream, "smooth")


def read_smooth(file: Path) -> SmoothField:
    """The smoothed field of a run folder.

    Raises:
        FileError: If it is missing or cannot be read.
    """
    return read_netcdf(file, "smooth", from_dataset)


def read_statistics(file: Path) -> SufficientStatistics:
    """The sufficient statistics of a run folder.

    Raises:
        FileError: If they are missing or cannot be read.
    """
    return read_netcdf(file, "statistics", SufficientStatistics.from_dataset)


def read_forecast(file: Path) -> xr.Dataset:
    """A forecast of a run folder.

    Raises:
        FileError: If it is missing or cannot be read.
    """
    return _of_forecast(file, "forecast")


def read_observed(file: Path) -> xr.Dataset:
    """The frames that a forecast was verified against, and its scores.

    Raises:
        FileError: If they are missing or cannot be read.
    """
    return _of_forecast(file, "observed")


def _of_forecast(file: Path, kind: str) -> xr.Dataset:
    try:
        return read_netcdf(file, kind, lambda dataset: dataset)
    except FileError as error:
        fix = f"forecast again, or delete {file.name}: a report does without"
        raise FileError(error.what, got=error.got, wanted=error.wanted, fix=fix) from error


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
