"""Output head and cross-entropy in one, over pieces of the tokens, so that all logits never exist at once.

With a small model the logits are the largest tensor of a step (tokens x vocabulary against tokens x width). Working
through pieces keeps them in cache, and the gradient of a piece is known as soon as its loss is (softmax minus one-hot),
so nothing is kept for the backward pass but two tensors of the model's own size. Where tokens are weighed by their
losses the gradient has to wait; then what is kept of the logits is bounded.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

Products = Callable[[Tensor, Tensor], Tensor]
"""Given final states (K, p, d) and heads (K, V, d), computes the logits (K, p, V)."""

PIECE_ELEMENTS = 1 << 20
"""Logits of one piece on a CPU, 4 MB: 1.1 to 1.4 times as fast as all at once for vocabularies of 1k to 8k."""

PIECE_ELEMENTS_CUDA = 1 << 28
"""Logits of one piece on a GPU: large enough to fill it, small beside its memory."""

KEPT_ELEMENTS = 1 << 26
"""Exponentials that weighed losses may keep on a CPU for the backward pass, 256 MB: of a step of 64k tokens at a
vocabulary of 1k, or of 8k tokens at one of 8k. Of larger steps none is kept and logits are computed twice. That would
make small steps slower: 1.04 to 1.11 times at a vocabulary of 1k, 1.2 times at one of 8k, at 0.1M and 1M parameters."""

KEPT_ELEMENTS_CUDA = 1 << 31
"""Likewise on a GPU, 8 GB: a step of 40k tokens at a vocabulary of 50k; eight times what a piece takes there anyway."""


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

    The weights may depend on the losses, so no gradient can be known before all losses are. Up to `KEPT_ELEMENTS`
    exponentials of the logits are kept until the backward pass, which spares computing them twice; of more, none is,
    and every piece is computed again when its turn comes, to the same bits. Arguments as in `head_loss`.
    """
    losses: Tensor = _TokenHeadLoss.apply(hidden, head, labels)  # type: ignore[no-untyped-call]
    return losses


class _TokenHeadLoss(torch.autograd.Function):
    """d loss / d logits = weight x (softmax(logits) - onehot(label)), from exponentials kept or computed again."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, labels: Tensor) -> Tensor:
        context.keeps = hidden.shape[1] * head.shape[0] * head.shape[1] <= _kept_elements(hidden)
        kept, losses = [], []
        for logits, piece, _ in _pieces(hidden, head, labels):
            index = piece.unsqueeze(2)
            largest = logits.amax(-1, keepdim=True)
            right = logits.gather(2, index) - largest
            exponentials = logits.sub_(largest).exp_()
            normaliser = exponentials.sum(-1, keepdim=True)
            losses.append((normaliser.log() - right).squeeze(2))
            kept += [exponentials if context.keeps else largest, normaliser]
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
        read, told = hidden.to(context.products), head.to(context.products)
        again = None if context.keeps else _pieces(read, told, labels, products_again)
        start = 0
        for first, normaliser in zip(kept[::2], kept[1::2], strict=True):
            exponentials = first if again is None else next(again)[0].sub_(first).exp_()
            place = slice(start, start + first.shape[1])
            start, weight = place.stop, slopes[0][:, place].unsqueeze(2)
            slope = exponentials.mul_(weight / normaliser)  # in place: nothing reads them after this
            slope = slope.scatter_add_(2, labels[:, place].unsqueeze(2), -weight).to(context.products)
            hidden_slope[:, place] = torch.bmm(slope, told)
            head_slope += torch.bmm(slope.transpose(1, 2), read[:, place])
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


def _kept_elements(hidden: Tensor) -> int:
    return KEPT_ELEMENTS_CUDA if hidden.is_cuda else KEPT_ELEMENTS


def products(hidden: Tensor, head: Tensor) -> Tensor:
    """(K, p, V), logits of a piece."""
    return torch.bmm(hidden, head.transpose(1, 2))


# not `torch.library.custom_op`, whose first call imports the compiler, which takes as long as importing torch
_LIBRARY = torch.library.Library("mixlaw", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("products_again(Tensor hidden, Tensor head) -> Tensor")  # type: ignore[no-untyped-call]
_LIBRARY.impl("products_again", products, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]


def products_again(hidden: Tensor, head: Tensor) -> Tensor:
    """As `products`, for a backward pass that computes what the forward pass has computed before it.

    The compiler sees both passes at once. Of two equal expressions it would compute the first alone and keep it in
    between, which is what computing twice is to spare; into an operation of a library it does not look.
    """
    found: Tensor = torch.ops.mixlaw.products_again(hidden, head)
    return found


def _pieces(
    hidden: Tensor, head: Tensor, labels: Tensor, products: Products = products
) -> Iterator[tuple[Tensor, Tensor, slice]]:
    """Yield float logits (K, p, V), their labels (K, p) and the slice of tokens they belong to."""
    elements = PIECE_ELEMENTS_CUDA if hidden.is_cuda else PIECE_ELEMENTS
    length = max(64, elements // (head.shape[0] * head.shape[1]))
    for start in range(0, hidden.shape[1], length):
        place = slice(start, start + length)
        logits = products(hidden[:, place], head)
        yield logits.to(torch.promote_types(logits.dtype, torch.float32)), labels[:, place], place
