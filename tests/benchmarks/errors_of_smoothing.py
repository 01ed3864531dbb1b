"""Why the strong form of a smoothed field and the weak form differ: every error by itself, where the truth is known.

Used by `strong_and_weak_form.py`. The simulated files obey an explicit Euler step and the difference of three pixels to
rounding, so that their derivatives are known too.
"""

import numpy as np

import bayespde as bp
from bayespde.core.terms import derivative_orders
from bayespde.results.equations import closed_form
from bayespde.weak.strong_form import strong_statistics
from tests.data_sets import TRUTH, load

TRUE = TRUTH["phase_field"]
NAMES = ("u", "u_t", "u_x", "u_xx")
DIMS = ("time", "x")
ORDERS = [derivative_orders(n, DIMS) for n in NAMES]
NOISE_DRAWS = 6
# Frames and pixels at each end that are left out, those of `StrongForm.trim`.
INNER = (slice(25, -25), slice(25, -25))


def exact(field, library, derivatives, **options):
    """Posterior of the strong form from given derivatives by name: terms, probability of the truth, coefficients."""

    def evaluate_all(orders):
        return np.stack([derivatives[NAMES[ORDERS.index(o)]] for o in orders])

    statistics = strong_statistics(library, field, evaluate_all, options=bp.StrongForm(**options))
    return against_truth(statistics, library)


def against_truth(statistics, library):
    """The posterior by enumeration, and the coefficients of the true terms with errors in standard deviations."""
    table = bp.enumerate_models(bp.SpinModel(statistics, library))
    on = library.spins(list(TRUE))
    mean, sd, _, _ = closed_form(statistics, on)
    true = np.array([TRUE[n] for n, s in zip(library.names, on, strict=True) if s])
    return {
        "terms": [n for n, s in zip(library.names, table.spins[0], strict=True) if s],
        "probability of the truth": float(table.probability[(table.spins == on).all(axis=1)].sum()),
        "inclusion of false terms": float(table.inclusion_probability[~on].max()),
        "coefficients": mean.tolist(),
        "sd": sd.tolist(),
        "largest error": float(np.abs(mean / true - 1).max()),
        "largest score": float(np.abs((mean - true) / sd).max()),
        "effective rows": statistics.rows,
    }


def causes(field, clean, library, strong, weak):
    """Errors of the derivatives, and what each of them does to the equation, where the truth is known."""
    u, dt, dx = clean.values, *(float(clean[d][1] - clean[d][0]) for d in DIMS)
    ahead = np.diff(u, axis=0, append=np.nan * u[:1]) / dt
    second = (np.roll(u, 1, axis=1) - 2 * u + np.roll(u, -1, axis=1)) / dx**2
    true = dict(zip(NAMES, (u, ahead, np.gradient(u, dx, axis=1), second), strict=True))
    central = np.gradient(u, dt, axis=0)
    mean, drawn = (
        dict(zip(NAMES, f.evaluate_all(ORDERS), strict=True)) for f in (strong.smooth, strong.smooth.draw(0))
    )
    spline = {n: strong.smooth.spline.evaluate(o) for n, o in zip(NAMES, ORDERS, strict=True)}

    def error(of):
        against = true | {"u_t": central}
        return [float(np.std((of[n] - against[n])[INNER]) / np.sqrt(np.mean(against[n][INNER] ** 2))) for n in NAMES]

    def rows(derivatives, **options):
        return exact(field, library, derivatives, **options)

    return {
        "errors": {"networks, mean": error(mean), "networks, one draw": error(drawn), "spline": error(spline)},
        "rows": {
            "exact": rows(true),
            "u_t by central differences": rows(true | {"u_t": central}),
            "u_t smoothed": rows(true | {"u_t": mean["u_t"]}),
            "u_t with the same errors, shuffled": rows(true | {"u_t": shuffled(mean["u_t"], ahead)}),
            "terms smoothed": rows(mean | {"u_t": ahead}),
            "both smoothed, without the error of the step": rows(mean | {"u_t": mean["u_t"] + ahead - central}),
            "both smoothed": rows(mean),
            "both of one draw": rows(drawn),
            "both smoothed, independent rows": rows(mean, power=1.0),
            "spline": rows(spline),
            "weak form": against_truth(weak.statistics, library),
        },
    }


def shuffled(smoothed, true):
    """The true derivative with the errors of the smoothed one, moved to random places."""
    errors = (smoothed - true)[INNER]
    found = true.copy()
    found[INNER] += np.random.default_rng(0).permutation(errors.ravel()).reshape(errors.shape)
    return found


def scatter(folder, library):
    """Coefficients of the true terms by the strong form of the spline, for other draws of the same noise."""
    found = []
    for seed in range(NOISE_DRAWS):
        field = load(folder, "phase_field", noise=0.02, seed=seed)
        spline = bp.fit_field(field).spline
        derivatives = {n: spline.evaluate(o) for n, o in zip(NAMES, ORDERS, strict=True)}
        each = [exact(field, library, derivatives, **o) for o in ({}, {"power": 1.0})]
        found.append([(e["coefficients"], e["sd"]) for e in each])
    values = np.array(found)
    return {
        "mean": values[:, 0, 0].mean(axis=0).tolist(),
        "scatter": values[:, 0, 0].std(axis=0, ddof=1).tolist(),
        "stated": values[:, 0, 1].mean(axis=0).tolist(),
        "stated, independent": values[:, 1, 1].mean(axis=0).tolist(),
    }


def front(field, strong):
    """Width, motion, and coefficients of single terms of the front, by raw frames and both smoothers."""
    dx, found = float(field["x"][1] - field["x"][0]), {}
    fields = {
        "networks": strong.smooth.evaluate_all(ORDERS),
        "spline": [strong.smooth.spline.evaluate(o) for o in ORDERS],
    }
    raw = field.values[INNER]
    found["raw"] = {"width": float(np.mean((raw * (1 - raw)).sum(axis=1) * dx))}
    found["raw"]["speed"] = float(-(raw[-1] - raw[0]).sum() * dx / (len(raw) - 1))
    for name, derivatives in fields.items():
        u, u_t, u_x, _ = (d[INNER] for d in derivatives)
        reaction, per_frame = u * (1 - u), (u_t * u_x).sum(axis=1) / (u_x**2).sum(axis=1)
        found[name] = {
            "width": float(np.mean(reaction.sum(axis=1) * dx)),
            "speed": float(-np.mean(u_t.sum(axis=1)) * dx),
            "u_x": float((u_t * u_x).sum() / (u_x**2).sum()),
            "u_x, mean over frames": float(per_frame.mean()),
            "R2 of u_x": float((u_t * u_x).sum() ** 2 / (u_x**2).sum() / (u_t**2).sum()),
            "u(1-u)": float((u_t * reaction).sum() / (reaction**2).sum()),
            "R2 of u(1-u)": float((u_t * reaction).sum() ** 2 / (reaction**2).sum() / (u_t**2).sum()),
        }
    return found
