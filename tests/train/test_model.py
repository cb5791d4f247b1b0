"""A packed member is the model it would be alone, and the Llama that transformers builds."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from mixlaw.corpus.shards import open_corpus
from mixlaw.plan import Training
from mixlaw.train import cross_entropy
from mixlaw.train.ladder import LADDER, Shape, ladder, shape_of
from mixlaw.train.model import Layout, initial_weights, named, of_member, pack_loss, rotary, token_losses
from mixlaw.train.optimizer import BETAS, Optimizer
from mixlaw.train.pack import Pack, drawn
from mixlaw.train.pretrained import llama_config, save_llama, to_llama

SHAPE = Shape("test", width=16, layers=2, heads=2, inner=24)
LAYOUT = Layout(SHAPE, vocabulary=40)
LENGTH, BATCH, RATE = 12, 4, 3e-3
TRAINING = Training(weight_decay=0.1, clip=0.5)
CPU = torch.device("cpu")


def batches(seeds: list[int], steps: int) -> list[Tensor]:
    """Each member's own stream of tokens, the same whoever it is packed with."""
    streams = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        streams.append(torch.randint(0, 40, (steps, BATCH, LENGTH + 1), generator=generator) // 2 * 2)
    return list(torch.stack(streams, 1))


def train(seeds: list[int], steps: int, dtype: torch.dtype) -> tuple[Tensor, Pack]:
    """Losses (steps, K) and the pack after them."""
    pack = Pack.of(LAYOUT, seeds, CPU, dtype)
    optimizer = Optimizer(pack, TRAINING)
    turn = rotary(LENGTH, SHAPE.head_width, CPU, dtype)
    losses = []
    for batch in batches(seeds, steps):
        loss = pack_loss(LAYOUT, *pack.buffers, batch, turn)
        loss.sum().backward()
        optimizer.step(RATE)
        losses.append(loss.detach())
    return torch.stack(losses), pack


def llama(seed: int, dtype: torch.dtype) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig.from_dict(llama_config(LAYOUT, LENGTH))).to(dtype)
    weights = named(LAYOUT, *(row.unsqueeze(0) for row in initial_weights(LAYOUT, seed)))
    model.load_state_dict(to_llama(LAYOUT, {name: weight[0].to(dtype) for name, weight in weights.items()}))
    return model


def train_llama(seed: int, steps: int, dtype: torch.dtype) -> tuple[Tensor, LlamaForCausalLM]:
    """The same run in transformers' eager model with torch's own clipping and cross-entropy."""
    model = llama(seed, dtype)
    matrices = [weight for name, weight in model.named_parameters() if "_proj" in name]
    others = [weight for name, weight in model.named_parameters() if "_proj" not in name]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS)
    losses = []
    for batch in batches([seed], steps):
        logits = model(batch[0, :, :-1]).logits
        loss = functional.cross_entropy(logits.reshape(-1, 40), batch[0, :, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), model


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_a_packed_member_is_its_solo_run_through_a_hundred_steps(dtype: torch.dtype, tolerance: float) -> None:
    packed, pack = train([3, 4, 5], 100, dtype)
    for place, seed in enumerate([3, 4, 5]):
        alone, own = train([seed], 100, dtype)
        assert (packed[:, place] - alone[:, 0]).abs().max() < tolerance
        for name, weight in of_member(LAYOUT, own.buffers, 0).items():
            assert (of_member(LAYOUT, pack.buffers, place)[name] - weight).abs().max() < 100 * tolerance, name


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 2e-4)])
def test_a_packed_member_is_a_transformers_llama_through_a_hundred_steps(dtype: torch.dtype, tolerance: float) -> None:
    packed, _ = train([3, 4], 100, dtype)
    eager, _ = train_llama(4, 100, dtype)
    assert packed[0, 1] > packed[-1, 1] + 0.2, "it has to learn for the comparison to mean anything"
    assert (packed[:, 1] - eager).abs().max() < tolerance


def test_a_saved_member_is_loaded_by_transformers_with_the_same_losses(tiny_corpus: Path, tmp_path: Path) -> None:
    corpus = open_corpus(tiny_corpus)
    layout = Layout(SHAPE, corpus.vocabulary_size)
    pack = Pack.of(layout, [1, 2], CPU, torch.float32)
    with torch.no_grad():
        named(layout, *pack.buffers)["head"].normal_(generator=torch.Generator().manual_seed(0))
    save_llama(tmp_path / "model", layout, of_member(layout, pack.buffers, 1), corpus, 32)
    batch = torch.randint(0, corpus.vocabulary_size, (1, 3, 33), generator=torch.Generator().manual_seed(0))
    losses = token_losses(layout, *pack.buffers, batch.expand(2, -1, -1), rotary(32, 8, CPU, torch.float32))[1]
    logits = LlamaForCausalLM.from_pretrained(tmp_path / "model")(batch[0, :, :-1]).logits
    expected = functional.cross_entropy(logits.transpose(1, 2), batch[0, :, 1:], reduction="none")
    assert (losses - expected).abs().max() < 1e-4
    assert losses.mean() > 4


