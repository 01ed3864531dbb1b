"""First columns of a configuration -> summed mass of all configurations that begin with them: compiled.

The sum is depth first, every column in before it is out. A branch is cut where no configuration in it can be heavier
than what may be neglected nor be among the best: with all remaining columns in, the residuals are the last diagonal
element of the triangle, and none of them has less [furnivalwilson1974].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from bayespde.smc.enumeration.top_models import TopModels
from bayespde.smc.enumeration.triangles import last_three, leave_out
from bayespde.smc.kernels.evidence_table import EvidenceTable, read_table

# a cut may err by the rounding of the table and no more, so that what is summed never depends on the gates
PADDING = 0.01
# of a node on the path: the layer of its triangle, its terms, its bits, whether its column is now being left out
LAYER, SIZE, CODE, LEFT = 0, 1, 2, 3
# refused configurations have residuals of inf, which must stay out of reach
ALWAYS, NEVER = float(np.finfo(np.float64).max), -np.inf


class Rule(NamedTuple):
    """Numbers that every node of the tree reads.

    Attributes:
        tolerance: Least pivot of a column taken in.
        offset: Added to residual sums of squares before they are looked up.
        determinant: Factor on the log determinant.
        reference: Log mass that counts as 1.
        floor: Log mass up to which a configuration is neglected.
    """

    tolerance: float
    offset: float
    determinant: float
    reference: float
    floor: float


class BranchProblem(NamedTuple):
    """A target in the form that the compiled sum reads.

    Attributes:
        triangle: Squared pivots and unit rows of the factor, ridge included, `[K+1, K+1]`, float64.
        table: The log evidence.
        log_odds: Prior log odds of the columns if all others are out, `[K]`.
        couplings: What two columns that are in add to the log prior, `[K, K]`; `[0, 0]` if nothing.
        gain: Most that taking m of the undecided columns in can add to log prior and log determinant, `[L+1]`.
        log_empty: Log prior of the configuration without terms.
        rule: Everything else.
    """

    triangle: np.ndarray
    table: EvidenceTable
    log_odds: np.ndarray
    couplings: np.ndarray
    gain: np.ndarray
    log_empty: float
    rule: Rule


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def sum_branch(
    problem: BranchProblem, best: TopModels, prefix: int, length: int, share: np.ndarray, masses: np.ndarray
) -> float:
    """Sum the masses of all configurations whose first `length` columns are the bits of `prefix`.

    Args:
        problem: What to sum; at least three columns, `length` of at most K - 3.
        best: Gets every configuration that passes its gates.
        prefix: Bits, the first column highest.
        length: Number of decided columns.
        share: Added to: mass with each later column in, `[K]`.
        masses: Filled with the masses of all completions, `[2^(K-length)]`; `[0]` if they are not wanted.

    Returns:
        Their sum, relative to `exp(reference)`.
    """
    last = len(problem.log_odds) - 3
    alive, triangles, path, log_weight, reach = _open(problem, best.threshold, prefix, length)
    mass, row, rss, det = np.zeros(last + 4), np.empty(last + 4), np.empty(8), np.empty(8)
    depth, done = length, 0.0
    while alive:
        while depth < last and _enter(problem, triangles, path, log_weight, reach, depth, True):
            depth += 1
            mass[depth], path[depth, LEFT] = 0.0, 0
        if depth == last:
            last_three(triangles, path[depth, LAYER], depth, problem.rule.tolerance, rss, det)
            done = _sum_leaves(problem, best, path, log_weight, reach, depth, rss, det, share, masses)
        else:
            depth, done = depth + 1, 0.0
        while True:
            if depth == length:
                return done
            depth -= 1
            mass[depth] += done
            done = mass[depth]
            if path[depth, LEFT] == 0:
                share[depth] += done
                path[depth, LEFT] = 1
                leave_out(triangles, path[depth, LAYER], depth + 1, depth, row)
                if _enter(problem, triangles, path, log_weight, reach, depth, False):
                    depth += 1
                    mass[depth], path[depth, LEFT] = 0.0, 0
                    break
    return 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _open(
    problem: BranchProblem, threshold: np.ndarray, prefix: int, length: int
) -> tuple[bool, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Whether the branch has anything to sum; triangles, nodes and log weights down to it; what is within reach."""
    n = len(problem.triangle)
    triangles, path, log_weight = np.empty((n, n, n)), np.zeros((n, 4), np.int64), np.empty(n)
    reach, row, alive = np.empty((n + 1, n)), np.empty(n), True
    log_weight[0] = problem.log_empty
    for i in range(n):
        for k in range(n):
            triangles[0, i, k], reach[i, k] = problem.triangle[i, k], ALWAYS
    for depth in range(length):
        take = (prefix >> (length - 1 - depth)) & 1 == 1
        if not take:
            leave_out(triangles, path[depth, LAYER], depth + 1, depth, row)
        alive = alive and _enter(problem, triangles, path, log_weight, reach, depth, take)
    if alive:
        _set_reach(problem, threshold, path[length, SIZE], length, log_weight[length], reach)
        s = triangles[path[length, LAYER], n - 1, n - 1] + problem.rule.offset
        alive = s <= reach[path[length, SIZE], length]
    return alive, triangles, path, log_weight, reach


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _enter(
    problem: BranchProblem,
    triangles: np.ndarray,
    path: np.ndarray,
    log_weight: np.ndarray,
    reach: np.ndarray,
    depth: int,
    take: bool,
) -> bool:
    """Write the node below one, the triangle of which is there; whether anything in its branch is worth a visit."""
    last, above = triangles.shape[2] - 1, path[depth, LAYER]
    layer = above if take else depth + 1
    size, gain = path[depth, SIZE], 0.0
    if take:
        size, gain = size + 1, _prior_gain(problem, path[depth, CODE], depth, depth)
        if problem.rule.determinant != 0:
            gain += problem.rule.determinant * np.log(triangles[above, depth, depth])
    path[depth + 1, LAYER], path[depth + 1, SIZE], path[depth + 1, CODE] = layer, size, 2 * path[depth, CODE] + take
    log_weight[depth + 1] = log_weight[depth] + gain
    allowed = not take or triangles[above, depth, depth] >= problem.rule.tolerance
    return allowed and triangles[layer, last, last] + problem.rule.offset <= reach[size, depth + 1]


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _prior_gain(problem: BranchProblem, code: int, depth: int, column: int) -> float:
    """What taking a column in adds to the log prior, where the first `depth` columns are the bits of `code`."""
    gain = problem.log_odds[column]
    if len(problem.couplings) > 0:
        for i in range(depth):
            if (code >> (depth - 1 - i)) & 1:
                gain += problem.couplings[i, column]
    return float(gain)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _sum_leaves(
    problem: BranchProblem,
    best: TopModels,
    path: np.ndarray,
    log_weight: np.ndarray,
    reach: np.ndarray,
    depth: int,
    rss: np.ndarray,
    det: np.ndarray,
    share: np.ndarray,
    masses: np.ndarray,
) -> float:
    """Sum of the masses of the eight choices of the last three columns below a node."""
    rule, couplings, total = problem.rule, problem.couplings, 0.0
    above = path[depth, CODE]
    first, second = _prior_gain(problem, above, depth, depth), _prior_gain(problem, above, depth, depth + 1)
    third = _prior_gain(problem, above, depth, depth + 2)
    for choice in range(8):
        a, b, c = choice >> 2, (choice >> 1) & 1, choice & 1
        size, s = path[depth, SIZE] + a + b + c, rss[choice] + rule.offset
        if s > reach[size, depth + 3]:
            continue
        log_mass = log_weight[depth] + a * first + b * second + c * third
        if len(couplings) > 0:
            log_mass += a * b * couplings[depth, depth + 1] + a * c * couplings[depth, depth + 2]
            log_mass += b * c * couplings[depth + 1, depth + 2]
        log_mass += read_table(problem.table, size, s)
        if rule.determinant != 0:
            log_mass += rule.determinant * np.log(det[choice])
        code = 8 * above + choice
        if log_mass >= best.threshold[size]:
            at = best.used[0]
            best.code[at], best.log_mass[at], best.size[at] = code, log_mass, size
            best.used[0] = at + 1
        if log_mass > rule.floor:
            mass = np.exp(log_mass - rule.reference)
            share[depth] += a * mass
            share[depth + 1] += b * mass
            share[depth + 2] += c * mass
            total += mass
            if len(masses) > 0:
                masses[code & (len(masses) - 1)] = mass
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _set_reach(
    problem: BranchProblem, threshold: np.ndarray, size: int, depth: int, log_weight: float, reach: np.ndarray
) -> None:
    """Write the largest s worth a visit, by size so far and depth: of the sizes that can still be reached, the largest.

    Below a node of `size` terms at `depth`; in the last column there is nothing more to decide.
    """
    table, terms = problem.table, len(problem.log_odds)
    for k in range(terms + 2):
        for column in range(terms + 1):
            reach[k, column] = NEVER
    for more in range(terms - depth + 1):
        level = min(threshold[size + more], problem.rule.floor) - log_weight - problem.gain[more] - PADDING
        reach[size + more, terms] = _largest_above(table, size + more, level)
    for column in range(terms - 1, depth - 1, -1):
        for k in range(terms + 1):
            reach[k, column] = max(reach[k, terms], reach[k + 1, column + 1])


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _largest_above(table: EvidenceTable, size: int, level: float) -> float:
    """Largest s at which the log evidence, which falls with s, is not below a level; `ALWAYS`, `NEVER`."""
    if read_table(table, size, table.largest) >= level:
        return ALWAYS
    if not read_table(table, size, table.smallest) >= level:
        return NEVER
    low, high = np.float64(table.smallest).view(np.int64), np.float64(table.largest).view(np.int64)
    # positive numbers are in the order of their bits
    while high - low > 1:
        middle = low + (high - low) // 2
        if read_table(table, size, np.int64(middle).view(np.float64)) >= level:
            low = middle
        else:
            high = middle
    return np.int64(high).view(np.float64)
