"""The same path on a GPU: the same losses in float32, near ones in bfloat16, and no step that waits for the host."""

from pathlib import Path
from typing import Any

import pytest
import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.launch.packing import pack_size
from mixlaw.mixture import Mixture
from mixlaw.plan import Training
from mixlaw.train.device import Compute, compute_of
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
DOMAINS = ("digits", "marks", "prose")


class Heard:
    """Losses, kept."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def measured(self, row: dict[str, Any]) -> None:
        self.losses += [value for key, value in sorted(row.items()) if key.startswith("loss.")]

    def failed(self, run: str, reason: str) -> None:
        raise AssertionError(f"{run}: {reason}")

    def trained(self, tokens: int) -> None:
        pass


def setting(corpus: Path) -> Setting:
    training = Training(sequence_length=64, batch_tokens=512, evaluation_tokens=1024)
    return Setting(corpus, "", DOMAINS, DOMAINS, {}, training)


def members(count: int) -> list[Member]:
    return [Member(f"{n}", f"{n}", Mixture.uniform(DOMAINS), "0.4M", (5120, 51200), n) for n in range(count)]


def losses(corpus: Path, compute: Compute, count: int = 2) -> torch.Tensor:
    heard = Heard()
    PackRun(members(count), setting(corpus), open_corpus(corpus), compute, heard).train()
    return torch.tensor(heard.losses)


def test_a_gpu_in_float32_measures_what_the_cpu_measures(tiny_corpus: Path) -> None:
    cpu, gpu = (losses(tiny_corpus, Compute(torch.device(name))) for name in ("cpu", "cuda"))
    assert (cpu - gpu).abs().max() < 2e-2


def test_bfloat16_and_compilation_change_losses_less_than_a_seed_does(tiny_corpus: Path) -> None:
    plain = losses(tiny_corpus, Compute(torch.device("cuda")))
    fast = losses(tiny_corpus, Compute(torch.device("cuda"), bfloat16=True, compiled=True))
    assert (plain - fast).abs().max() < 5e-2


def test_a_gpu_is_chosen_where_there_is_one() -> None:
    found = compute_of(Training())
    assert (found.device.type, found.bfloat16, found.compiled) == ("cuda", True, True)


def test_small_members_are_packed_by_measurement(tiny_corpus: Path) -> None:
    assert pack_size(members(8), setting(tiny_corpus), 257) in (1, 2, 4, 8)
