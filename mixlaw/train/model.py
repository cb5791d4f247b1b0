"""K language models trained as one: a Llama decoder whose every weight has a leading axis of members.

Small models leave a device idle between small operations. With weights stacked, one batched matrix product, one
attention over K x B sequences and one optimiser step serve all members, and no member sees another: each equals the
model trained alone, to rounding. K = 1 is the plain model.
"""

import math
from collections.abc import Sequence
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


@dataclass(frozen=True)
class Layout:
    """Which weights a member has and where each lies in its row of the two buffers.

    Matrices of the blocks decay towards 0 in AdamW; embedding, head and norms do not: hence two buffers.
    Every matrix is stored as (out, in), as `transformers` stores it.
    """

    shape: Shape
    vocabulary: int

    @property
    def matrices(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that decay."""
        width, inner = self.shape.width, self.shape.inner
        block = {
            "qkv": (3 * width, width),
            "out": (width, width),
            "gate_up": (2 * inner, width),
            "down": (width, inner),
        }
        return {f"{layer}.{name}": size for layer in range(self.shape.layers) for name, size in block.items()}

    @property
    def others(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights that do not decay."""
        width = self.shape.width
        norms = {
            f"{layer}.{name}": (width,)
            for layer in range(self.shape.layers)
            for name in ("attention_norm", "feed_forward_norm")
        }
        return {"embedding": (self.vocabulary, width), "head": (self.vocabulary, width), **norms, "norm": (width,)}


def initial_weights(layout: Layout, seed: int) -> tuple[Tensor, Tensor]:
    """Draw a member's weights: normal with deviation 1 / sqrt(fan in), norms 1.

    The two matrices of a block that write to the residual stream are divided by sqrt(2 x layers), so that the stream
    does not grow with depth (Radford et al. 2019). The head starts at 0: a model that has read nothing guesses evenly,
    whatever its size and seed. The embedding starts at deviation 1: a vector of norm sqrt(width) keeps its direction
    while the rest learns, where one of deviation 0.02 is overrun by the first steps of Adam.

    Returns:
        The member's rows of the two buffers, float32, on the CPU; the same bits for the same seed anywhere.
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

    return tuple(  # type: ignore[return-value]
        torch.cat([draw(name, size).reshape(-1) for name, size in part.items()])
        for part in (layout.matrices, layout.others)
    )


class Pack:
    """K members of one shape, as two buffers of shape (K, P): row k is the whole of member k.

    Args:
        layout: what a member is made of.
        matrices, others: (K, P1) and (K, P2), the buffers.
    """

    def __init__(self, layout: Layout, matrices: Tensor, others: Tensor) -> None:
        self.layout = layout
        self.matrices = matrices.requires_grad_()
        self.others = others.requires_grad_()

    @classmethod
    def of(cls, layout: Layout, seeds: Sequence[int], device: torch.device, dtype: torch.dtype) -> "Pack":
        """Fresh members, one per seed."""
        rows = [initial_weights(layout, seed) for seed in seeds]
        matrices, others = (torch.stack(part).to(device, dtype) for part in zip(*rows, strict=True))
        return cls(layout, matrices, others)

    @property
    def buffers(self) -> tuple[Tensor, Tensor]:
        """The two leaves that hold every weight."""
        return self.matrices, self.others

    def member(self, index: int) -> dict[str, Tensor]:
        """One member's weights by name, as copies on the CPU."""
        return {
            name: weight[index].detach().cpu().clone() for name, weight in named(self.layout, *self.buffers).items()
        }


def named(layout: Layout, matrices: Tensor, others: Tensor) -> dict[str, Tensor]:
    """Views of the buffers by name, each (K, *shape); gradients flow back to the buffers in one concatenation."""
    views: dict[str, Tensor] = {}
    for part, buffer in ((layout.matrices, matrices), (layout.others, others)):
        pieces = buffer.split_with_sizes([math.prod(size) for size in part.values()], 1)
        views |= {name: piece.view(-1, *size) for (name, size), piece in zip(part.items(), pieces, strict=True)}
    return views


def rotary(length: int, width: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions, each (length, width of a head)."""
    frequency = ROTARY_BASE ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency).repeat(1, 2)
    return angle.cos().to(device, dtype), angle.sin().to(device, dtype)


def final_states(layout: Layout, weights: dict[str, Tensor], tokens: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Run the decoder.

    Args:
        layout: what a member is made of.
        weights: each (K, *shape).
        tokens: (K, B, S), int64.
        turn: from `rotary`, for a length of S.

    Returns:
        (K, B * S, d), normed states that the head reads.
    """
    members, batch, length = tokens.shape
    width, shape = layout.shape.width, layout.shape
    index = tokens.reshape(members, -1, 1).expand(-1, -1, width)
    stream = weights["embedding"].gather(1, index)
    for layer in range(shape.layers):
        normed = _norm(stream, weights[f"{layer}.attention_norm"])
        mixed = torch.bmm(normed, weights[f"{layer}.qkv"].transpose(1, 2))
        query, key, value = mixed.view(members * batch, length, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
        read = functional.scaled_dot_product_attention(_turned(query, turn), _turned(key, turn), value, is_causal=True)
        read = read.transpose(1, 2).reshape(members, batch * length, width)
        stream = stream + torch.bmm(read, weights[f"{layer}.out"].transpose(1, 2))
        normed = _norm(stream, weights[f"{layer}.feed_forward_norm"])
        gate, up = torch.bmm(normed, weights[f"{layer}.gate_up"].transpose(1, 2)).chunk(2, -1)
        stream = stream + torch.bmm(functional.silu(gate) * up, weights[f"{layer}.down"].transpose(1, 2))
    return _norm(stream, weights["norm"])


def pack_loss(layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
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


def weighable_token_losses(
    layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: tuple[Tensor, Tensor]
) -> Tensor:
    """Cross-entropy of every token, (K, B, S), nats, with gradients; arguments as in `pack_loss`.

    For losses in which sequences or tokens count differently; `pack_loss` is faster where all count the same.
    """
    weights = named(layout, matrices, others)
    states = final_states(layout, weights, batch[..., :-1], turn)
    losses = token_head_loss(states, weights["head"], batch[..., 1:].reshape(batch.shape[0], -1))
    return losses.view(batch.shape[0], batch.shape[1], -1)


@torch.no_grad()
def token_losses(
    layout: Layout, matrices: Tensor, others: Tensor, batch: Tensor, turn: tuple[Tensor, Tensor]
) -> Tensor:
    """Cross-entropy of every token, (K, B, S), nats; arguments as in `pack_loss`."""
    weights = named(layout, matrices, others)
    states = final_states(layout, weights, batch[..., :-1], turn)
    losses = head_loss(states, weights["head"], batch[..., 1:].reshape(batch.shape[0], -1))
    return losses.view(batch.shape[0], batch.shape[1], -1)


def _norm(stream: Tensor, gain: Tensor) -> Tensor:
    return functional.rms_norm(stream, stream.shape[-1:], None, EPSILON) * gain.unsqueeze(1)


def _turned(heads: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    first, second = heads.chunk(2, -1)
    return heads * turn[0] + torch.cat((-second, first), -1) * turn[1]
