"""Mixtures in which the domains of an earlier study move as one."""

import numpy as np
import pytest

from mixlaw.design import sample_beside
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture

FROZEN = Mixture.of({"a": 0.25, "b": 0.25, "c": 0.5})
DOMAINS = ("a", "b", "c", "new")


def rows(mixtures: dict[str, Mixture]) -> np.ndarray:
    return np.array([mixture.proportions for mixture in mixtures.values()])


def test_two_fifths_of_the_frozen_mixture_leave_its_ratios_as_they_were() -> None:
    pinned = Limits.of(DOMAINS, floors={"new": 0.6}, caps={"new": 0.6})
    only = sample_beside(FROZEN, DOMAINS, 1, limits=pinned)["m001"]
    assert only.proportions == pytest.approx((0.1, 0.1, 0.2, 0.6), abs=1e-12)  # Olmix's worked value


def test_every_mixture_keeps_the_ratios_and_the_first_is_the_frozen_one() -> None:
    mixtures = sample_beside(FROZEN, ("new", "b", "a", "other", "c"), 20)
    assert next(iter(mixtures.items())) == ("frozen", Mixture(tuple(mixtures["m001"].domains), (0, 0.25, 0.25, 0, 0.5)))
    found = rows(mixtures)
    assert found[:, 1] == pytest.approx(found[:, 2]) and found[:, 4] == pytest.approx(2 * found[:, 1])
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-12


def test_limits_hold_for_each_domain_though_the_design_sees_one() -> None:
    limits = Limits.of(DOMAINS, caps={"c": 0.3}, floors={"a": 0.05})
    mixtures = sample_beside(FROZEN, DOMAINS, 12, limits=limits)
    assert "frozen" not in mixtures
    assert all(limits.allows(row) for row in rows(mixtures))
    assert rows(mixtures)[:, 2].max() > 0.28


def test_with_nothing_new_there_is_nothing_to_vary() -> None:
    with pytest.raises(Refused, match="name the domains that are new"):
        sample_beside(FROZEN, ("a", "b", "c"), 4)


def test_a_floor_that_the_frozen_ratio_cannot_meet_is_refused() -> None:
    frozen = Mixture.of({"a": 1.0, "b": 0.0})
    with pytest.raises(Refused, match="'b' has a floor, but a ratio of 0"):
        sample_beside(frozen, ("a", "b", "new"), 4, limits=Limits.of(("a", "b", "new"), floors={"b": 0.1}))
