"""A mixture beyond the runs is told from one among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mixlaw.fitting.extrapolation import ON_THE_HULL, beyond, distance_from_hull, extrapolations

DOMAINS = ("books", "code", "web")


def in_the_hull(runs: np.ndarray, mixture: np.ndarray) -> bool:
    """Whether a linear program finds the mixture as an average of the runs."""
    rows = np.vstack([runs.T, np.ones(len(runs))])
    answer = linprog(np.zeros(len(runs)), A_eq=rows, b_eq=np.append(mixture, 1.0), bounds=(0, None))
    return bool(answer.status == 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), runs=st.integers(2, 40), domains=st.integers(2, 8))
def test_the_hull_is_the_one_a_linear_program_finds(seed: int, runs: int, domains: int) -> None:
    generator = np.random.default_rng(seed)
    measured = generator.dirichlet(np.full(domains, 0.7), runs)
    for mixture in generator.dirichlet(np.ones(domains), 4):
        distance = distance_from_hull(measured, mixture)
        if distance < 1e-9 or distance > 1e-6:
            assert in_the_hull(measured, mixture) == (distance < 1e-9)
    inside = generator.dirichlet(np.ones(runs)) @ measured
    assert distance_from_hull(measured, inside) < 1e-9


def test_rounding_of_a_logged_mixture_is_not_extrapolation() -> None:
    runs = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])
    assert not beyond(runs, DOMAINS, np.round(runs.mean(axis=0), 5)).outside
    edge = runs[0] + np.array([1, -1, 0]) * 10 * ON_THE_HULL
    assert beyond(runs, DOMAINS, edge).outside


def test_a_domain_far_above_the_largest_proportion_seen_is_named_with_both_numbers() -> None:
    runs = np.array([[0.50, 0.10, 0.40], [0.70, 0.05, 0.25], [0.30, 0.10, 0.60]])
    found = beyond(runs, DOMAINS, np.array([0.4, 0.3, 0.3]))
    assert found.outside and found.far == {"code": pytest.approx(3.0)}
    said = extrapolations(runs, DOMAINS, {"mine": np.array([0.4, 0.3, 0.3]), "seen": runs[0]})
    assert "1 of 2 mixtures lies outside the hull of the runs ('mine')" in said[0]
    assert "'code' reaches 0.3 in 'mine'" in said[1] and "(0.1)" in said[1]


def test_a_domain_no_run_trained_on_is_infinitely_far() -> None:
    runs = np.array([[0.5, 0.0, 0.5], [0.7, 0.0, 0.3]])
    assert beyond(runs, DOMAINS, np.array([0.5, 0.1, 0.4])).far == {"code": float("inf")}


def test_nothing_is_said_of_mixtures_among_the_runs() -> None:
    runs = np.eye(3)
    assert extrapolations(runs, DOMAINS, {"a": np.array([0.2, 0.3, 0.5]), "b": runs[0]}) == ()
