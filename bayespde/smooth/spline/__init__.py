"""FIELD -> SPLINE FIT: a tensor-product penalised spline with an exact Gaussian posterior.

`fit_spline` builds one `AxisBasis` per dimension (as `SplineConfig` sets), chooses the smoothing weights by
cross-validation that leaves out pixels, frames or blocks (`cross_validation`, `blocks`), and returns a `SplineFit`:
noise level, field, and every derivative with its standard deviation, on grids and at points.
"""
