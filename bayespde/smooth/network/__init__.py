"""OBSERVATIONS + SPLINE -> NETWORK SMOOTHER: neural fields with a total-variation penalty, and their posterior.

`fit.NetworkFitter` draws the pixels to hold out and hands `TrainingData` to `NetworkSelection`, which calls `train` for
every candidate `NetworkConfig`. Each gives a `NetworkFit`; the best are a `NetworkEnsemble`, whose mean is the field.
Training maximises the density of a Pyro program (`program`), compiled on a CPU (`objective_numba`) or else by torch
(`objective_torch`); derivatives are truncated Taylor series (`jets`, `taylor`, `mlp_kernels`). `laplace` linearises the
networks, `calibrate` finds how much of the noise they follow, and `NetworkSmoother` evaluates all in physical units.
"""
