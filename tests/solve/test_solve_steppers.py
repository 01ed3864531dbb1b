"""Orders of accuracy in time against closed-form solutions."""

import numpy as np
import pytest
import torch

from bayespde.core.equation import Equation
from bayespde.solve.config import SolverConfig
from bayespde.solve.derivatives import Grid
from bayespde.solve.right_hand_side import right_hand_side
from bayespde.solve.steppers import ETDRK4, STEPPERS, DormandPrince, State
from bayespde.solve.steppers.etdrk4 import etd_coefficients

VISCOSITY, DURATION = 0.2, 1.0
X = torch.arange(48, dtype=torch.float64) * 2 * torch.pi / 48
GRID = Grid(("x",), (48,), (2 * np.pi / 48,))


def burgers(time):
    """Periodic Burgers by the Cole-Hopf map of `2 + exp(-nu t) cos x`."""
    decay = np.exp(-VISCOSITY * time)
    return 2 * VISCOSITY * decay * torch.sin(X) / (2 + decay * torch.cos(X))


def logistic(time):
    """The ordinary equation `u_t = u - u^2` at every point."""
    start = 0.3 + 0.2 * torch.cos(X)
    return 1 / (1 + (1 / start - 1) * np.exp(-time))


def moving_logistic(time):
    """The same, transported along x with unit speed."""
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
    ],
)
def test_each_scheme_has_its_order(case, scheme, order, counts):
    text, truth = CASES[case]
    equation = right_hand_side(Equation.from_string(text), GRID, method=SolverConfig(dealias=False))
    stepper = STEPPERS[scheme](equation)
    errors, estimates = [], []
    for count in counts:
        state = stepper.start(truth(0.0))
        for _ in range(count):
            state, estimate = stepper.step(state, DURATION / count)
        errors.append(float((stepper.values(state.u) - truth(DURATION)).abs().max()))
        estimates.append(float(stepper.values(estimate).abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)
    assert np.log2(estimates[0] / estimates[1]) == pytest.approx(stepper.error_order, abs=0.3)


def test_step_doubling_estimates_the_error_of_one_step():
    text, truth = CASES["burgers"]
    stepper = ETDRK4(right_hand_side(Equation.from_string(text), GRID, method=SolverConfig()))
    state, estimate = stepper.step(stepper.start(truth(0.0)), 0.2)
    error = truth(0.2) - stepper.values(state.u)
    # The estimate is the leading error term, by which two half steps differ from a whole one; the next order is left.
    torch.testing.assert_close(stepper.values(estimate), error, atol=0.25 * float(error.abs().max()), rtol=0)


@pytest.mark.parametrize("space", ["fourier", "difference"])
def test_the_last_slope_of_a_step_is_the_first_of_the_next_one(space):
    equation = right_hand_side(Equation.from_string(CASES["burgers"][0]), GRID, method=SolverConfig(space=space))
    stepper = DormandPrince(equation)
    state, _ = stepper.step(stepper.start(burgers(0.0)), 0.01)
    again = stepper.start(stepper.values(state.u))
    torch.testing.assert_close(state.slope, again.slope, atol=1e-12, rtol=1e-12)
    together, alone = (stepper.step(s, 0.01)[0].u for s in (state, State(state.u)))
    assert torch.equal(together, alone)


def test_exponential_differencing_is_exact_for_a_linear_equation():
    equation = right_hand_side(Equation.from_string("u_t = -3*u_x + 0.5*u_xx"), GRID, method=SolverConfig())
    stepper = ETDRK4(equation)
    state, estimate = stepper.step(stepper.start(torch.sin(2 * X)), 1.7)
    torch.testing.assert_close(stepper.values(state.u), np.exp(-2 * 1.7) * torch.sin(2 * (X - 3 * 1.7)))
    assert stepper.values(estimate).abs().max() < 1e-14


def test_exponential_differencing_is_exact_for_a_constant_source():
    equation = right_hand_side(Equation.from_string("u_t = -2*u + 5"), GRID, method=SolverConfig())
    stepper = ETDRK4(equation)
    state, _ = stepper.step(stepper.start(torch.cos(X)), 0.9)
    expected = 2.5 + (torch.cos(X) - 2.5) * np.exp(-1.8)
    torch.testing.assert_close(stepper.values(state.u), expected)


def test_contour_coefficients_equal_power_series_near_zero_and_closed_forms_far_from_it():
    rates = torch.tensor([-1e-7, -1e-3, -0.5], dtype=torch.float64)
    _, _, _, first, middle, last = etd_coefficients(rates, 1.0)
    powers = rates[:, None] ** torch.arange(18)
    factorials = torch.cumprod(torch.tensor([1.0, *range(1, 30)], dtype=torch.float64), 0)
    j = torch.arange(18)
    # With phi_k the series sum_j z^j / (j + k)!, the weights are phi_1 - 3 phi_2 + 4 phi_3, and so on.
    phi = [None, *((powers / factorials[j + k]).sum(1) for k in (1, 2, 3))]
    torch.testing.assert_close(first, phi[1] - 3 * phi[2] + 4 * phi[3], atol=1e-13, rtol=0)
    torch.testing.assert_close(middle, phi[2] - 2 * phi[3], atol=1e-13, rtol=0)
    torch.testing.assert_close(last, 4 * phi[3] - phi[2], atol=1e-13, rtol=0)
    far = torch.tensor([-40.0, -900.0], dtype=torch.float64)
    q = etd_coefficients(far, 1.0)[2]
    torch.testing.assert_close(q, (torch.exp(far / 2) - 1) / far, atol=0, rtol=1e-10)
