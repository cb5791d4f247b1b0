"""Mixtures far apart: against the best that can be had, and against chance."""

import numpy as np
import pytest

from mixlaw.design import sample
from mixlaw.design.maximin import Maximin
from mixlaw.limits import Limits


def closest(rows: np.ndarray) -> float:
    roots = np.sqrt(rows)
    apart = ((roots[:, None] - roots[None]) ** 2).sum(-1) + 9 * np.eye(len(roots))
    return float(np.sqrt(apart.min()))


def design(method: str, domains: int, count: int) -> np.ndarray:
    mixtures = sample([f"d{number}" for number in range(domains)], count, method=method)
    return np.array([mixture.proportions for mixture in mixtures.values()])


@pytest.mark.parametrize("count", [3, 5, 9, 17])
def test_on_two_domains_it_is_within_a_factor_of_two_of_even_spacing(count: int) -> None:
    even = 2 * np.sin(np.pi / 4 / (count - 1))  # mixtures of two domains lie on a quarter circle in square roots
    assert even / 2 * 0.97 <= closest(design("maximin", 2, count)) <= even + 1e-9


@pytest.mark.parametrize("domains", [3, 7, 17])
def test_mixtures_lie_farther_apart_than_draws_do(domains: int) -> None:
    apart = closest(design("maximin", domains, 30))
    assert apart > 1.5 * closest(design("dirichlet-0.3", domains, 30))
    assert apart > 1.5 * closest(design("dirichlet-1", domains, 30))


def test_the_first_mixture_of_all_is_central() -> None:
    limits = Limits.simplex(["a", "b", "c"])
    first = Maximin().propose(limits, None, [], np.random.default_rng(0))
    assert np.abs(first - 1 / 3).max() < 0.05
