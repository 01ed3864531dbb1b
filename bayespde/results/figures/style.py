"""Figure -> file or bytes; and the colours, sizes and axes that all figures share."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from bayespde.core.annotations import OneOf, Range
from bayespde.core.checked import validated
from bayespde.core.errors import ConfigError, FileError
from bayespde.core.files import new_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

# Distinguishable for the colour-blind.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8C8C8C"
BY_RUN = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9", "#000000", GREY)
SMALL, NORMAL = 8, 9
# Widths in inches: a text page, one column of two, and a slide, on which the letters are large once it is enlarged.
PAGE, COLUMN, SLIDE = 7.0, 3.5, 5.0
# Inches of a letter, and of the handle and space next to a name in a legend.
LETTER, KEY = 0.06, 0.55
# Smallest width of a panel, inches.
PANEL = 1.7
# Widths of a readable figure, inches.
NARROWEST, WIDEST = 2.0, 100.0
LARGEST = 40
UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
FORMATS = {".png", ".pdf", ".svg"}


@validated
def figure_bytes(
    figure: Figure, kind: Annotated[str, OneOf(("png", "svg", "pdf"))], *, dpi: Annotated[int, Range(10, 3000)] = 150
) -> bytes:
    """A figure as the bytes of a file of this kind, without a date, so that the same figure gives the same bytes."""
    buffer = BytesIO()
    with _same_bytes():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=UNDATED.get(f".{kind}"))
    return buffer.getvalue()


@validated
def save_figure(figure: Figure, path: str | PathLike[str]) -> tuple[Path, ...]:
    """Write a figure whole or not at all, without a date: drawn anew from the same result, it is the same file.

    Args:
        figure: Any Matplotlib figure.
        path: Ending in `.png`, `.pdf` or `.svg`; without an ending both `.png` and `.pdf` are written.

    Returns:
        The files written.

    Raises:
        FileError: If the ending is unknown or the path cannot be written.
    """
    base = Path(path)
    files = (base,) if base.suffix else (base.with_suffix(".png"), base.with_suffix(".pdf"))
    if not {f.suffix.lower() for f in files} <= FORMATS:
        raise FileError(
            "The figure format is unknown.",
            got=base.suffix,
            wanted=", ".join(sorted(FORMATS)),
            fix="figure.png",
        )
    for file in files:
        with new_file(file) as stream:
            stream.write(figure_bytes(figure, file.suffix.lower()[1:], dpi=300))
    return files


def _same_bytes() -> AbstractContextManager[None]:
    """Settings by which a PDF has searchable text, and names inside an SVG are always the same."""
    import matplotlib

    return matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "bayespde"})


def checked_width(width: float) -> float:
    """The width, if a figure can have it.

    Raises:
        ConfigError: If it is not a number, or too small for letters.
    """
    if isinstance(width, bool) or not isinstance(width, int | float | np.number) or not NARROWEST <= width <= WIDEST:
        raise ConfigError(
            "A figure cannot have this width.",
            got=repr(width),
            wanted=f"inches, {NARROWEST:g} to {WIDEST:g}",
            fix="width=bp.figures.COLUMN, PAGE or SLIDE",
        )
    return float(width)


def columns_within(width: float, most: int) -> int:
    """Number of panels that fit next to each other in a figure of a width in inches."""
    return max(1, min(most, int(checked_width(width) / PANEL)))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, that arranges its parts without overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(checked_width(width), height), layout="constrained")


def colour_of(run: int) -> str:
    """Colour of a run of the sampler."""
    return BY_RUN[run % len(BY_RUN)]


def new_panels(figure: Figure, count: int, columns: int, *, shared: bool = False) -> list[Axes]:
    """Axes for a number of panels in rows of `columns`; the rest of the last row stays empty."""
    grid = figure.subplots(-(-count // columns), columns, sharex=shared, sharey=shared, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    return list(grid[:count])


def legend_above(figure: Figure) -> None:
    """One legend above all panels, each label once, in as many columns as fit."""
    drawn = {label: h for axes in figure.axes for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if drawn:
        fit = int(figure.get_figwidth() / (LETTER * max(map(len, drawn)) + KEY))
        figure.legend(
            list(drawn.values()),
            list(drawn),
            loc="outside upper center",
            ncols=max(1, min(len(drawn), fit)),
            fontsize=SMALL,
            frameon=False,
        )


def label_axes(axes: Axes, *, x: str, y: str) -> None:
    """Name both axes; no frame at the top and on the right."""
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)
    axes.tick_params(which="both", labelsize=SMALL)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(SMALL)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
