"""Which sequence is trained on next: a function of (mixture, seed, position) and nothing else."""

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixlaw.errors import Refused

Integers = NDArray[np.int64]

WHOLE = 1 << 48
"""One sequence, in the integer units of proportions and credits; a power of two, so that floats scale exactly."""

AT_ONCE = 1 << 16
"""Sequences that are passed over at a time, so that skipping far takes no memory."""


class Order:
    """The order of sequences of one training run, resumable at any position.

    Which domain comes next is Tijdeman's chairman assignment (R. Tijdeman 1980, "The chairman assignment problem",
    Discrete Mathematics 32): a domain may be drawn once its credit (sequences owed minus sequences drawn) reaches
    1 / (2(M - 1)), has to be drawn before it passes 1 - 1 / (2(M - 1)), and of those that may, the one that has to be
    drawn soonest is. So long as the mixture does not change, every prefix is within one sequence of it:

        |counts[j] - position * proportions[j]| <= 1 - 1 / (2(M - 1)) < 1   for every domain j and every position.

    `set_mixture` keeps the credits, so a run whose proportions move still follows their sum. Where two domains are due
    at once, which only a change can cause, the larger credit is drawn: then, however often the mixture changes among
    positive proportions, none is ahead by a whole sequence or behind by as much as 1 + 1/2 + ... + 1/M (the bound of
    the cup game: Adler et al. 2003, "A proportionate fair scheduling rule with good worst-case performance"). A domain
    whose proportion falls to 0 is not drawn, and keeps what it is owed until it has a proportion again.

    Which sequence of the domain comes next is a permutation, a new one each epoch, made from (seed, domain, epoch)
    alone by the raw counter-based Philox stream (Salmon et al. 2011), which numpy keeps the same across versions.
    Credits are integers in units of 2^-48 sequence, so the order is the same on every machine.

    Args:
        proportions: (M,), shares of sequences, at least 0; they are divided by their sum.
        sequences: (M,), how many sequences each domain may draw from; its epoch length.
        seed: of the permutations, 0 to 2^64 - 1.

    Attributes:
        position: sequences drawn so far.
        seed: as given.
        sequences: (M,), as given.

    Raises:
        Refused: for shapes that differ, a proportion below 0 or not finite, or a domain with a proportion and no
            sequence.
    """

    def __init__(self, proportions: ArrayLike, sequences: ArrayLike, seed: int) -> None:
        self.sequences: Integers = np.array(sequences, dtype=np.int64)
        if self.sequences.ndim != 1 or not self.sequences.size or (self.sequences < 0).any():
            raise Refused(f"an order needs one sequence count of at least 0 per domain; got {sequences!r}")
        if not 0 <= seed < 1 << 64:
            raise Refused(f"the seed of an order is {seed}; it must be a whole number from 0 to 2^64 - 1")
        self.seed = int(seed)
        self.position = 0
        self._counts = [0] * len(self.sequences)
        self._shares = _shares(proportions, self.sequences)
        self._credits = [0] * len(self._shares)
        self._lengths: list[int] = self.sequences.tolist()
        self._permutations: dict[int, tuple[int, Integers]] = {}
        self._schedule()

    @property
    def proportions(self) -> NDArray[np.float64]:
        """(M,), the mixture drawn from now on, within M x 2^-48 of what was given."""
        return np.array(self._shares) / WHOLE

    @property
    def counts(self) -> Integers:
        """(M,), sequences drawn so far of each domain."""
        return np.array(self._counts, dtype=np.int64)

    @property
    def credit(self) -> NDArray[np.float64]:
        """(M,), sequences owed to each domain by all proportions so far, minus those drawn; sums to 0."""
        return np.array(self._owed()) / WHOLE

    @property
    def epochs(self) -> NDArray[np.float64]:
        """(M,), passes over each domain so far; 0 for a domain with no sequence."""
        return self.counts / np.maximum(self.sequences, 1)

    @property
    def realised(self) -> NDArray[np.float64]:
        """(M,), share of each domain in what was drawn so far; the proportions before anything was."""
        return self.counts / self.position if self.position else self.proportions

    def take(self, count: int) -> tuple[Integers, Integers]:
        """Draw the next `count` sequences.

        Returns:
            domains: (count,), index of the domain each comes from.
            sequences: (count,), index of the sequence in its domain, below `sequences[domain]`.
        """
        domains = self._draw(count)
        sequences = np.array([self._next(domain) for domain in domains], dtype=np.int64)
        self.position += count
        return np.array(domains, dtype=np.int64), sequences

    def skip(self, count: int) -> None:
        """Pass over the next `count` sequences, as if they had been taken."""
        for start in range(0, count, AT_ONCE):
            for domain in self._draw(min(AT_ONCE, count - start)):
                self._counts[domain] += 1
        self.position += count

    def set_mixture(self, proportions: ArrayLike) -> None:
        """Draw by another mixture from here on; what is owed by the mixtures so far stays owed."""
        shares = _shares(proportions, self.sequences)
        self._credits = self._owed()
        self._shares = shares
        self._schedule()

    def state(self) -> dict[str, Any]:
        """Everything `resume` needs, as JSON: integers and lists of integers, of a size that does not grow."""
        return {
            "seed": self.seed,
            "position": self.position,
            "sequences": self.sequences.tolist(),
            "counts": list(self._counts),
            "shares": list(self._shares),
            "credits": self._owed(),
        }

    @classmethod
    def resume(cls, state: Mapping[str, Any]) -> "Order":
        """The order as it was when `state` was taken: it goes on with the same domains and sequences."""
        order = cls(np.array(state["shares"]) / WHOLE, state["sequences"], state["seed"])
        order.position = int(state["position"])
        order._counts = [int(count) for count in state["counts"]]
        order._shares = [int(share) for share in state["shares"]]
        order._credits = [int(credit) for credit in state["credits"]]
        order._schedule()
        return order

    def _schedule(self) -> None:
        """Start the schedule from `_credits`: nothing drawn since, every domain waiting for its release."""
        self._step = 0
        self._drawn = [0] * len(self._shares)
        self._margin = WHOLE // max(2, 2 * (len(self._shares) - 1))
        self._ready: list[tuple[int, int]] = []
        self._waiting = [(self._release(domain), domain) for domain, share in enumerate(self._shares) if share]
        heapq.heapify(self._waiting)

    def _owed(self) -> list[int]:
        """Credits now, in units of 1/WHOLE sequence."""
        terms = zip(self._credits, self._shares, self._drawn, strict=True)
        return [credit + self._step * share - drawn * WHOLE for credit, share, drawn in terms]

    def _release(self, domain: int) -> int:
        """First step of the schedule at which the domain's credit reaches the margin."""
        return -((self._credits[domain] - self._margin - self._drawn[domain] * WHOLE) // self._shares[domain])

    def _deadline(self, domain: int) -> int:
        """First step of the schedule at which the domain's credit would pass 1 - margin."""
        missing = (self._drawn[domain] + 1) * WHOLE - self._margin - self._credits[domain]
        return missing // self._shares[domain] + 1

    def _draw(self, count: int) -> list[int]:
        """The domains of the next `count` steps: of those released, the one with the earliest deadline."""
        waiting, ready, drawn = self._waiting, self._ready, self._drawn
        domains = []
        for _ in range(count):
            self._step += 1
            step = self._step
            while waiting and waiting[0][0] <= step:
                domain = heapq.heappop(waiting)[1]
                heapq.heappush(ready, (self._deadline(domain), domain))
            domain = heapq.heappop(ready)[1] if ready and not self._contended() else self._most_owed()
            drawn[domain] += 1
            heapq.heappush(waiting, (self._release(domain), domain))
            domains.append(domain)
        return domains

    def _contended(self) -> bool:
        """Whether two domains have to be drawn now; a mixture that has not changed never comes to this."""
        ready, step = self._ready, self._step
        return ready[0][0] <= step and any(deadline <= step for deadline, _ in ready[1:3])

    def _most_owed(self) -> int:
        """Take out the domain with the largest credit: of those released, or of all where none is."""
        heap = self._ready or self._waiting
        owed = self._owed()
        entry = max(heap, key=lambda entry: (owed[entry[1]], -entry[1]))
        heap.remove(entry)
        heapq.heapify(heap)
        return entry[1]

    def _next(self, domain: int) -> int:
        """The next sequence of a domain, in the permutation of its epoch; that is kept until the next epoch."""
        epoch, place = divmod(self._counts[domain], self._lengths[domain])
        kept = self._permutations.get(domain)
        if kept is None or kept[0] != epoch:
            kept = (epoch, permutation(self._lengths[domain], self.seed, domain, epoch))
            self._permutations[domain] = kept
        self._counts[domain] += 1
        return int(kept[1][place])


def permutation(length: int, seed: int, domain: int, epoch: int) -> Integers:
    """The numbers below `length` in an order that depends on the arguments alone.

    Sorting independent 64-bit keys gives every permutation the same chance, but for ties of chance length^2 / 2^65.
    """
    keys = np.random.Philox(key=np.array([seed, (domain << 40) + epoch], dtype=np.uint64)).random_raw(length)
    return np.argsort(keys, kind="stable")


def _shares(proportions: ArrayLike, sequences: Integers) -> list[int]:
    """Proportions as integers that sum to WHOLE; what rounding leaves over goes to the largest."""
    values = np.array(proportions, dtype=np.float64)
    if values.shape != sequences.shape:
        raise Refused(f"an order over {len(sequences)} domains needs as many proportions; got shape {values.shape}")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise Refused(f"proportions must be numbers of at least 0, one of them positive; got {values.tolist()}")
    empty = np.flatnonzero((values > 0) & (sequences == 0))
    if empty.size:
        raise Refused(f"domain {empty[0]} has proportion {values[empty[0]]:.4g} and no sequence to draw; give it text")
    shares: list[int] = np.floor(values / values.sum() * WHOLE).astype(np.int64).tolist()
    shares[int(values.argmax())] += WHOLE - sum(shares)
    return shares
