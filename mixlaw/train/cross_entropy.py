"""Output head and cross-entropy in one, over pieces of the tokens, so that all logits never exist at once.

With a small model the logits are the largest tensor of a step (tokens x vocabulary against tokens x width). Working
through pieces keeps them in cache, and the gradient of a piece is known as soon as its loss is (softmax minus one-hot),
so nothing is kept for the backward pass but two tensors of the model's own size.
"""

from typing import Any

import torch
from torch import Tensor

PIECE_ELEMENTS = 1 << 20
"""Logits of one piece on a CPU, 4 MB: 1.1 to 1.4 times as fast as all at once for vocabularies of 1k to 8k."""

PIECE_ELEMENTS_CUDA = 1 << 28
"""Logits of one piece on a GPU: large enough to fill it, small beside its memory."""


def head_loss(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of every token, nats, with no gradient.

    Args:
        hidden: (K, n, d), final states of K members.
        head: (K, V, d), their output heads.
        labels: (K, n), the tokens that came next.

    Returns:
        (K, n).
    """
    losses = [
        torch.logsumexp(logits, -1) - logits.gather(2, piece.unsqueeze(2)).squeeze(2)
        for logits, piece, _ in _pieces(hidden, head, labels)
    ]
    return torch.cat(losses, 1)


def mean_head_loss(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each member, shape (K,), nats per token, with gradients; arguments as in `head_loss`."""
    loss: Tensor = _MeanHeadLoss.apply(hidden, head, labels)  # type: ignore[no-untyped-call]
    return loss


def token_head_loss(hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of every token, (K, n), nats, with gradients for whatever the tokens are weighed by.

    The weights may depend on the losses, so no gradient can be known before all losses are: the exponentials of all
    logits are kept until the backward pass, in pieces, which spares computing them twice. Arguments as in `head_loss`.
    """
    losses: Tensor = _TokenHeadLoss.apply(hidden, head, labels)  # type: ignore[no-untyped-call]
    return losses


class _TokenHeadLoss(torch.autograd.Function):
    """d loss / d logits = weight x (softmax(logits) - onehot(label)), from exponentials kept in pieces."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        kept, losses = [], []
        for logits, piece, _ in _pieces(hidden, head, labels):
            index = piece.unsqueeze(2)
            largest = logits.amax(-1, keepdim=True)
            right = logits.gather(2, index) - largest
            exponentials = logits.sub_(largest).exp_()
            normaliser = exponentials.sum(-1, keepdim=True)
            losses.append((normaliser.log() - right).squeeze(2))
            kept += [exponentials, normaliser]
        context.save_for_backward(hidden, head, labels, *kept)
        device = hidden.device.type  # a backward pass knows nothing of the precision that the forward pass was in
        mixed = torch.is_autocast_enabled(device)
        context.products = torch.get_autocast_dtype(device) if mixed else hidden.dtype
        return torch.cat(losses, 1)

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, head, labels, *kept = context.saved_tensors
        hidden_slope = torch.empty_like(hidden)
        head_slope = torch.zeros(head.shape, dtype=torch.promote_types(head.dtype, torch.float32), device=head.device)
        start = 0
        for exponentials, normaliser in zip(kept[::2], kept[1::2], strict=True):
            place = slice(start, start + exponentials.shape[1])
            start, weight = place.stop, slopes[0][:, place].unsqueeze(2)
            slope = exponentials.mul_(weight / normaliser)  # in place: nothing reads them after this
            slope = slope.scatter_add_(2, labels[:, place].unsqueeze(2), -weight).to(context.products)
            hidden_slope[:, place] = torch.bmm(slope, head.to(context.products))
            head_slope += torch.bmm(slope.transpose(1, 2), hidden[:, place].to(context.products))
        return hidden_slope, head_slope.to(head.dtype), None


class _MeanHeadLoss(torch.autograd.Function):
    """d loss / d logits = (softmax(logits) - onehot(label)) / n, pushed through the head piece by piece."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        count = hidden.shape[1]
        hidden_slope = torch.empty_like(hidden)
        head_slope = torch.zeros(head.shape, dtype=torch.promote_types(head.dtype, torch.float32), device=head.device)
        total = head_slope.new_zeros(hidden.shape[0])
        for logits, piece, place in _pieces(hidden, head, labels):
            index = piece.unsqueeze(2)
            largest = logits.amax(-1, keepdim=True)
            right = logits.gather(2, index) - largest
            slope = logits.sub_(largest).exp_()  # in place: passes over the logits are the cost of a small model
            normaliser = slope.sum(-1, keepdim=True)
            total += (normaliser.log() - right).sum((1, 2))
            slope.mul_(1.0 / (count * normaliser))
            slope.scatter_add_(2, index, slope.new_full(index.shape, -1.0 / count))
            slope = slope.to(hidden.dtype)
            hidden_slope[:, place] = torch.bmm(slope, head)
            head_slope += torch.bmm(slope.transpose(1, 2), hidden[:, place])
        context.save_for_backward(hidden_slope, head_slope.to(head.dtype))
        return total / count

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden_slope, head_slope = context.saved_tensors
        scale = slopes[0].view(-1, 1, 1)
        return hidden_slope * scale.to(hidden_slope.dtype), head_slope * scale.to(head_slope.dtype), None


def _pieces(hidden: Tensor, head: Tensor, labels: Tensor) -> Any:
    """Yield float logits (K, p, V), their labels (K, p) and the slice of tokens they belong to."""
    elements = PIECE_ELEMENTS_CUDA if hidden.is_cuda else PIECE_ELEMENTS
    length = max(64, elements // (head.shape[0] * head.shape[1]))
    for start in range(0, hidden.shape[1], length):
        place = slice(start, start + length)
        logits = torch.bmm(hidden[:, place], head.transpose(1, 2))
        yield logits.to(torch.promote_types(logits.dtype, torch.float32)), labels[:, place], place
