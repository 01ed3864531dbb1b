"""The exact posterior over all 2^K configurations, by branch and bound [furnivalwilson1974].

Key types: a target becomes a `BranchProblem` (problem), its branches fill `Sums` and `TopModels` (branch, top_models),
and `Enumeration` turns those into an `ExactTable` or into independent draws (enumerate).

The algorithm for a linear target:

1. Reduce the data to one triangular factor of columns and response, in canonical order (triangles). Tabulate the log
   evidence as a function of the number of terms and the residual sum of squares, with which it must fall.
2. Find a heavy configuration by hill climbing. A configuration is negligible if its mass is below 1e-13 2^-K of that.
3. Split the tree at the first columns into up to 1024 branches, which threads sum independently.
4. In a branch, decide one column after the other, depth first: included, then excluded. Including a column needs no
   work; excluding it rotates its row into those below. The last three columns have a closed form.
5. Bound every node: with all undecided columns included, the residual is the last diagonal element of the triangle, and
   no configuration below the node has a smaller one. With an upper bound on prior and determinant, this bounds the mass
   of every configuration of the subtree. Prune the subtree if the bound is negligible and below the thresholds of the
   top models of all sizes that it can reach. An included column with a pivot below the tolerance is pruned as well.
6. Add the mass of every other leaf to the evidence and to the inclusion of its columns. A leaf that reaches the
   threshold of its size becomes a candidate of the top models; full arrays are pruned, which raises the thresholds.
7. If a configuration is found that is far heavier than the one of step 2, repeat relative to that one.

The bound on the mass is inverted once per branch into a limit on the residual for each size and depth, so that a node
costs one comparison. Any other target is evaluated configuration by configuration, up to 20 terms.
"""
