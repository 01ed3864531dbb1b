"""Names of benchmark problems -> spin models: rugged, collinear and two-mode posteriors made from simulated videos.

All but `hard16` stand on strong-form rows: 1 % noise, a video smoothed by local polynomials, and a library of products
of derivatives. Such rows are strongly collinear and their errors are not noise, which makes the posterior hard; for
that reason they are good targets for a sampler, and bad ones for finding equations.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from oracles import hard16
from scipy.signal import savgol_filter
from scipy.special import expit

import bayespde as bp
from bayespde.core.errors import ConfigError
from bayespde.core.rows import RowModel
from bayespde.core.slabs import GPriorSlab, IsotropicSlab
from bayespde.core.terms import derivative_orders

DECAY = 0.5
PILOT_ROWS = 1e-6  # the noise prior InverseGamma(a0/2, a0 v0/2) is then 1/sigma^2 in all but name
SMALL = ("kdv14_g1000", "burg16_g30000", "burg16_iso30000", "seed20_g1000", "seed20_iso200", "seed20_g200")
LARGE = (50, 110, 209, 461, 923)
FRONT_POWERS = ("u", "u_x", "u_y", "u_xx", "u_xy", "u_yy")
WINDOW = {"kdv": 21, "burgers": 11, "allen_cahn": 11, "front": 11}  # samples of the local polynomials in space

KDV = {
    "equation": "u_t = -6*u*u_x - u_xxx",
    "extent": {"x": 40.0},
    "points": {"x": 160},
    "times": {"start": 0.0, "stop": 6.0, "frames": 201},
    "initial": {"kind": "gaussian_pulses", "centres": [12.0], "heights": [1.0], "widths": [1.4]},
    "noise": 0.01,
}
BURGERS = {
    "equation": "u_t = -u*u_x + 0.1*u_xx",
    "extent": {"x": 16.0},
    "points": {"x": 256},
    "times": {"start": 0.0, "stop": 10.0, "frames": 201},
    "initial": {"kind": "gaussian_pulses", "centres": [4.0, 9.0], "heights": [1.0, 0.7], "widths": [1.0, 0.8]},
    "noise": 0.01,
}
ALLEN_CAHN = {
    "equation": "u_t = u - u**3 + 0.5*u_xx + 0.5*u_yy - 0.5*u_x + 0.25*u_y",
    "extent": {"y": 32.0, "x": 32.0},
    "points": {"y": 64, "x": 64},
    "times": {"start": 0.0, "stop": 4.0, "frames": 41},
    "initial": {"kind": "random_waves", "modes": 4, "seed": 1},
    "noise": 0.01,
}
FRONT = {
    "equation": "u_t = -0.3*u + 1.3*u**2 - u**3 + 2*u_xx + 2*u_yy",
    "extent": {"y": 96.0, "x": 96.0},
    "points": {"y": 96, "x": 96},
    "times": {"start": 0.0, "stop": 20.0, "frames": 41},
    "initial": {"kind": "nuclei", "nuclei": [[30, 32, 9, 1.0, 1.0], [62, 28, 7, 0.9, 3.0], [44, 64, 12, 0.8, 2.5]]},
    "noise": 0.01,
}


class Rows(NamedTuple):
    """A linear problem: centred columns of unit root mean square and a centred target.

    Attributes:
        design: `[n, K]`, float64.
        target: `[n]`, float64.
        library: The terms, complexity their degree.
    """

    design: np.ndarray
    target: np.ndarray
    library: bp.Library


def model(name: str, *, data_folder: Path | None = None) -> bp.SpinModel:
    """Build a target by name: one of `SMALL`, `hard16`, `original_2d`, or `ac2d_50` and its larger sisters."""
    if name == "hard16":
        statistics, slab = hard16(np.random.default_rng(12))
        return bp.SpinModel(statistics, prior=bp.Prior(slab=slab, expected_terms=16 * expit(-DECAY)))
    setting = name.partition("_")[2]
    if name in SMALL:
        effective = float(setting.lstrip("giso"))
        slab = GPriorSlab(effective) if setting.startswith("g") else IsotropicSlab(10.0)
    else:
        effective, slab = 1000.0, GPriorSlab(1000.0)
    return spin_model(rows(name, data_folder=data_folder), effective_rows=effective, slab=slab)


def spin_model(data: Rows, *, effective_rows: float, slab: GPriorSlab | IsotropicSlab) -> bp.SpinModel:
    """The posterior over spins of a linear problem, prior `exp(-degree / 2)`, likelihood to a power below 1."""
    statistics = bp.SufficientStatistics.from_rows(
        data.design,
        data.target,
        names=data.library.names,
        model=RowModel(power=min(1.0, effective_rows / len(data.target)), prior_rows=PILOT_ROWS),
    )
    return bp.SpinModel(
        statistics, data.library, prior=bp.Prior(slab=slab, expected_terms=expected_terms(data.library))
    )


def expected_terms(library: bp.Library, decay: float = DECAY) -> float:
    """Prior mean number of terms that makes the prior `exp(-decay * complexity)`."""
    return float(expit(-decay * library.complexities).sum())


def rows(name: str, *, data_folder: Path | None = None) -> Rows:
    """The linear problem of a name, whatever its prior; the phase field needs the folder of benchmark files."""
    family, _, setting = name.partition("_")
    if family == "seed20":
        if data_folder is None:
            raise ConfigError(
                "This target stands on a benchmark file.",
                got="no folder",
                wanted="the folder with stem_front/train_data_simulation.npy",
                fix="data_folder=...",
            )
        return _phase_field(Path(data_folder))
    if family == "ac2d":
        return _allen_cahn(int(setting))
    if name == "original_2d":
        return _from_video("front", tuple(_degrees(bp.named_library("original_2d")).items()), 20000)
    powers = {"kdv14": ("kdv", 2, 4), "burg16": ("burgers", 4, 4)}.get(family)
    if powers is None:
        raise ConfigError(
            "There is no such target.",
            got=name,
            wanted=", ".join((*SMALL, "hard16", "original_2d", *(f"ac2d_{k}" for k in LARGE))),
            fix="take one of these",
        )
    return _from_video(powers[0], _products(degree=powers[1], order=powers[2]), 30000)


def polynomials(variables: tuple[str, ...], count: int) -> dict[str, float]:
    """The first `count` monomials by degree, then by the powers of the variables, with their degrees."""
    terms: dict[str, float] = {}
    degree = 0
    while len(terms) < count:
        degree += 1
        powers = (p for p in product(range(degree, -1, -1), repeat=len(variables)) if sum(p) == degree)
        terms |= {"*".join(f"{v}**{e}" for v, e in zip(variables, p, strict=True) if e): float(degree) for p in powers}
    return dict(list(terms.items())[:count])


@cache
def _allen_cahn(count: int) -> Rows:
    return _from_video("allen_cahn", tuple(polynomials(FRONT_POWERS, count).items()), 30000)


def _products(*, degree: int, order: int) -> tuple[tuple[str, float], ...]:
    """Powers of u, and derivatives in x times powers of u up to the square, with their degrees."""
    powers = {f"u**{i}": float(i) for i in range(1, degree + 1)}
    mixed = {f"{p}u_{'x' * k}": i + 1.0 for k in range(1, order + 1) for i, p in enumerate(("", "u*", "u**2*"))}
    return tuple((powers | mixed).items())


def _degrees(library: bp.Library) -> dict[str, float]:
    return dict(zip(library.names, map(float, library.complexities), strict=True))


@cache
def _video(name: str) -> dict[str, np.ndarray]:
    """Symbols of a video: the field, its time derivative and space derivatives up to the fourth (1-D) or second."""
    spec = {"kdv": KDV, "burgers": BURGERS, "allen_cahn": ALLEN_CAHN, "front": FRONT}[name]
    field = bp.simulate(bp.SimulationSpec.from_mapping(spec))
    dims = tuple(map(str, field.dims))
    names = ("u", "u_t", "u_x", "u_xx", "u_xxx", "u_xxxx") if len(dims) == 2 else ("u_t", *FRONT_POWERS)
    orders = {symbol: derivative_orders(symbol, dims) for symbol in names}
    return {symbol: smoothed_derivative(field, o, window=WINDOW[name]).ravel() for symbol, o in orders.items()}


def smoothed_derivative(field, orders: tuple[int, ...], *, window: int) -> np.ndarray:
    """A derivative by local polynomials along each axis; space is periodic, and the ends of time are cut off."""
    values = field.values
    for axis, (dim, order) in enumerate(zip(field.dims, orders, strict=True)):
        step = float(field[dim][1] - field[dim][0])
        width, degree, mode = (9, 3, "interp") if dim == "time" else (window, 5, "wrap")
        values = savgol_filter(values, width, degree, deriv=order, delta=step, axis=axis, mode=mode)
    return values[4:-4]


@cache
def _from_video(name: str, terms: tuple[tuple[str, float], ...], count: int) -> Rows:
    symbols = _video(name)
    library = bp.Library.from_strings(dict(terms))
    kept = np.random.default_rng(0).choice(len(symbols["u_t"]), count, replace=False)
    return _linear(library, {s: v[kept] for s, v in symbols.items()})


@cache
def _phase_field(folder: Path) -> Rows:
    table = np.load(folder / "stem_front" / "train_data_simulation.npy")
    return _linear(bp.named_library("original_1d"), dict(zip(("u", "u_x", "u_xx", "u_t"), table.T, strict=True)))


def _linear(library: bp.Library, symbols: Mapping[str, np.ndarray]) -> Rows:
    """Evaluate a library of monomials on rows, centre and scale."""
    design = np.column_stack([_monomial(term.monomial_powers(), symbols) for term in library])
    design -= design.mean(axis=0)
    target = symbols["u_t"] - symbols["u_t"].mean()
    return Rows(design / np.sqrt(np.mean(design**2, axis=0)), target, library)


def _monomial(powers: Mapping[str, int], symbols: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.prod([symbols[s] ** e for s, e in powers.items()], axis=0)


def condition_number(spin: bp.SpinModel) -> float:
    """Condition number of the Gram matrix of unit columns, from the singular values of the factor."""
    values = np.linalg.svd(spin.regression.factor[:, :-1], compute_uv=False)
    return float((values[0] / values[-1]) ** 2)


def local_modes(log_mass: np.ndarray) -> np.ndarray:
    """Configurations of a table of all `2^K` log masses that no single flip improves, best first: codes."""
    best = np.isfinite(log_mass)
    cube = log_mass.reshape((2,) * int(np.log2(len(log_mass))))
    for axis in range(cube.ndim):
        best &= (cube >= np.flip(cube, axis)).ravel()
    found = np.flatnonzero(best)
    return found[np.argsort(-log_mass[found])]


def log_masses(spin: bp.SpinModel) -> np.ndarray:
    """Unnormalised log posterior of all configurations, `[2^K]`; the first term is the slowest bit."""
    import torch

    codes = np.arange(2**spin.terms)
    parts = []
    for start, stop in pairwise(range(0, len(codes) + 2**14, 2**14)):
        bits = torch.as_tensor((codes[start:stop, None] >> np.arange(spin.terms)[::-1]) & 1 == 1)
        parts.append((spin.log_prior(bits) + spin.log_likelihood(bits)).numpy())
    return np.concatenate(parts)
