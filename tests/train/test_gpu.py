"""The same path on a GPU: the same losses in float32, near ones in bfloat16, and no step that waits for the host."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from mixlaw.corpus.shards import open_corpus
from mixlaw.launch.packing import pack_size
from mixlaw.mixture import Mixture
from mixlaw.online import Grape
from mixlaw.online.samples import Samples
from mixlaw.plan import Training
from mixlaw.runs import read_runs
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute, compute_of
from mixlaw.train.feed import Batch
from mixlaw.train.ladder import shape_of
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, rotary
from mixlaw.train.pack import Pack, drawn
from mixlaw.train.parallel import parallel
from mixlaw.train.processes import Processes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),  # of the compiler
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
]
DOMAINS = ("digits", "marks", "prose")
PLAIN = Compute(torch.device("cuda"))
FAST = Compute(torch.device("cuda"), bfloat16=True, compiled=True)


class Heard:
    """Losses and weights, kept."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.entries: list[dict[str, Any]] = []

    def weights(self, row: dict[str, Any]) -> None:
        self.entries.append(row)

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
    plain, fast = (losses(tiny_corpus, compute) for compute in (PLAIN, FAST))
    assert (plain - fast).abs().max() < 5e-2


def test_a_gpu_is_chosen_where_there_is_one() -> None:
    found = compute_of(Training())
    assert (found.device.type, found.bfloat16, found.compiled) == ("cuda", True, True)


def test_small_members_are_packed_by_measurement(tiny_corpus: Path) -> None:
    assert pack_size(members(8), setting(tiny_corpus), 257) in (1, 2, 4, 8)


@pytest.mark.parametrize("compute", [PLAIN, FAST], ids=["plain", "compiled in bfloat16"])
def test_no_step_waits_for_the_host(tiny_corpus: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch) -> None:
    original, watched = PackRun._step, []

    def step(run: PackRun, number: int, batch: Batch) -> None:
        torch.cuda.set_sync_debug_mode("error" if number > 3 else "default")  # the first compile
        try:
            original(run, number, batch)
            watched.append(number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(PackRun, "_step", step)
    losses(tiny_corpus, compute)
    assert len(watched) == 100


def test_packs_that_follow_one_another_are_compiled_once(tiny_corpus: Path) -> None:
    losses(tiny_corpus, FAST, 3)
    others = [replace(member, seed=7, mixture=Mixture(DOMAINS, (0.1, 0.2, 0.7))) for member in members(3)]
    with torch.compiler.set_stance("fail_on_recompile"):
        PackRun(others, setting(tiny_corpus), open_corpus(tiny_corpus), FAST, Heard()).train()


def test_a_killed_run_goes_on_where_it_was(tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        pass

    def step(run: PackRun, number: int, batch: Batch) -> None:
        if number > 57:
            raise Killed
        original(run, number, batch)

    def train(every_s: float) -> torch.Tensor:
        heard, checkpoint = Heard(), Checkpoint(tmp_path / "checkpoint.safetensors", "same", every_s)
        PackRun(members(1), setting(tiny_corpus), open_corpus(tiny_corpus), PLAIN, heard, checkpoint).train()
        return torch.tensor(heard.losses)

    whole, original = losses(tiny_corpus, PLAIN, 1), PackRun._step
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(PackRun, "_step", step)
        train(0.0)
    assert (train(1e9) - whole[len(DOMAINS) :]).abs().max() < 2e-2


@pytest.mark.parametrize(("compute", "near"), [(PLAIN, 5e-3), (FAST, 5e-2)], ids=["plain", "compiled in bfloat16"])
def test_weights_move_as_they_do_on_a_cpu(tiny_corpus: Path, compute: Compute, near: float) -> None:
    member = replace(members(1)[0], online=Grape(every=20), samples=Samples(burn_in=0.5))
    found = []
    for where in (Compute(torch.device("cpu")), compute):
        heard = Heard()
        PackRun([member], setting(tiny_corpus), open_corpus(tiny_corpus), where, heard).train()
        names = sorted(name for name in heard.entries[-1] if name.startswith(("mix.", "weight.", "target.")))
        found.append(torch.tensor([heard.entries[-1][name] for name in names]))
    assert (found[0] - found[1]).abs().max() < near
    assert (found[0] - found[0].mean()).abs().max() > near, "they have to move for the comparison to mean anything"


@pytest.fixture
def group() -> Iterator[None]:
    """A group of this process alone, over NCCL."""
    distributed.init_process_group("cpu:gloo,cuda:nccl", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("sharded", [False, True], ids=["DDP", "FSDP2"])
@pytest.mark.parametrize("compute", [PLAIN, FAST], ids=["plain", "compiled in bfloat16"])
def test_networks_of_several_processes_compute_what_a_pack_does(compute: Compute, sharded: bool) -> None:
    layout = Layout(shape_of("0.4M"), 256)
    matrices, others = drawn(layout, [1])
    weights = matrices, others + 0.05 * torch.randn(others.shape, generator=torch.Generator().manual_seed(0))
    pack = Pack(layout, *(part.to("cuda") for part in weights))
    network = parallel(layout, 1, compute, Processes(0, 1), sharded=sharded)
    network.fill(weights)
    batch = torch.randint(256, (1, 8, 65), generator=torch.Generator().manual_seed(1)).to("cuda")
    turn, found = rotary(64, layout.shape.head_width, compute.device, torch.float32), []
    for each in (pack, network, network.twin()):
        with compute.precision():
            found.append(each.token_losses(batch, turn).mean())
    for each in (pack, network):
        with compute.precision():
            each.losses(batch, turn).sum().backward()
    apart = 2e-2 if compute.bfloat16 else 1e-4
    assert max(abs(loss - found[0]) for loss in found) < apart
    ours, theirs = (torch.cat([part.cpu().view(-1) for part in each.whole(each.slopes())]) for each in (network, pack))
    assert (ours - theirs).norm() < apart * theirs.norm()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU here, at most")
@pytest.mark.parametrize("sharded", [False, True], ids=["DDP", "FSDP2"])
def test_torchrun_trains_a_plan_on_all_gpus(tiny_corpus: Path, tmp_path: Path, sharded: bool) -> None:
    lines = [
        'name = "gpus"\nstart = "natural"',
        f'[corpus]\npath = "{tiny_corpus}"',
        "[training]\nsequence_length = 64\nbatch_tokens = 4096\nevaluation_tokens = 1024",
        f"shard = {str(sharded).lower()}",
        '[proxies]\nsizes = ["0.4M"]\ntokens = [40960]',
        '[target]\nsize = "0.4M"\ntokens = 204800\nseeds = 1',
        '[online]\nmethod = "grape"\nevery = 10',
    ]
    found = []
    for count in (1, torch.cuda.device_count()):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "plan.toml").write_text("\n".join(lines))
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m", "mixlaw"]
        command = [sys.executable, *torchrun, "train", str(folder / "plan.toml")]
        answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert answer.returncode == 0, answer.stderr[-3000:]
        found.append(read_runs(folder / "full_runs.csv").frame["loss.prose"].to_numpy())
    assert found[0] == pytest.approx(found[1], abs=5e-2)
