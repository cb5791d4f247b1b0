"""What a set of mixtures lets the runs tell."""

import numpy as np
import pytest

from mixlaw.design.spread import advised_runs, spread
from mixlaw.errors import Refused


def test_pure_runs_of_every_domain_are_perfectly_conditioned() -> None:
    found = spread(np.eye(5), "abcde")
    assert found.condition == pytest.approx(1)
    assert found.smallest.tolist() == [0] * 5 and found.largest.tolist() == [1] * 5
    assert found.absent == pytest.approx(np.full(5, 0.8))


def test_percentiles_are_taken_over_distinct_mixtures() -> None:
    rows = np.column_stack([np.linspace(0, 1, 21), 1 - np.linspace(0, 1, 21)])
    found = spread(np.vstack([rows, rows[:1], rows[:1]]), ["a", "b"])
    assert (found.mixtures, found.repeats) == (21, 2)
    assert found.median == pytest.approx([0.5, 0.5]) and found.high == pytest.approx([0.95, 0.95])


def test_a_constant_domain_is_named() -> None:
    share = np.linspace(0, 0.9, 30)
    found = spread(np.column_stack([np.full(30, 0.1), share, 0.9 - share]), ["code", "web", "books"])
    assert found.condition == float("inf")
    assert any("'code' is 0.1 in every mixture" in warning for warning in found.unvaried)


def test_domains_that_move_together_are_named_and_opposite_ones_are_not() -> None:
    share = np.linspace(0, 0.5, 30)
    tied = np.column_stack([share, share + 0.001 * (np.arange(30) % 2), 1 - 2 * share - 0.001 * (np.arange(30) % 2)])
    found = spread(tied, ["code", "math", "web"])
    assert found.closest is not None and found.closest[:2] == ("code", "math") and found.closest[2] > 0.99
    assert any("'code' and 'math' move together" in warning for warning in found.warnings)
    swapped = np.random.default_rng(0).dirichlet([1, 1, 0.01], 60)  # a rises as b falls
    assert not any("move together" in warning for warning in spread(swapped, ["a", "b", "c"]).warnings)


def test_the_condition_does_not_depend_on_how_far_a_domain_reaches() -> None:
    random = np.random.default_rng(1)
    shares = random.uniform(0, 0.3, (200, 2))
    wide = spread(np.column_stack([shares, 1 - shares.sum(axis=1)]), "abc").condition
    small = shares * [1, 0.01]
    narrow = spread(np.column_stack([small, 1 - small.sum(axis=1)]), "abc").condition
    assert wide < 3 and narrow < 3


def test_a_domain_hardly_seen_is_named_unless_its_cap_is_the_reason() -> None:
    random = np.random.default_rng(2)
    code = random.uniform(0, 0.04, 60)
    web = (1 - code) * random.uniform(0, 1, 60)
    rows = np.column_stack([code, web, 1 - code - web])
    assert any("less than 0.1 of 'code'" in warning for warning in spread(rows, ["code", "web", "books"]).warnings)
    assert not spread(rows, ["code", "web", "books"], cap=np.array([0.04, 1, 1])).warnings


def test_few_runs_and_one_mixture_are_said() -> None:
    assert (
        "3 different mixtures are few: for 2 domains"
        in spread(np.array([[0, 1], [1, 0], [0.5, 0.5]]), "ab").warnings[-1]
    )
    assert "all runs are one mixture" in spread(np.full((3, 2), 0.5), "ab").warnings[0]


def test_seventeen_domains_need_34_runs_and_are_advised_54() -> None:
    assert advised_runs(17) == (34, 54) and advised_runs(3) == (24, 32)


def test_no_run_is_nothing_to_describe() -> None:
    with pytest.raises(Refused, match="no mixture"):
        spread(np.zeros((0, 3)), "abc")
