"""Near-optimal ranges are attained, and nothing near-optimal lies outside them."""

import numpy as np
import pytest
from random_programs import exponential_law, random_program

from mixlaw.limits import Limits
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.near_optimal import ranges, within_slack
from mixlaw.optimize.program import Program


def test_the_range_of_two_domains_is_where_the_loss_crosses_the_level() -> None:
    """exp(-2x) + exp(-2(1 - x)) is 2 exp(-1) cosh(2x - 1), least at 1/2: cosh(2x - 1) = 1 + slack e / 2 at the ends."""
    law = exponential_law(("a", "b"), ("s", "t"), np.zeros(2), np.array([[-2.0, 0.0], [0.0, -2.0]]))
    program = Program.mean(law, Limits.simplex(law.domains), np.ones(2))
    half = np.arccosh(1 + 0.01 * np.e / 2) / 2
    found = ranges(program, solve(program), 0.01)
    assert found == pytest.approx(np.array([[0.5 - half, 0.5 + half]] * 2), abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_every_near_optimal_mixture_lies_within_the_ranges(seed: int) -> None:
    program, _ = random_program(seed, most_domains=5, most_targets=4)
    best, slack = solve(program), 0.02
    found = ranges(program, best, slack)
    assert (found[:, 0] <= best.proportions).all() and (best.proportions <= found[:, 1]).all()
    drawn = np.random.default_rng(seed).dirichlet(np.ones(len(best.proportions)), 300)
    for share in (0.02, 0.1, 0.4):
        for mixture in (1 - share) * best.proportions + share * drawn:
            if program.violation(mixture) <= 1e-12 and program.value(mixture) <= best.value + slack:
                assert (found[:, 0] - 2e-6 <= mixture).all() and (mixture <= found[:, 1] + 2e-6).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_level_set_keeps_the_limits_of_the_program(seed: int) -> None:
    program, _ = random_program(seed, most_domains=5, most_targets=4)
    best = solve(program)
    near = within_slack(program, best.value + 1e-6)
    assert not near.lifts
    assert near.violation(best.proportions) <= 1e-12


def test_more_slack_never_narrows_a_range() -> None:
    program, _ = random_program(5, most_domains=6, most_targets=4)
    best = solve(program)
    narrow, wide = ranges(program, best, 0.001), ranges(program, best, 0.01)
    assert (wide[:, 0] <= narrow[:, 0] + 2e-6).all() and (wide[:, 1] >= narrow[:, 1] - 2e-6).all()
