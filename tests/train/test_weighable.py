"""Losses that sequences are weighed by: the same numbers and gradients as the plain ones, for any weights."""

import pytest
import torch

from mixlaw.train.cross_entropy import head_loss, token_head_loss
from mixlaw.train.ladder import Shape
from mixlaw.train.model import Layout, pack_loss, rotary, weighable_token_losses
from mixlaw.train.pack import Pack

CPU = torch.device("cpu")
LAYOUT = Layout(Shape("small", width=16, layers=2, heads=2, inner=32), 61)


@pytest.fixture
def pack() -> Pack:
    pack = Pack.of(LAYOUT, [1, 2], CPU, torch.float64)
    with torch.no_grad():
        pack.others.add_(0.1 * torch.randn(pack.others.shape, generator=torch.Generator().manual_seed(0)))
    return pack


def batch(sequences: int = 6) -> torch.Tensor:
    return torch.randint(61, (2, sequences, 33), generator=torch.Generator().manual_seed(1))


def gradients(pack: Pack, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, pack.buffers))


def test_even_weights_give_the_plain_loss_and_gradient(pack: Pack) -> None:
    turn = rotary(32, 8, CPU, torch.float64)
    plain = pack_loss(LAYOUT, *pack.buffers, batch(), turn)
    weighed = weighable_token_losses(LAYOUT, *pack.buffers, batch(), turn).mean((1, 2))
    torch.testing.assert_close(plain, weighed)
    torch.testing.assert_close(gradients(pack, plain.sum()), gradients(pack, weighed.sum()))


def test_the_gradient_of_weighted_sequences_is_the_weighted_sum_of_their_gradients(pack: Pack) -> None:
    turn, weights = rotary(32, 8, CPU, torch.float64), torch.tensor([0.4, 0.0, 0.1, 0.2, 0.05, 0.25])
    losses = weighable_token_losses(LAYOUT, *pack.buffers, batch(), turn).mean(2)
    together = gradients(pack, (losses * weights).sum())
    apart = [torch.zeros_like(buffer) for buffer in pack.buffers]
    for place, weight in enumerate(weights):
        alone = pack_loss(LAYOUT, *pack.buffers, batch()[:, place : place + 1], turn)
        for total, part in zip(apart, gradients(pack, alone.sum()), strict=True):
            total += weight * part
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-9)


def test_pieces_of_the_tokens_change_neither_losses_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(2, 200, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(2, 11, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(11, (2, 200), generator=generator)
    weights = torch.rand(2, 200, generator=generator, dtype=torch.float64)
    monkeypatch.setattr("mixlaw.train.cross_entropy.PIECE_ELEMENTS", 64 * 2 * 11)
    ours = token_head_loss(hidden, head, labels)
    theirs = torch.nn.functional.cross_entropy(
        torch.bmm(hidden, head.transpose(1, 2)).flatten(0, 1), labels.flatten(), reduction="none"
    ).view(2, 200)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours.detach(), head_loss(hidden.detach(), head.detach(), labels))
    expected = torch.autograd.grad((theirs * weights).sum(), (hidden, head))
    torch.testing.assert_close(torch.autograd.grad((ours * weights).sum(), (hidden, head)), expected)


def losses_and_gradients(dtype: torch.dtype, tokens: int, vocabulary: int) -> tuple[list[torch.Tensor], int]:
    """Losses of tokens weighed by their losses, gradients; and how many numbers autograd kept for them."""
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(2, tokens, 8, generator=generator, requires_grad=True)
    head = torch.randn(2, vocabulary, 8, generator=generator, requires_grad=True)
    labels = torch.randint(vocabulary, (2, tokens), generator=generator)
    saved: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            losses = token_head_loss(hidden, head, labels)
        kept = sum(saved)
    found = torch.autograd.grad((losses * losses.detach().softmax(1)).sum(), (hidden, head))
    return [losses.detach(), *found], kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_that_are_computed_again_change_no_bit(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlaw.train.cross_entropy.PIECE_ELEMENTS", 64 * 2 * 300)
    kept, _ = losses_and_gradients(dtype, 200, 300)
    monkeypatch.setattr("mixlaw.train.cross_entropy.KEPT_ELEMENTS", 200 * 2 * 300 - 1)
    again, _ = losses_and_gradients(dtype, 200, 300)
    for ours, theirs in zip(again, kept, strict=True):
        assert torch.equal(ours, theirs)


def test_what_weighed_losses_keep_stays_bounded_however_many_logits_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixlaw.train.cross_entropy.KEPT_ELEMENTS", 100_000)
    for tokens, vocabulary in ((100, 400), (125, 400), (126, 400), (500, 400), (500, 4000)):
        logits, inputs = 2 * tokens * vocabulary, 2 * (9 * tokens + 8 * vocabulary)
        _, kept = losses_and_gradients(torch.float32, tokens, vocabulary)
        extremes = 2 * 2 * tokens  # of every token the largest logit, or none, and the sum of its exponentials
        assert kept - inputs == (logits + extremes // 2 if logits <= 100_000 else extremes)


def test_in_bfloat16_both_passes_multiply_in_bfloat16(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = Pack(LAYOUT, *(buffer.detach().float() for buffer in pack.buffers))
    turn, original, kinds = rotary(32, 8, CPU, torch.float32), torch.bmm, []

    def bmm(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        found = original(left, right)
        kinds.append(found.dtype)
        return found

    monkeypatch.setattr(torch, "bmm", bmm)
    found = []
    for loss in (pack_loss, weighable_token_losses):
        with torch.autocast("cpu", torch.bfloat16):
            losses = loss(LAYOUT, *pack.buffers, batch(), turn)
        found.append(gradients(pack, losses.reshape(2, -1).mean(1).sum()))
    assert set(kinds) == {torch.bfloat16}
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).abs().max() < 1e-2 * theirs.abs().max()
