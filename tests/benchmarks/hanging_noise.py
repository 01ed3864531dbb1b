"""Noise that hangs together between neighbours in space and time: held out by pixels, and by what the residuals say.

    python tests/benchmarks/hanging_noise.py

prints the table of docs/smoothing.md; it takes a quarter of an hour.
"""

import numpy as np
from scipy.ndimage import gaussian_filter
from smoothing_sets import clean

import bayespde as bp

FIELDS = ("burgers", "ks", "allen_cahn")
# Standard deviation of the Gaussian that smooths white noise: frames, and pixels along every axis of space.
WIDTHS = ((0.5, 0.5), (1.0, 1.0), (3.0, 0.0))
SIZE, SEEDS = 0.1, (0, 1, 2)


def main() -> None:
    """Print a row per field and kind of noise: median over the draws of the relative errors of u and u_xx."""
    for name in FIELDS:
        field, derivatives = clean(name)
        second = (0,) * (field.ndim - 1) + (2,)
        for width in WIDTHS:
            found = [errors(field, derivatives[second], second, width, seed) for seed in SEEDS]
            chosen = [blocks for blocks, _ in found]
            medians = np.median([values for _, values in found], axis=0)
            print(name, width, *chosen, *(f"{value:.3f}" for value in medians.ravel()), flush=True)


def errors(field, second_derivative, second, width, seed):
    """What was held out, and `[pixels or auto, spline or chosen, u or u_xx]`."""
    noise = gaussian_filter(
        np.random.default_rng(seed).standard_normal(field.shape),
        (width[0], *[width[1]] * (field.ndim - 1)),
        mode="wrap",
    )
    noisy = field + SIZE * float(field.std()) * noise / noise.std()
    zero, found = (0,) * field.ndim, []
    for unit in ("pixels", "auto"):
        smooth = bp.fit_field(noisy, options=bp.SmoothingConfig(smoother="auto", hold_out=unit), seed=seed)
        truths = (field.values, second_derivative)
        found.append(
            [
                [relative(s.evaluate(o), truth) for o, truth in zip((zero, second), truths, strict=True)]
                for s in (smooth.spline, smooth)
            ]
        )
    return smooth.spline.hold_out + str(smooth.spline.block), np.array(found)


def relative(found, truth):
    """Relative error in the L2 norm."""
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


if __name__ == "__main__":
    main()
