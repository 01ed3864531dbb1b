"""EQUATION + FIELD -> TRAJECTORY: coefficients and initial state by the likelihood of the pixels (trajectory matching).

`TrajectoryData` (field, noise model, first estimate of the initial state) and an equation make a `TrajectoryProblem`,
least squares in coefficients, modes of the initial state (`StateBasis`) and displacements of frames. `find_mode`
returns its `Mode`, `laplace` the `Trajectory`: the normal posterior around it, whose `StatePosterior` is sampled for
forecasts and written to files. `linearised_rows` turns a mode into `SufficientStatistics` of all terms of a library.
`padding` continues a window of a larger field, `whiteness` tests whether the residuals of a trajectory are noise.
"""
