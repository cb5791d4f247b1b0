"""Limits allow what they say, and refuse what no mixture meets, naming which and by how much."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.limits import Limits

NAMES = ("web", "code", "books")


def test_the_cap_is_the_least_of_the_cap_and_the_epochs_allowed() -> None:
    limits = Limits.of(
        NAMES,
        caps={"web": 0.5, "code": 0.3},
        available={"web": 1e9, "code": 1e10, "books": 2e9},
        budget_tokens=1e10,
        max_epochs=4,
    )
    assert limits.cap == pytest.approx([0.4, 0.3, 0.8])
    assert limits.reasons == {
        "web": "4 epochs of 1B tokens in 10B",
        "code": "cap 0.3",
        "books": "4 epochs of 2B tokens in 10B",
    }


def test_supply_counts_epochs_and_knows_the_natural_mixture() -> None:
    limits = Limits.of(NAMES, available={"web": 6e9, "code": 3e9, "books": 1e9}, budget_tokens=1e10, max_epochs=4)
    assert limits.supply is not None
    assert limits.supply.natural() == pytest.approx([0.6, 0.3, 0.1])
    assert limits.supply.epochs(np.array([0.3, 0.6, 0.1])) == pytest.approx([0.5, 2.0, 1.0])


def test_a_domain_without_tokens_is_capped_at_nothing_and_read_no_times() -> None:
    limits = Limits.of(NAMES, available={"web": 1e9, "code": 1e9, "books": 0}, budget_tokens=1e9)
    assert limits.cap[2] == 0
    assert limits.supply is not None
    assert limits.supply.epochs(np.array([0.5, 0.5, 0.0]))[2] == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"caps": {"cod": 0.3}}, "no domain is called 'cod'; did you mean 'code'"),
        ({"caps": {"code": 30}}, "the cap of 'code' is 30; .* for 30% write 0.3"),
        ({"caps": {"code": 3e9}}, r"the cap of 'code' is 3e\+09; .* tokens are given with --available"),
        ({"caps": {"code": -0.1}}, "between 0 and 1"),
        ({"caps": {"code": float("nan")}}, "between 0 and 1"),
        ({"floors": {"code": 0.4}, "caps": {"code": 0.3}}, "floor of 'code' is 0.4, above its cap of 0.3"),
        ({"floors": {"code": 0.6, "web": 0.5}}, "floors sum to 1.1, above 1; lower them by 0.1"),
        ({"caps": {"code": 0.3, "web": 0.3, "books": 0.33}}, "caps sum to 0.93, below 1: .* raise them by 0.07"),
        ({"available": dict.fromkeys(NAMES, 1e9)}, "give --tokens"),
        ({"available": dict.fromkeys(NAMES, 1e9), "budget_tokens": float("inf")}, "give --tokens"),
        ({"available": {"web": 1e9, "code": 1e9}, "budget_tokens": 1e9}, "not given for books"),
        ({"available": {**dict.fromkeys(NAMES, 1e9), "wiki": 1}, "budget_tokens": 1e9}, "no domain is called 'wiki'"),
        ({"available": {**dict.fromkeys(NAMES, 1e9), "web": -1}, "budget_tokens": 1e9}, "of 'web' are -1"),
        ({"available": dict.fromkeys(NAMES, 1e8), "budget_tokens": 1e9}, "caps sum to 0.3, below 1.* fewer tokens"),
        ({"available": dict.fromkeys(NAMES, 1e9), "budget_tokens": 1e9, "max_epochs": 0}, "max epochs is 0"),
    ],
)
def test_what_no_mixture_meets_is_refused_with_the_reason(asked: dict[str, object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Limits.of(NAMES, **asked)  # type: ignore[arg-type]


def test_contradictory_rows_are_named_with_the_least_relaxation_that_would_do() -> None:
    limits = Limits.of(NAMES, floors={"code": 0.3}, caps={"books": 0.5})
    with pytest.raises(Refused) as refused:
        limits.with_rows(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), np.array([0.45, 0.4]), ("a", "b"))
    said = str(refused.value)
    assert "a" in said and "b" in said and "books" not in said and "code" not in said
    assert "by 0.15" in said


def test_rows_against_floors_name_the_floors() -> None:
    limits = Limits.of(NAMES, floors={"code": 0.3, "web": 0.1})
    with pytest.raises(Refused, match=r"code \+ web <= 0.2; web >= 0.1; code >= 0.3; .*relax.*by 0.2"):
        limits.with_rows(np.array([[1.0, 1.0, 0.0]]), np.array([0.2]), ("code + web <= 0.2",))


def test_no_limit_is_to_be_relaxed_beyond_what_a_proportion_can_be() -> None:
    limits = Limits.of(NAMES, floors={"code": 0.3, "web": 0.1})
    with pytest.raises(Refused) as refused:
        limits.with_rows(np.array([[1.0, 1.0, 0.0]]), np.array([0.1]), ("code + web <= 0.1",))
    relaxed = re.findall(r"'\w+ >= ([\d.]+)' by ([\d.]+)", str(refused.value))
    assert all(float(amount) <= float(floor) + 1e-9 for floor, amount in relaxed)
    assert re.search(r"by 0\.3", str(refused.value)) or len(relaxed) > 1


@given(st.integers(0, 100_000))
@settings(max_examples=60, deadline=None)
def test_limits_around_a_mixture_are_never_refused_and_allow_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    inside = random.dirichlet(np.ones(3))
    rows = random.normal(size=(2, 3))
    limits = Limits.of(
        NAMES,
        floors=dict(zip(NAMES, inside * random.random(3), strict=True)),
        caps=dict(zip(NAMES, np.minimum(1, inside + random.random(3)), strict=True)),
    ).with_rows(rows, rows @ inside, ("a", "b"))
    assert limits.allows(inside)
    assert limits.violation(inside) <= 1e-15
    assert not limits.allows(np.roll(inside, 1) + 0.01)


def test_the_order_of_domains_can_be_changed_and_unknown_ones_are_refused() -> None:
    limits = Limits.of(
        NAMES, caps={"web": 0.6}, available=dict(zip(NAMES, (3e9, 2e9, 1e9), strict=True)), budget_tokens=4e9
    )
    turned = limits.with_rows(np.array([[1.0, 2.0, 3.0]]), np.array([2.5]), ("r",)).ordered(("books", "web", "code"))
    assert turned.cap == pytest.approx([0.25, 0.6, 0.5])
    assert turned.rows[0] == pytest.approx([3.0, 1.0, 2.0])
    assert turned.supply is not None and turned.supply.tokens == pytest.approx([1e9, 3e9, 2e9])
    with pytest.raises(Refused, match="limits are for web, code, books"):
        limits.ordered(("web", "code"))


def test_lower_caps_say_why() -> None:
    limits = Limits.of(NAMES, caps={"web": 0.2}).with_caps(np.array([0.3, 0.6, 1.0]), "because")
    assert limits.cap == pytest.approx([0.2, 0.6, 1.0])
    assert limits.reasons == {"web": "cap 0.2", "code": "because"}
