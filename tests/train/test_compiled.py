"""What is compiled is compiled once, and computes what plain steps do; no backend is needed to see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.mixture import Mixture
from mixlaw.plan import Training
from mixlaw.train.cross_entropy import token_head_loss
from mixlaw.train.device import Compute
from mixlaw.train.ladder import Shape
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, block, pack_loss, rotary
from mixlaw.train.pack import Pack, drawn
from mixlaw.train.parallel import Replicated

pytestmark = [  # torch's own, of what its compiler does to find out
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]
COMPILED = Compute(torch.device("cpu"), compiled=True)
DOMAINS = ("digits", "marks", "prose")


def graphs_only(function: Callable[..., Any], into: list[int]) -> Callable[[], Callable[..., Any]]:
    """The function compiled as on a GPU up to its graphs, which run as they are; every graph is counted."""

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        into.append(len(inputs))
        return graph.forward

    found = torch.compile(function, dynamic=False, backend=backend)
    return lambda: found


def test_packs_that_follow_one_another_share_what_was_compiled(
    tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[int] = []
    monkeypatch.setattr("mixlaw.train.pack.compiled_loss", graphs_only(pack_loss, graphs))
    monkeypatch.setattr("mixlaw.train.members.shape_of", lambda name: Shape("small", 16, 1, 2, 32))
    training = Training(sequence_length=32, batch_tokens=128, evaluation_tokens=512)
    setting = Setting(tiny_corpus, "", DOMAINS, ("prose",), {}, training)
    corpus, losses = open_corpus(tiny_corpus), []

    class Heard:
        def measured(self, row: dict[str, Any]) -> None:
            losses.append(row["loss.prose"])

        def failed(self, run: str, reason: str) -> None:
            raise AssertionError(reason)

        def trained(self, tokens: int) -> None: ...

    def pack(seeds: tuple[int, int], compute: Compute) -> None:
        mixtures = (Mixture(DOMAINS, (0.2, 0.3, 0.5)), Mixture.uniform(DOMAINS))
        members = [
            Member(f"{seed}", "m", mixture, "small", (1280,), seed)
            for seed, mixture in zip(seeds, mixtures, strict=True)
        ]
        PackRun(members, setting, corpus, compute, Heard()).train()

    pack((1, 2), COMPILED)
    assert len(graphs) == 1, "a step is one graph: nothing in it goes back to Python"
    with torch.compiler.set_stance("fail_on_recompile"):
        pack((3, 4), COMPILED)
    pack((1, 2), Compute(torch.device("cpu")))
    assert losses[:2] == pytest.approx(losses[4:], rel=1e-5)


@pytest.mark.parametrize("members", [1, 2])
def test_the_blocks_of_a_decoder_share_what_was_compiled_and_compute_what_a_pack_does(
    members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[int] = []
    monkeypatch.setattr("mixlaw.train.decoder.compiled_block", graphs_only(block, graphs))
    layout = Layout(Shape("small", 16, 3, 2, 32), 61)
    weights = drawn(layout, range(members))
    weights[1].add_(0.1)
    decoder, pack = Replicated(layout, members, COMPILED, trained=False), Pack(layout, *weights)
    decoder.fill(weights)
    batch = torch.randint(61, (members, 4, 33), generator=torch.Generator().manual_seed(1))
    turn = rotary(32, 8, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(decoder.token_losses(batch, turn), pack.token_losses(batch, turn))
    assert len(graphs) == 1
    for ours, theirs in zip(decoder.buffers, pack.buffers, strict=True):
        assert torch.equal(ours, theirs)
    decoder.losses(batch, turn).sum().backward()
    pack.losses(batch, turn).sum().backward()
    for ours, theirs in zip(decoder.whole(decoder.slopes()), pack.slopes(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_compiled_step_keeps_no_more_of_weighed_losses_than_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler would keep what is computed twice, where it saw that it is the same."""
    monkeypatch.setattr("mixlaw.train.cross_entropy.PIECE_ELEMENTS", 64 * 500)
    monkeypatch.setattr("mixlaw.train.cross_entropy.KEPT_ELEMENTS", 200 * 500 - 1)
    generator, saved = torch.Generator().manual_seed(2), []
    hidden = torch.randn(1, 200, 8, generator=generator, requires_grad=True)
    head = torch.randn(1, 500, 8, generator=generator, requires_grad=True)
    labels = torch.randint(500, (1, 200), generator=generator)

    def weighed(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return token_head_loss(2 * hidden, head, labels)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.numel())
        return tensor

    found = []
    for function in (weighed, torch.compile(weighed, dynamic=False, backend="aot_eager")):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = function(hidden, head, labels)
        found.append(torch.autograd.grad((losses * losses.detach()).sum(), (hidden, head)))
    assert max(saved) <= head.numel()
    torch.testing.assert_close(found[1], found[0])
