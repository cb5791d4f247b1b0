"""The solver reaches optima known in closed form, those of another library, and its own certificate everywhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oracles import in_cvxpy
from random_programs import exponential_law, random_law, random_program

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.exponential import Exponential
from mixlaw.limits import Limits
from mixlaw.optimize.interior_point import Solution, solve
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.runs import read_runs


def two_domains(first: tuple[float, float, float], second: tuple[float, float, float]) -> Exponential:
    """c + k exp(t x) of the first domain's proportion x, for two targets given as (c, k, t)."""
    exponents = [[np.log(k) + t, np.log(k)] for _, k, t in (first, second)]
    return exponential_law(("x", "y"), ("one", "two"), np.array([first[0], second[0]]), np.array(exponents))


def test_the_optimum_of_two_domains_is_the_one_worked_out_by_hand() -> None:
    """2 + exp(-2x) and 1 + 1.5 exp(-3(1 - x)) in equal shares: x = (3 - ln 2.25) / 5."""
    law = two_domains((2.0, 1.0, -2.0), (1.0, 1.5 * np.exp(-3.0), 3.0))
    best = solve(Program.mean(law, Limits.simplex(law.domains), np.full(2, 0.5)))
    assert best.proportions[0] == pytest.approx((3 - np.log(2.25)) / 5, abs=1e-8)
    assert best.value == pytest.approx(1.8471670, abs=5e-8)


@pytest.mark.parametrize("seed", range(150))
def test_every_random_program_is_solved_to_its_certificate(seed: int) -> None:
    program, _ = random_program(seed)
    best = solve(program)
    assert -1e-12 <= best.gap <= (1e-8 if program.lifts else 1e-9)
    assert program.violation(best.proportions) <= 1e-12


EXPONENTIAL = [seed for seed in range(80) if isinstance(random_program(seed, 12, 8)[0].law, Exponential)][:30]


@pytest.mark.parametrize("seed", EXPONENTIAL)
def test_no_objective_is_higher_than_clarabels(seed: int) -> None:
    program, _ = random_program(seed, 12, 8)
    other = program.value(in_cvxpy(program).mixture)
    assert solve(program).value <= other + 1e-9
    assert solve(program).value >= other - 1e-5 * max(1.0, abs(other)), "both found an optimum of the same program"


def permuted(program: Program, order: np.ndarray) -> Program:
    law, limits = program.law, program.limits
    names = tuple(limits.domains[j] for j in order)
    shuffled = exponential_law(names, law.targets, law.irreducible, law.exponents[:, order])
    return replace(
        program,
        law=shuffled,
        limits=limits.ordered(names),
        price=program.price[order],
        prior=None if program.prior is None else program.prior[order],
    )


@pytest.mark.parametrize("seed", EXPONENTIAL[:10])
def test_the_order_of_domains_does_not_matter(seed: int) -> None:
    program, _ = random_program(seed, 12, 8)
    order = np.random.default_rng(seed).permutation(len(program.limits.domains))
    assert solve(permuted(program, order)).value == pytest.approx(solve(program).value, abs=2e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_tighter_cap_never_improves(seed: int) -> None:
    program, inside = random_program(seed, 10, 6)
    tighter = replace(program.limits, cap=0.5 * (program.limits.cap + np.maximum(inside, program.limits.floor)))
    assert solve(replace(program, limits=tighter)).value >= solve(program).value - 1e-9


@pytest.mark.parametrize("kind", ["mean", "divergence"])
def test_a_stronger_pull_ends_nearer_the_prior(kind: str) -> None:
    law = random_law(np.random.default_rng(7), 8, 5)
    prior = np.random.default_rng(8).dirichlet(np.ones(8))
    limits = Limits.simplex(law.domains)
    divergences = []
    for pull in (0.01, 0.1, 1.0, 1e3):
        if kind == "mean":
            program = Program.mean(law, limits, np.full(5, 0.2), kl=pull, prior=prior)
        else:
            ball = Ceilings.of(np.zeros((1, 5)), np.array([1e-3 / pull]), kl=1.0)
            program = Program.mean(law, limits, np.full(5, 0.2), prior=prior, ceilings=ball)
        best = solve(program)
        assert best.gap <= 1e-9
        divergences.append(program.divergence(best.proportions)[0])
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] < 1e-4


def mean_of(law: Exponential, limits: Limits) -> Solution:
    return solve(Program.mean(law, limits, np.full(len(law.targets), 1 / len(law.targets))))


