"""Batches of a pack: every member's next sequences, each from its own mixture and seed."""

from collections.abc import Iterator, Sequence
from queue import Queue
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixlaw.corpus.order import Order
from mixlaw.corpus.shards import Corpus
from mixlaw.errors import Refused
from mixlaw.train.device import Compute
from mixlaw.train.members import Member, Setting

AHEAD = 4
"""Batches made before they are asked for, on a GPU."""


class Feed:
    """What each member reads, and how much of each domain it has read.

    Args:
        members: of the pack.
        setting: of the study.
        corpus: opened.
    """

    def __init__(self, members: Sequence[Member], setting: Setting, corpus: Corpus) -> None:
        length = setting.training.sequence_length
        self.sources = [corpus.sequences(domain, "train", length) for domain in setting.domains]
        self.counts = _unique(
            corpus.sequence_counts(length, setting.available_tokens, setting.domains),
            setting.domains,
            members[0].unique,
        )
        self.proportions = [member.mixture.aligned(setting.domains) for member in members]
        self.seeds = [member.seed for member in members]
        self.length, self.size = length, setting.training.batch_tokens // length

    def orders(self) -> list[Order]:
        """Every member's order of sequences, from the start."""
        return [Order(share, self.counts, seed) for share, seed in zip(self.proportions, self.seeds, strict=True)]

    def totals(self, steps: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """(K, M), sequences of each domain each member has read after `steps`."""
        orders = self.orders()
        for order in orders:
            order.skip(steps * self.size)
        return np.stack([order.counts for order in orders])

    def batches(self, start: int, stop: int, compute: Compute) -> Iterator[Tensor]:
        """Yield the batches of steps start + 1 to stop, each (K, B, S + 1) int64 on the device.

        On a GPU they are made ahead by a thread and copied while the device computes.
        """
        made = self._made(start, stop)
        if compute.device.type != "cuda":
            yield from made
            return
        for batch in _ahead(made):
            yield batch.to(compute.device, non_blocking=True)

    def _made(self, start: int, stop: int) -> Iterator[Tensor]:
        orders = self.orders()
        for order in orders:
            order.skip(start * self.size)
        batch = np.empty((len(orders), self.size, self.length + 1), dtype=np.int64)
        for _ in range(start, stop):
            for member, order in enumerate(orders):
                domains, sequences = order.take(self.size)
                for domain in np.unique(domains):
                    places = domains == domain
                    batch[member, places] = self.sources[domain][sequences[places]]
            yield torch.from_numpy(batch.copy())


def _unique(counts: NDArray[np.int64], domains: Sequence[str], share: float) -> NDArray[np.int64]:
    """(M,), sequences of each domain that a run may read when it may read a share of them."""
    kept: NDArray[np.int64] = np.floor(share * counts).astype(np.int64)
    if (kept < 1).any():
        short = domains[int(np.argmin(kept))]
        raise Refused(
            f"with match_epochs a proxy may read {share:.2%} of the data, less than one sequence of '{short}'; "
            "shorten the sequences, train proxies on more tokens, or make more of that domain available"
        )
    return kept


def _ahead(batches: Iterator[Tensor]) -> Iterator[Tensor]:
    """Make batches in a thread, a few ahead, in pinned memory."""
    queue: Queue[Tensor | BaseException | None] = Queue(AHEAD)

    def fill() -> None:
        try:
            for batch in batches:
                queue.put(batch.pin_memory())
            queue.put(None)
        except BaseException as error:  # handed to the reader, which raises it
            queue.put(error)

    Thread(target=fill, daemon=True).start()
    while (batch := queue.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        yield batch
