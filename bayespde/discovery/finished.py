"""The folder of a run -> its finished posterior, or an error that says what is missing."""

from __future__ import annotations

from pathlib import Path

from bayespde.core.errors import FileError

STAGES = ("smooth.nc", "statistics.nc", "weak_posterior.nc")


def posterior_file(folder: Path) -> Path:
    """The posterior of a run folder.

    Raises:
        FileError: If there is none, with the stages that are finished.
    """
    file = folder / "posterior.nc"
    if not file.is_file():
        there = [name for name in STAGES if (folder / name).is_file()]
        fields = sorted(str(inner.parent) for inner in folder.glob("*/posterior.nc"))
        resume = "run the discovery again with the same folder; it resumes after the stages that are finished"
        raise FileError(
            "There is no finished discovery in this folder.",
            got=f"{folder}, which has {', '.join(there) or 'none of the stages'}",
            wanted="a folder with posterior.nc",
            fix=f"one folder for each of the coupled fields: {', '.join(fields)}" if fields else resume,
        )
    return file
