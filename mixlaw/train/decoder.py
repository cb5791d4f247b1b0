"""The decoder as a module of blocks, which is what PyTorch's data parallelism takes apart; the numbers are `model`'s.

Gradients of a block are known, and its weights no longer needed, as soon as the backward pass has left it. With a
parameter a block, processes exchange the gradients of one while they compute those of the next.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from mixlaw.train.ladder import Shape
from mixlaw.train.model import NORMS, Buffers, Layout, Turn, block, embedded, normed, views

Head = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`mean_head_loss`, `token_head_loss` or `head_loss`."""


@cache
def compiled_block() -> Callable[[Shape, Mapping[str, Tensor], Tensor, Turn], Tensor]:
    """`block`, compiled once a process: all blocks of a decoder share what was compiled."""
    return torch.compile(block, dynamic=False)


class Block(nn.Module):
    """The matrices of one block, of K members, one after another in one parameter."""

    def __init__(self, layout: Layout, members: int, *, compiled: bool) -> None:
        super().__init__()
        self.layout, self.members, self.compiled = layout, members, compiled
        self.matrices = nn.Parameter(torch.empty(members * _count(layout.block)))

    def forward(self, stream: Tensor, norms: dict[str, Tensor], turn: Turn) -> Tensor:
        """See `model.block`; norms are the decoder's, since they do not decay."""
        weights = views(self.layout.block, self.matrices.view(self.members, -1))
        run = compiled_block() if self.compiled else block
        return run(self.layout.shape, weights | norms, stream, turn)


class Decoder(nn.Module):
    """Blocks, and in one parameter of its own the embedding, the head and all norms.

    Args:
        layout: what a member is made of.
        members: K.
        compiled: whether blocks are computed by a compiled function.
    """

    def __init__(self, layout: Layout, members: int, *, compiled: bool = False) -> None:
        super().__init__()
        self.layout, self.members = layout, members
        self.blocks = nn.ModuleList(Block(layout, members, compiled=compiled) for _ in range(layout.shape.layers))
        self.others = nn.Parameter(torch.empty(members * _count(layout.others)))

    @property
    def in_order(self) -> tuple[nn.Parameter, ...]:
        """Its parameters: block by block what decays, then what does not."""
        return (*self.blocks.parameters(), self.others)

    def forward(self, tokens: Tensor, turn: Turn, head: Head) -> Tensor:
        """The loss of a head, (K,) or (K, b * S); `tokens` and `turn` as in `pack_loss`."""
        weights = views(self.layout.others, self.others.view(self.members, -1))
        stream = embedded(weights["embedding"], tokens[..., :-1])
        for layer, part in enumerate(self.blocks):
            stream = part(stream, {name: weights[f"{layer}.{name}"] for name in NORMS}, turn)
        labels = tokens[..., 1:].reshape(self.members, -1)
        return head(normed(stream, weights["norm"]), weights["head"], labels)


def by_block(layout: Layout, buffers: Buffers) -> tuple[Tensor, ...]:
    """Two buffers as the parameters of a decoder lie, `in_order`."""
    matrices, others = buffers
    return tuple(part.reshape(-1) for part in (*matrices.chunk(layout.shape.layers, 1), others))


def by_member(members: int, parts: tuple[Tensor, ...]) -> Buffers:
    """The inverse of `by_block`."""
    *blocks, others = (part.view(members, part.numel() // members) for part in parts)
    return torch.cat(blocks, 1), others


def _count(sizes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(size) for size in sizes.values())
