"""Losses of a pack on fixed validation sequences."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.mixture import Array
from mixlaw.train.device import Compute
from mixlaw.train.model import rotary
from mixlaw.train.network import Network
from mixlaw.train.processes import ALONE, Processes

PIECE_TOKENS = 8192
"""Tokens of one forward pass on a CPU; more only costs memory."""

PIECE_TOKENS_CUDA = 1 << 18
"""The same on a GPU, over all members."""


class Validation:
    """The first sequences of each target's held-out text, the same for every run and read-out.

    Documents of a corpus lie in the order of their hashes, so the first are a random part. All targets are read in one
    batch, and each loss is the mean over the same number of tokens for every run.

    Args:
        corpus: tokenised domains.
        targets: whose validation text.
        length: of a sequence.
        tokens: per target; fewer where the corpus holds fewer.
        compute: where the model lies.
        processes: that each read a share of the sequences.

    Attributes:
        counts: sequences of each target, in the order of the targets.
        sequences: (sum of counts, S + 1), int64, on the device.
    """

    def __init__(
        self,
        corpus: Corpus,
        targets: Sequence[str],
        length: int,
        tokens: int,
        compute: Compute,
        processes: Processes = ALONE,
    ) -> None:
        chosen = [corpus.sequences(target, "validation", length)[: max(1, tokens // length)] for target in targets]
        self.counts = [len(sequences) for sequences in chosen]
        self.sequences = torch.from_numpy(np.concatenate(chosen).astype(np.int64)).to(compute.device)
        self.compute, self.processes = compute, processes

    @property
    def tokens(self) -> int:
        """Tokens predicted by one read-out of one member."""
        return self.sequences.shape[0] * (self.sequences.shape[1] - 1)

    def losses(self, network: Network) -> Array:
        """Mean cross-entropy of each member on each target, (K, V), nats per token.

        Every process takes the same number of passes: those of a network that is shared out wait for each other in
        each.

        Args:
            network: the trained one or its average.
        """
        members, count, length = network.members, len(self.sequences), self.sequences.shape[1] - 1
        turn = rotary(length, network.layout.shape.head_width, self.compute.device, network.parts[0].dtype)
        piece = PIECE_TOKENS_CUDA if self.compute.device.type == "cuda" else PIECE_TOKENS
        losses = torch.zeros(members, count, dtype=torch.float64, device=self.compute.device)
        places = self._places()
        with self.compute.precision():
            for some in torch.split(places, max(1, piece // (members * length))):
                batch = self.sequences[some % count].expand(members, -1, -1)
                means = network.token_losses(batch, turn).mean(2).double()
                losses[:, some[some < count]] = means[:, some < count]
        each = torch.split(self.processes.add(losses).cpu(), self.counts, 1)
        found: Array = torch.stack([part.mean(1) for part in each], 1).numpy()
        return found

    def _places(self) -> Tensor:
        """The sequences of this process, and beyond the last as many as the first process has more."""
        rank, count = self.processes.rank, self.processes.count
        end = -(-len(self.sequences) // count) * count
        return torch.arange(rank, end, count, device=self.compute.device)
