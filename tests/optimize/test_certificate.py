"""A certificate is worth what an independent program says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import tangent_minimum
from random_programs import exponential_law, random_program
from scipy.optimize import linprog

from mixlaw.limits import Limits
from mixlaw.optimize.certificate import (
    Multipliers,
    composite_minimum,
    gap_of,
    linear_minimum,
    lower_bound,
)
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.optimize.worst_case import worst_case


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_is_below_every_feasible_mixture_whatever_the_multipliers(seed: int) -> None:
    program, inside = random_program(seed, most_domains=8, most_targets=5)
    random = np.random.default_rng(seed)
    tangent = random.dirichlet(np.ones(len(inside)))
    made_up = Multipliers(
        random.exponential(size=len(program.ceilings.bounds)), random.normal(size=len(program.limits.bounds))
    )
    bound = lower_bound(program, tangent, made_up)
    assert bound <= program.value(inside) + 1e-12
    assert bound <= solve(program).value + 1e-10


def test_a_multiplier_of_the_wrong_sign_is_not_believed() -> None:
    """A row that never binds, at a negative price: the price times the room left would raise the bound at will."""
    law = exponential_law(("a", "b"), ("t",), np.array([1.0]), np.array([[0.0, 1.0]]))
    limits = Limits.simplex(law.domains).with_rows(np.array([[0.0, 1.0]]), np.array([2.0]), ("b <= 2",))
    program = Program.mean(law, limits, np.ones(1))
    assert lower_bound(program, np.array([1.0, 0.0]), Multipliers(np.zeros(0), np.array([-10.0]))) <= 2.0 + 1e-12
    ceiling = Ceilings.of(np.ones((1, 1)), np.array([9.0]))
    program = Program.mean(law, limits, np.ones(1), ceilings=ceiling)
    assert lower_bound(program, np.array([1.0, 0.0]), Multipliers(np.array([-0.5]), np.zeros(1))) <= 2.0 + 1e-12


@pytest.mark.parametrize("seed", range(60))
def test_the_gap_bounds_the_regret_of_any_feasible_mixture(seed: int) -> None:
    program, inside = random_program(seed, most_domains=10, most_targets=6)
    best = solve(program)
    regret = program.value(inside) - best.value
    assert gap_of(program, inside, best.multipliers) >= regret - 1e-10


LINEAR = [seed for seed in range(100) if not random_program(seed, most_domains=12, most_targets=8)[0].kl]


@pytest.mark.parametrize("seed", LINEAR)
def test_highs_agrees_with_the_certificate_at_the_optimum(seed: int) -> None:
    program, _ = random_program(seed, most_domains=12, most_targets=8)
    best = solve(program)
    assert program.value(best.proportions) - tangent_minimum(program, best.proportions) <= 1e-8
    assert best.lower_bound <= tangent_minimum(program, best.proportions) + 1e-9
    assert gap_of(program, best.proportions) <= 1e-8


def test_a_bound_away_from_the_optimum_is_the_frank_wolfe_gap_by_hand() -> None:
    law = exponential_law(("a", "b"), ("t",), np.array([1.0]), np.array([[0.0, 1.0]]))
    program = Program.mean(law, Limits.simplex(law.domains), np.ones(1))
    at = np.array([0.5, 0.5])
    slope_b = np.exp(0.5)
    assert gap_of(program, at) == pytest.approx(0.5 * slope_b, abs=1e-14)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_the_greedy_minimum_is_the_linear_programs(seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 12))
    inside = random.dirichlet(np.ones(count))
    floor, cap = (
        inside * random.random(count),
        np.minimum(1, inside + random.random(count) * random.integers(0, 2, count)),
    )
    slope = random.normal(size=count).round(1)
    answer = linprog(slope, None, None, np.ones((1, count)), [1.0], np.column_stack([floor, cap]))
    assert linear_minimum(slope, floor, cap) == pytest.approx(answer.fun, abs=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([1e-4, 1e-2, 0.3, 5.0]))
@settings(max_examples=60, deadline=None)
def test_the_composite_minimum_is_a_bound_and_is_attained(seed: int, kl: float) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 10))
    inside = random.dirichlet(np.ones(count))
    prior = random.dirichlet(np.ones(count)) + 1e-9
    floor, cap = 0.5 * inside, np.minimum(1, inside * 2)
    slope = random.normal(size=count)
    bound = composite_minimum(slope, kl, prior, floor, cap)

    def value(mixture: np.ndarray) -> float:
        return float(slope @ mixture + kl * np.sum(mixture * np.log(mixture / prior)))

    low, high = -1e4, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        mixture = np.clip(prior * np.exp(np.clip(-(slope + middle) / kl - 1, -700, 700)), floor, cap)
        low, high = (middle, high) if mixture.sum() > 1 else (low, middle)
    assert bound <= value(inside) + 1e-12
    assert bound == pytest.approx(value(mixture), abs=1e-9 * max(1, abs(bound)))


def test_a_loss_limit_is_priced_in_the_bound_by_closed_form() -> None:
    """min r_a with exp(-2 r_a) <= exp(-1): r_a = 1/2; its multiplier is 1 / (2 exp(-1))."""
    law = exponential_law(("a", "b"), ("t",), np.array([0.0]), np.array([[-2.0, 0.0]]))
    ceiling = Ceilings.of(np.ones((1, 1)), np.array([np.exp(-1.0)]))
    program = Program(law, Limits.simplex(law.domains), np.zeros(1), np.array([1.0, 0.0]), 0.0, None, ceiling)
    best = solve(program)
    assert best.proportions == pytest.approx([0.5, 0.5], abs=1e-9)
    assert best.multipliers.ceilings[0] == pytest.approx(np.e / 2, rel=1e-6)
    assert best.lower_bound == pytest.approx(0.5, abs=1e-9)


def test_an_impossible_loss_limit_has_a_bound_that_says_so() -> None:
    law = exponential_law(("a", "b"), ("t",), np.array([1.0]), np.array([[-1.0, 0.0]]))
    program = worst_case(law, Limits.simplex(law.domains), np.ones(1))
    assert solve(program).lower_bound == pytest.approx(1 + np.exp(-1.0), abs=1e-9)
