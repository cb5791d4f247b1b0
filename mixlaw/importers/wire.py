"""Protocol Buffers, as far as reading logs needs them.

The wire format is fixed for good, and a message's field numbers never change meaning, so a log can be read without the
library that wrote it: a message is a series of fields, each a number, a kind and a value (Protocol Buffers Encoding,
protobuf.dev/programming-guides/encoding). Unknown fields are read over.
"""

import struct
from collections.abc import Iterator


class Damaged(ValueError):
    """Bytes that are no message: a truncated or corrupted log."""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The (number, value) of every field: integers as they stand, all else as bytes.

    Raises:
        Damaged: where the message ends early or holds what no message can.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise Damaged(f"a field of kind {kind}")
        if place + size > len(message):
            raise Damaged("a field longer than its message")
        yield number, message[place : place + size]
        place += size


def submessages(message: bytes, number: int) -> Iterator[bytes]:
    """Values of the fields of one number that hold bytes: text, messages, fixed-size numbers."""
    return (value for found, value in fields(message) if found == number and isinstance(value, bytes))


def last(message: bytes, number: int) -> int | bytes | None:
    """The last value of a field, as the format has it for a field that is no list; none if absent."""
    values = [value for found, value in fields(message) if found == number]
    return values[-1] if values else None


def text(value: int | bytes | None) -> str:
    """A field that holds text; empty if absent."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else ""


def number(value: bytes) -> float:
    """A field that holds a 32-bit or 64-bit floating-point number."""
    return float(struct.unpack("<f" if len(value) == 4 else "<d", value)[0])


def signed(value: int) -> int:
    """An integer field as two's complement of 64 bits: how int32 and int64 are written."""
    return value - (1 << 64) if value >= 1 << 63 else value


def zigzag(value: int) -> int:
    """An integer field of kind sint32 or sint64."""
    return (value >> 1) ^ -(value & 1)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise Damaged("a number cut short")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise Damaged("a number of more than ten bytes")
