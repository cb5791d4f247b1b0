"""Laws that are not convex are searched, never certified."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.limits import Limits
from mixlaw.optimize import find
from mixlaw.optimize.find import optimize
from mixlaw.optimize.nonconvex import search
from mixlaw.optimize.optimum import Optimum
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.runs import check_runs

DOMAINS = ("a", "b", "c")
WELLS = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])


@dataclass(frozen=True)
class TwoWells(MixingLaw):
    """Squared distance from the nearer of two mixtures, the second well deeper by 0.01: neither convex nor smooth."""

    kind = "two wells"

    @classmethod
    def fit(cls, domains: Any, targets: Any, proportions: Any, losses: Any) -> MixingFit:
        raise NotImplementedError

    def predict(self, proportions: np.ndarray) -> np.ndarray:
        distances = ((proportions[:, None] - WELLS) ** 2).sum(axis=2) - np.array([0.0, 0.01])
        return 2 + distances.min(axis=1)[:, None] * np.ones(len(self.targets))

    def slope(self, proportions: np.ndarray) -> np.ndarray:
        raise AssertionError("the search needs no slopes")

    @classmethod
    def identifiable(cls, domain_count: int) -> int:
        return 0

    def parameters(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_parameters(cls, domains: Any, targets: Any, parameters: Mapping[str, Any]) -> Self:
        return cls(domains, targets)


LAW = TwoWells(DOMAINS, ("t",))


def test_the_deeper_well_is_found_and_the_other_reported() -> None:
    program = Program.mean(LAW, Limits.simplex(DOMAINS), np.ones(1))
    found = search(program, WELLS[:1])
    assert found.proportions == pytest.approx(WELLS[1], abs=2e-4)
    assert found.value == pytest.approx(1.99, abs=1e-6)
    assert max(found.others) == pytest.approx(2.0, abs=1e-6)


def test_the_search_keeps_every_limit() -> None:
    limits = Limits.of(DOMAINS, caps={"c": 0.5}, floors={"b": 0.25}).with_rows(
        np.array([[1.0, 0.0, -1.0]]), np.array([-0.2]), ("c >= a + 0.2",)
    )
    ceilings = Ceilings.of(np.zeros((1, 1)), np.array([0.05]), kl=1.0)
    program = Program.mean(LAW, limits, np.ones(1), prior=np.array([0.2, 0.4, 0.4]), ceilings=ceilings)
    found = search(program, WELLS)
    assert program.violation(found.proportions) <= 1e-9


def test_a_row_keeps_the_search_from_the_deeper_well() -> None:
    limits = Limits.simplex(DOMAINS).with_rows(np.array([[0.0, 0.0, 1.0]]), np.array([0.55]), ("c <= 0.55",))
    found = search(Program.mean(LAW, limits, np.ones(1)), WELLS)
    assert limits.allows(found.proportions)
    assert found.proportions == pytest.approx(WELLS[0], abs=1e-3)


def test_the_search_is_deterministic() -> None:
    program = Program.mean(LAW, Limits.simplex(DOMAINS), np.ones(1))
    first, second = search(program, WELLS), search(program, WELLS)
    assert np.array_equal(first.proportions, second.proportions) and first.others == second.others


@pytest.fixture(scope="module")
def two_wells() -> Iterator[Law]:
    """A fitted law whose mixing law at scale is the one with two wells."""
    mixtures = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    frame = pd.DataFrame(mixtures, columns=[f"mix.{name}" for name in DOMAINS])
    frame["loss.t"] = LAW.predict(mixtures)[:, 0]
    frame["run"], frame["params"], frame["tokens"] = frame.index.astype(str), 1_000_000, 10_000_000
    law = fit(check_runs(frame), "exponential")
    at = law.at()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Law, "at", lambda *_, **__: replace(at, law=LAW))
        yield law


@pytest.fixture(scope="module")
def found(two_wells: Law) -> Optimum:
    return optimize(two_wells)


def test_an_optimum_of_a_law_that_is_not_convex_is_never_certified(found: Optimum) -> None:
    assert not found.certified
    assert found.gap is None and found.lower_bound is None
    assert found.mixture.proportions == pytest.approx(WELLS[1], abs=1e-3)
    assert found.near_optimal == {} and found.active == ()
    assert "is not convex: this is the best of 12 searches" in found.warnings[0]


def test_the_certified_optimum_of_the_best_convex_law_stands_beside_it(found: Optimum) -> None:
    beside = found.convex_optimum
    assert beside is not None and beside.certified
    assert beside.origin["law"] in find.CANDIDATES
    assert beside.gap is not None and beside.gap <= 1e-9


def test_limits_the_search_cannot_meet_are_refused_with_how_much_is_lacking(two_wells: Law) -> None:
    lacking = optimize(two_wells).loss - 1.5
    with pytest.raises(Refused, match="no mixture that keeps every limit") as refusal:
        optimize(two_wells, at_most={"t": 1.5})
    said = re.findall(r"the nearest exceeds the loss of 't' by ([\d.]+) nats", str(refusal.value))
    assert [float(nats) for nats in said] == pytest.approx([lacking], abs=1e-3)
