"""Steps on the simplex are exact where plain weights would underflow or overflow."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.online.simplex import by_domain, normalised, smoothed, stepped, uniform

finite = st.lists(st.floats(-2000, 2000), min_size=2, max_size=12)


@given(finite, st.floats(-500, 500))
def test_a_step_stays_on_the_simplex_and_does_not_see_a_constant(exponents: list[float], constant: float) -> None:
    start = uniform(len(exponents))
    found = stepped(start, exponents)
    assert (found >= 0).all() and found.sum() == pytest.approx(1, abs=1e-12)
    shifted = stepped(start, np.array(exponents) + constant)
    np.testing.assert_allclose(found, shifted, rtol=1e-9, atol=1e-300)


@given(finite)
def test_a_step_and_its_opposite_lead_back(exponents: list[float]) -> None:
    there = np.array(exponents) / 10
    start = normalised(np.linspace(0, 1, len(exponents)))
    np.testing.assert_allclose(stepped(stepped(start, there), -there), start, rtol=1e-9)


def test_exponents_that_plain_weights_could_not_hold_give_the_right_proportions() -> None:
    np.testing.assert_allclose(stepped([0.5, 0.5], [5000.0, 5000.0 + np.log(3)]), [0.25, 0.75], rtol=1e-12)
    rare = stepped([1e-300, 1.0], [680.0, 0.0])
    np.testing.assert_allclose(rare[0] / rare[1], 1e-300 * np.exp(680), rtol=1e-9)


def test_a_proportion_of_zero_stays_and_a_sum_of_nothing_is_an_error() -> None:
    assert stepped([0.0, 1.0], [1e3, 0.0]).tolist() == [0.0, 1.0]
    for wrong in ([np.nan, 0.0], [np.inf, 0.0], [-np.inf, -np.inf]):
        with pytest.raises(ValueError, match="no point of the simplex"):
            normalised(wrong)


def test_smoothing_keeps_everyone_above_their_share_of_it() -> None:
    assert smoothed(np.array([1.0, 0.0]), 0.01).tolist() == [0.995, 0.005]


def test_sums_by_domain_count_an_absent_domain_as_nothing() -> None:
    sums, counts = by_domain([1.0, 2.0, 4.0], [0, 2, 0], 4)
    assert sums.tolist() == [5.0, 0.0, 2.0, 0.0] and counts.tolist() == [2.0, 0.0, 1.0, 0.0]
