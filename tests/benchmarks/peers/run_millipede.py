"""Problem file -> inclusion probabilities by the weighted tempered Gibbs chain of `millipede-regression` (0.1.7).

    python run_millipede.py problem.npz answer.json --seconds 8 --seeds 0 1 2

The posterior is the same: one prior probability per term, and a sampler whose number of rows (`N_nu0`) is set to the
effective one, because it takes the exponent of the likelihood from the rows it is given. A chain that reaches the full
model is stopped by an assertion of the package; what it has until then is kept and marked `aborted`.
"""

import argparse
import json
import time

import torch
from millipede import NormalLikelihoodSampler
from problem import read


def build(problem, *, precompute, explore):
    """The package's sampler of a problem, without intercept: rows are centred."""
    slab = {"prior": "isotropic", "tau": problem.ridge} if problem.ridge > 0 else {"prior": "gprior", "c": problem.g}
    sampler = NormalLikelihoodSampler(
        torch.as_tensor(problem.design),
        torch.as_tensor(problem.target),
        S=torch.sigmoid(torch.as_tensor(problem.log_odds)),
        include_intercept=False,
        nu0=problem.prior_rows,
        lambda0=problem.prior_variance,
        precompute_XX=precompute,
        explore=explore,
        verbose_constructor=False,
        **slab,
    )
    sampler.N_nu0 = problem.rows + problem.prior_rows
    return sampler


def sample(sampler, *, seconds, burn_in, seed):
    """A chain of so many processor seconds after burning in: what it found, and whether it was cut short."""
    sampler.t, sampler.T_burnin = 0, burn_in
    state = sampler.initialize_sample(seed=seed)
    weight, total, count, aborted = 0.0, torch.zeros(sampler.P, dtype=torch.float64), 0, False
    try:
        for _ in range(burn_in):
            state = sampler.mcmc_move(state)
        start, cpu = time.perf_counter(), time.process_time()
        while time.process_time() - cpu < seconds:
            state = sampler.mcmc_move(state)
            weight, total, count = weight + state.weight, total + state.weight * state.pip, count + 1
    except AssertionError:
        aborted = True
    return {
        "inclusion": total / weight if count else total,
        "seconds": time.perf_counter() - start if count else 0.0,
        "processor_seconds": time.process_time() - cpu if count else 0.0,
        "steps": count,
        "seed": seed,
        "aborted": aborted,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("problem")
    parser.add_argument("answer")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--burn-in", type=int, default=200)
    parser.add_argument("--explore", type=float, default=5.0, help="the package's default is 5")
    parser.add_argument("--no-precompute", action="store_true", help="do not let the package keep the Gram matrix")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    problem = read(options.problem)
    answers = []
    for seed in options.seeds:
        sampler = build(problem, precompute=not options.no_precompute, explore=options.explore)
        with torch.no_grad():
            answer = sample(sampler, seconds=options.seconds, burn_in=options.burn_in, seed=seed)
        answers.append(answer | {"inclusion": problem.in_library_order(answer["inclusion"].numpy()).tolist()})
    with open(options.answer, "w") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
