"""TERMS + FIELD -> STATISTICS: the weak form of an equation, whitened, and the strong form next to it.

An `ObservedField` (raw pixels, smoother, noise) and `TestFunctions` (bumps of each axis, placed by `placement`) give a
`WeakProblem`: the moments of all terms, and through `NoiseTransfer` the covariance that pixel noise gives them. At a
linearisation point, an equation, it becomes `WhitenedRows` and with these `SufficientStatistics`. `linearisation`
iterates to the `LinearisationPoint`; an `Assembler` forms the moments anew at each, over fields that `condition` on the
equation; `relinearise` repeats that at each leading model. `statistics.weak_statistics` runs the whole; `strong_form`
takes terms at grid points instead. `WeakForm` and `StrongForm` are the settings.
"""
