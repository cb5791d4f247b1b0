"""Protocol Buffers read back what was encoded, and damage is told from data."""

import contextlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixlaw.importers.wire import Damaged, every, fields, last, number, parse, signed, text, zigzag

Encoder = Callable[[Iterable[tuple[int, int | float | str | bytes]]], bytes]
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
content = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 2**64 - 1) | st.binary(max_size=200)), max_size=20)


@once
@given(content)
def test_fields_come_back_in_order(message: Encoder, content: list[tuple[int, int | bytes]]) -> None:
    assert list(fields(message(content))) == content


@once
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_called_damaged(message: Encoder, content: bytes) -> None:
    with contextlib.suppress(Damaged):
        list(fields(content))


def test_every_cut_of_a_message_is_read_up_to_it_or_called_damaged(message: Encoder) -> None:
    whole = message([(1, "text"), (2, 300), (16, 2.5)])
    kept = 0
    for place in range(len(whole)):
        try:
            kept += len(list(fields(whole[:place])))
        except Damaged:
            continue
    assert kept == 0 + 1 + 2  # only the cuts between fields are whole messages


def test_numbers_text_and_repeated_fields(message: Encoder) -> None:
    encoded = parse(message([(1, "first"), (3, 2.5), (1, "second"), (4, -7), (5, 13)]))
    assert text(last(encoded, 1)) == "second" and [text(value) for value in every(encoded, 1)] == ["first", "second"]
    assert [number(value) for value in every(encoded, 3)] == [2.5] and every(encoded, 4) == []
    assert last(encoded, 4) == 2**64 - 7 and signed(2**64 - 7) == -7 and zigzag(13) == -7 and zigzag(12) == 6
    assert last(encoded, 9) is None and text(None) == ""


def test_a_kind_that_no_message_has_is_damage() -> None:
    with pytest.raises(Damaged, match="kind 3"):
        list(fields(bytes([1 << 3 | 3])))