def test_a_saved_tokenizer_is_loaded_by_transformers(tiny_corpus: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    corpus = open_corpus(tiny_corpus)
    layout = Layout(SHAPE, corpus.vocabulary_size)
    save_llama(tmp_path / "model", layout, of_member(layout, drawn(layout, [1]), 0), corpus, 32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.eos_token_id == corpus.end_of_document
    assert tokenizer.decode(tokenizer("naïve 42")["input_ids"]) == "naïve 42"


@pytest.mark.parametrize("name", ladder())
def test_a_size_counts_the_parameters_that_transformers_counts(name: str) -> None:
    shape = shape_of(name)
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig.from_dict(llama_config(Layout(shape, 100), 8)))
    total = sum(weight.numel() for weight in model.parameters())
    assert shape.params == total - model.lm_head.weight.numel() - model.model.embed_tokens.weight.numel()


def test_the_names_of_the_ladder_are_its_counts_rounded() -> None:
    counts = [shape.params for shape in LADDER]
    assert counts == sorted(counts)
    for shape in LADDER:
        unit = {"M": 1e6, "B": 1e9}[shape.name[-1]]
        assert shape.params == pytest.approx(float(shape.name[:-1]) * unit, rel=0.12)
        assert shape.width % shape.heads == 0
        assert shape.head_width % 8 == 0


def test_the_matrix_products_of_a_token_are_those_that_torch_counts() -> None:
    shape, vocabulary, length = Shape("test", 32, 3, 2, 96), 64, 16
    layout = Layout(shape, vocabulary)
    pack = Pack.of(layout, [0], CPU, torch.float32)
    batch = torch.zeros(1, 2, length + 1, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        pack_loss(layout, *pack.buffers, batch, rotary(length, 16, CPU, torch.float32)).sum().backward()
    attention, norms = 6 * shape.layers * shape.width * length, (2 * shape.layers + 1) * shape.width
    # torch does not count the attention kernel of a CPU
    products = shape.flops_per_token(vocabulary, length) - attention - 6 * norms
    assert counter.get_total_flops() / (2 * length) == products


@pytest.mark.parametrize("elements", [1, 1 << 20])
def test_the_head_and_its_loss_in_pieces_have_the_value_and_slope_of_torchs_cross_entropy(
    elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "PIECE_ELEMENTS", elements)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2, 150, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(2, 30, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 30, (2, 150), generator=generator)
    weights = torch.tensor([1.0, 3.0], dtype=torch.float64)
    found = cross_entropy.mean_head_loss(hidden, head, labels)
    slopes = torch.autograd.grad((found * weights).sum(), (hidden, head))
    logits = hidden @ head.transpose(1, 2)
    each = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(2, 150)
    expected = torch.autograd.grad((each.mean(1) * weights).sum(), (hidden, head))
    assert torch.allclose(found, each.mean(1), atol=1e-13)
    assert torch.allclose(cross_entropy.head_loss(hidden, head, labels), each, atol=1e-13)
    for slope, other in zip(slopes, expected, strict=True):
        assert torch.allclose(slope, other, atol=1e-14)


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest tensor held that an operation made."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        made = function(*given, **(named or {}))
        sizes = [tensor.numel() for tensor in tree_leaves(made) if isinstance(tensor, Tensor)]
        self.numbers = max([self.numbers, *sizes])
        return made


def test_the_logits_of_a_batch_are_never_all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    members, tokens, vocabulary, piece = 2, 640, 500, 64
    monkeypatch.setattr(cross_entropy, "PIECE_ELEMENTS", members * piece * vocabulary)
    hidden = torch.randn(members, tokens, 8, requires_grad=True)
    head = torch.randn(members, vocabulary, 8, requires_grad=True)
    labels = torch.randint(0, vocabulary, (members, tokens))
    with Largest() as trained:
        cross_entropy.mean_head_loss(hidden, head, labels).sum().backward()
    with Largest() as read, torch.no_grad():
        cross_entropy.head_loss(hidden, head, labels)
    assert trained.numbers == read.numbers == members * piece * vocabulary


def test_a_member_that_is_not_a_number_leaves_its_neighbours_alone() -> None:
    pack = Pack.of(LAYOUT, [3, 4], CPU, torch.float32)
    with torch.no_grad():
        pack.matrices[0].fill_(torch.nan)
    optimizer, turn = Optimizer(pack, TRAINING), rotary(LENGTH, SHAPE.head_width, CPU, torch.float32)
    for batch in batches([3, 4], 5):
        loss = pack_loss(LAYOUT, *pack.buffers, batch, turn)
        loss.sum().backward()
        optimizer.step(RATE)
    alone, _ = train([4], 5, torch.float32)
    assert loss[0].isnan()
    assert (loss[1] - alone[-1, 0]).abs() < 1e-5
