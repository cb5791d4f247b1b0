"""The critical proportion is the closed form's, and its interval is the loss's."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from random_programs import exponential_law

from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import LawAtScale
from mixlaw.laws.exponential import Exponential
from mixlaw.mixture import Mixture
from mixlaw.optimize.critical import critical, first_below
from mixlaw.runs import check_runs


@cache
def law_of(c: float, k: float, b: float, noise: float = 0.0) -> LawAtScale:
    """A fit to runs of c + exp(k x + b), x the proportion of the old domain."""
    share = np.linspace(0.05, 0.95, 12)
    loss = c + np.exp(k * share + b) + noise * np.random.default_rng(0).standard_normal(12)
    frame = pd.DataFrame({"mix.new": 1 - share, "mix.old": share, "loss.old": loss})
    frame["run"], frame["params"], frame["tokens"] = frame.index.astype(str), 1_000_000, 10_000_000
    at = fit(check_runs(frame), "exponential").at()
    if noise:
        return at
    exact = exponential_law(("new", "old"), ("old",), np.array([c]), np.array([[b, k + b]]))
    return replace(at, law=exact)


def test_the_critical_proportion_is_the_published_closed_form() -> None:
    """c = 2, k = -4, b = -1 and L0 = 2 + exp(-2): (ln(L0 - c) - b) / k = 1/4 (Ye et al. 2024)."""
    found = critical(law_of(2.0, -4.0, -1.0), "old", "old", 2 + np.exp(-2))
    assert found.proportion == pytest.approx(0.25, abs=1e-12)
    assert found.until == 1.0
    assert found.mixture.as_dict() == pytest.approx({"old": 0.25, "new": 0.75})


@pytest.mark.parametrize(
    ("c", "k", "b", "at_most"), [(1.0, -2.0, 0.5, 1.9), (0.0, -8.0, 1.0, 0.3), (3.0, -0.5, -1.0, 3.3)]
)
def test_the_crossing_is_exact_for_any_constants(c: float, k: float, b: float, at_most: float) -> None:
    found = critical(law_of(c, k, b), "old", "old", at_most)
    assert found.proportion == pytest.approx((np.log(at_most - c) - b) / k, abs=1e-12)


def test_the_interval_is_where_the_ends_of_the_losss_interval_cross() -> None:
    at = law_of(2.0, -4.0, -1.0, noise=0.003)
    found = critical(at, "old", "old", 2.135)
    assert found.low is not None and found.high is not None and found.low < found.proportion < found.high
    for share, side in ((found.low, -1), (found.high, 1)):
        mixture = np.array([[1 - share, share]])
        end = at.law.predict(mixture)[0, 0] + side * at.uncertainty.half_width(mixture, 0.9)[0, 0]
        assert end == pytest.approx(2.135, abs=1e-9)


def test_a_limit_that_is_always_kept_needs_no_old_data() -> None:
    assert critical(law_of(2.0, -4.0, -1.0), "old", "old", 2.5).proportion == 0.0


def test_too_much_of_a_domain_can_harm_and_is_said() -> None:
    at = law_of(2.0, -4.0, -1.0)
    both = exponential_law(("a", "b", "old"), ("old",), np.array([0.0]), np.array([[1.0, 1.0, 1.5]]))

    class Valley(Exponential):
        def predict(self, proportions: np.ndarray) -> np.ndarray:
            return 2 + (proportions[:, 2:] - 0.5) ** 2

    valley = Valley(both.domains, both.targets, both.irreducible, both.exponents, both.worst)
    at = replace(
        at,
        law=valley,
        uncertainty=replace(at.uncertainty, law=both, by_runs=np.zeros((1, 4, 1)), by_priors=np.zeros((1, 4, 4))),
        evidence=np.eye(3),
    )
    found = critical(at, "old", "old", 2.04, rest=Mixture(("a", "b"), (0.75, 0.25)))
    assert found.proportion == pytest.approx(0.3, abs=1e-9)
    assert found.until == pytest.approx(0.7, abs=1e-9)
    assert found.mixture.as_dict() == pytest.approx({"old": 0.3, "a": 0.525, "b": 0.175})


def test_a_proportion_beyond_the_runs_is_said() -> None:
    (warning,) = [
        text for text in critical(law_of(2.0, -4.0, -1.0), "old", "old", 2.36).warnings if "extrapolated" in text
    ]
    assert "between 0.05 and 0.95 of 'old'" in warning


def test_a_rest_that_no_run_had_is_said_though_the_old_domain_is_within_its_range() -> None:
    shares = np.random.default_rng(0).dirichlet([6.0, 3.0, 3.0], 16)
    frame = pd.DataFrame(shares, columns=["mix.old", "mix.code", "mix.web"])
    frame["loss.old"] = 2 + np.exp(-4 * shares[:, 0] - 1)
    frame["run"], frame["params"], frame["tokens"] = frame.index.astype(str), 1_000_000, 10_000_000
    at = fit(check_runs(frame), "exponential").at()
    level = float(frame["loss.old"].median())
    assert not any("hull" in text for text in critical(at, "old", "old", level).warnings)
    found = critical(at, "old", "old", level, rest=Mixture.of({"code": 1.0})).warnings
    assert any("outside the hull" in text and " of old" in text for text in found)
    assert not any("of 'old'" in text for text in found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"domain": "odl"}, "no domain is called 'odl'; did you mean 'old'"),
        ({"target": "new"}, "no target is called 'new'"),
        ({"at_most": 1.9}, "no proportion of 'old' keeps the loss of 'old' at 1.9: the smallest .* 2.0068"),
        ({"at_most": float("nan")}, "must be a positive number"),
        ({"interval": 90.0}, "between 0 and 1"),
        ({"rest": Mixture(("old", "new"), (0.5, 0.5))}, "holds 'old' itself"),
        ({"rest": Mixture(("nwe",), (1.0,))}, "no domain is called 'nwe'"),
    ],
)
def test_questions_without_an_answer_are_refused(asked: dict[str, object], message: str) -> None:
    given = {"domain": "old", "target": "old", "at_most": 2.1, **asked}
    with pytest.raises(Refused, match=message):
        critical(law_of(2.0, -4.0, -1.0), **given)  # type: ignore[arg-type]


def test_the_first_crossing_is_found_even_where_the_loss_wavers() -> None:
    def wave(share: np.ndarray) -> np.ndarray:
        return np.cos(12 * share)

    found = first_below(wave, 0.0)
    assert found == pytest.approx(np.pi / 24, abs=1e-12)
    assert first_below(wave, -2.0) is None
