"""The solver against certified answers, and against what defines a minimum."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize

from mixlaw.laws.levenberg import Curve, Problem, minimise
from mixlaw.mixture import Array


@dataclass(frozen=True)
class Saturating(Curve):
    """b1 (1 - exp(-b2 x))."""

    x: Array

    def values(self, theta: Array) -> Array:
        return theta[:, :1] * -np.expm1(-theta[:, 1:] * self.x)

    def slopes(self, theta: Array) -> Array:
        left = np.exp(-theta[:, 1:] * self.x)
        return np.stack([1 - left, theta[:, :1] * self.x * left], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        left = np.exp(-theta[:, 1:] * self.x)
        bend = np.zeros((len(theta), 2, 2))
        bend[:, 0, 1] = bend[:, 1, 0] = (pull * self.x * left).sum(axis=1)
        bend[:, 1, 1] = -theta[:, 0] * (pull * self.x**2 * left).sum(axis=1)
        return bend


@dataclass(frozen=True)
class Power(Curve):
    """b1 x^b2."""

    x: Array

    def values(self, theta: Array) -> Array:
        return theta[:, :1] * self.x ** theta[:, 1:]

    def slopes(self, theta: Array) -> Array:
        power = self.x ** theta[:, 1:]
        return np.stack([power, theta[:, :1] * power * np.log(self.x)], axis=2)

    def bend(self, theta: Array, pull: Array) -> Array:
        power, log = self.x ** theta[:, 1:], np.log(self.x)
        bend = np.zeros((len(theta), 2, 2))
        bend[:, 0, 1] = bend[:, 1, 0] = (pull * power * log).sum(axis=1)
        bend[:, 1, 1] = theta[:, 0] * (pull * power * log**2).sum(axis=1)
        return bend


def problem(losses: list[float] | Array, parameters: int = 2, count: int = 1, huber: float = np.inf) -> Problem:
    values = np.repeat(np.asarray(losses, dtype=float)[None], count, axis=0)
    nothing = np.zeros((count, parameters))
    return Problem(
        losses=values,
        weights=np.ones_like(values),
        huber=np.full_like(values, huber),
        precision=np.zeros((count, parameters, parameters)),
        centre=nothing,
        lower=nothing - np.inf,
        upper=nothing + np.inf,
    )


MISRA1A = (
    Saturating(
        np.array([77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760])
    ),
    [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78],
)
BOXBOD = (Saturating(np.array([1.0, 2, 3, 5, 7, 10])), [109.0, 149, 149, 191, 213, 224])
DANWOOD = (
    Power(np.array([1.309, 1.471, 1.490, 1.565, 1.611, 1.680])),
    [2.138, 3.421, 3.597, 4.340, 4.882, 5.660],
)


@pytest.mark.parametrize(
    ("curve", "losses", "start", "certified", "squares"),
    [
        (*MISRA1A, (500, 1e-4), (2.3894212918e02, 5.5015643181e-04), 1.2455138894e-01),
        (*MISRA1A, (250, 5e-4), (2.3894212918e02, 5.5015643181e-04), 1.2455138894e-01),
        (*BOXBOD, (100, 0.75), (2.1380940889e02, 5.4723748542e-01), 1.1680088766e03),
        (*DANWOOD, (1, 5), (7.6886226176e-01, 3.8604055871e00), 4.3173084083e-03),
        (*DANWOOD, (0.7, 4), (7.6886226176e-01, 3.8604055871e00), 4.3173084083e-03),
    ],
    ids=["Misra1a from afar", "Misra1a", "BoxBOD", "DanWood", "DanWood nearer"],
)
def test_nist_certified_values_are_met_to_ten_digits(
    curve: Curve, losses: list[float], start: tuple[float, float], certified: tuple[float, float], squares: float
) -> None:
    """NIST Statistical Reference Datasets for nonlinear regression: certified to 11 digits."""
    found = minimise(curve, np.array([start], dtype=float), problem(losses))
    assert found.converged[0]
    assert found.theta[0] == pytest.approx(certified, rel=1e-10)
    assert found.objective[0] == pytest.approx(squares, rel=1e-10)


def test_huber_minima_are_those_of_a_general_optimiser() -> None:
    curve, losses = MISRA1A[0], np.array(MISRA1A[1])
    losses[3] += 9
    losses[8] -= 4
    task = problem(losses, huber=0.2)
    found = minimise(curve, np.array([[250.0, 5e-4]]), task)

    def objective(scaled: Array) -> float:
        theta = np.array([scaled * [250, 5e-4]])
        return float(task.objective(theta, task.losses - curve.values(theta))[0])

    oracle = minimize(objective, np.ones(2), method="Nelder-Mead", options={"xatol": 1e-12, "fatol": 1e-14})
    assert found.converged[0]
    assert found.objective[0] <= oracle.fun + 1e-12
    assert found.theta[0] == pytest.approx(oracle.x * [250, 5e-4], rel=1e-5)
    assert found.theta[0] == pytest.approx([238.9, 5.5e-4], rel=0.02)  # the two outliers hardly moved it


def test_a_bound_holds_a_parameter_and_the_rest_does_the_best_it_can() -> None:
    curve, losses = BOXBOD
    task = problem(losses)
    task.upper[0, 0] = 200.0
    found = minimise(curve, np.array([[100.0, 0.75]]), task)
    left = np.exp(-found.theta[0, 1] * curve.x)
    assert found.converged[0]
    assert found.theta[0, 0] == 200
    assert (found.residuals[0] * 200 * curve.x * left).sum() == pytest.approx(0, abs=1e-6)  # slope in b2
    assert (found.residuals[0] * (1 - left)).sum() > 0  # would go on past the bound


def test_a_penalty_pulls_towards_its_centre() -> None:
    curve, losses = BOXBOD
    task = problem(losses)
    task.precision[0], task.centre[0] = np.diag([1e12, 0]), [150.0, 0.0]
    assert minimise(curve, np.array([[100.0, 0.75]]), task).theta[0, 0] == pytest.approx(150, abs=1e-6)


def test_runs_without_weight_do_not_matter() -> None:
    curve, losses = BOXBOD
    task = problem([*losses[:5], 1e6])
    task.weights[0, 5] = 0
    short = minimise(Saturating(curve.x[:5]), np.array([[100.0, 0.75]]), problem(losses[:5]))
    assert minimise(curve, np.array([[100.0, 0.75]]), task).theta == pytest.approx(short.theta, rel=1e-10)


def test_problems_solved_together_and_alone_agree() -> None:
    curve, losses = BOXBOD
    starts = np.array([[100.0, 0.75], [250.0, 0.4], [150.0, 2.0]])
    together = minimise(curve, starts, problem(losses, count=3))
    for start, theta in zip(starts, together.theta, strict=True):
        assert minimise(curve, start[None], problem(losses)).theta[0] == pytest.approx(theta, rel=1e-12)


def test_stopping_too_soon_is_reported() -> None:
    curve, losses = MISRA1A
    found = minimise(curve, np.array([[500.0, 1e-4]]), problem(losses), iterations=3)
    assert not found.converged[0]
    assert found.iterations[0] == 3
