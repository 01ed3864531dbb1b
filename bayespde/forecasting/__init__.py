"""POSTERIOR -> FRAMES TO COME: initial conditions, ensembles and their integration.

A source (known frame, `SmoothField` or `TrajectoryPosterior`) and a `Posterior` give an `InitialCondition`: a
`ForecastEnsemble` of equations and initial states, a boundary, the noise of a pixel. `propagate` integrates it at as
few grid points as it needs; `forecast` returns the frames as a Dataset, which `verify_forecast` scores.
"""
