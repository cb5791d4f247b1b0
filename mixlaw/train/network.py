"""Models in training, wherever their weights lie: with this process, with each of several, or in shares."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mixlaw.train.model import Buffers, Layout, Turn


class Network(ABC):
    """K models of one layout.

    Losses are of this process's sequences; gradients are means over those of all processes. Every method but `parts`
    and `local` is called by all processes in step.

    Attributes:
        layout: what a model is made of.
        members: K.
        parts: the weights that this process keeps, members first; the last holds those that do not decay. Whoever
            writes into them moves the models.
    """

    layout: Layout
    members: int
    parts: tuple[Tensor, ...]

    @abstractmethod
    def losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """Mean next-token cross-entropy of each model, (K,), with gradients; arguments as in `pack_loss`."""

    @abstractmethod
    def weighable_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """Cross-entropy of every token, (K, b, S), with gradients for any weights."""

    @abstractmethod
    def token_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """Cross-entropy of every token, (K, b, S), without gradients."""

    @abstractmethod
    def slopes(self) -> tuple[Tensor, ...]:
        """Take the gradients of `parts`; none is left behind."""

    @abstractmethod
    def twin(self) -> "Network":
        """Other models with the same weights, kept in the same way, that are not trained."""

    @abstractmethod
    def local(self, buffers: Buffers) -> tuple[Tensor, ...]:
        """What this process keeps of anything that has the form of all weights."""

    @abstractmethod
    def whole(self, parts: tuple[Tensor, ...]) -> Buffers:
        """The inverse of `local`, over all processes; the first process is given it, others perhaps nothing."""

    def total(self, value: Tensor) -> Tensor:
        """Sum a number over the processes among which one model's weights are shared out."""
        return value

    def piecewise(self) -> AbstractContextManager[object]:
        """The context of losses and gradients that others are added to before the gradient is used."""
        return nullcontext()

    @property
    def buffers(self) -> Buffers:
        """All weights; see `whole`."""
        return self.whole(self.parts)

    @torch.no_grad()
    def fill(self, buffers: Buffers) -> None:
        """Give the models weights; one row is given to all."""
        for part, given in zip(self.parts, self.local(buffers), strict=True):
            part.copy_(given.expand_as(part))


@dataclass(frozen=True)
class Slope:
    """A gradient that only measures.

    Attributes:
        parts: like those of its network.
        loss: that it is the gradient of, without the weights of its sequences.
        total: of its network.
    """

    parts: tuple[Tensor, ...]
    loss: float
    total: Callable[[Tensor], Tensor]

    @property
    def norm(self) -> float:
        """Euclidean length."""
        return math.sqrt(self._sum([part.square().sum() for part in self.parts]))

    def product(self, other: "Slope") -> float:
        """Inner product with another gradient."""
        pairs = zip(self.parts, other.parts, strict=True)
        return self._sum([torch.dot(ours.reshape(-1), theirs.reshape(-1)) for ours, theirs in pairs])

    def _sum(self, terms: list[Tensor]) -> float:
        return float(self.total(torch.stack(terms).double().sum()))
