"""Moving mixtures into limits, and rounding them there."""

import numpy as np
import pytest
from scipy.optimize import minimize

from mixlaw.design.within import rounded_within, within
from mixlaw.limits import Limits

DOMAINS = ("a", "b", "c", "d")


def box(floor: list[float], cap: list[float]) -> Limits:
    return Limits(DOMAINS, np.array(floor), np.array(cap), np.zeros((0, 4)), np.zeros(0), {})


def test_a_mixture_that_meets_the_limits_is_left_as_it_is() -> None:
    rows = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert np.array_equal(within(rows, box([0, 0, 0, 0], [1, 1, 1, 0.4])), rows)


def test_floors_and_caps_are_met_by_the_nearest_mixture_in_relative_entropy() -> None:
    random = np.random.default_rng(0)
    limits = box([0.1, 0, 0, 0.05], [0.3, 0.5, 0.35, 0.4])
    drawn = random.dirichlet(np.full(4, 0.5), 20) + 1e-6
    drawn /= drawn.sum(axis=1, keepdims=True)
    for start, moved in zip(drawn, within(drawn, limits), strict=True):
        oracle = minimize(
            lambda r, start=start: float(np.sum(np.where(r > 0, r * np.log(np.maximum(r, 1e-300) / start), 0))),
            np.array([0.2, 0.3, 0.3, 0.2]),
            bounds=list(zip(limits.floor, limits.cap, strict=True)),
            constraints={"type": "eq", "fun": lambda r: r.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert np.abs(moved - oracle.x).max() < 1e-5


def test_a_corner_moved_under_caps_fills_the_others_evenly() -> None:
    moved = within(np.array([[1.0, 0, 0, 0]]), box([0] * 4, [0.4] * 4))
    assert moved == pytest.approx(np.array([[0.4, 0.2, 0.2, 0.2]]), abs=1e-12)


def test_a_linear_limit_is_met_on_its_boundary() -> None:
    limits = Limits(DOMAINS, np.zeros(4), np.ones(4), np.array([[1.0, 1, 0, 0]]), np.array([0.3]), {})
    moved = within(np.array([[0.9, 0.05, 0.05, 0], [0.1, 0.1, 0.4, 0.4]]), limits)
    assert moved[0, :2].sum() == pytest.approx(0.3, abs=1e-12)
    assert moved[1] == pytest.approx([0.1, 0.1, 0.4, 0.4], abs=1e-15)


def test_an_equality_between_groups_can_be_asked_for_by_two_rows() -> None:
    coefficients = np.array([[1.0, -1, 0, 0], [-1.0, 1, 0, 0]])
    limits = Limits(DOMAINS, np.zeros(4), np.ones(4), coefficients, np.zeros(2), {})
    moved = within(np.random.default_rng(1).dirichlet(np.ones(4), 50), limits)
    assert np.abs(moved[:, 0] - moved[:, 1]).max() < 1e-9
    assert all(limits.allows(row) for row in moved)


def test_rounding_sums_to_one_stays_within_limits_and_moves_nothing_by_more_than_it_must() -> None:
    limits = box([0.05, 0, 0, 0.111], [0.25015, 0.3, 1, 1])
    for row in within(np.random.default_rng(2).dirichlet(np.ones(4), 200), limits):
        rounded = rounded_within(row, limits, 4)
        assert round(rounded.sum() * 1e4) == 10_000 and limits.allows(rounded, tolerance=1e-12)
        assert np.abs(rounded - row).max() <= 2e-4
        assert not np.signbit(rounded).any()


def test_limits_too_tight_for_the_decimals_leave_the_mixture_unrounded() -> None:
    exact = np.array([0.25003, 0.24997, 0.25, 0.25])
    assert np.array_equal(rounded_within(exact, box(list(exact), list(exact)), 4), exact)
