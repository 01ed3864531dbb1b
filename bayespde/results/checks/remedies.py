"""Name of a check -> what to do where it fails."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    # Of the sampler.
    "complete": "sample again, without an interrupt",
    "runs": "sample(model, runs=4)",
    "agreement": "four times as many particles, or fewer candidate terms; look at figures.plot_runs",
    "precision": "four times as many particles",
    "mixing": "four times as many final_passes in SMCConfig, or particles",
    "evidence": "four times as many particles, or twice as many runs",
    "tempering step": "more particles; SMCConfig(schedule=()), if inverse temperatures were fixed",
    "enumeration": "method='exact', for draws that are independent",
    "likelihood error": "SMCConfig(kernel='gibbs'), and please report it",
    # Of rows and equation.
    "form": "assemble(..., form=WeakForm())",
    "effective rows": "fewer candidate terms, or a longer video",
    "linearisation": "fewer candidate terms, or fit_trajectories(posterior, field)",
    "frames": "correct the drift first, or leave out the frames that jump",
    "relinearisation": "fit_trajectories(posterior, field), which needs no covariance of rows",
    "noise": "WeakForm(noise='correlated'), or bin the pixels that are correlated",
    "test functions": "fit_trajectories(posterior, field), or WeakForm with a larger support_factor",
    "residual": "more terms, such as the constant 1 if a dark level is left in; or another WeakForm(noise=...)",
    "residual map": "cut the video there, or mask that part: set it to NaN",
    "information matrix": "lower the power of the rows, or model what correlates them",
    "condition": "leave one of the terms out",
    "groups": "read the group as one, or record a video in which its members differ",
    "errors in variables": "trust neither beyond their difference; fit_trajectories(posterior, field)",
    "g-prior resolution": "slab=HyperGSlab()",
    # Of a trajectory.
    "trajectory": "keep the weak form: found.weak_posterior, or DiscoverConfig(trajectory_matching='never')",
    "cycle skipping": "keep the weak form: found.weak_posterior",
    "excess noise": "another boundary, or a window of a larger field: TrajectoryConfig(padding=0.5)",
    "slow residual": "a library with more terms, or another boundary",
    "tails": "mask the pixels that are far off: set them to NaN",
    "own trajectory": "fit_trajectories(posterior, field, search=TrajectorySearchConfig(top=16))",
}
