"""A small video -> JSON: a hash of the numbers of every stage. Run as a program with the number of workers."""

import hashlib
import json
import sys

import numpy as np
import small_problem

import bayespde as bp
from bayespde.core.settings import build
from bayespde.smc.config import SMCConfig

NETWORKS = {"smoother": "network", "steps": 30, "uncertainty": True, "networks": [{"width": 8, "depth": 2}]}


def hashed(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def values(dataset):
    return [dataset[name].values for name in sorted(dataset.data_vars)]


def of_posterior(posterior):
    exact = posterior.exact
    sampled = (posterior.spins, posterior.coefficients, posterior.noise_scale, posterior.log_evidence)
    return hashed(*posterior.statistics.factors, *sampled, exact.inclusion_probability, exact.log_evidence)


PLANE = {
    "equation": "u_t = 0.1*u_xx + 0.1*u_yy + u - u**3",
    "extent": {"x": 10.0, "y": 10.0},
    "points": {"x": 48, "y": 48},
    "times": {"start": 0.0, "stop": 2.0, "frames": 25},
    "initial": {"kind": "random_waves", "seed": 1, "modes": 3, "amplitude": 0.5, "offset": 0.1},
    "noise": 0.02,
}


def plane():
    """Arrays that are large enough for several threads of BLAS."""
    smooth = bp.fit_field(bp.simulate(bp.SimulationSpec.from_mapping(PLANE)), smoother="spline")
    orders = (0, 0, 2)
    points = smooth.at_points(orders, np.array([[1.0, 2.0, 3.0]]))
    return hashed(
        smooth.evaluate(orders), smooth.draw(1).evaluate(orders), smooth.standard_deviation([orders]), *points
    )


def results(workers):
    field = small_problem.video()
    sampler = SMCConfig(particles=512, runs=2, workers=workers)
    config = bp.DiscoverConfig(sampler=sampler, trajectory_matching="always")
    found = bp.discover(field, library=small_problem.library(), config=config, seed=0)
    networks = bp.fit_field(field, options=build(bp.SmoothingConfig, NETWORKS, "smooth"), seed=1)
    last = float(field["time"][-1])
    model, chains = found.model, {"method": "tempered_gibbs", "steps": 500, "particles": 64}
    return {
        "video": hashed(field.values),
        "spline": hashed(*values(bp.differentiate(found.smooth)), found.smooth.draw(1).evaluate((0, 2))),
        "plane": plane(),
        "networks": hashed(*values(bp.differentiate(networks, deviations=True)), networks.draw(1).evaluate((0, 1))),
        "weak form": of_posterior(found.weak_posterior),
        "trajectories": of_posterior(found.posterior),
        "chains": hashed(bp.sample(model, workers=workers, **chains).spins),
        "forecast": hashed(*values(found.forecast(np.linspace(last, 1.2 * last, 4)[1:], draws=8, seed=2))),
        "diagnosis": f"{bp.diagnose(found.posterior)}\n{found}",
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(results(int(sys.argv[1]))))
