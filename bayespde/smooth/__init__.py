"""FIELD -> DERIVATIVES: a penalised spline and neural fields, each with its posterior, and the choice between them.

A field, or scattered samples, become `Observations`: values for networks, a grid for the spline. `fit_field` turns them
into a `SmoothField`, which holds a `SplineFit` (`spline/`), a `NetworkSmoother` if networks were trained (`network/`),
and a `SmoothingChoice`: which of the two is used, and why. `differentiate` evaluates a `SmoothField` on its grid, with
standard deviations; `SmoothField.draw` gives a `FieldDraw`, one field of the posterior. `files` writes and reads it.
`registration` puts frames that jitter back in place, and `boundary_conditions` infers those of the field.
"""
