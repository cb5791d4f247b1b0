"""K language models trained as one: a Llama decoder whose every weight has a leading axis of members.

Small models leave a device idle between small operations. With weights stacked, one batched matrix product, one
attention over K x B sequences and one optimiser step serve all members, and no member sees another: each equals the
model trained alone, to rounding. K = 1 is the plain model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mixlaw.train.cross_entropy import head_loss, mean_head_loss, token_head_loss
from mixlaw.train.ladder import Shape

EPSILON = 1e-5
"""Added to the mean square in every RMS norm."""

ROTARY_BASE = 10_000.0
"""Base of the rotary frequencies (Su et al. 2021, 2104.09864)."""

NORMS = ("attention_norm", "feed_forward_norm")
"""The norms of a block."""

Turn = tuple[Tensor, Tensor]
"""Rotary positions: cosines and sines, each (length, width of a head); from `rotary`."""

Buffers = tuple[Tensor, Tensor]
"""All weights of K models, (K, P1) that decay and (K, P2) that do not, as a `Layout` orders them."""


@dataclass(frozen=True)
class Layout:
    """Which weights a member has and where each lies in its row of the two buffers.

    Matrices of the blocks decay towards 0 in AdamW; embedding, head and norms do not: hence two buffers.
    Every matrix is stored as (out, in), as `transformers` stores it.
    """

    shape: Shape
    vocabulary: int

    @property
    def block(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of a block's weights that decay."""
        width, inner = self.shape.width, self.shape.inner
        return {
            "qkv": (3 * width, width),
            "out": (width, width),
            "gate_up": (2 * inner, width),
            "down": (width, inner),
        }

    @property
    def matrices(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that decay, block after block."""
        return {f"{layer}.{name}": size for layer in range(self.shape.layers) for name, size in self.block.items()}

    @property
    def others(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that do not decay."""
        width = self.shape.width
        norms = {f"{layer}.{name}": (width,) for layer in range(self.shape.layers) for name in NORMS}
        return {"embedding": (self.vocabulary, width), "head": (self.vocabulary, width), **norms, "norm": (width,)}


def initial_weights(layout: Layout, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a member's weights: normal with deviation 1 / sqrt(fan in), norms 1.

    The two matrices of a block that write to the residual stream are divided by sqrt(2 x layers), so that the stream
    does not grow with depth (Radford et al. 2019). The head starts at 0: a model that has read nothing guesses evenly,
    whatever its size and seed. The embedding starts at deviation 1: a vector of norm sqrt(width) keeps its direction
    while the rest learns, where one of deviation 0.02 is overrun by the first steps of Adam.

    Returns:
        The member's rows of the two buffers, (P1,) and (P2,), float32, on the CPU; the same bits for the same seed
        anywhere.
    """
    generator = torch.Generator().manual_seed(seed)
    residual = 1 / math.sqrt(2 * layout.shape.layers)

    def draw(name: str, size: tuple[int, ...]) -> Tensor:
        if len(size) == 1:
            return torch.ones(size)
        if name == "head":
            return torch.zeros(size)
        deviation = 1.0 if name == "embedding" else 1 / math.sqrt(size[1])
        if name.endswith((".out", ".down")):
            deviation *= residual
        return torch.randn(size, generator=generator) * deviation

    matrices, others = (
        torch.cat([draw(name, size).reshape(-1) for name, size in part.items()])
        for part in (layout.matrices, layout.others)
    )
    return matrices, others


def named(layout: Layout, matrices: Tensor, others: Tensor) -> dict[str, Tensor]:
    """Views of the buffers by name, each (K, *shape); gradients flow back to the buffers in one concatenation."""
    return views(layout.matrices, matrices) | views(layout.others, others)


def views(sizes: Mapping[str, tuple[int, ...]], buffer: Tensor) -> dict[str, Tensor]:
    """Cut rows (K, P) into weights (K, *shape) by name, in order."""
    pieces = buffer.split_with_sizes([math.prod(size) for size in sizes.values()], 1)
    return {name: piece.view(-1, *size) for (name, size), piece in zip(sizes.items(), pieces, strict=True)}


def of_member(layout: Layout, buffers: Buffers, index: int) -> dict[str, Tensor]:
    """One member's weights by name, on the CPU, without a gradient."""
    return {name: weight[index].detach().cpu() for name, weight in named(layout, *buffers).items()}


def rotary(length: int, width: int, device: torch.device, dtype: torch.dtype) -> Turn:
    """Cosines and sines of the rotary positions, each (length, width of a head)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency).repeat(1, 2)
    return angle.cos().to(device, dtype), angle.sin().to(device, dtype)


def final_states(layout: Layout, weights: dict[str, Tensor], tokens: Tensor, turn: Turn) -> Tensor:
    """Run the decoder.

    Args:
        layout: what a member is made of.
        weights: each (K, *shape).
        tokens: (K, B, S), int64.
        turn: from `rotary`, for a length of S.

    Returns:
        (K, B * S, d), normed states that the head reads.
    """
    stream = embedded(weights["embedding"], tokens)
    for layer in range(layout.shape.layers):
        own = {name: weights[f"{layer}.{name}"] for name in (*layout.block, *NORMS)}
        stream = block(layout.shape, own, stream, turn)
    return normed(stream, weights["norm"])


def embedded(embedding: Tensor, tokens: Tensor) -> Tensor:
    """The stream (K, B * S, d) that the first block reads, of tokens (K, B, S)."""
    return embedding.gather(1, tokens.reshape(tokens.shape[0], -1, 1).expand(-1, -1, embedding.shape[2]))


def block(shape: Shape, weights: Mapping[str, Tensor], stream: Tensor, turn: Turn) -> Tensor:
    """One block of the decoder: the stream (K, B * S, d) with what attention and feed-forward add to it.

    Args:
        shape: of a member.
        weights: of the block by name, `Layout.block` and `NORMS`, each (K, *shape).
        stream: (K, B * S, d).
        turn: from `rotary`, for a length of S.
    """
    members, count, width = stream.shape
    length = turn[0].shape[0]
    mixed = torch.bmm(normed(stream, weights["attention_norm"]), weights["qkv"].transpose(1, 2))
    heads = mixed.view(members * (count // length), length, 3, shape.heads, -1)
    query, key, value = heads.permute(2, 0, 3, 1, 4)
    read = functional.scaled_dot_product_attention(_turned(query, turn), _turned(key, turn), value, is_causal=True)
    read = read.transpose(1, 2).reshape(members, count, width)
    stream = stream + torch.bmm(read, weights["out"].transpose(1, 2))
    inner = torch.bmm(normed(stream, weights["feed_forward_norm"]), weights["gate_up"].transpose(1, 2))
    gate, up = inner.chunk(2, -1)
    return stream + torch.bmm(functional.silu(gate) * up, weights["down"].transpose(1, 2))


def pack_loss(layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: Turn) -> Tensor:
    """Mean next-token cross-entropy of each member on its own batch, (K,), nats per token.

    Args:
        layout: what a member is made of.
        matrices, others: the buffers, (K, P1) and (K, P2).
        batch: (K, B, S + 1), int64: sequences and the token after each.
        turn: from `rotary`, for a length of S.
    """
    weights = named(layout, matrices, others)
    states = final_states(layout, weights, batch[..., :-1], turn)
    return mean_head_loss(states, weights["head"], batch[..., 1:].reshape(batch.shape[0], -1))


def weighable_token_losses(layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: Turn) -> Tensor:
    """Cross-entropy of every token, (K, B, S), nats, with gradients; arguments as in `pack_loss`.

    For losses in which sequences or tokens count differently; `pack_loss` is faster where all count the same.
    """
    weights = named(layout, matrices, others)
    states = final_states(layout, weights, batch[..., :-1], turn)
    losses = token_head_loss(states, weights["head"], batch[..., 1:].reshape(batch.shape[0], -1))
    return losses.view(batch.shape[0], batch.shape[1], -1)


@torch.no_grad()
def token_losses(layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: Turn) -> Tensor:
    """Cross-entropy of every token, (K, B, S), nats; arguments as in `pack_loss`."""
    weights = named(layout, matrices, others)
    states = final_states(layout, weights, batch[..., :-1], turn)
    losses = head_loss(states, weights["head"], batch[..., 1:].reshape(batch.shape[0], -1))
    return losses.view(batch.shape[0], batch.shape[1], -1)


def normed(stream: Tensor, gain: Tensor) -> Tensor:
    """RMS norm (Zhang & Sennrich 2019, 1910.07467) of a stream (K, n, d) under gains (K, d)."""
    return functional.rms_norm(stream, stream.shape[-1:], None, EPSILON) * gain.unsqueeze(1)


def _turned(heads: Tensor, turn: Turn) -> Tensor:
    first, second = heads.chunk(2, -1)
    return heads * turn[0] + torch.cat((-second, first), -1) * turn[1]
