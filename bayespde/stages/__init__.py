"""ONE STAGE, JOINED: what needs several rooms, and no more than one stage of a discovery.

`assemble`: `Library` + `SmoothField` -> `SufficientStatistics`, iterated with `ModelAverage`. `sample`: `SpinModel` ->
`Posterior` by sampling or enumeration; `cut_posterior` joins the posteriors of draws of the field. `fit_trajectories`:
`Posterior` + `SmoothField` -> `TrajectoryPosterior`. `SpinSMC`: any Pyro program with discrete sites -> samples.
`RunFolder` keeps the result of each stage on disk, under a key of its inputs.
"""
