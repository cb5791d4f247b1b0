"""Protocol Buffers, as far as reading logs needs them.

The wire format is fixed for good, and a message's field numbers never change meaning, so a log can be read without the
library that wrote it: a message is a series of fields, each a number, a kind and a value (Protocol Buffers Encoding,
protobuf.dev/programming-guides/encoding). Unknown fields are read over.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mixlaw.errors import Refused

Message = Mapping[int, Sequence[int | bytes]]
"""A message that has been parsed: the values of each field by its number."""


class Damaged(ValueError):
    """Bytes that are no message: a truncated or corrupted log."""


def read_bytes(path: Path) -> bytes:
    """A log's content; refused if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None


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


def parse(message: bytes) -> Message:
    """All values of every field by its number, in order.

    Raises:
        Damaged: as `fields` does.
    """
    parsed: dict[int, list[int | bytes]] = {}
    for number, value in fields(message):
        parsed.setdefault(number, []).append(value)
    return parsed


def every(message: Message, number: int) -> list[bytes]:
    """Values of a field that holds bytes: text, messages, numbers of fixed size."""
    return [value for value in message.get(number, ()) if isinstance(value, bytes)]


def last(message: Message, number: int) -> int | bytes | None:
    """The last value of a field, which is the one that counts where it is no list; none if absent."""
    values = message.get(number)
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
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        place += 1
        if byte < 0x80:
            return value | byte << shift, place
        value |= (byte & 0x7F) << shift
        shift += 7
    raise Damaged("a number cut short, or of more than ten bytes")
