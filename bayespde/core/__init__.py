"""Nouns: the types that flow between the stages, and the checks that they pass.

A field is an `xarray.DataArray` that passed `validate_field`; `Scales` maps it to the unit cube, and a `NoiseModel`
describes its noise. A `Term` is a candidate expression, a `Library` a list of them with a target, an `Equation` (or
`CoupledEquations`) terms with coefficients. Rows of a linear problem in the terms become `SufficientStatistics`. With a
prior of the spins (`PairwiseSpins`), a slab and a `Likelihood` they give a `Posterior`; given one configuration, a
`CoefficientPosterior`. Nothing is imported here, so that importing one noun imports no other.
"""
