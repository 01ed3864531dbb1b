"""Random stable equations of one to four terms of the default library, by published seeds.

A seed fixes everything: terms without replacement, signs, magnitudes log-uniform in [0.1, 2], period log-uniform in
[10, 40], duration uniform in [3, 12], and an initial state of random waves. `seed % 4 + 1` is the number of terms. A
draw is rejected if it blows up or cannot be integrated in the allowed steps, if halving the grid changes it by more
than 1e-4 of its standard deviation (a shock is no solution), if it grows beyond 20, or if the clean data cannot
identify it: a term whose contribution, once the other 18 terms have explained what they can of it, is below 1 % of the
right-hand side. `SEEDS` are the first five of each size that were accepted, `MORE_SEEDS` the next five;
`count_rejected` draws all up to the former: 233 blow up, 7 cannot be identified on clean data, 13 are not resolved by
the grid.
"""

from collections import Counter
from functools import lru_cache

import numpy as np

import bayespde as bp
from bayespde.core.errors import BayespdeError
from bayespde.core.terms import derivative_orders, evaluate_expression
from bayespde.solve.config import SolverConfig

SEEDS = {1: (8, 32, 48, 52, 80), 2: (5, 33, 41, 57, 65), 3: (22, 138, 310, 370, 450), 4: (7, 131, 151, 199, 487)}
MORE_SEEDS = {
    1: (124, 144, 156, 164, 204),
    2: (153, 253, 353, 513, 557),
    3: (466, 506, 606, 650, 686),
    4: (615, 811, 919, 1003, 1119),
}
LIBRARY = bp.polynomial_library("u", space=1)
POINTS, FRAMES, COARSE = 256, 121, 128
SMALLEST_SHARE = 1e-2


def draw(seed):
    """Coefficients by term, and the rest of the specification."""
    count, rng = seed % 4 + 1, np.random.default_rng([4, seed])
    names = sorted(rng.choice(LIBRARY.names, size=count, replace=False).tolist(), key=LIBRARY.index)
    values = rng.choice([-1, 1], size=count) * np.exp(rng.uniform(np.log(0.1), np.log(2), size=count))
    period = round(float(np.exp(rng.uniform(np.log(10), np.log(40)))), 1)
    duration, modes = round(float(rng.uniform(3, 12)), 1), int(rng.integers(3, 7))
    truth = {name: float(f"{value:.3g}") for name, value in zip(names, values, strict=True)}
    return truth, {"period": period, "duration": duration, "modes": modes}


def spec_of(seed, points=POINTS):
    """What to simulate."""
    truth, rest = draw(seed)
    return bp.SimulationSpec(
        equation=text_of(truth),
        extent={"x": rest["period"]},
        points={"x": points},
        times={"start": 0.0, "stop": rest["duration"], "frames": FRAMES},
        initial={"kind": "random_waves", "modes": rest["modes"], "seed": seed},
        method=SolverConfig(rtol=1e-7, maximum_steps=12_000 if points == POINTS else 3_000),
    )


def text_of(truth):
    """An equation as text, of the coefficient of every term."""
    right = " ".join(f"{'-' if v < 0 else '+'} {abs(v)}*{n}" for n, v in truth.items())
    return "u_t = " + right.removeprefix("+ ").replace("- ", "-", right.startswith("- "))


@lru_cache(maxsize=32)
def clean(seed):
    """The field without noise."""
    return bp.simulate(spec_of(seed))


def reason_to_reject(seed):
    """Why a draw is no problem of this collection; None if it is one."""
    try:
        coarse, fine = bp.simulate(spec_of(seed, COARSE)), bp.simulate(spec_of(seed))
    except BayespdeError:
        return "blows up"
    if np.abs(fine.values).max() > 20:
        return "blows up"
    if np.sqrt(np.mean((coarse.values - fine.values[:, :: POINTS // COARSE]) ** 2)) > 1e-4 * fine.values.std():
        return "not resolved"
    return None if min(shares(fine, draw(seed)[0])) > SMALLEST_SHARE else "not identifiable"


def shares(field, truth):
    """What each true term adds that no combination of the other candidates can imitate, relative to the whole."""
    wavenumbers = 2j * np.pi * np.fft.fftfreq(field.sizes["x"], d=float(field.x[1] - field.x[0]))

    def values(name):
        order = derivative_orders(name, ("time", "x"))[1]
        return np.real(np.fft.ifft(wavenumbers**order * np.fft.fft(field.values, axis=1), axis=1))

    columns = [np.broadcast_to(evaluate_expression(t.expression, values), field.shape).ravel() for t in LIBRARY]
    design = np.column_stack(columns)
    right = sum(value * design[:, LIBRARY.index(name)] for name, value in truth.items())
    scaled, found = design / np.linalg.norm(design, axis=0), []
    for name, value in truth.items():
        own = LIBRARY.index(name)
        others = np.delete(scaled, own, axis=1)
        left = design[:, own] - others @ np.linalg.lstsq(others, design[:, own], rcond=1e-12)[0]
        found.append(abs(value) * np.linalg.norm(left) / np.linalg.norm(right))
    return found


def count_rejected(size):
    """Reasons among the draws of one size up to the last accepted one."""
    candidates = range(size - 1, SEEDS[size][-1] + 1, 4)
    return Counter(reason_to_reject(seed) or "accepted" for seed in candidates)
