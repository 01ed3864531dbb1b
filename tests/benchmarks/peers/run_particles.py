"""Problem file -> inclusion probabilities by the binary sequential Monte Carlo of `particles` (0.4).

    python run_particles.py problem.npz answer.json --states 5000 --chain 100 --seeds 0 1 2

The package's own marginal likelihood and moves are used; two things are not. `BayesianVS_gprior` 0.4 cannot be
evaluated, because its constants are set in a function nested in `__init__` by a slip of indentation: they are set here.
Its prior is one probability for all terms: here one per term. The number of rows is the effective one.
"""

import argparse
import contextlib
import io
import json
import time

import numpy as np
import particles
from particles import binary_smc
from particles import distributions as dists
from particles import smc_samplers as ssps
from problem import read


class SpinPrior(dists.ProbDist):
    """Independent spins with one log odds each."""

    dtype = bool

    def __init__(self, log_odds):
        self.log_odds = log_odds

    def rvs(self, size=1):
        uniform = np.random.rand(size, len(self.log_odds))  # noqa: NPY002  as the package draws
        return uniform < 1 / (1 + np.exp(-self.log_odds))

    def logpdf(self, x):
        return np.where(x, -np.logaddexp(0, -self.log_odds), -np.logaddexp(0, self.log_odds)).sum(axis=1)


class GPrior(binary_smc.BayesianVS_gprior):
    """The package's class with its constants."""

    def set_constants(self):
        self.coef_len = 0.5 * np.log(1 + self.g)
        self.coef_log = 0.5 * (self.n + self.nu)
        self.coef_in_log = self.nu * self.lamb + self.yty
        self.gogp1 = self.g / (self.g + 1.0)


def build(problem, *, jitted):
    """The package's model of a problem, its row count replaced by the effective one."""
    settings = {
        "data": (problem.design, problem.target),
        "prior": SpinPrior(problem.log_odds),
        "nu": problem.prior_rows,
        "lamb": problem.prior_variance,
        "jitted": jitted,
    }
    if problem.ridge > 0:
        model = binary_smc.BayesianVS(iv2=problem.ridge, **settings)
    else:
        model = GPrior(g=problem.g, **settings)
    model.n = problem.rows
    model.set_constants()
    return model


def sample(model, *, states, chain, seed):
    """One run: inclusion probabilities, log evidence up to the model's constant, seconds, evaluations as steps."""
    np.random.seed(seed)  # noqa: NPY002  the package draws from numpy's global state
    start, cpu = time.perf_counter(), time.process_time()
    move = ssps.MCMCSequenceWF(mcmc=binary_smc.BinaryMetropolis(), len_chain=chain)
    fk = ssps.AdaptiveTempering(model, len_chain=chain, move=move)
    with contextlib.redirect_stdout(io.StringIO()):
        run = particles.SMC(fk=fk, N=states // chain)
        run.run()
    inclusion = np.average(run.X.theta, weights=run.W, axis=0)
    return {
        "inclusion": inclusion,
        "log_evidence": float(run.logLt),
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - cpu,
        "steps": states * run.t,
        "seed": seed,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("problem")
    parser.add_argument("answer")
    parser.add_argument("--states", type=int, default=5000)
    parser.add_argument("--chain", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--plain", action="store_true", help="the package's interpreted Cholesky, not its numba one")
    options = parser.parse_args()
    problem = read(options.problem)
    model = build(problem, jitted=not options.plain)
    model.logpost(model.prior.rvs(2))  # compiles
    answers = []
    for seed in options.seeds:
        answer = sample(model, states=options.states, chain=options.chain, seed=seed)
        answers.append(answer | {"inclusion": problem.in_library_order(answer["inclusion"]).tolist()})
    with open(options.answer, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
