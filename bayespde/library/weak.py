"""Terms + raw field + smooth field -> rows of the linearised weak form, whitened at a pilot equation.

Rows are moments over test functions phi. The target's moment b is taken from the raw field y, the terms' moments A
from the smooth field v, so no power of noisy data appears anywhere. The correction D_j = int phi f_j'(v)[y - v] makes
the rows unbiased to first order: z = b - D beta0 obeys z = A beta + (known linear map of the noise) at the truth if
the pilot beta0 is near it. That map gives the covariance, which depends on the pilot only, never on the model compared
[messenger2021, bortz2023].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from scipy.linalg import cholesky, solve_triangular
from scipy.ndimage import uniform_filter

from bayespde.core.equation import Library
from bayespde.core.errors import ConfigError, FieldError
from bayespde.core.field import spacings
from bayespde.core.statistics import SufficientStatistics
from bayespde.core.terms import derivative_orders, evaluate_expression
from bayespde.library.atoms import Orders, noise_kernels, weak_atoms
from bayespde.library.choose import Smoother, Weak, choose_windows
from bayespde.library.covariance import NoiseModel, estimate_noise
from bayespde.library.windows import Windows

JITTER = 1e-9
ROUNDING = 1e-12
# A test function may have this share of its weight inside holes (most pixels missing in a box of this size).
MAXIMUM_GAP = 0.05
HOLE_SIZE = 5
MINIMUM_ROWS = 16


@dataclass(frozen=True, eq=False)
class WeakProblem:
    """All moments that do not depend on the pilot.

    Attributes:
        library: The candidate terms.
        options: The settings used.
        windows: One per dimension, time first.
        design: Moments of the terms, from the smooth field: `[m, K]`.
        correction: Moments D, `[m, K]`.
        target: Moment of the raw target, `[m]`.
        noise: What the noise of the field is made of.
        kernels: For each term, kernel values by order on the test function, each of field shape.
        scheme: Moment of (dt/2) u_tt, `[m]`, or zeros.
        kept: Test functions that see enough observed pixels, `[m_all]`, bool; `m` of them.
        capped: Dimensions whose automatic half-width hit its cap.
    """

    library: Library
    options: Weak
    windows: tuple[Windows, ...]
    design: np.ndarray
    correction: np.ndarray
    target: np.ndarray
    noise: NoiseModel
    kernels: tuple[dict[Orders, np.ndarray], ...]
    scheme: np.ndarray
    kept: np.ndarray
    capped: tuple[str, ...]

    @property
    def target_order(self) -> int:
        """Order of the time derivative on the left."""
        return self.library.target.count("t", len(self.library.variable))

    @cached_property
    def floor_scale(self) -> float:
        """Misfit floor of a row, in units of the target."""
        return self.options.floor * float(np.sqrt(np.mean(self.target**2)))

    def covariance(self, pilot: np.ndarray) -> np.ndarray:
        """Covariance of z at a pilot `[K]`: noise of the video, scheme error and floor, `[m, m]` [bortz2023]."""
        return self._with_allowances(self.noise_covariance(pilot))

    def _with_allowances(self, noise: np.ndarray) -> np.ndarray:
        return noise + np.outer(self.scheme, self.scheme) + self.floor_scale**2 * np.eye(len(noise))

    def noise_covariance(self, pilot: np.ndarray) -> np.ndarray:
        """Covariance of z from the noise of the video alone, `[m, m]`."""
        kernels = self._pilot_kernels(pilot)
        space = {q[1:]: self._space_matrix(q[1:]) for q in {(0,) * len(self.windows), *kernels}}
        plain = space[(0,) * (len(self.windows) - 1)]
        frames = len(self.noise.pixel)
        blocks = np.empty((frames, 2 * len(plain), 2 * len(plain)))
        wander = np.zeros((frames, len(plain)))
        for t, pixel in enumerate(self.noise.pixel.reshape(frames, -1)):
            moved = sum((space[q[1:]] * h[t].ravel() for q, h in kernels.items()), np.zeros_like(plain))
            both = np.vstack([plain, moved])
            blocks[t] = (both * pixel) @ (both * pixel).T
            if self.noise.pattern is not None:
                shift = both @ self.noise.pattern[t].ravel()
                blocks[t] += self.noise.jitter**2 * np.outer(shift, shift)
                wander[t] = self.noise.walk * shift[: len(plain)]
        still, order = self.windows[0].matrix(0), self.target_order
        time = np.stack([(-1) ** order * self.windows[0].matrix(order), -still])
        split = blocks.reshape(frames, 2, len(plain), 2, len(plain))
        total = np.einsum("act,bdt,takbl->ckdl", time, time, split, optimize=True)
        # The walk is a noise of the motion, not of the pixels: its increments enter once per frame, undifferentiated.
        steps = still / self.windows[0].spacing
        total += np.einsum("ct,dt,tk,tl->ckdl", steps, steps, wander, wander, optimize=True)
        return total.reshape(2 * [len(self.kept)])[np.ix_(self.kept, self.kept)]

    def statistics(self, pilot: np.ndarray) -> SufficientStatistics:
        """Whiten the rows at a pilot `[K]`, physical units, and compress them."""
        noise = self.noise_covariance(pilot)
        covariance = self._with_allowances(noise)
        scale = np.sqrt(np.diagonal(covariance))
        correlation = covariance / np.outer(scale, scale) + JITTER * np.eye(len(scale))
        root = cholesky(correlation, lower=True) * scale[:, None]
        rows = np.column_stack([self.design, self.target - self.correction @ pilot])
        white = solve_triangular(root, rows, lower=True)
        expected = float(np.trace(solve_triangular(root, solve_triangular(root, noise, lower=True).T, lower=True)))
        expected /= len(white)
        return SufficientStatistics.from_rows(
            white[:, :-1],
            white[:, -1],
            names=self.library.names,
            log_jacobian=-np.log(np.diagonal(root)),
            # Rows that the floor dominates leave less than they are allowed to. The prior makes up for it, so that
            # at a correct fit the noise variance is 1 and not below what is known.
            pilot_variance=2.0 - expected,
            pilot_rows=float(len(white)),
            floor=0.0,
            target_name=self.library.target,
            provenance=self._provenance(pilot) | {"expected_residual": expected},
        )

    def instrumental_fits(self, spins: np.ndarray, pilot: np.ndarray) -> np.ndarray:
        """Fit configurations `[N, K]`, the smooth field as instrument of the corrected one: `[N, K]`, physical units.

        beta_S = (A_S' C^-1 (A + D)_S)^-1 A_S' C^-1 b: the fixed point of re-linearising at the fit itself.
        """
        root = cholesky(self.covariance(pilot), lower=True)
        a, both, b = (
            solve_triangular(root, m, lower=True) for m in (self.design, self.design + self.correction, self.target)
        )
        scale = np.linalg.norm(a, axis=0)
        scale[scale == 0] = 1.0
        left, right = (a / scale).T @ (both / scale), (a / scale).T @ b
        fits = np.zeros(spins.shape)
        for row, on in zip(fits, spins, strict=True):
            row[on] = np.linalg.lstsq(left[np.ix_(on, on)], right[on], rcond=1e-12)[0] / scale[on]
        return fits

    def _pilot_kernels(self, pilot: np.ndarray) -> dict[Orders, np.ndarray]:
        total: dict[Orders, np.ndarray] = {}
        for value, kernels in zip(pilot, self.kernels, strict=True):
            for q, h in kernels.items() if value else ():
                total[q] = total.get(q, 0.0) + value * np.broadcast_to(h, self.noise.pixel.shape)
        return total

    def _space_matrix(self, orders: Orders) -> np.ndarray:
        matrix = np.ones((1, 1))
        for window, order in zip(self.windows[1:], orders, strict=True):
            matrix = np.kron(matrix, window.matrix(order))
        return matrix

    def _provenance(self, pilot: np.ndarray) -> dict[str, Any]:
        return {
            "form": "weak",
            "rows": len(self.target),
            "half_widths": [w.half_width for w in self.windows],
            "centres": [len(w.centres) for w in self.windows],
            "capped": list(self.capped),
            "noise": self.noise.kind,
            "noise_scale": float(self.noise.pixel.max()),
            "jitter": self.noise.jitter,
            "walk": self.noise.walk,
            "misfit_floor": self.options.floor,
            "scheme_error": float(np.sqrt(np.mean(self.scheme**2) / np.mean(self.target**2))),
            "dropped_for_gaps": int((~self.kept).sum()),
            "pilot": {n: float(p) for n, p in zip(self.library.names, pilot, strict=True) if abs(p) > 0},
        }


def weak_problem(library: Library, field: xr.DataArray, smooth: Smoother, *, options: Weak) -> WeakProblem:
    """Compute all moments.

    Args:
        library: The candidate terms; they may hold space derivatives only.
        field: The raw, checked field; missing pixels take the smooth value and carry no noise.
        smooth: The spline fitted to it.
        options: Settings.

    Returns:
        The problem, still to be whitened at a pilot.

    Raises:
        TermError: If a term has a derivative along an axis that the field lacks.
        ConfigError: If a window does not fit, or a term needs smoother test functions.
        FieldError: If the field does not change in time.
    """
    dims = tuple(map(str, field.dims))
    cache: dict[str, np.ndarray] = {}

    def values(name: str) -> np.ndarray:
        if name not in cache:
            cache[name] = smooth.evaluate(derivative_orders(name, dims))
        return cache[name]

    smooth_u = values(library.variable)
    missing = np.isnan(field.values)
    raw = np.where(missing, smooth_u, field.values)
    slope = values(f"{library.variable}_x")
    noise = estimate_noise(field.values, smooth_u, slope, spacings(field)[-1], smooth.noise_scale, options.noise)
    windows, capped = choose_windows(field, smooth, options, noise)
    order = library.target.count("t", len(library.variable))
    kernels = tuple(
        {q: np.asarray(evaluate_expression(h, values)) for q, h in noise_kernels(t, library.variable, dims).items()}
        for t in library
    )
    _check_smoothness(kernels, options)
    time = (order,) + (0,) * (len(dims) - 1)
    scheme = np.zeros(1)
    if options.scheme_error:
        scheme = 0.5 * spacings(field)[0] * project(smooth_u, windows, (order + 1, *time[1:]))
    design = [sum(_moment(f, d, values, windows) for d, f in weak_atoms(t, library.variable, dims)) for t in library]
    correction = [sum(project(h * (raw - smooth_u), windows, q) for q, h in k.items()) for k in kernels]
    target = (-1) ** order * project(raw, windows, time)
    columns = [np.column_stack([np.broadcast_to(c, target.shape) for c in part]) for part in (design, correction)]
    _check_finite(library, columns[0])
    _check_motion(library, target, raw, windows, time)
    kept = _away_from_gaps(missing, windows)
    _check_rows(kept, windows)
    return WeakProblem(
        library=library,
        options=options,
        windows=windows,
        design=columns[0][kept],
        correction=columns[1][kept],
        target=target[kept],
        noise=noise,
        kernels=kernels,
        scheme=np.broadcast_to(scheme, target.shape)[kept],
        kept=kept,
        capped=capped,
    )


def _check_motion(
    library: Library, target: np.ndarray, raw: np.ndarray, windows: tuple[Windows, ...], orders: Orders
) -> None:
    weights = [np.abs(w.matrix(o)).sum(axis=1).max() for w, o in zip(windows, orders, strict=True)]
    if np.abs(target).max() <= ROUNDING * np.abs(raw).max() * np.prod(weights):
        raise FieldError(
            "The field does not change in time.",
            got=f"all moments of {library.target} are zero up to rounding",
            wanted="frames that differ",
            fix="check that the frames were not copied from one image",
        )


def _check_rows(kept: np.ndarray, windows: tuple[Windows, ...]) -> None:
    if kept.sum() < MINIMUM_ROWS:
        raise ConfigError(
            "Too few test functions fit into the field.",
            got=f"{int(kept.sum())}, half-widths {[w.half_width for w in windows]}; {int((~kept).sum())} lost to gaps",
            wanted=f"at least {MINIMUM_ROWS}",
            fix="Weak(half_widths={...}) with smaller values, or a longer video",
        )


def _check_finite(library: Library, design: np.ndarray) -> None:
    bad = [name for name, column in zip(library.names, design.T, strict=True) if not np.isfinite(column).all()]
    if bad:
        raise FieldError(
            "A term is not finite on this field.",
            got=", ".join(bad),
            wanted="terms that can be computed for every value of the field",
            fix="scale the field to values of order 1, or drop the term",
        )


def _away_from_gaps(missing: np.ndarray, windows: tuple[Windows, ...]) -> np.ndarray:
    """Test functions that hardly see a hole: `[m_all]`, bool. Scattered missing pixels are no hole."""
    none = (0,) * len(windows)
    hole = missing & (uniform_filter(missing.astype(float), size=HOLE_SIZE, mode="nearest") > 0.5)
    return project(hole.astype(float), windows, none) <= MAXIMUM_GAP * project(np.ones(missing.shape), windows, none)


def _check_smoothness(kernels: tuple[dict[Orders, np.ndarray], ...], options: Weak) -> None:
    highest = max((max(q) for k in kernels for q in k), default=0)
    if highest >= options.space_power:
        raise ConfigError(
            "The test functions are not smooth enough for a term.",
            got=f"order {highest} on a bump of power {options.space_power}",
            wanted="a power above the highest order",
            fix=f"Weak(space_power={highest + 3})",
        )


def project(values: np.ndarray, windows: tuple[Windows, ...], orders: Orders) -> np.ndarray:
    """Integrate a field against the given derivative of every test function: `[m]`, time slowest."""
    for axis, (window, order) in enumerate(zip(windows, orders, strict=True)):
        values = np.moveaxis(np.tensordot(window.matrix(order), values, axes=(1, axis)), 0, axis)
    return values.ravel()


def _moment(
    expression: Any, orders: Orders, values: Callable[[str], np.ndarray], windows: tuple[Windows, ...]
) -> np.ndarray:
    shape = tuple(w.samples for w in windows)
    return (-1) ** sum(orders) * project(
        np.broadcast_to(evaluate_expression(expression, values), shape), windows, orders
    )
