"""Passes of a pack over batches: losses and gradients of all processes' sequences together, in pieces that fit."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mixlaw.train.device import Compute
from mixlaw.train.model import Pack, token_losses
from mixlaw.train.processes import Processes

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Slope:
    """A gradient that only measures.

    Attributes:
        parts: one tensor per buffer.
        loss: that it is the gradient of, without the weights of its sequences.
    """

    parts: tuple[Tensor, ...]
    loss: float

    @property
    def norm(self) -> float:
        """Euclidean length."""
        return math.sqrt(sum(float(part.square().sum()) for part in self.parts))

    def product(self, other: "Slope") -> float:
        """Inner product with another gradient."""
        pairs = zip(self.parts, other.parts, strict=True)
        return sum(float(torch.dot(ours.reshape(-1), theirs.reshape(-1))) for ours, theirs in pairs)


@dataclass(frozen=True)
class Passes:
    """What is computed of a pack on a batch; every gradient and mean is that of the whole global batch.

    Attributes:
        pack: of members.
        turn: rotary positions for its sequences.
        compute: where and how precisely.
        processes: that each hold a slice of every batch.
        pieces: that a slice is computed in, one after another.
        loss: `pack_loss`, compiled or not.
        weighable: `weighable_token_losses`, compiled or not.
    """

    pack: Pack
    turn: tuple[Tensor, Tensor]
    compute: Compute
    processes: Processes
    pieces: int
    loss: Loss
    weighable: Loss

    def plain(self, tokens: Tensor) -> Tensor:
        """Leave the gradient of every member's mean loss in its buffers; return the losses of this slice, (K,).

        Args:
            tokens: (K, b, S + 1), this process's slice.
        """
        parts = tokens.chunk(min(self.pieces, tokens.shape[1]), 1)
        total = torch.zeros(tokens.shape[0], device=tokens.device)
        for part in parts:
            with self.compute.precision():
                losses = self.loss(self.pack.layout, *self.pack.buffers, part, self.turn)
            share = part.shape[1] / (tokens.shape[1] * self.processes.count)
            torch.autograd.backward((losses if share == 1 else losses * share).sum())
            total += losses.detach() * (part.shape[1] / tokens.shape[1])
        self._add()
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
            weights = weigh(losses.detach())
            torch.autograd.backward((losses.mean(2) * weights).sum())
        else:
            losses = self.token_losses(tokens)
            weights = weigh(losses)
            for part, share in zip(tokens.chunk(count, 1), weights.chunk(count, 1), strict=True):
                torch.autograd.backward((self._weighable(part).mean(2) * share).sum())
        self._add()
        return losses.detach().mean((1, 2))

    def token_losses(self, tokens: Tensor, buffers: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Losses of every token, (K, b, S), without a gradient: of the pack, or of a model of its shape."""
        with self.compute.precision():
            parts = [
                token_losses(self.pack.layout, *(buffers or self.pack.buffers), part, self.turn)
                for part in tokens.chunk(min(self.pieces, tokens.shape[1]), 1)
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
        parts = tuple(buffer.grad for buffer in self.pack.buffers if buffer.grad is not None)
        for buffer in self.pack.buffers:
            buffer.grad = None
        return Slope(parts, float(self.processes.add(losses.double())) / self.processes.count)

    def _weighable(self, tokens: Tensor) -> Tensor:
        with self.compute.precision():
            return self.weighable(self.pack.layout, *self.pack.buffers, tokens, self.turn)

    def _share(self, sequences: Tensor) -> Tensor:
        return sequences[self.processes.share(len(sequences))].unsqueeze(0).to(self.compute.device)

    def _add(self) -> None:
        for buffer in self.pack.buffers:
            if buffer.grad is not None:
                self.processes.add(buffer.grad)
