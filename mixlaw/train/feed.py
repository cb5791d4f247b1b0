"""Batches of a pack: every member's next sequences, each from its own mixture and seed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixlaw.corpus.order import Order
from mixlaw.corpus.shards import Corpus
from mixlaw.errors import Refused
from mixlaw.mixture import Array
from mixlaw.train.device import Compute
from mixlaw.train.members import Member, Setting
from mixlaw.train.processes import ALONE, Processes

AHEAD = 4
"""Batches made before they are asked for, on a GPU."""

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """What a step reads.

    Attributes:
        tokens: (K, b, S + 1), int64: this process's sequences and the token after each.
        domains: (K, B), the domain of every sequence of all processes.
    """

    tokens: Tensor
    domains: Integers


class Feed:
    """What each member reads, and how much of each domain it has read: a function of the step and the mixtures so far.

    Args:
        members: of the pack.
        setting: of the study.
        corpus: opened.
        processes: that read slices of every batch.

    Attributes:
        counts: (M,), sequences that each domain may be read from.
        size: B, sequences of a step.
        share: which of them this process reads.
        orders: of each member, as far ahead as batches were made.

    Raises:
        Refused: for a batch that the processes cannot share evenly, or a domain without a sequence to read.
    """

    def __init__(
        self, members: Sequence[Member], setting: Setting, corpus: Corpus, processes: Processes = ALONE
    ) -> None:
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
        self.share = processes.share(self.size)
        self.orders = self._fresh()
        self._kept: tuple[int, list[dict[str, Any]]] = (0, [order.state() for order in self.orders])

    def _fresh(self) -> list[Order]:
        return [Order(share, self.counts, seed) for share, seed in zip(self.proportions, self.seeds, strict=True)]

    def totals(self, steps: int) -> Integers:
        """(K, M), sequences of each domain each member has read after `steps` if its mixture never changes."""
        orders = self._fresh()
        for order in orders:
            order.skip(steps * self.size)
        return np.stack([order.counts for order in orders])

    def read(self, step: int) -> Integers:
        """(K, M), sequences of each domain each member has read after a step since the last change of mixture."""
        return np.stack([order.counts for order in self._at(step)])

    def set_mixtures(self, step: int, proportions: Sequence[Array]) -> None:
        """After `step`, let every member read by other proportions; what domains are owed they stay owed."""
        self.orders = self._at(step)
        for order, share in zip(self.orders, proportions, strict=True):
            order.set_mixture(share)
        self._kept = (step, [order.state() for order in self.orders])

    @property
    def changed_after(self) -> int:
        """The step after which the mixture last changed; 0 where it never did."""
        return self._kept[0]

    def read_since_change(self, step: int) -> Integers:
        """(K, M), sequences of each domain each member has read after a step, those before the last change left out."""
        before = np.stack([Order.resume(state).counts for state in self._kept[1]])
        return self.read(step) - before

    def state(self) -> dict[str, Any]:
        """Where the orders were when the mixture last changed, as JSON."""
        return {"step": self._kept[0], "orders": self._kept[1]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`, at any step since."""
        self._kept = (state["step"], list(state["orders"]))

    def _at(self, step: int) -> list[Order]:
        """The orders after a step, without a look at how far ahead batches were made."""
        orders = [Order.resume(state) for state in self._kept[1]]
        for order in orders:
            order.skip((step - self._kept[0]) * self.size)
        return orders

    def batches(self, start: int, stop: int, compute: Compute) -> Iterator[Batch]:
        """Yield the batches of steps start + 1 to stop, on the device; the mixtures do not change between.

        On a GPU they are made ahead by a thread and copied while the device computes.
        """
        if self.orders[0].position != start * self.size:
            self.orders = self._at(start)
        made = self._made(stop - start)
        if compute.device.type != "cuda":
            yield from made
            return
        for batch in _ahead(made) if stop - start > 1 else made:
            yield replace(batch, tokens=batch.tokens.to(compute.device, non_blocking=True))

    def _made(self, steps: int) -> Iterator[Batch]:
        members, first, size = len(self.orders), self.share.start, self.share.stop - self.share.start
        for _ in range(steps):
            tokens = np.empty((members, size, self.length + 1), dtype=np.int64)
            every = np.empty((members, self.size), dtype=np.int64)
            for member, order in enumerate(self.orders):
                every[member], sequences = order.take(self.size)
                mine = every[member, self.share]
                for domain in np.unique(mine):
                    places = np.flatnonzero(mine == domain)
                    tokens[member, places] = self.sources[domain][sequences[first + places]]
            yield Batch(torch.from_numpy(tokens), every)


def _unique(counts: Integers, domains: Sequence[str], share: float) -> Integers:
    """(M,), sequences of each domain that a run may read when it may read a share of them."""
    kept: Integers = np.floor(share * counts).astype(np.int64)
    if (kept < 1).any():
        short = domains[int(np.argmin(kept))]
        raise Refused(
            f"with match_epochs a proxy may read {share:.2%} of the data, less than one sequence of '{short}'; "
            "shorten the sequences, train proxies on more tokens, or make more of that domain available"
        )
    return kept


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Make batches in a thread, a few ahead, in pinned memory; it ends with its reader, wherever that stops."""
    queue: Queue[Batch | BaseException | None] = Queue(AHEAD)
    stopped = Event()

    def fill() -> None:
        try:
            for batch in batches:
                queue.put(replace(batch, tokens=batch.tokens.pin_memory()))
                if stopped.is_set():
                    return
            queue.put(None)
        except BaseException as error:  # handed to the reader, which raises it
            queue.put(error)

    Thread(target=fill, daemon=True).start()
    try:
        while (batch := queue.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stopped.set()
        with suppress(Empty):  # makes room for the one batch that may wait for it
            queue.get_nowait()
