"""The printed mixture sums to 1 in decimals, keeps every limit, and keeps its proof."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from random_programs import random_program

from mixlaw.limits import Limits
from mixlaw.mixture import Mixture
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.printed import DECIMALS, printed


@pytest.mark.parametrize("seed", range(100))
def test_the_printed_mixture_sums_to_one_exactly_and_is_certified_again(seed: int) -> None:
    program, _ = random_program(seed, most_domains=20, most_targets=10)
    best = solve(program)
    mixture = printed(program, best)
    assert sum(Decimal(repr(float(share))) for share in mixture) == 1
    assert program.violation(mixture) <= 1e-12
    assert program.value(mixture) - best.lower_bound <= 1e-9 + max(best.gap, 0)
    Mixture(program.limits.domains, tuple(map(float, mixture)))


def test_six_decimals_do_where_limits_have_few() -> None:
    program, _ = random_program(1)
    limits = replace(Limits.simplex(program.limits.domains), cap=np.full(len(program.limits.domains), 0.25))
    program = replace(program, limits=limits)
    mixture = printed(program, solve(program))
    assert np.array_equal(mixture, np.round(mixture, DECIMALS[0]))


def test_a_cap_with_endless_decimals_is_never_crossed() -> None:
    program, _ = random_program(2)
    count = len(program.limits.domains)
    limits = replace(Limits.simplex(program.limits.domains), cap=np.full(count, 1 / count + 1 / 3000))
    program = replace(program, limits=limits)
    mixture = printed(program, solve(program))
    assert (mixture <= limits.cap + 1e-15).all()