def test_limits_without_an_interior_are_no_harm() -> None:
    law = two_domains((2.0, 1.0, -2.0), (1.0, 1.5, 3.0))
    simplex = Limits.simplex(law.domains)
    row = np.array([[1.0, -2.0]])
    for limits, expected in (
        (replace(simplex, cap=np.array([0.25, 0.75])), [0.25, 0.75]),
        (replace(simplex, floor=np.array([0.25, 0.75])), [0.25, 0.75]),
        (simplex.with_rows(np.vstack([row, -row]), np.zeros(2), ("a", "b")), [2 / 3, 1 / 3]),
        (replace(simplex, cap=np.array([0.0, 1.0])), [0.0, 1.0]),
    ):
        best = mean_of(law, limits)
        assert best.proportions == pytest.approx(expected, abs=1e-9)
        assert best.gap <= 1e-9


@pytest.mark.parametrize("radius", [1e-6, 1e-8, 1e-10, 1e-12, 0.0])
def test_a_ball_with_next_to_no_room_is_kept_and_its_bound_is_true(radius: float) -> None:
    law = random_law(np.random.default_rng(7), 4, 5)
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    ball = Ceilings.of(np.zeros((1, 5)), np.array([radius]), kl=1.0)
    program = Program.mean(law, Limits.simplex(law.domains), np.full(5, 0.2), prior=prior, ceilings=ball)
    best = solve(program, start=prior)
    assert program.violation(best.proportions) <= 1e-12
    assert best.lower_bound <= program.value(prior), "where prices are enormous, rounding must not raise the bound"
    assert best.gap <= 1e-4


def test_a_row_counts_the_domains_whose_proportion_is_settled() -> None:
    names = ("a", "b", "c"), ("t",)
    law = exponential_law(*names, np.ones(1), np.array([[0.0, -2.0, 0.0]]))
    limits = Limits.of(names[0], floors={"a": 0.3}, caps={"a": 0.3})
    limits = limits.with_rows(np.array([[1.0, 1.0, 0.0]]), np.array([0.5]), ("a + b <= 0.5",))
    best = mean_of(law, limits)
    assert best.proportions == pytest.approx([0.3, 0.2, 0.5], abs=1e-8) and best.gap <= 1e-9


def test_a_law_as_steep_as_fits_allow_is_still_certified() -> None:
    random = np.random.default_rng(0)
    names = tuple("abcdefgh"), ("t", "u", "v")
    law = exponential_law(*names, np.ones(3), random.normal(0, 40, (3, 8)))
    best = mean_of(law, Limits.simplex(law.domains))
    assert best.gap <= 1e-9


@pytest.mark.parametrize("kind", ["exponential", "reciprocal"])
def test_every_target_of_laws_fitted_to_published_runs_is_certified(reference: Path, kind: str) -> None:
    """Fits bend where random laws do not: whole Newton steps ran past such optima and back for ever."""
    table = read_runs(reference / "regmix_train_1m.csv")
    count = len(table.targets)
    for seed in (0, 1):
        rows = np.random.default_rng(seed).choice(len(table), 64, replace=False)
        mixtures = table.proportions[rows]
        law = LAWS[kind].fit(table.domains, table.targets, mixtures, table.losses[rows]).law
        limits = replace(Limits.simplex(law.domains), cap=np.minimum(1.0, 1.5 * mixtures.max(axis=0)))
        middle = solve(Program.mean(law, limits, np.full(count, 1 / count)))
        for target, losses in enumerate(np.eye(count)):
            alone = solve(Program.mean(law, limits, losses))
            bound = (alone.value + law.predict(middle.proportions[None])[0, target]) / 2
            ceiling = Ceilings.of(losses[None], np.array([bound]))
            held = Program.mean(law, limits, np.full(count, 1 / count), ceilings=ceiling)
            found = solve(held, start=alone.proportions)
            assert alone.gap <= 1e-9
            price = found.multipliers.ceilings[0]
            assert found.gap <= 1e-9 + 2e-14 * price, "a price of millions leaves the bound fewer digits"
            assert held.violation(found.proportions) <= 1e-12


def test_a_loss_that_is_not_finite_inside_the_limits_is_refused() -> None:
    law = exponential_law(("a", "b"), ("t",), np.ones(1), np.array([[3000.0, 2000.0]]))
    with pytest.raises(Refused, match="not finite"):
        mean_of(law, Limits.simplex(law.domains))


def test_a_large_program_is_solved_in_its_low_rank_form_and_in_its_dense_form() -> None:
    for domains, targets, seed in ((300, 20, 0), (200, 300, 0), (300, 20, 3), (200, 300, 3)):
        law = random_law(np.random.default_rng(seed), domains, targets)
        limits = replace(Limits.simplex(law.domains), cap=np.full(domains, 5 / domains))
        best = solve(Program.mean(law, limits, np.full(targets, 1 / targets)))
        assert best.gap <= 1e-9
        assert limits.violation(best.proportions) <= 1e-12


def test_a_start_near_the_answer_changes_nothing() -> None:
    program, _ = random_program(3)
    best = solve(program)
    again = solve(program, start=best.proportions)
    assert again.value == pytest.approx(best.value, abs=1e-9)
