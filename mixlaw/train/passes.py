"""Passes of a pack over batches: losses and gradients of all processes' sequences together, in pieces that fit."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mixlaw.train.device import Compute
from mixlaw.train.model import Turn
from mixlaw.train.network import Network, Slope
from mixlaw.train.processes import Processes


@dataclass(frozen=True)
class Passes:
    """What is computed of a pack on a batch; every gradient and mean is that of the whole global batch.

    Attributes:
        pack: of members, and how their gradients come together.
        turn: rotary positions for its sequences.
        compute: where and how precisely.
        processes: that each hold a slice of every batch.
        pieces: that a slice is computed in, one after another.
    """

    pack: Network
    turn: Turn
    compute: Compute
    processes: Processes
    pieces: int

    def plain(self, tokens: Tensor) -> Tensor:
        """Leave the gradient of every member's mean loss with the pack; return the losses of this slice, (K,).

        Args:
            tokens: (K, b, S + 1), this process's slice.
        """
        parts = tokens.chunk(min(self.pieces, tokens.shape[1]), 1)
        total = torch.zeros(tokens.shape[0], device=tokens.device)
        for number, part in enumerate(parts, start=1):
            share = part.shape[1] / tokens.shape[1]
            with nullcontext() if number == len(parts) else self.pack.piecewise():
                with self.compute.precision():
                    losses = self.pack.losses(part, self.turn)
                torch.autograd.backward((losses if share == 1 else losses * share).sum())
            total += losses.detach() * share
        return total

    def weighed(self, tokens: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
        """As `plain`, for the sum of weight x mean loss over all sequences of all processes.

        In pieces, the losses of all are computed before the first gradient is: the weights may depend on them all.

        Args:
            tokens: (K, b, S + 1).
            weigh: given the losses of all tokens, (K, b, S), returns the weights of the sequences, (K, b).
        """
        count = min(self.pieces, tokens.shape[1])
        if count == 1:
            losses = self._weighable(tokens)
            self._push_back(losses, weigh(losses.detach()))
            return losses.detach().mean((1, 2))
        losses = self.token_losses(tokens)
        parts = zip(tokens.chunk(count, 1), weigh(losses).chunk(count, 1), strict=True)
        for number, (part, weights) in enumerate(parts, start=1):
            with nullcontext() if number == count else self.pack.piecewise():
                self._push_back(self._weighable(part), weights)
        return losses.mean((1, 2))

    def token_losses(self, tokens: Tensor, network: Network | None = None) -> Tensor:
        """Losses of every token, (K, b, S), without a gradient: of the pack, or of another network like it."""
        network = network or self.pack
        with self.compute.precision():
            parts = [
                network.token_losses(part, self.turn) for part in tokens.chunk(min(self.pieces, tokens.shape[1]), 1)
            ]
        return torch.cat(parts, 1)

    def mean_loss(self, sequences: Tensor) -> float:
        """Mean loss of sequences (B, S + 1) that all processes have, each computing its share."""
        losses = self.token_losses(self._share(sequences)).mean(2)[0]
        return float(self.processes.gathered(losses).mean())

    def slope(self, sequences: Tensor, weights: Tensor | None = None) -> Slope:
        """Gradient of the mean loss of one member over sequences, or of the sum of weight x loss; none is left behind.

        Args:
            sequences: (B, S + 1), the same for all processes; each computes its share.
            weights: (B,), of the sequences.
        """
        tokens = self._share(sequences)
        if weights is None:
            losses = self.plain(tokens)
        else:
            own = weights[self.processes.share(len(weights))].to(tokens.device, torch.float32)
            losses = self.weighed(tokens, lambda _: own.unsqueeze(0))
        loss = float(self.processes.add(losses.double())) / self.processes.count
        return Slope(self.pack.slopes(), loss, self.pack.total)

    def _weighable(self, tokens: Tensor) -> Tensor:
        with self.compute.precision():
            return self.pack.weighable_losses(tokens, self.turn)

    def _push_back(self, losses: Tensor, weights: Tensor) -> None:
        """Add the gradient of a weighted sum: times the processes, since they take the mean of their gradients."""
        torch.autograd.backward((losses.mean(2) * weights).sum() * self.processes.count)

    def _share(self, sequences: Tensor) -> Tensor:
        return sequences[self.processes.share(len(sequences))].unsqueeze(0).to(self.compute.device)
