"""Intervals hold what they say, and nothing but evidence narrows them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from scipy import stats

from mixlaw.fitting.noise import moderated, shared_by_repeats
from mixlaw.fitting.uncertainty import Uncertainty, uncertainty_of
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.mixture import Array, groups_of
from mixlaw.surfaces.base import FitAtScale


@dataclass(frozen=True)
class Straight(MixingLaw):
    """loss = R t by ordinary least squares, or ridge: everything about it is known in closed form."""

    slopes: Array
    kind: ClassVar[str] = "straight"

    @classmethod
    def fit(
        cls,
        domains: tuple[str, ...],
        targets: tuple[str, ...],
        proportions: Array,
        losses: Array,
        ridge: float = 0.0,
    ) -> MixingFit:
        count, width = proportions.shape
        normal = proportions.T @ proportions + ridge * np.eye(width)
        slopes = np.linalg.lstsq(normal, proportions.T @ losses)[0].T
        squares = ((losses - proportions @ slopes.T) ** 2).sum(0)
        decided = float(np.trace(np.linalg.lstsq(normal, proportions.T @ proportions)[0]))
        freedom = np.full(len(targets), count - decided)
        prior = np.tile(ridge * np.eye(width), (len(targets), 1, 1))
        weights = np.ones((count, len(targets)))
        law = cls(domains, targets, slopes)
        return MixingFit(law, np.sqrt(squares / freedom), freedom, weights, prior, squares, {})

    def predict(self, proportions: Array) -> Array:
        return proportions @ self.slopes.T

    def slope(self, proportions: Array) -> Array:
        return self.slopes

    def parameter_slope(self, proportions: Array) -> Array:
        return np.tile(proportions, (len(self.targets), 1, 1))

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        return domain_count

    def parameters(self) -> dict[str, Any]:
        return {"slopes": self.slopes.tolist()}

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        return cls(domains, targets, np.array(parameters["slopes"]))


DOMAINS = ("books", "code", "forums", "web")


def at_scale(proportions: Array, losses: Array, ridge: float = 0.0, scale_error: Array | None = None) -> FitAtScale:
    targets = tuple(f"target{number}" for number in range(losses.shape[1]))
    return FitAtScale(
        fit=Straight.fit(DOMAINS[: proportions.shape[1]], targets, proportions, losses, ridge),
        proportions=proportions,
        losses=losses,
        groups=groups_of(proportions),
        scale_error=np.zeros(losses.shape[1]) if scale_error is None else scale_error,
    )


def noisy(count: int, noise: float, seed: int, targets: int = 1) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    proportions = generator.dirichlet(np.ones(len(DOMAINS)), count)
    truth = np.linspace(2, 4, len(DOMAINS) * targets).reshape(len(DOMAINS), targets)
    return proportions, proportions @ truth + noise * generator.standard_normal((count, targets))


def test_a_linear_law_has_the_prediction_intervals_of_the_textbook() -> None:
    proportions, losses = noisy(20, 0.1, seed=1)
    new = np.random.default_rng(2).dirichlet(np.ones(4), 5)
    half = uncertainty_of(at_scale(proportions, losses)).half_width(new, 0.9)[:, 0]
    inverse = np.linalg.inv(proportions.T @ proportions)
    residuals = losses[:, 0] - proportions @ inverse @ proportions.T @ losses[:, 0]
    noise = np.sqrt(residuals @ residuals / (20 - 4))
    expected = stats.t.ppf(0.95, 16) * noise * np.sqrt(1 + np.einsum("np,pq,nq->n", new, inverse, new))
    np.testing.assert_allclose(half, expected, rtol=1e-9)


def test_a_ridge_is_a_prior_whose_posterior_gives_the_interval() -> None:
    proportions, losses = noisy(20, 0.1, seed=3)
    found = uncertainty_of(at_scale(proportions, losses, ridge=0.5))
    posterior = np.linalg.inv(proportions.T @ proportions + 0.5 * np.eye(4))
    new = np.random.default_rng(4).dirichlet(np.ones(4), 5)
    expected = found.noise[0] ** 2 * np.einsum("np,pq,nq->n", new, posterior, new)
    np.testing.assert_allclose(found.covariance(new)[:, 0, 0], expected, rtol=1e-9)


def test_copies_of_every_run_leave_every_interval_as_it_was() -> None:
    proportions, losses = noisy(15, 0.1, seed=5, targets=2)
    new = np.random.default_rng(6).dirichlet(np.ones(4), 5)
    once = uncertainty_of(at_scale(proportions, losses))
    thrice = uncertainty_of(at_scale(np.tile(proportions, (3, 1)), np.tile(losses, (3, 1))))
    np.testing.assert_allclose(thrice.half_width(new, 0.9), once.half_width(new, 0.9), rtol=1e-9)
    np.testing.assert_allclose(thrice.freedom, once.freedom, rtol=1e-9)


def test_repeats_with_other_seeds_add_less_than_new_mixtures_where_the_law_does_not_fit() -> None:
    generator = np.random.default_rng(7)
    proportions = generator.dirichlet(np.ones(4), 15)
    misfit = 0.1 * np.sin(20 * proportions[:, :1])
    repeated = np.tile(proportions, (3, 1))
    seeds = 0.01 * generator.standard_normal((45, 1))
    clustered = at_scale(repeated, np.tile(proportions.sum(1, keepdims=True) * 3 + misfit, (3, 1)) + seeds)
    naive = replace(clustered, groups=np.arange(45))
    new = generator.dirichlet(np.ones(4), 5)
    honest = np.sqrt(uncertainty_of(clustered).covariance(new)[:, 0, 0])
    narrow = np.sqrt(uncertainty_of(naive).covariance(new)[:, 0, 0])
    assert (honest > 1.4 * narrow).all()


def test_what_repeats_share_is_the_misfit_and_not_the_seeds() -> None:
    generator = np.random.default_rng(8)
    groups = np.repeat(np.arange(200), 3)
    known = np.ones((600, 1), dtype=bool)
    shared = generator.standard_normal(200)[groups][:, None]
    own = generator.standard_normal((600, 1))
    assert shared_by_repeats(shared, known, groups) == 1
    assert shared_by_repeats(own, known, groups) < 0.1
    assert abs(shared_by_repeats(np.sqrt(0.3) * shared + np.sqrt(0.7) * own, known, groups) - 0.3) < 0.1
    assert shared_by_repeats(shared, known, np.arange(600)) == 0


def test_a_direction_that_no_run_varied_is_wide_and_the_others_are_not() -> None:
    generator = np.random.default_rng(9)
    proportions = np.column_stack([generator.dirichlet(np.ones(3), 20) * 0.9, np.full(20, 0.1)])
    losses = proportions @ np.array([[2.0], [3.0], [4.0], [3.0]]) + 0.01 * generator.standard_normal((20, 1))
    found = uncertainty_of(at_scale(proportions, losses))
    seen, unseen = np.array([[0.3, 0.3, 0.3, 0.1]]), np.array([[0.2, 0.2, 0.2, 0.4]])
    assert found.half_width(seen, 0.9)[0, 0] < 0.05
    assert found.half_width(unseen, 0.9)[0, 0] > 10


def test_a_domain_no_run_trained_on_is_wide_and_mixtures_without_it_are_not() -> None:
    generator = np.random.default_rng(9)
    proportions = np.column_stack([generator.dirichlet(np.ones(3), 20), np.zeros(20)])
    losses = proportions @ np.array([[2.0], [3.0], [4.0], [0.0]]) + 0.01 * generator.standard_normal((20, 1))
    found = uncertainty_of(at_scale(proportions, losses))
    assert found.half_width(np.array([[0.4, 0.3, 0.3, 0.0]]), 0.9)[0, 0] < 0.05
    assert found.half_width(np.array([[0.3, 0.3, 0.3, 0.1]]), 0.9)[0, 0] > 10


def test_a_target_measured_on_some_runs_is_as_sure_as_those_runs_alone() -> None:
    proportions, losses = noisy(30, 0.1, seed=10)
    part = losses.copy()
    part[20:] = np.nan
    both = at_scale(proportions[:20], losses[:20])
    blanks = replace(
        both,
        fit=replace(both.fit, weights=np.vstack([np.ones((20, 1)), np.zeros((10, 1))])),
        proportions=proportions,
        losses=part,
        groups=groups_of(proportions),
    )
    new = np.random.default_rng(11).dirichlet(np.ones(4), 5)
    np.testing.assert_allclose(
        uncertainty_of(blanks).half_width(new, 0.9), uncertainty_of(both).half_width(new, 0.9), rtol=1e-9
    )


def certain(noise: Array, correlation: Array, scale_error: Array) -> Uncertainty:
    """A law that is known exactly, so that only run noise and scale error are left."""
    count = len(noise)
    law = Straight(DOMAINS, tuple("abcdef"[:count]), np.arange(4.0 * count).reshape(count, 4))
    return Uncertainty(
        law,
        np.zeros((count, 4, 1)),
        np.zeros((count, 4, 4)),
        noise,
        np.full(count, 1e9),
        correlation,
        np.zeros(count),
        scale_error,
    )


def test_errors_that_targets_share_do_not_average_out_in_a_total() -> None:
    noise, weights = np.array([0.1, 0.3]), np.array([0.5, 0.5])
    mixture = np.full((1, 4), 0.25)
    together = certain(noise, np.ones((2, 2)), np.zeros(2)).deviation(mixture, weights)[0][0, 0]
    apart = certain(noise, np.eye(2), np.zeros(2)).deviation(mixture, weights)[0][0, 0]
    assert together == pytest.approx(0.2)
    assert apart == pytest.approx(np.hypot(0.05, 0.15))


def test_targets_share_what_their_priors_err_by() -> None:
    proportions, losses = noisy(20, 0.1, seed=15, targets=2)
    losses[:, 1] = losses[:, 0] + 0.1 * np.random.default_rng(16).standard_normal(20)
    new = np.random.default_rng(17).dirichlet(np.ones(4), 5)
    decided = uncertainty_of(at_scale(proportions, losses, ridge=1e4))
    covariance = decided.covariance(new)
    np.testing.assert_allclose(covariance[:, 0, 1] ** 2, covariance[:, 0, 0] * covariance[:, 1, 1], rtol=1e-2)


def test_drawn_errors_have_the_covariance_that_is_stated() -> None:
    proportions, losses = noisy(20, 0.2, seed=18, targets=3)
    found = uncertainty_of(at_scale(proportions, losses, ridge=2.0))
    weights, new = np.array([0.5, 0.2, 0.3]), proportions[:4]
    drawn = found.drawn(new, weights, 20_000, np.random.default_rng(0))
    expected = np.einsum("u,nuv,v->n", weights, found.covariance(new), weights)
    np.testing.assert_allclose(drawn.var(axis=0), expected, rtol=0.05)
    apart = np.einsum("u,nuv,v->n", weights, found.covariance(new[:1], new[1:2]), weights)
    np.testing.assert_allclose((drawn[:, 0] - drawn[:, 1]).var(), apart[0], rtol=0.05)


def test_scale_error_widens_an_interval_and_cancels_in_a_comparison() -> None:
    mixtures = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    without = certain(np.array([0.3]), np.eye(1), np.zeros(1))
    carried = certain(np.array([0.3]), np.eye(1), np.array([0.4]))
    assert carried.deviation(mixtures)[0] == pytest.approx(np.full((2, 1), 0.5))
    chance = [each.probability_better(mixtures[:1], mixtures[1:], np.ones(1))[0] for each in (without, carried)]
    assert chance[0] == chance[1] == pytest.approx(stats.norm.cdf(1.0 / (0.3 * np.sqrt(2))), rel=1e-6)


def test_a_mixture_beats_itself_half_of_the_time_and_beating_is_antisymmetric() -> None:
    proportions, losses = noisy(20, 0.2, seed=12, targets=3)
    found = uncertainty_of(at_scale(proportions, losses))
    first, second = proportions[:10], proportions[10:]
    weights = np.array([0.2, 0.3, 0.5])
    forth, back = found.probability_better(first, second, weights), found.probability_better(second, first, weights)
    np.testing.assert_allclose(forth + back, 1, rtol=1e-12)
    assert (found.probability_better(first, first, weights) == 0.5).all()
    several = found.probability_better(first, second, np.vstack([np.eye(3), weights]))
    np.testing.assert_allclose(several[3], forth, rtol=1e-12)


def test_targets_of_equal_noise_lend_each_other_freedom_and_targets_of_different_noise_do_not() -> None:
    generator = np.random.default_rng(13)
    freedom = np.full(20, 6.0)
    alike = generator.chisquare(6, 20) / 6
    found, known_with = moderated(alike, freedom)
    assert np.std(np.log(found)) < 0.5 * np.std(np.log(alike)) and (known_with > 15).all()
    unlike = alike * np.exp(4 * generator.standard_normal(20))
    found, known_with = moderated(unlike, freedom)
    assert np.abs(np.log(found / unlike)).max() < 0.4 and (known_with < 8).all()
    assert moderated(alike[:1], freedom[:1]) == (alike[:1], freedom[:1])


@pytest.mark.parametrize("runs", [12, 30])
def test_intervals_of_a_planted_law_hold_nine_tenths_of_new_runs_and_are_not_vacuous(runs: int) -> None:
    generator = np.random.default_rng(14)
    slopes = np.array([[-1.5, 0.5, -0.2, 0.3], [0.4, -2.0, 0.1, 0.2], [0.3, 0.2, -1.0, -0.5]])
    correlation = 0.5 * np.eye(3) + 0.5
    noise = np.array([0.02, 0.04, 0.03])
    held, beaten, expected, width = [], [], [], []
    for _ in range(40):
        proportions = generator.dirichlet(np.ones(4), runs + 40)
        errors = generator.multivariate_normal(np.zeros(3), correlation, len(proportions)) * noise
        losses = 2 + np.exp(proportions @ slopes.T) + errors
        fit = LAWS["exponential"].fit(DOMAINS, ("a", "b", "c"), proportions[:runs], losses[:runs])
        at = FitAtScale(fit, proportions[:runs], losses[:runs], np.arange(runs), np.zeros(3))
        found = uncertainty_of(at)
        new, measured = proportions[runs:], losses[runs:]
        half = np.column_stack([found.half_width(new, 0.9), found.half_width(new, 0.9, np.full(3, 1 / 3))])
        predicted = fit.law.predict(new)
        predicted = np.column_stack([predicted, predicted.mean(1)])
        total = np.column_stack([measured, measured.mean(1)])
        held.append(np.abs(total - predicted) <= half)
        width.append(half.mean(0))
        beaten.append(total[:20, 3] < total[20:, 3])
        expected.append(found.probability_better(new[:20], new[20:], np.full(3, 1 / 3)))
    coverage = np.concatenate(held).mean(0)
    assert 0.87 < coverage.mean() < 0.93 and (coverage > 0.83).all() and (coverage < 0.95).all(), coverage
    ideal = 1.645 * np.append(noise, np.sqrt(noise @ correlation @ noise) / 3)
    assert (np.mean(width, axis=0) < 2 * ideal).all()
    assert abs(np.mean(expected) - np.mean(beaten)) < 0.04
    sure = np.abs(np.concatenate(expected) - 0.5) > 0.3
    right = (np.concatenate(expected) > 0.5) == np.concatenate(beaten)
    assert abs(right[sure].mean() - (0.5 + np.abs(np.concatenate(expected) - 0.5)[sure].mean())) < 0.03


def test_runs_on_their_law_to_the_last_digit_have_intervals_without_width() -> None:
    proportions, losses = noisy(20, 0.0, seed=5, targets=2)
    found = replace(uncertainty_of(at_scale(proportions, losses)), noise=np.zeros(2))
    weights = np.array([0.5, 0.5])
    assert (found.leverage(proportions) == 0).all()
    assert (found.half_width(proportions, 0.9) == 0).all()
    assert (found.half_width(proportions, 0.9, weights) == 0).all()
    cheaper = losses.mean(axis=1)
    better = found.probability_better(proportions[:10], proportions[10:], weights)
    np.testing.assert_array_equal(better.round(9), (cheaper[10:] > cheaper[:10]).astype(float))
