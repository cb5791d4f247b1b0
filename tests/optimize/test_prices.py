"""A price is the slope of the optimum in its limit, and a saving is what solving again saves."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import exponential_law

from mixlaw.limits import Limits
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.prices import active_limits
from mixlaw.optimize.program import Ceilings, Program

DOMAINS = ("web", "code", "books")
LAW = exponential_law(DOMAINS, ("s", "t"), np.array([1.0, 2.0]), np.array([[-1.0, -2.0, 0.3], [0.2, -1.5, -0.4]]))
WEIGHTS = np.array([0.5, 0.5])


def saved(program: Program, relaxed: Program) -> float:
    return solve(program).value - solve(relaxed).value


def test_one_more_epoch_is_priced_by_solving_again() -> None:
    tokens = dict(zip(DOMAINS, (1e10, 1e9, 5e9), strict=True))
    four = Limits.of(DOMAINS, available=tokens, budget_tokens=1e10, max_epochs=4)
    program = Program.mean(LAW, four, WEIGHTS)
    (active,) = active_limits(program, solve(program), ())
    five = replace(four, cap=np.array([1.0, 0.5, 1.0]))
    assert active.domain == "code"
    assert active.limit == "cap of 'code' at 0.4 (4 epochs of 1B tokens in 10B)"
    assert active.saving == pytest.approx(saved(program, replace(program, limits=five)), abs=1e-9)
    assert active.words == f"one more epoch of 'code' would lower the loss by {active.saving:.4f} nats"
    assert active.price * 0.1 >= active.saving, "the objective is convex in the cap: the first gain is the greatest"


@pytest.mark.parametrize("kind", ["cap", "floor", "row", "loss"])
def test_a_price_is_the_slope_of_the_optimum_in_its_limit(kind: str) -> None:
    step = 1e-4
    limits = Limits.of(DOMAINS, caps={"code": 0.4})
    program = Program.mean(LAW, limits, WEIGHTS)
    names: tuple[str, ...] = ()
    if kind == "cap":
        relaxed = replace(program, limits=Limits.of(DOMAINS, caps={"code": 0.4 + step}))
    elif kind == "floor":
        program = replace(program, limits=Limits.of(DOMAINS, floors={"books": 0.3}))
        relaxed = replace(program, limits=Limits.of(DOMAINS, floors={"books": 0.3 - step}))
    elif kind == "row":
        row = np.array([[-1.0, 1.0, 0.0]])
        program = replace(
            program, limits=Limits.simplex(DOMAINS).with_rows(row, np.array([0.1]), ("code - web <= 0.1",))
        )
        relaxed = replace(program, limits=Limits.simplex(DOMAINS).with_rows(row, np.array([0.1 + step]), ("r",)))
    else:
        least = float(LAW.predict(solve(Program.mean(LAW, limits, np.array([1.0, 0.0]))).proportions[None])[0, 0])
        bound, names = least + 0.02, ("loss of 's'",)
        weights = np.array([0.0, 1.0])
        program = Program.mean(LAW, limits, weights, ceilings=Ceilings.of(np.eye(2)[:1], np.array([bound])))
        relaxed = Program.mean(LAW, limits, weights, ceilings=Ceilings.of(np.eye(2)[:1], np.array([bound + step])))
    found = active_limits(program, solve(program), names)
    expected = {
        "cap": "cap of 'code'",
        "floor": "floor of 'books'",
        "row": "'code - web <= 0.1'",
        "loss": "loss of 's'",
    }
    (active,) = [limit for limit in found if expected[kind] in limit.limit]
    assert active.price == pytest.approx(saved(program, relaxed) / step, rel=5e-3)
    assert active.saving is not None and active.saving > 0


def test_a_limit_that_holds_nothing_back_is_not_active() -> None:
    limits = Limits.of(DOMAINS, caps={"books": 0.9, "code": 1.0}, floors={"web": 0.0})
    program = Program.mean(LAW, limits, WEIGHTS)
    assert active_limits(program, solve(program), ()) == ()


def test_the_dearest_limit_comes_first() -> None:
    program = Program.mean(LAW, Limits.of(DOMAINS, caps={"code": 0.4}, floors={"books": 0.3}), WEIGHTS)
    found = active_limits(program, solve(program), ())
    assert len(found) == 2
    assert found[0].price >= found[1].price


def test_where_caps_leave_one_mixture_each_is_priced_by_what_it_would_replace() -> None:
    """A raised cap takes its proportion from the domain whose slope is the highest."""
    program = Program.mean(LAW, Limits.of(DOMAINS, caps=dict.fromkeys(DOMAINS, 1 / 3)), WEIGHTS)
    slope = WEIGHTS @ LAW.slope(np.full(3, 1 / 3))
    found = {active.domain: active for active in active_limits(program, solve(program), ())}
    assert found.keys() == {"web", "code"}, "more of books, the dearest, would save nothing"
    for domain, active in found.items():
        assert active.price == pytest.approx(slope.max() - slope[DOMAINS.index(domain)], rel=1e-9)


def test_where_floors_leave_one_mixture_each_is_priced_by_what_would_replace_it() -> None:
    floors = {"web": 0.3, "code": 0.3, "books": 0.4}
    program = Program.mean(LAW, Limits.of(DOMAINS, floors=floors), WEIGHTS)
    slope = WEIGHTS @ LAW.slope(np.array([*floors.values()]))
    found = {active.domain: active for active in active_limits(program, solve(program), ())}
    assert found.keys() == {"web", "books"}
    for domain, active in found.items():
        assert active.price == pytest.approx(slope[DOMAINS.index(domain)] - slope.min(), rel=1e-9)


def test_a_row_that_a_corner_merely_touches_holds_nothing_back() -> None:
    """At the corner of code alone, 'web >= books' is met with equality, and to relax it frees nothing."""
    row = np.array([[-1.0, 0.0, 1.0]])
    limits = Limits.simplex(DOMAINS).with_rows(row, np.zeros(1), ("web >= books",))
    program = Program.mean(LAW, limits, WEIGHTS)
    best = solve(program)
    assert best.proportions[1] == pytest.approx(1.0, abs=1e-6)
    assert active_limits(program, best, ()) == ()


def test_limits_that_say_the_same_are_relaxed_together() -> None:
    row = np.array([[0.0, 1.0, 0.0]])
    limits = Limits.of(DOMAINS, caps={"code": 0.4}).with_rows(row, np.array([0.4]), ("code <= 0.4",))
    program = Program.mean(LAW, limits, WEIGHTS)
    (active,) = active_limits(program, solve(program), ())
    wider = Limits.of(DOMAINS, caps={"code": 0.41})
    assert active.saving == pytest.approx(saved(program, replace(program, limits=wider)), abs=1e-9)
    assert "'code <= 0.4'" in active.limit and "cap of 'code'" in active.limit
    assert active.words.endswith("either alone by nothing")


def test_a_saving_that_rounds_to_nothing_is_said_as_less_than_so_much() -> None:
    slope = np.array([-1.0, 0.0, 0.0])
    nearly = exponential_law(DOMAINS, ("s",), np.array([1.0]), 1e-3 * slope[None])
    program = Program.mean(nearly, Limits.of(DOMAINS, caps={"web": 0.4}), np.ones(1))
    (active,) = active_limits(program, solve(program), (), "objective")
    assert active.words == "a cap of 'web' higher by 0.01 would lower the objective by less than 0.0001 nats"
