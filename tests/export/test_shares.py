"""Units are converted, and what is written sums to exactly 1."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.errors import Refused
from mixlaw.export.base import Unit, decimal_text
from mixlaw.export.shares import exact_decimals, shares, tokens_without_repeats
from mixlaw.export.sizes import Size
from mixlaw.mixture import Mixture

MIXTURE = Mixture.of({"code": 0.5, "web": 0.3, "books": 0.2, "forums": 0.0})
SIZES = {"code": Size(1e9, 4e6), "web": Size(3e9, 6e6), "books": Size(2e9, 1e4)}

positive = st.floats(min_value=1e-12, max_value=1e6)


@given(st.lists(positive, min_size=1, max_size=40))
def test_written_decimals_sum_to_exactly_one_and_stay_within_one_unit_of_the_truth(values: list[float]) -> None:
    parts = {str(number): value for number, value in enumerate(values)}
    written = exact_decimals(parts)
    assert sum(Decimal(decimal_text(value)) for value in written.values()) == 1
    for name, value in parts.items():
        assert abs(written[name] - value / sum(values)) < 2e-15 * len(values)


@given(st.floats(min_value=0, max_value=1))
def test_decimal_text_reads_back_to_the_same_bits_without_an_exponent(number: float) -> None:
    text = decimal_text(number)
    assert float(text) == number and "e" not in text.lower() and "." in text


def test_a_third_three_times_is_accepted_where_a_sum_of_one_is_demanded() -> None:
    thirds = shares(Mixture.uniform(["a", "b", "c"]), Unit.SEQUENCES, {})
    assert abs(sum(thirds.values()) - 1) < 1e-15


@pytest.mark.parametrize("unit", [Unit.TOKENS, Unit.SEQUENCES])
def test_shares_of_tokens_and_of_equal_sequences_are_the_mixture(unit: Unit) -> None:
    assert shares(MIXTURE, unit, {}) == pytest.approx(MIXTURE.as_dict(), abs=1e-15)


def test_drawing_documents_by_the_converted_shares_reads_the_tokens_of_the_mixture() -> None:
    converted = shares(MIXTURE, Unit.DOCUMENTS, SIZES)
    read = {domain: converted[domain] * SIZES[domain].tokens / SIZES[domain].documents for domain in SIZES}
    assert {domain: tokens / sum(read.values()) for domain, tokens in read.items()} == pytest.approx(
        {"code": 0.5, "web": 0.3, "books": 0.2}, abs=1e-10
    )
    assert converted["books"] < 0.001  # 200,000 tokens a document: a share of 0.2 would nearly all be books


def test_keeping_fractions_reads_the_tokens_of_the_mixture_and_uses_up_one_domain() -> None:
    fractions = shares(MIXTURE, Unit.FRACTION, SIZES)
    kept = {domain: fractions[domain] * SIZES[domain].tokens for domain in SIZES}
    assert max(fractions.values()) == 1.0
    assert sum(kept.values()) == pytest.approx(tokens_without_repeats(MIXTURE, SIZES))
    assert kept["code"] / sum(kept.values()) == pytest.approx(0.5, abs=1e-12)


def test_a_smaller_budget_keeps_smaller_fractions() -> None:
    halved = shares(MIXTURE, Unit.FRACTION, SIZES, budget_tokens=1e9)
    assert halved["code"] == pytest.approx(0.5) and halved["web"] == pytest.approx(0.1)


def test_sizes_that_a_unit_needs_are_not_guessed() -> None:
    with pytest.raises(Refused, match=r"documents of 'code' are not known.*--available"):
        shares(MIXTURE, Unit.DOCUMENTS, {"code": Size(1e9)})
    with pytest.raises(Refused, match=r"tokens of 'code' are not known.*--available"):
        shares(MIXTURE, Unit.FRACTION, {})


def test_a_domain_of_proportion_zero_needs_no_size() -> None:
    assert shares(MIXTURE, Unit.DOCUMENTS, SIZES)["forums"] == 0.0
