"""Right-hand side + step size -> one step in time and an estimate of its error.

A `Stepper` is a scheme bound to a right-hand side. It turns values into a `State`, and moves a state by a step; the
controller in `time_stepping` chooses the size of the steps. Each scheme is one file here and one line in `STEPPERS`.
"""

from collections.abc import Mapping

from bayespde.solve.right_hand_side import RightHandSide
from bayespde.solve.steppers.compiled_etdrk4 import CompiledETDRK4
from bayespde.solve.steppers.dormand_prince import DormandPrince
from bayespde.solve.steppers.etdrk4 import ETDRK4
from bayespde.solve.steppers.stepper import State, Stepper

# By the name that `SolverConfig.scheme` has for it.
STEPPERS: Mapping[str, type[Stepper]] = {"explicit": DormandPrince, "etd": ETDRK4}


def stepper_of(scheme: str, equation: RightHandSide) -> Stepper:
    """The scheme of a name, compiled where the right-hand side has the arrays for it."""
    if scheme == "etd" and equation.line is not None:
        return CompiledETDRK4(equation, equation.line)
    return STEPPERS[scheme](equation)


__all__ = ["ETDRK4", "STEPPERS", "CompiledETDRK4", "DormandPrince", "State", "Stepper", "stepper_of"]
