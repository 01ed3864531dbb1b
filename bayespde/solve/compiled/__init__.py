"""Compiled kernels: one pass over the points for a right-hand side, and Runge-Kutta-Chebyshev steps with it.

A `GhostGrid` stores frames in flat arrays with ghost cells beyond the boundary. A `CompiledRHS` evaluates the
right-hand side of an equation in such an array. `rkc` integrates every draw of an ensemble with it, each by its steps.
"""
