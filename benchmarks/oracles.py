"""The same questions put to other libraries, in their own words: what our answers are held against."""

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from scipy.optimize import linprog

from mixlaw.design.within import within
from mixlaw.laws.exponential import Exponential
from mixlaw.mixture import Array
from mixlaw.optimize.program import Program


@dataclass(frozen=True)
class Other:
    """Another library's optimum (M,), and the seconds its solver took without the modelling around it."""

    mixture: Array
    solver_seconds: float


def tangent_minimum(program: Program, at: Array) -> float:
    """The least value of a program's tangents at a mixture, by HiGHS: a lower bound where there is no divergence."""
    limits, point = program.limits, program.at(at)
    box = list(zip(limits.floor, limits.cap, strict=True))
    ones = np.ones((1, len(at)))
    if not program.lifts:
        answer = linprog(point.slope, limits.rows, limits.bounds, ones, [1.0], box)
        assert answer.status == 0, answer.message
        return float(answer.fun - point.slope @ at + point.smooth)
    tangents = np.column_stack([point.excess_slope, -np.ones(len(point.excess))])
    rows = np.vstack([tangents, np.column_stack([limits.rows, np.zeros(len(limits.rows))])])
    bounds = np.concatenate([point.excess_slope @ at - point.excess, limits.bounds])
    cost = np.append(np.zeros(len(at)), 1.0)
    answer = linprog(cost, rows, bounds, np.append(ones, [[0.0]], axis=1), [1.0], [*box, (None, None)])
    assert answer.status == 0, answer.message
    return float(answer.fun)


def in_cvxpy(program: Program) -> Other:
    """The optimum of a program with an exponential law, by cvxpy and Clarabel, brought into the limits.

    Its answers cross them by up to 1e-8, which would make a comparison of objectives unfair.
    """
    law, limits = program.law, program.limits
    assert isinstance(law, Exponential)
    mixture = cp.Variable(len(limits.domains))
    losses = law.irreducible + cp.exp(law.exponents @ mixture)
    objective = cp.max(losses) if program.lifts else program.weights @ losses
    if program.kl:
        objective += program.kl * cp.sum(cp.kl_div(mixture, program.prior))
    allowed = [cp.sum(mixture) == 1, mixture >= limits.floor, mixture <= limits.cap]
    if len(limits.rows):
        allowed.append(limits.rows @ mixture <= limits.bounds)
    problem = cp.Problem(cp.Minimize(objective), allowed)
    problem.solve(solver=cp.CLARABEL)
    assert problem.status in ("optimal", "optimal_inaccurate"), problem.status
    return Other(within(np.maximum(mixture.value, 0.0)[None], limits)[0], float(problem.solver_stats.solve_time))
