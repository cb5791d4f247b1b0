"""What holds for every design: limits are met, longer begins with shorter, baselines come first."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixlaw.design import DESIGNS, sample
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, groups_of

DOMAINS = ("web", "code", "books", "wiki", "math")
NATURAL = Mixture.natural({"web": 700, "code": 150, "books": 100, "wiki": 40, "math": 10})


def rows(mixtures: dict[str, Mixture]) -> np.ndarray:
    return np.array([mixture.proportions for mixture in mixtures.values()])


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Floors and caps with room between them, around a mixture that meets them, and at times a linear limit."""
    weights = [draw(st.floats(0.05, 1)) for _ in DOMAINS]
    inside = np.array(weights) / sum(weights)
    floor = inside * [draw(st.sampled_from([0.0, 0.0, 0.5])) for _ in DOMAINS]
    cap = np.minimum(1, inside * [draw(st.sampled_from([1.5, 3.0, 100.0])) for _ in DOMAINS])
    count = draw(st.integers(0, 2))
    coefficients = np.array([[draw(st.integers(-2, 2)) for _ in DOMAINS] for _ in range(count)], dtype=float)
    coefficients = coefficients.reshape(count, len(DOMAINS))
    return Limits(DOMAINS, floor, cap, coefficients, coefficients @ inside + 0.1, {})


@pytest.mark.parametrize("method", [name for name in DESIGNS if name != "double-diminishing"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(limits=limits(), seed=st.integers(0, 3))
def test_every_mixture_meets_floors_caps_and_linear_limits(method: str, limits: Limits, seed: int) -> None:
    mixtures = sample(DOMAINS, 9, method=method, natural=NATURAL, limits=limits, seed=seed)
    assert len(mixtures) == 9
    for mixture in mixtures.values():
        proportions = np.array(mixture.proportions)
        assert limits.allows(proportions, tolerance=1e-12) and proportions.min() >= 0


@pytest.mark.parametrize("method", DESIGNS)
def test_a_longer_design_begins_with_the_shorter_one(method: str) -> None:
    short = sample(DOMAINS, 11, method=method, natural=NATURAL, seed=5)
    long = sample(DOMAINS, 24, method=method, natural=NATURAL, seed=5)
    assert list(long.items())[:11] == list(short.items())
    assert sample(DOMAINS, 11, method=method, natural=NATURAL, seed=6) != short


@pytest.mark.parametrize("method", DESIGNS)
def test_no_mixture_is_run_twice_by_accident(method: str) -> None:
    found = rows(sample(DOMAINS, 40, method=method, natural=NATURAL))
    apart = np.abs(found[:, None] - found[None]).sum(-1) / 2 + np.eye(len(found))
    assert apart.min() >= 0.002 and len(set(groups_of(found))) == 40


def test_natural_and_uniform_come_first_and_the_rest_are_numbered() -> None:
    mixtures = sample(DOMAINS, 6, natural=NATURAL)
    assert list(mixtures) == ["natural", "uniform", "m001", "m002", "m003", "m004"]
    assert mixtures["natural"] == NATURAL and mixtures["uniform"] == Mixture.uniform(DOMAINS)
    assert list(sample(DOMAINS, 3)) == ["uniform", "m001", "m002"]


def test_the_natural_mixture_follows_the_order_of_the_domains() -> None:
    backwards = sample(DOMAINS[::-1], 2, natural=NATURAL)["natural"]
    assert backwards.domains == DOMAINS[::-1] and backwards.as_dict() == NATURAL.as_dict()


def test_a_baseline_that_breaks_a_limit_is_left_out_rather_than_bent() -> None:
    limits = Limits.of(DOMAINS, caps={"web": 0.5})
    assert list(sample(DOMAINS, 3, natural=NATURAL, limits=limits)) == ["uniform", "m001", "m002"]


def test_equal_tokens_give_one_baseline_not_two() -> None:
    even = Mixture.natural(dict.fromkeys(DOMAINS, 5.0))
    assert list(sample(DOMAINS, 2, natural=even)) == ["natural", "m001"]


def test_draws_are_rounded_to_four_decimals_and_still_sum_to_one() -> None:
    drawn = rows(sample(DOMAINS, 24))[1:]
    assert np.abs(drawn * 1e4 - np.round(drawn * 1e4)).max() < 1e-9
    assert np.abs(drawn.sum(axis=1) - 1).max() < 1e-12


def test_half_of_the_default_design_fills_gaps_and_the_rest_is_even_or_natural_and_sparse() -> None:
    domains = [f"d{number}" for number in range(17)]
    # The uniform mixture took the first turn of the cycle, so the columns are gap, sparse, gap, even.
    gap, sparse, gap_3, even = rows(sample(domains, 121))[1:].max(axis=1).reshape(-1, 4).mean(axis=0)
    assert even < 0.25 < sparse < 0.45 < min(gap, gap_3)
    steep = Mixture.natural({name: 0.7**place for place, name in enumerate(domains)})
    near = rows(sample(domains, 122, natural=steep))[2:].reshape(-1, 4, 17)[:, 2].mean(axis=0)  # sparse, gap, near, gap
    assert near[:4].sum() > 0.45 and near[8:].sum() < 0.35  # even: 0.24 and 0.53


def test_the_default_design_copes_with_three_hundred_domains_of_equal_size() -> None:
    domains = [f"d{number}" for number in range(300)]
    assert len(sample(domains, 8, natural=Mixture.uniform(domains))) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"count": 0}, "0 mixtures"),
        ({"method": "maxmin"}, "did you mean 'maximin'"),
        ({"method": "natural"}, "the natural mixture, which is not known"),
        ({"natural": Mixture.uniform(["web", "cod"])}, "did you mean 'code'"),
        ({"limits": Limits.simplex(["a", "b"])}, "limits are for a, b"),
        ({"limits": Limits(DOMAINS, np.zeros(5), np.full(5, 0.1), np.zeros((0, 5)), np.zeros(0), {})}, "sum to 0.5"),
        (
            {"limits": Limits(DOMAINS, np.full(5, 0.2), np.ones(5), np.zeros((0, 5)), np.zeros(0), {})},
            "only 1 different mixture",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused(arguments: dict, said: str) -> None:
    with pytest.raises(Refused, match=said):
        sample(DOMAINS, **{"count": 8, **arguments})


def test_one_domain_is_nothing_to_mix() -> None:
    with pytest.raises(Refused, match="at least two domains"):
        sample(["web"], 4)
