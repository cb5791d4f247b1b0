"""Batches beside those that are trained on, for gradients that only measure: a function of (seed, number) alone.

They are drawn from training text, of the targets too: the held-out text that losses are reported on stays unseen by
whatever chooses the mixture.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.mixture import Array
from mixlaw.train.members import Setting

APART = 1 << 63
"""Set in the key of every draw, so that no stream of an `Order` is met."""


class Probes:
    """Sequences of named texts, drawn independently (with replacement) for each number.

    Args:
        corpus: opened.
        setting: of the study; text of its domains is drawn within their available tokens.
        names: of the texts, domains of the corpus.
        seed: of the draws.
        stream: tells apart the draws of different uses.
    """

    def __init__(self, corpus: Corpus, setting: Setting, names: Sequence[str], seed: int, stream: int) -> None:
        length = setting.training.sequence_length
        limits = {name: count for name, count in setting.available_tokens.items() if name in names}
        self.sources: list[NDArray[Any]] = [corpus.sequences(name, "train", length) for name in names]
        self.counts = corpus.sequence_counts(length, limits, tuple(names))
        self.seed, self.stream = seed, stream

    def of(self, place: int, count: int, number: int) -> Tensor:
        """(count, S + 1), sequences of one text for the draw of a number."""
        raw = self._raw(1 + place, count, number)
        return torch.from_numpy(self.sources[place][raw % np.uint64(self.counts[place])].astype(np.int64))

    def mixed(self, proportions: Array, count: int, number: int) -> tuple[Tensor, NDArray[np.int64]]:
        """(count, S + 1) sequences by proportions, and the text of each, (count,).

        Systematic: every text is met within one sequence of its proportion, and on average over the numbers exactly.
        """
        offset = float(self._raw(0, 1, number)[0]) / 2**64
        edges = np.floor(np.cumsum(proportions) / np.sum(proportions) * count + offset).astype(np.int64)
        quotas = np.diff(np.minimum(edges, count), prepend=0)
        quotas[-1] += count - quotas.sum()
        parts = [self.of(place, int(quota), number) for place, quota in enumerate(quotas)]
        return torch.cat(parts), np.repeat(np.arange(len(quotas)), quotas)

    def _raw(self, place: int, count: int, number: int) -> NDArray[np.uint64]:
        key = np.array([self.seed, APART | self.stream << 56 | place << 40 | number], dtype=np.uint64)
        drawn: NDArray[np.uint64] = np.random.Philox(key=key).random_raw(count)
        return drawn
