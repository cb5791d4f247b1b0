"""Batches that are made ahead, as on a GPU, are those that are made when asked for; and nobody makes any unread."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mixlaw.train.feed import AHEAD, Batch, _ahead


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinned memory is for those who have a GPU."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)


def batches(count: int, made: list[int]) -> Iterator[Batch]:
    for number in range(count):
        made.append(number)
        yield Batch(torch.full((1, 1, 2), number), np.zeros((1, 1), dtype=np.int64))


def makers() -> int:
    return sum("fill" in thread.name for thread in threading.enumerate())


def ended() -> bool:
    for thread in threading.enumerate():
        if "fill" in thread.name:
            thread.join(timeout=20)
    return makers() == 0


def test_batches_come_in_their_order_and_to_the_last() -> None:
    found = [int(batch.tokens[0, 0, 0]) for batch in _ahead(batches(5 * AHEAD, []))]
    assert found == list(range(5 * AHEAD)) and ended()


@pytest.mark.parametrize("read", [1, AHEAD, 3 * AHEAD])
def test_whoever_stops_reading_ends_the_making(read: int) -> None:
    made: list[int] = []
    reader = _ahead(batches(1000, made))
    for _ in range(read):
        next(reader)
    assert makers() == 1
    reader.close()
    assert ended(), "a thread that waits for ever keeps what it made"
    assert len(made) <= read + AHEAD + 2


def test_what_goes_wrong_while_making_is_told_to_the_reader() -> None:
    def broken() -> Iterator[Batch]:
        yield from batches(1, [])
        raise OSError("the disk is gone")

    reader = _ahead(broken())
    next(reader)
    with pytest.raises(OSError, match="the disk is gone"):
        next(reader)
    assert ended()
