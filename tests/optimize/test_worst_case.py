"""The worst case is the largest loss, and loss limits are met or proved impossible."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import exponential_law

from mixlaw.errors import Refused
from mixlaw.laws.exponential import Exponential
from mixlaw.limits import Limits
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.optimize.worst_case import least_excess, start_within, worst_case

NAMES = ("a", "b"), ("s", "t")
SIMPLEX = Limits.simplex(NAMES[0])


def opposed(shift: float = 0.0) -> Exponential:
    """exp(-2 r_a) and shift + exp(-2 r_b): each target wants the other domain's share."""
    return exponential_law(*NAMES, np.array([0.0, shift]), np.array([[-2.0, 0.0], [0.0, -2.0]]))


def test_equal_targets_meet_in_the_middle() -> None:
    best = solve(worst_case(opposed(), SIMPLEX, np.ones(2)))
    assert best.proportions == pytest.approx([0.5, 0.5], abs=1e-7)
    assert best.value == pytest.approx(np.exp(-1), abs=1e-9)


def test_losses_are_equal_where_both_count_and_only_counted_targets_do() -> None:
    law = opposed(0.2)
    losses = law.predict(solve(worst_case(law, SIMPLEX, np.array([3.0, 1.0]))).proportions[None])[0]
    assert losses[0] == pytest.approx(losses[1], abs=1e-8)
    alone = solve(worst_case(law, SIMPLEX, np.array([1.0, 0.0])))
    assert alone.proportions == pytest.approx([1.0, 0.0], abs=1e-6)


def test_the_worst_case_is_never_below_any_weighted_mean() -> None:
    law = opposed(0.1)
    worst = solve(worst_case(law, SIMPLEX, np.ones(2)))
    for share in (0.0, 0.3, 0.5, 1.0):
        mean = solve(Program.mean(law, SIMPLEX, np.array([share, 1 - share])))
        assert worst.value >= mean.value - 1e-9


def limited(bounds: list[float]) -> Program:
    ceilings = Ceilings.of(np.eye(2)[: len(bounds)], np.array(bounds))
    return Program.mean(opposed(), SIMPLEX, np.array([0.0, 1.0]), ceilings=ceilings)


def test_a_loss_limit_holds_with_equality_where_it_binds() -> None:
    program = limited([np.exp(-1.6)])
    best = solve(program, start=start_within(program, ["loss of 's'"]))
    assert best.proportions == pytest.approx([0.8, 0.2], abs=1e-7)
    assert best.gap <= 1e-9


def test_an_impossible_limit_is_refused_with_the_smallest_loss_that_can_be_had() -> None:
    with pytest.raises(Refused, match=r"loss of 's' can be brought to 0.1354 at the lowest, not to 0.1"):
        start_within(limited([0.1]), ["loss of 's'"])
    program = limited([0.1354])
    assert program.violation(solve(program, start=start_within(program, ["loss of 's'"])).proportions) <= 1e-12


def test_limits_that_exclude_each_other_are_refused_with_how_much_is_lacking() -> None:
    with pytest.raises(
        Refused, match=r"no allowed mixture meets all of loss of 's' <= 0.3, loss of 't' <= 0.3.*0.06788"
    ):
        start_within(limited([0.3, 0.3]), ["loss of 's'", "loss of 't'"])
    assert least_excess(limited([0.3, 0.3])).value == pytest.approx(np.exp(-1) - 0.3, abs=1e-9)


def test_a_ball_around_a_prior_outside_the_limits_is_refused_with_the_nearest_divergence() -> None:
    ball = Ceilings.of(np.zeros((1, 2)), np.array([0.01]), kl=1.0)
    limits = replace(SIMPLEX, cap=np.array([0.3, 1.0]))
    program = Program.mean(opposed(), limits, np.full(2, 0.5), prior=np.array([0.6, 0.4]), ceilings=ball)
    nearest = 0.3 * np.log(0.3 / 0.6) + 0.7 * np.log(0.7 / 0.4)
    with pytest.raises(
        Refused, match=f"divergence from the prior can be brought to {np.ceil(nearest * 1e4) / 1e4:.4f}"
    ):
        start_within(program, ["divergence from the prior"])


def test_without_loss_limits_there_is_nothing_to_start_within() -> None:
    assert start_within(Program.mean(opposed(), SIMPLEX, np.ones(2)), []) is None
    assert start_within(worst_case(opposed(), SIMPLEX, np.ones(2)), []) is None
