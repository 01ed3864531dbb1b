"""FIELD(S) -> DISCOVERY: all stages with good defaults, and their results in one object.

`discover` takes a field, or a Dataset of coupled fields, and a `DiscoverConfig`. A `Pipeline` runs the stages of one
equation: `SmoothField` -> `SufficientStatistics` -> `Posterior` (weak form) -> `Posterior` + `TrajectoryPosterior`
(observation likelihood, `match_trajectories`). The results are a `Discovery`, or a `CoupledDiscovery` of several.
`files` and `report` write them for people.
"""
