"""Repeats are worth what the published law says, and the discounted problem is still convex and certified."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.fitting.law import Law
from mixlaw.laws.base import Curvature, MixingFit, MixingLaw
from mixlaw.limits import Limits, Supply
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.program import Program
from mixlaw.optimize.repetition import Discounted, discounted, worth_of
from mixlaw.surfaces.repetition import TOKEN_LIFETIME


@dataclass(frozen=True)
class Falling(MixingLaw):
    """1 + 1 / sum_j a_j (r_j + 0.001)^0.5: convex, and falling with more of any domain."""

    amounts: np.ndarray

    kind = "reciprocal"

    @classmethod
    def fit(cls, domains: Any, targets: Any, proportions: Any, losses: Any) -> MixingFit:
        raise NotImplementedError

    def predict(self, proportions: np.ndarray) -> np.ndarray:
        return 1 + 1 / (np.sqrt(proportions + 1e-3) @ self.amounts.T)

    def slope(self, proportions: np.ndarray) -> np.ndarray:
        powers = np.sqrt(proportions + 1e-3)
        return -(self.amounts * 0.5 / powers) / ((self.amounts @ powers) ** 2)[:, None]

    def curvature(self, proportions: np.ndarray, weights: np.ndarray) -> Curvature:
        powers = np.sqrt(proportions + 1e-3)
        total = self.amounts @ powers
        root = np.sqrt(2 * weights / total**3)[:, None] * self.amounts * 0.5 / powers
        return Curvature(root, (weights / total**2) @ self.amounts * 0.25 / powers**3)

    @property
    def convex(self) -> np.ndarray:
        return np.ones(len(self.targets), dtype=bool)

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        return domain_count

    def parameters(self) -> dict[str, Any]:
        return {"amounts": self.amounts.tolist()}

    @classmethod
    def from_parameters(cls, domains: Any, targets: Any, parameters: Mapping[str, Any]) -> Self:
        raise NotImplementedError


def law_of(seed: int, domains: int = 5, targets: int = 3) -> Discounted:
    random = np.random.default_rng(seed)
    names = tuple(f"d{j}" for j in range(domains)), tuple(f"t{v}" for v in range(targets))
    base = Falling(*names, random.exponential(size=(targets, domains)))
    return Discounted(*names, base, random.dirichlet(np.ones(domains)) * 0.5)


def test_repeats_are_worth_what_was_published() -> None:
    """Multiples of one pass for 1, 2, 4, 8, 16 and 40 passes (Muennighoff et al. 2023), to the digits on file."""
    passes = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 40.0])
    worth = worth_of(passes[:, None] * 0.01, np.array([0.01]))[:, 0] / 0.01
    assert worth == pytest.approx([1, 1.968, 3.726, 6.624, 10.582, 15.167], abs=5e-4)
    assert pytest.approx(15.387756) == TOKEN_LIFETIME


def test_the_first_pass_counts_in_full_and_none_of_nothing_is_nothing() -> None:
    fresh = np.array([0.5, 0.0, 0.2])
    assert worth_of(np.array([0.3, 0.0, 0.2]), fresh) == pytest.approx([0.3, 0.0, 0.2], abs=1e-15)
    assert worth_of(np.array([0.0, 0.4, 0.0]), fresh)[1] < 1e-290
    assert worth_of(np.array([0.0, 0.0, 1e9]), fresh)[2] == pytest.approx(0.2 * (1 + TOKEN_LIFETIME))


@given(st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_a_falling_convex_law_stays_convex_when_repeats_are_discounted(seed: int) -> None:
    random = np.random.default_rng(seed)
    law = law_of(seed)
    ends = random.dirichlet(np.full(5, 0.4), 2)
    middle = law.predict(ends.mean(axis=0)[None])[0]
    assert (middle <= law.predict(ends).mean(axis=0) + 1e-12).all()


@pytest.mark.parametrize("seed", range(8))
def test_slope_and_curvature_are_the_derivatives(seed: int) -> None:
    law, random = law_of(seed), np.random.default_rng(seed)
    at, step = random.dirichlet(np.ones(5)), 1e-6
    weights = random.random(3)
    slope = (law.predict(at + step * np.eye(5)) - law.predict(at - step * np.eye(5))).T / (2 * step)
    assert law.slope(at) == pytest.approx(slope, rel=1e-5, abs=1e-7)
    found = law.curvature(at, weights)
    hessian = found.root.T @ found.root + np.diag(found.diagonal)
    rows = [(weights @ (law.slope(at + step * e) - law.slope(at - step * e))) / (2 * step) for e in np.eye(5)]
    assert hessian == pytest.approx(np.array(rows), rel=1e-4, abs=1e-5)
    assert (found.diagonal >= 0).all()


@pytest.mark.parametrize("seed", range(30))
def test_the_optimum_with_repeats_is_certified(seed: int) -> None:
    law = law_of(seed, domains=12, targets=4)
    best = solve(Program.mean(law, Limits.simplex(law.domains), np.full(4, 0.25)))
    assert best.gap <= 1e-9
    drawn = np.random.default_rng(seed).dirichlet(np.ones(12), 500)
    assert best.value <= law.predict(drawn).mean(axis=1).min() + 1e-9


def test_a_discount_moves_the_optimum_away_from_what_is_scarce() -> None:
    names = ("scarce", "plenty"), ("t",)
    base = Falling(*names, np.array([[2.0, 1.0]]))
    plain = solve(Program.mean(base, Limits.simplex(names[0]), np.ones(1)))
    seen = solve(Program.mean(Discounted(*names, base, np.array([0.05, 1.0])), Limits.simplex(names[0]), np.ones(1)))
    assert 0.05 < seen.proportions[0] < plain.proportions[0] - 0.05
    assert seen.value > plain.value


def test_only_laws_that_stay_convex_are_discounted(law: Law) -> None:
    with pytest.raises(Refused, match="give --available and --tokens"):
        discounted(law.at(), None)
    supply = Supply(np.array([1e6, 1e6, 1e7]), 1e7, 4.0)
    with pytest.raises(Refused, match=r"under the exponential law more of a domain can raise a loss.*--law reciprocal"):
        discounted(law.at(), supply)
    base = Falling(law.domains, law.targets, np.ones((2, 3)))
    at = discounted(replace(law.at(), law=base), supply)
    assert isinstance(at.law, Discounted) and at.uncertainty.law is at.law
    assert at.law.fresh == pytest.approx([0.1, 0.1, 1.0])
