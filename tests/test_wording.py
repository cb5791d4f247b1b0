"""Numbers as people say them."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.limits import Limits
from mixlaw.wording import counted, from_words, in_words, is_are

PACKAGE = Path(__file__).parents[1] / "mixlaw"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 runs"), (1, "1 run"), (1.0, "1 run"), (0.5, "0.5 runs"), (24, "24 runs")]
)
def test_one_is_one_and_all_else_is_many(count: float, said: str) -> None:
    assert counted(count, "run") == said


def test_counts_of_tokens_have_letters() -> None:
    assert [in_words(count) for count in (850, 1.2e6, 4e12)] == ["850", "1.2M", "4T"]
    assert (is_are(1), is_are(2)) == ("is", "are")


@given(st.floats(1, 1e17))
def test_a_count_in_words_has_three_digits_and_no_exponent(count: float) -> None:
    assert re.fullmatch(r"[0-9.]+[kMBT]?", in_words(count))
    assert from_words(in_words(count)) == pytest.approx(count, rel=5.1e-3)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7B", 7e9),
        (" 1.4 T ", 1.4e12),
        ("350k", 350e3),
        ("10G", 1e10),
        ("1_000_000", 1e6),
        ("12.5%", 0.125),
        ("2e3", 2e3),
    ],
)
def test_numbers_are_understood_as_people_write_them(text: str, number: float) -> None:
    assert from_words(text) == pytest.approx(number, rel=1e-15)


@pytest.mark.parametrize("text", ["", "B", "seven", "7 bn", "-7B", "1,5", "nan", "inf", "7m", "1e", "0x10", "7BB"])
def test_what_could_be_read_in_two_ways_or_in_none_is_no_number(text: str) -> None:
    assert from_words(text) is None


def test_counts_said_in_words_are_understood_again() -> None:
    assert [from_words(in_words(count)) for count in (850, 1.2e6, 4e12, 3e9)] == [850, 1.2e6, 4e12, 3e9]


def test_one_epoch_is_one_epoch() -> None:
    limits = Limits.of(["a", "b"], available={"a": 1e9, "b": 4e9}, budget_tokens=4e9, max_epochs=1)
    assert limits.reasons["a"].startswith("1 epoch of 1B tokens")


def test_no_module_counts_lengths_without_the_plural_that_belongs() -> None:
    """`f"{len(x)} runs"` says "1 runs" some day; those that cannot be one are left as they are."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(
            r"\{(len|int|sum)\([^{}]*\)\} (runs|rows|values|points|mixtures|targets|columns)\b", path.read_text()
        )
    }
    assert not found - {"optimize/pareto.py", "launch/supervise.py", "report/sections/moved.py"}
