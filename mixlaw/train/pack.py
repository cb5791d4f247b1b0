"""Models of one process: all weights of K members in two buffers, one pass and one step for all."""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from mixlaw.train.model import (
    Buffers,
    Layout,
    Turn,
    initial_weights,
    pack_loss,
    token_losses,
    weighable_token_losses,
)
from mixlaw.train.network import Network


@cache
def compiled_loss() -> Callable[..., Tensor]:
    """`pack_loss`, compiled once a process: the packs that follow one another in it share what was compiled.

    Once for every shape it meets; what is compiled for any shape is slower.
    """
    return torch.compile(pack_loss, dynamic=False)


@cache
def compiled_weighable() -> Callable[..., Tensor]:
    """`weighable_token_losses`, likewise."""
    return torch.compile(weighable_token_losses, dynamic=False)


def drawn(layout: Layout, seeds: Sequence[int]) -> Buffers:
    """Fresh weights on the CPU, a row a seed."""
    matrices, others = (
        torch.stack(part) for part in zip(*(initial_weights(layout, seed) for seed in seeds), strict=True)
    )
    return matrices, others


class Pack(Network):
    """K members of one shape, as two buffers of shape (K, P): row k is the whole of member k.

    Args:
        layout: what a member is made of.
        matrices, others: (K, P1) and (K, P2), the buffers.
        compiled: whether losses are computed by compiled functions.
    """

    def __init__(self, layout: Layout, matrices: Tensor, others: Tensor, *, compiled: bool = False) -> None:
        self.layout, self.members, self.compiled = layout, matrices.shape[0], compiled
        self.matrices = matrices.requires_grad_()
        self.others = others.requires_grad_()
        self.parts = (matrices.detach(), others.detach())

    @classmethod
    def of(
        cls,
        layout: Layout,
        seeds: Sequence[int],
        device: torch.device,
        dtype: torch.dtype,
        *,
        compiled: bool = False,
    ) -> "Pack":
        """Fresh members, one per seed."""
        matrices, others = drawn(layout, seeds)
        return cls(layout, matrices.to(device, dtype), others.to(device, dtype), compiled=compiled)

    @property
    def buffers(self) -> Buffers:
        """The two leaves that hold every weight."""
        return self.matrices, self.others

    def losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.losses`."""
        loss = compiled_loss() if self.compiled else pack_loss
        return loss(self.layout, *self.buffers, tokens, turn)

    def weighable_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.weighable_losses`."""
        losses = compiled_weighable() if self.compiled else weighable_token_losses
        return losses(self.layout, *self.buffers, tokens, turn)

    def token_losses(self, tokens: Tensor, turn: Turn) -> Tensor:
        """See `Network.token_losses`."""
        return token_losses(self.layout, *self.buffers, tokens, turn)

    def slopes(self) -> tuple[Tensor, ...]:
        """See `Network.slopes`."""
        found = tuple(buffer.grad for buffer in self.buffers if buffer.grad is not None)
        for buffer in self.buffers:
            buffer.grad = None
        return found

    def twin(self) -> "Pack":
        """See `Network.twin`."""
        return Pack(self.layout, *(part.clone() for part in self.parts))

    def local(self, buffers: Buffers) -> tuple[Tensor, ...]:
        """See `Network.local`."""
        return buffers

    def whole(self, parts: tuple[Tensor, ...]) -> Buffers:
        """See `Network.whole`."""
        matrices, others = parts
        return matrices, others
