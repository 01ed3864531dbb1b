"""Orders of accuracy in time, against closed solutions."""

import numpy as np
import pytest
import torch

from bayespde.core.equation import Equation
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.stencils import right_hand_side
from bayespde.solve.steppers import _etd_table, etd_stepper, explicit_stepper, imex_stepper

VISCOSITY, DURATION = 0.2, 1.0
X = torch.arange(48, dtype=torch.float64) * 2 * torch.pi / 48
GRID = Grid(("x",), (48,), (2 * np.pi / 48,))
STEPPERS = {"explicit": explicit_stepper, "etd": etd_stepper, "imex": imex_stepper}


def burgers(time):
    """Periodic Burgers by the Cole-Hopf map of `2 + exp(-nu t) cos x`."""
    decay = np.exp(-VISCOSITY * time)
    return 2 * VISCOSITY * decay * torch.sin(X) / (2 + decay * torch.cos(X))


def logistic(time):
    """The ordinary equation `u_t = u - u^2` at every point."""
    start = 0.3 + 0.2 * torch.cos(X)
    return 1 / (1 + (1 / start - 1) * np.exp(-time))


def moving_logistic(time):
    """The same, carried along x with unit speed."""
    start = 0.3 + 0.2 * torch.cos(X - time)
    return 1 / (1 + (1 / start - 1) * np.exp(-time))


CASES = {
    "burgers": (f"u_t = {VISCOSITY}*u_xx - u*u_x", burgers),
    "logistic": ("u_t = u - u**2", logistic),
    "moving": ("u_t = u - u**2 - u_x", moving_logistic),
}


@pytest.mark.parametrize(
    ("case", "scheme", "order", "counts"),
    [
        ("logistic", "explicit", 5, (8, 16)),
        ("moving", "explicit", 5, (20, 40)),
        ("logistic", "etd", 4, (16, 32)),
        ("moving", "etd", 4, (16, 32)),
        ("burgers", "etd", 4, (16, 32)),
        ("logistic", "imex", 2, (32, 64)),
        ("moving", "imex", 2, (32, 64)),
        ("burgers", "imex", 2, (32, 64)),
    ],
)
def test_each_scheme_has_its_order(case, scheme, order, counts):
    text, truth = CASES[case]
    equation = right_hand_side(Equation.from_string(text), GRID, method=SolverConfig(dealias=False))
    stepper = STEPPERS[scheme](equation)
    errors, estimates = [], []
    for count in counts:
        state = stepper.enter(truth(0.0))
        for _ in range(count):
            state, estimate = stepper.step(state, DURATION / count)
        errors.append(float((stepper.leave(state) - truth(DURATION)).abs().max()))
        estimates.append(float(stepper.leave(estimate).abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)
    assert np.log2(estimates[0] / estimates[1]) == pytest.approx(stepper.error_order, abs=0.3)


@pytest.mark.parametrize("scheme", ["etd", "imex"])
def test_the_error_estimate_is_the_error_of_one_step(scheme):
    text, truth = CASES["burgers"]
    stepper = STEPPERS[scheme](right_hand_side(Equation.from_string(text), GRID, method=SolverConfig()))
    state, estimate = stepper.step(stepper.enter(truth(0.0)), 0.2)
    error = truth(0.2) - stepper.leave(state)
    # Halving and the whole step differ by the leading error term, which the estimate is; one more order is left over.
    torch.testing.assert_close(stepper.leave(estimate), error, atol=0.25 * float(error.abs().max()), rtol=0)


def test_exponential_differencing_is_exact_for_a_linear_equation():
    equation = right_hand_side(Equation.from_string("u_t = -3*u_x + 0.5*u_xx"), GRID, method=SolverConfig())
    stepper = etd_stepper(equation)
    state, estimate = stepper.step(stepper.enter(torch.sin(2 * X)), 1.7)
    torch.testing.assert_close(stepper.leave(state), np.exp(-2 * 1.7) * torch.sin(2 * (X - 3 * 1.7)))
    assert stepper.leave(estimate).abs().max() < 1e-14


def test_exponential_differencing_is_exact_for_a_constant_source():
    equation = right_hand_side(Equation.from_string("u_t = -2*u + 5"), GRID, method=SolverConfig())
    stepper = etd_stepper(equation)
    state, _ = stepper.step(stepper.enter(torch.cos(X)), 0.9)
    expected = 2.5 + (torch.cos(X) - 2.5) * np.exp(-1.8)
    torch.testing.assert_close(stepper.leave(state), expected)


def test_contour_coefficients_equal_their_power_series_near_zero_and_closed_forms_far_away():
    rates = torch.tensor([-1e-7, -1e-3, -0.5], dtype=torch.float64)
    _, _, _, first, middle, last = _etd_table(rates, 1.0)
    powers = rates[:, None] ** torch.arange(18)
    factorials = torch.cumprod(torch.tensor([1.0, *range(1, 30)], dtype=torch.float64), 0)
    j = torch.arange(18)
    # With phi_k the series sum_j z^j / (j + k)!, the weights are phi_1 - 3 phi_2 + 4 phi_3, and so on.
    phi = [None, *((powers / factorials[j + k]).sum(1) for k in (1, 2, 3))]
    torch.testing.assert_close(first, phi[1] - 3 * phi[2] + 4 * phi[3], atol=1e-13, rtol=0)
    torch.testing.assert_close(middle, phi[2] - 2 * phi[3], atol=1e-13, rtol=0)
    torch.testing.assert_close(last, 4 * phi[3] - phi[2], atol=1e-13, rtol=0)
    far = torch.tensor([-40.0, -900.0], dtype=torch.float64)
    q = _etd_table(far, 1.0)[2]
    torch.testing.assert_close(q, (torch.exp(far / 2) - 1) / far, atol=0, rtol=1e-10)
