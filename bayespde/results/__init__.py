"""POSTERIOR -> ANSWERS: equations, checks, comparisons, inference data, figures, a report; each its own module.

A `Posterior` becomes `RankedEquation`s (equations, typeset), tables as `xarray.Dataset` (top models, Pareto front,
comparison, tempering history, power scaling), and `Check`s of convergence and fit, which `diagnose` turns into a
`Diagnosis` with a verdict. `inference_tree` and `inference_data` write it as a `DataTree` and read it back, and
`arviz_bridge` hands that to ArviZ. A forecast and observed frames become scores (forecast_verification,
front_position). `figures` draws all of these, and `report` writes them into one page from a `ReportData`.
"""
