"""GRAPE's and DoGE's weights: closed forms, principle, and what the published code gets wrong."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.online.doge import PEAK_RATE, Doge, Influence
from mixlaw.online.grape import Aligned, Alignment, Grape
from mixlaw.online.simplex import Array, uniform

FREE = {"clip": None, "smoothing": 0.0}


def aligned(products: list[float], rate: float = 1.0) -> Aligned:
    return Aligned(np.array(products), np.ones(len(products)), 1.0, rate)


def begun(domains: int, targets: int, **settings: object) -> Alignment:
    return Grape(**{**FREE, **settings}).begin(uniform(domains), targets)


def test_target_weights_step_against_their_alignment() -> None:
    found = begun(1, 3, improvement="gap").update_targets(np.ones(3), aligned([0.1, 0.0, -0.1]), 1.0)
    np.testing.assert_allclose(found, [0.09003, 0.24473, 0.66524], atol=5e-6)


def test_domain_weights_step_along_their_alignment() -> None:
    np.testing.assert_allclose(begun(2, 1).update(aligned([0.2, -0.2])), [0.64566, 0.35434], atol=5e-6)


def test_the_step_of_the_paper_is_that_of_the_code_at_the_peak_and_falls_with_the_rate() -> None:
    paper, code = Grape(step="lr"), Grape()
    assert paper.exponents(1.0) == code.exponents(1.0) == code.exponents(0.1) == (1.5, 10.0)
    assert paper.exponents(1.0) == pytest.approx((1.5e-4 / 1e-4, 1.5e-4 / 1.5e-5))
    assert paper.exponents(0.5) == (0.75, 5.0)
    moved = Grape(step="lr", clip=None).begin(uniform(2), 1).update(aligned([0.2, -0.2], rate=0.5))
    assert moved[0] / moved[1] == pytest.approx(np.exp(0.75 * 0.4))


class Quadratics:
    """Losses |x - m_n|^2 / 2 + b_n, whose gradients x - m_n are known, trained on by plain gradient descent."""

    def __init__(self, minima: list[list[float]], offsets: list[float]) -> None:
        self.minima, self.offsets = np.array(minima), np.array(offsets)

    def losses(self, point: Array) -> Array:
        found: Array = np.square(point - self.minima).sum(1) / 2 + self.offsets
        return found

    def slopes(self, point: Array) -> Array:
        return point - self.minima

    def against(self, held: Array, point: Array) -> Aligned:
        slopes = self.slopes(point)
        return Aligned(slopes @ held, np.linalg.norm(slopes, axis=1), float(np.linalg.norm(held)), 1.0)


def test_a_higher_loss_improves_relatively_slower_and_gains_weight_under_log_but_not_under_gap() -> None:
    tasks, point = Quadratics([[0.0, 0.0], [0.0, 0.0]], [0.5, 2.0]), np.array([1.0, 1.0])
    found = {}
    for improvement in ("log", "gap"):
        method = begun(1, 2, improvement=improvement)
        found[improvement] = method.update_targets(tasks.losses(point), tasks.against(point, point), 1.0)
    assert found["log"][1] > 0.9
    assert found["gap"].tolist() == [0.5, 0.5]
    assert found["log"][0] / found["log"][1] == pytest.approx(np.exp(-10 * 2 * (1 / 1.5 - 1 / 3)))


def test_the_rate_of_improvement_is_the_alignment_of_the_log_gradient_to_first_order() -> None:
    tasks, point, mixture = Quadratics([[1.0, 2.0], [-1.0, 0.5]], [1.0, 3.0]), np.array([0.3, -0.4]), [0.7, 0.3]
    slope = np.array(mixture) @ tasks.slopes(point)
    errors = []
    for rate in (1e-2, 1e-3):
        losses, later = tasks.losses(point), tasks.losses(point - rate * slope)
        method = begun(1, 2)
        method.update_targets(losses, tasks.against(slope, point), rate)
        first_order = rate * tasks.against(slope, point).clipped(method.scales, None)
        errors.append(np.abs((losses - later) / losses - first_order).max())
    assert errors[1] == pytest.approx(errors[0] / 100, rel=1e-6)


def test_weighing_by_losses_alone_lifts_the_target_that_improves_slowest() -> None:
    """The published loss-only mode subtracts (now - before) / before, negative while improving: the opposite."""
    method = begun(1, 2, signal="loss")
    assert method.update_targets(np.array([4.0, 4.0]), None, 1.0).tolist() == [0.5, 0.5]
    found = method.update_targets(np.array([3.0, 3.9]), None, 1.0)
    assert found[1] / found[0] == pytest.approx(np.exp(10 * (0.25 - 0.025)))


def test_one_target_has_all_the_weight_and_identical_targets_share_it() -> None:
    one, same = begun(2, 1), begun(2, 4)
    assert one.update_targets(np.array([2.0]), aligned([5.0]), 1.0).tolist() == [1.0]
    assert same.update_targets(np.full(4, 2.0), aligned([0.3] * 4), 1.0).tolist() == [0.25] * 4


def test_domains_follow_one_target_as_in_doge() -> None:
    """DoGE divides by the mean norm, here 1; its step is then the peak rate over the strength of its prior."""
    products = [0.4, 0.1, 0.9]
    doge = Doge(targets=("prose",), strength=PEAK_RATE / 1.5).begin(uniform(3))
    expected = doge.update(Influence(np.array(products), np.ones(3), 1.0))
    grape = begun(3, 1, improvement="gap")
    assert grape.update_targets(np.array([2.0]), aligned([5.0]), 1.0).tolist() == grape.scales.tolist() == [1.0]
    np.testing.assert_allclose(grape.update(aligned(products)), expected, rtol=2e-6)


def test_domains_orthogonal_to_the_targets_keep_their_proportions() -> None:
    start = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(Grape().begin(start, 2).update(aligned([0.0, 0.0, 0.0])), start, rtol=1e-15)


def test_one_parameter_and_opposite_domains_move_monotonically_inside_the_simplex() -> None:
    method, path = begun(2, 1), [0.5]
    for _ in range(50):
        weights = method.update(aligned([1.0, -1.0]))
        assert weights.sum() == pytest.approx(1, abs=1e-12) and (weights >= 0).all()
        path.append(weights[0])
    assert all(later >= earlier for earlier, later in pairwise(path)) and path[-1] > 1 - 1e-12


def test_a_clipped_alignment_is_bounded_by_the_square_of_the_clip() -> None:
    huge = Aligned(np.array([1e8, -1e8]), np.array([1e4, 1e4]), 1e4, 1.0)
    assert np.abs(huge.clipped(np.ones(2), 2.0)).max() == pytest.approx(4.0)
    small = Aligned(np.array([0.1, -0.1]), np.array([0.5, 0.5]), 0.5, 1.0)
    assert small.clipped(np.ones(2), 2.0).tolist() == [0.1, -0.1]


def test_a_gradient_is_scaled_before_it_is_clipped() -> None:
    signals = Aligned(np.array([1.0]), np.array([4.0]), 1.0, 1.0)
    assert signals.clipped(np.array([0.125]), 1.0)[0] == pytest.approx(0.125)
    assert signals.clipped(np.array([0.5]), 1.0)[0] == pytest.approx(0.25)


@pytest.mark.parametrize("improvement", ["log", "ema"])
@pytest.mark.parametrize("clip", [1.0, None])
def test_a_target_whose_loss_is_nearly_nothing_leaves_finite_weights(improvement: str, clip: float | None) -> None:
    method = begun(1, 2, improvement=improvement, clip=clip)
    signals = Aligned(np.array([1e-9, 1e-3]), np.array([1e-8, 1e-2]), 0.1, 1.0)
    for _ in range(5):
        weights = method.update_targets(np.array([0.0, 2.0]), signals, 1.0)
        assert np.isfinite(weights).all() and weights.min() > 0.4


def test_gradients_of_no_length_move_nothing() -> None:
    method = begun(2, 1, clip=1.0)
    assert method.update(Aligned(np.zeros(2), np.zeros(2), 0.0, 1.0)).tolist() == [0.5, 0.5]


def test_the_running_mean_of_the_losses_forgets_at_the_rate_of_beta() -> None:
    method = begun(1, 1, improvement="ema", beta=0.7)
    for loss in (4.0, 2.0):
        method.update_targets(np.array([loss]), aligned([0.0]), 1.0)
    assert method.scales[0] == pytest.approx(1 / (0.7 * 4 + 0.3 * 2))


def test_no_domain_falls_below_the_floor_and_no_target_below_its_smoothing() -> None:
    method = Grape(floor=0.02, clip=None).begin(uniform(3), 2)
    for _ in range(30):
        method.update(aligned([5.0, 0.0, -5.0]))
        method.update_targets(np.ones(2), aligned([5.0, -5.0]), 1.0)
    assert method.weights.min() >= 0.02 - 1e-12 and method.weights[0] == pytest.approx(0.96, abs=1e-3)
    assert method.targets.min() >= 0.0005 - 1e-15
    with pytest.raises(ValueError, match=r"a floor of 0\.5 for 3 domains"):
        Grape(floor=0.5).begin(uniform(3), 2)


def test_doge_cuts_negative_alignment_to_none_and_large_alignment_to_its_limit() -> None:
    method = Doge(strength=PEAK_RATE).begin(uniform(3))
    found = method.update(Influence(np.array([-7.0, 0.0, 1e9]), np.array([1.0, 1.0, 1.0]), 0.5))
    assert found[0] == found[1]
    assert found[2] / found[0] == pytest.approx(np.exp(0.5 * 5.0))


def test_doge_scores_are_relative_to_the_mean_norm_and_finite_without_any_gradient() -> None:
    ours, theirs, still = (Doge(strength=1e-4).begin(uniform(2)) for _ in range(3))
    ours.update(Influence(np.array([2.0, 1.0]), np.array([1.0, 3.0]), 0.1))
    theirs.update(Influence(np.array([200.0, 100.0]), np.array([100.0, 300.0]), 0.1))
    np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-6)
    assert ours.weights[0] / ours.weights[1] == pytest.approx(np.exp(PEAK_RATE * 0.1 / 1e-4 * (2 - 1) / 2), rel=1e-5)
    assert still.update(Influence(np.zeros(2), np.zeros(2), 0.1)).tolist() == [0.5, 0.5]


def test_the_prior_of_doge_is_stronger_where_the_targets_are_other_texts() -> None:
    universal, other = Doge().begin(uniform(2)), Doge(targets=("code",)).begin(uniform(2))
    assert (universal.strength, other.strength) == (0.01, 0.05)


@given(st.permutations(range(5)))
def test_permuting_the_domains_permutes_the_proportions(order: list[int]) -> None:
    products = np.array([0.3, -0.2, 0.0, 0.9, -1.4])
    ours, theirs = begun(5, 1), begun(5, 1)
    for scale in (1.0, -0.3, 0.5):
        ours.update(aligned((scale * products).tolist()))
        theirs.update(aligned((scale * products[order]).tolist()))
    np.testing.assert_allclose(ours.weights[order], theirs.weights, rtol=1e-12)
