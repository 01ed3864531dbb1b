"""The exact posterior over all 2^K configurations, by branch and bound [furnivalwilson1974].

Key types: a target becomes a `BranchProblem` (problem), its branches fill `Sums` and `TopModels` (branch, top_models),
and `Enumeration` turns those into an `ExactTable` or into independent draws (enumerate).

For a linear target the data are one triangular factor of columns and response, in canonical order, and the evidence a
table that falls with the residual sum of squares. A configuration is negligible if its mass is below 1e-13 2^-K of that
of one found by hill climbing. The tree is split at the first columns into up to 1024 branches, which threads sum
independently, depth first. A subtree is pruned if its bound is negligible and below the thresholds of the top models of
all sizes that it can reach, or if an included column has too small a pivot; a full array of top models is pruned, which
raises the thresholds. If a configuration is found that is far heavier than the first one, all is repeated relative to
it. Any other target is evaluated configuration by configuration, up to 20 terms.
"""
