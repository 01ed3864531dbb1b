"""Settings -> the prior of the coefficients that are in the equation (the slab of a spike-and-slab prior)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np

from bayespde.core.annotations import Positive, Range
from bayespde.core.checked import Checked, check


@dataclass(frozen=True)
class Slab(Checked):
    """Prior of the coefficients that are in the equation: a ridge on unit columns, and a mixture over g.

    This base adds neither: coefficients are those of least squares.
    """

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns, in units of the noise precision, for `rows` effective rows."""
        return 0.0

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """Values of g `[G]` and their log weights `[G]`, float64, for `rows` effective rows; inf for no shrinkage."""
        return np.array([np.inf]), np.zeros(1)


@dataclass(frozen=True)
class HyperGSlab(Slab):
    """The g-prior [zellner1986] with the hyper-g/n mixture over g [liang2008], as an exact finite mixture.

    Given g the coefficients are `N(0, s2 g (A'A)^-1)`. g takes `nodes` values evenly spaced in log g, with
    weights proportional to the density `(1 + g/n)^(-shape/2)` times g (the node spacing), normalised: the
    finite mixture is the model, not an approximation of it.

    Attributes:
        shape: The a of hyper-g/n, above 2.
        nodes: Number of values of g.
        smallest: First value of g, in units of the number of rows n.
        largest: Last value of g, in units of n.
        per_row: Whether the density is that of g/n. If not, it is that of g: the hyper-g prior, under which the
            evidence for no term stays bounded as rows are added; with `smallest` far below 1/n.
    """

    shape: Annotated[float, Range(above=2)] = 3.0
    nodes: Annotated[int, Range(2, 10_000)] = 24
    smallest: Positive = 0.1
    largest: Positive = 1e7
    per_row: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check("largest", self.largest, Annotated[float, Range(above=self.smallest)])

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """Values of g `[G]` and their log weights `[G]`, float64, for `rows` effective rows."""
        ratio = np.geomspace(self.smallest, self.largest, self.nodes)
        log_weight = np.log(ratio) - 0.5 * self.shape * np.log1p(ratio if self.per_row else ratio * rows)
        return ratio * rows, log_weight - np.logaddexp.reduce(log_weight)


@dataclass(frozen=True)
class ZellnerSiowSlab(Slab):
    """The Zellner-Siow prior [zellnersiow1980]: multivariate Cauchy coefficients.

    It is a g-prior with `1/g ~ Gamma(1/2, n/2)`. g takes `nodes` values evenly spaced in log g, with weights
    proportional to the density `g^(-3/2) exp(-n/(2g))` times g, normalised, as in `HyperGSlab`.

    Attributes:
        nodes: Number of values of g.
        smallest: First value of g, in units of the number of rows n.
        largest: Last value of g, in units of n.
    """

    nodes: Annotated[int, Range(2, 10_000)] = 40
    smallest: Positive = 0.02
    largest: Positive = 1e9

    def __post_init__(self) -> None:
        super().__post_init__()
        check("largest", self.largest, Annotated[float, Range(above=self.smallest)])

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """Values of g `[G]` and their log weights `[G]`, float64, for `rows` effective rows."""
        ratio = np.geomspace(self.smallest, self.largest, self.nodes)
        log_weight = -0.5 * np.log(ratio) - 0.5 / ratio
        return ratio * rows, log_weight - np.logaddexp.reduce(log_weight)


@dataclass(frozen=True)
class GPriorSlab(Slab):
    """The g-prior `N(0, s2 g (A'A)^-1)` at one fixed g [zellner1986].

    Attributes:
        g: Prior variance in units of the sampling variance, positive; None means the number of effective rows
            (unit information).
    """

    g: Positive | None = None

    def mixture(self, rows: float) -> tuple[np.ndarray, np.ndarray]:
        """The one value of g, `[1]`, and its log weight 0, `[1]`, float64."""
        return np.array([rows if self.g is None else self.g], dtype=np.float64), np.zeros(1)


@dataclass(frozen=True)
class IsotropicSlab(Slab):
    """Independent coefficients: `N(0, s2 scale^2)` on columns of unit root mean square over the n rows.

    On columns scaled to unit norm this is `N(0, s2 scale^2 n)`, that is a ridge of `1 / (scale^2 n)`.

    Attributes:
        scale: Prior standard deviation in units of the noise, positive.
    """

    scale: Positive = 10.0

    def ridge(self, rows: float) -> float:
        """Prior precision of unit-norm columns in units of the noise precision, dimensionless."""
        return 1.0 / (self.scale**2 * rows)


@dataclass(frozen=True)
class ProfileLikelihood(Slab):
    """No prior of the coefficients: least squares, plugged in [seedrepo2020].

    The likelihood of a configuration is its largest one, `RSS^(-n/2)` for n effective rows where nothing is known of
    their variance. More terms never cost anything but the complexity prior, and evidence is not defined. Together with
    `StrongForm(power="mean")`, n = 1, it is the likelihood of the algorithm that this package grew out of, so that its
    Pareto fronts can be compared with ours.
    """


SLABS: Mapping[str, type[Slab]] = {
    "hyper-g": HyperGSlab,
    "zellner-siow": ZellnerSiowSlab,
    "g-prior": GPriorSlab,
    "isotropic": IsotropicSlab,
    "profile-likelihood": ProfileLikelihood,
}


def fixed_g(slab: Slab, rows: float) -> float | None:
    """The g of a slab that fixes it, for `rows` effective rows; None for a mixture and for slabs without g."""
    return float(slab.mixture(rows)[0][0]) if isinstance(slab, GPriorSlab) else None


def shrinkage(slab: Slab, rows: float) -> float:
    """Factor g / (1 + g) on least-squares coefficients; 1 for a mixture over g, where large g dominate."""
    g = slab.mixture(rows)[0]
    return float(1 / (1 + 1 / g[0])) if len(g) == 1 else 1.0


def slab_record(slab: Slab) -> dict[str, Any]:
    """Kind and settings of a slab as JSON takes them."""
    return {"kind": next(kind for kind, one in SLABS.items() if type(slab) is one), **asdict(slab)}


def slab_from_record(record: Mapping[str, Any]) -> Slab:
    """The slab that `slab_record` described."""
    settings = dict(record)
    return SLABS[settings.pop("kind")](**settings)
