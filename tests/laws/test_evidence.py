"""What a fit says of the noise and of what the runs decide."""

import numpy as np
import pytest

from mixlaw.laws.base import MixingLaw
from mixlaw.laws.exponential import Exponential
from mixlaw.laws.linear import Linear
from mixlaw.laws.reciprocal import Reciprocal
from mixlaw.mixture import Array

DOMAINS = ("a", "b", "c", "d")


def exponential_truth(mixtures: Array, targets: int = 40) -> Array:
    generator = np.random.default_rng(11)
    return 2.0 + np.exp(mixtures @ generator.normal(-0.5, 1.0, (len(DOMAINS), targets)))


def design(runs: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(len(DOMAINS)), runs)


def names(count: int) -> tuple[str, ...]:
    return tuple(f"target {number}" for number in range(count))


@pytest.mark.parametrize("runs", [12, 20, 60])
def test_the_noise_is_estimated_without_bias(runs: int) -> None:
    """Mean of noise² over 40 targets within 15%, though five parameters are fitted to as few as twelve runs."""
    mixtures = design(runs)
    losses = exponential_truth(mixtures) + 0.02 * np.random.default_rng(1).standard_normal((runs, 40))
    fit = Exponential.fit(DOMAINS, names(40), mixtures, losses)
    assert np.mean(fit.noise**2) == pytest.approx(0.02**2, rel=0.15)
    assert np.all(fit.freedom >= runs - 5 - 1e-9)


def test_the_reciprocal_laws_noise_is_that_of_its_own_truth() -> None:
    mixtures, generator = design(60), np.random.default_rng(2)
    strengths = np.exp(generator.normal(0, 0.8, (40, 4)))
    losses = 2 + 1 / np.einsum("vm,nm->nv", strengths, (mixtures + 1e-4) ** 0.5)
    fit = Reciprocal.fit(DOMAINS, names(40), mixtures, losses + 0.01 * generator.standard_normal(losses.shape))
    assert np.mean(fit.noise**2) == pytest.approx(0.01**2, rel=0.15)


def test_diverged_runs_neither_move_the_law_nor_pass_for_noise() -> None:
    mixtures = design(40)
    clean = exponential_truth(mixtures, 5) + 0.01 * np.random.default_rng(1).standard_normal((40, 5))
    broken = clean.copy()
    diverged = np.argsort(mixtures.max(axis=1))[:2]  # not at a corner, where a run alone decides
    broken[diverged] += 3.0
    fit = Exponential.fit(DOMAINS, names(5), mixtures, broken)
    expected = Exponential.fit(DOMAINS, names(5), mixtures, clean)
    assert np.all(fit.weights[diverged] < 0.1)
    assert np.all(fit.noise < 0.05)
    assert np.abs(fit.law.predict(mixtures) - expected.law.predict(mixtures)).max() < 0.05


def test_intervals_of_the_delta_method_cover_what_they_say() -> None:
    """90% intervals from slopes, prior, noise and freedom hold for new runs of a law that is right."""
    from scipy.stats import t

    mixtures, fresh = design(25), design(200, seed=5)
    generator = np.random.default_rng(3)
    losses = exponential_truth(mixtures) + 0.02 * generator.standard_normal((25, 40))
    fit = Exponential.fit(DOMAINS, names(40), mixtures, losses)
    slopes = fit.law.parameter_slope(mixtures)
    normal = np.einsum("vnp,nv,vnq->vpq", slopes, fit.weights, slopes) + fit.prior
    at = fit.law.parameter_slope(fresh)
    leverage = np.einsum("vnp,vpn->vn", at, np.linalg.solve(normal, at.transpose(0, 2, 1)))
    half = (fit.noise * t.ppf(0.95, fit.freedom))[:, None] * np.sqrt(1 + leverage)
    measured = exponential_truth(fresh) + 0.02 * generator.standard_normal((200, 40))
    covered = half >= np.abs(fit.law.predict(fresh) - measured).T
    assert 0.86 < covered.mean() < 0.94


@pytest.mark.parametrize("runs", [4, 6, 8])
def test_a_law_with_more_parameters_than_runs_is_not_sure_of_itself(runs: int) -> None:
    """It passes through its runs; the noise it admits is still that of the prior, not what it leaves of them."""
    generator, mixtures = np.random.default_rng(5), design(runs)
    losses = exponential_truth(mixtures, 20) + 0.1 * generator.standard_normal((runs, 20))
    fit = Reciprocal.fit(DOMAINS, names(20), mixtures, losses)
    assert np.all(fit.noise > 0.01 * losses.std(axis=0))


def test_losses_without_noise_are_told_from_too_few_runs() -> None:
    many, few = design(20), design(4)
    assert np.all(Exponential.fit(DOMAINS, names(5), many, exponential_truth(many, 5)).noise < 1e-9)
    assert np.all(Exponential.fit(DOMAINS, names(5), few, exponential_truth(few, 5)).noise > 1e-3)


@pytest.mark.parametrize("law", [Exponential, Reciprocal])
@pytest.mark.parametrize("runs", [4, 5, 6])
def test_a_few_runs_of_many_domains_have_finite_fits(law: type[MixingLaw], runs: int) -> None:
    """A slope may vanish to the last denormal number where exponentials run off; the noise was nan there."""
    domains = tuple("abcdefghijklmnopq")
    for seed in range(8):
        generator = np.random.default_rng(seed)
        mixtures = generator.dirichlet(0.5 * np.ones(17), runs)
        losses = 4 - generator.uniform(0, 2, (17, 13)).T @ np.sqrt(mixtures.T) / 3
        fit = law.fit(domains, names(13), mixtures, losses.T + 0.03 * generator.standard_normal((runs, 13)))
        assert np.isfinite(fit.noise).all() and np.isfinite(fit.prior).all()


@pytest.mark.parametrize("runs", [4, 8])
def test_noise_that_few_runs_cannot_show_does_not_depend_on_the_order_of_domains(runs: int) -> None:
    """The freedom left is then a difference of nearly equal numbers: its rounding moved the noise by a hundredth."""
    domains, turned = tuple("abcdefghij"), np.random.default_rng(0).permutation(10)
    for seed in range(3):
        generator = np.random.default_rng(seed)
        mixtures = generator.dirichlet(np.ones(10), runs)
        losses = 2 + 0.1 * generator.standard_normal((runs, 4))
        noise = Reciprocal.fit(domains, names(4), mixtures, losses).noise
        again = Reciprocal.fit(tuple(domains[n] for n in turned), names(4), mixtures[:, turned], losses).noise
        assert again == pytest.approx(noise, rel=1e-5)


def test_the_ridge_of_the_linear_law_vanishes_on_linear_losses() -> None:
    mixtures, vertices = design(12), np.array([[2.0, 3.0, 2.5, 4.0]])
    law = Linear.fit(DOMAINS, ("t",), mixtures, mixtures @ vertices.T).law
    assert isinstance(law, Linear)
    assert law.vertices == pytest.approx(vertices, abs=1e-8)


def test_the_ridge_of_the_linear_law_takes_all_where_there_is_nothing_but_noise() -> None:
    mixtures = design(12)
    losses = 3 + 0.1 * np.random.default_rng(8).standard_normal((12, 1))
    fit = Linear.fit(DOMAINS, ("t",), mixtures, losses)
    ordinary = np.linalg.lstsq(mixtures, losses, rcond=None)[0][:, 0]
    assert isinstance(fit.law, Linear)
    assert np.ptp(fit.law.vertices) < 0.7 * np.ptp(ordinary)
    assert fit.freedom[0] > 8
