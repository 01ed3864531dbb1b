"""RESIDUALS -> NOISE: which noise an observed field has, estimated from what a smoother leaves of it.

`estimate` chooses the kind of noise and returns a `core.noise.NoiseModel`, the one description that the weak form and
trajectories read. It takes the correlation of neighbours from `correlated`, what the variance of a pixel follows from
`variance_functions` (`FittedVariance`; a module each, such as `shot`), and a jittering front from `front_jitter`.
`frame_jitter` regresses residuals on the gradient of the field, for registration. `families` and `pixel_noise` hold the
distributions of a pixel (`NoiseFamily`, `PixelNoise`) for the training of neural fields and their intervals.
"""
