"""The candidates of Data Mixing Laws, counted by hand and found among the published runs."""

from pathlib import Path

import numpy as np
import pytest

from mixlaw.design.double_diminishing import DoubleDiminishing
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.runs import read_runs

DESIGN = DoubleDiminishing()


def test_two_free_domains_have_six_candidates() -> None:
    limits = Limits.simplex(["a", "b"])
    first = [row[0] for row in DESIGN.enumerate(limits)]
    assert first == [1, 0.5, 0.25, 0.125, 0.0625, 0] and DESIGN.count(limits) == 6


def test_caps_start_the_halving_and_bound_the_remainder() -> None:
    limits = Limits.of(["a", "b"], caps={"a": 0.6, "b": 0.9})
    first = [row[0] for row in DESIGN.enumerate(limits)]
    assert first == [9 / 16, 9 / 32, 9 / 64] and DESIGN.count(limits) == 3  # 9/128 leaves 0.93 to b


def test_every_candidate_is_listed_once_and_every_value_but_the_last_halves_from_a_cap() -> None:
    limits = Limits.of(["a", "b", "c", "d"], caps={"b": 0.5857, "c": 0.2588, "d": 0.4}, floors={"c": 0.1})
    rows = np.array(list(DESIGN.enumerate(limits)))
    assert len(rows) == len(np.unique(rows, axis=0)) == DESIGN.count(limits) > 10
    assert all(limits.allows(row, tolerance=1e-12) for row in rows)
    tops = [16, 9, 4]
    for column, top in zip(rows.T[:-1], tops, strict=True):
        halvings = {top / 16 / 2**times for times in range(6) if top / 2**times >= 1}
        assert set(column) <= halvings | {0.0}


def test_counting_does_not_need_listing() -> None:
    assert DESIGN.count(Limits.simplex([f"d{number}" for number in range(40)])) > 10**13


def test_draws_are_candidates_and_thin_out_those_that_leave_domains_out() -> None:
    limits = Limits.of(["a", "b", "c"], caps={"a": 0.5, "b": 0.5})
    candidates = np.array(list(DESIGN.enumerate(limits)))
    chances = 0.5 ** (candidates == 0).sum(axis=1)
    chances = chances / chances.sum()
    random = np.random.default_rng(0)
    drawn = np.array([DESIGN.propose(limits, None, [], random) for _ in range(4000)])
    counts = np.array([(np.abs(drawn - row).max(axis=1) < 1e-12).sum() for row in candidates])
    assert counts.sum() == 4000
    assert ((counts - 4000 * chances) ** 2 / (4000 * chances)).sum() < 2 * len(candidates)


def test_the_published_redpajama_mixtures_are_among_the_candidates(reference: Path) -> None:
    table = read_runs(reference / "redpajama.csv")
    caps = dict(zip(table.domains, (1, 1, 0.5857, 0.2588, 0.2254, 0.1779, 0.1727), strict=True))
    limits = Limits.of(table.domains, caps=caps)
    levels = DESIGN.levels(limits)
    mixtures = np.unique(np.round(table.proportions, 6), axis=0)
    found = [all(np.abs(row[j] - levels[j]).min() < 1e-5 for j in range(len(levels))) for row in mixtures]
    assert np.mean(found) > 0.9, f"{sum(found)} of {len(found)}"  # the default mixture is not one


def test_a_grid_that_does_not_divide_one_is_refused() -> None:
    with pytest.raises(Refused, match="1 over a whole number"):
        DoubleDiminishing(grid=0.3)


def test_a_domain_without_any_level_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"'a' lies between 0\.01 and 0\.05"):
        list(DESIGN.enumerate(Limits.of(["a", "b"], caps={"a": 0.05}, floors={"a": 0.01})))


def test_limits_no_candidate_meets_are_refused() -> None:
    limits = Limits.of(["a", "b"], caps={"a": 0.51, "b": 0.495})
    with pytest.raises(Refused, match="halve from the caps"):
        DESIGN.propose(limits, None, [], np.random.default_rng(0))
