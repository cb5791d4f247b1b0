"""Processes train as one, each with all weights or with a share: the same data, the same weights, to rounding."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixlaw.corpus.shards import open_corpus
from mixlaw.errors import Refused
from mixlaw.train.device import Compute
from mixlaw.train.ladder import Shape
from mixlaw.train.model import Layout, of_member
from mixlaw.train.pack import Pack
from mixlaw.train.parallel import parallel
from mixlaw.train.pretrained import save_llama
from mixlaw.train.processes import Processes, together

TRAIN = """
import json, sys
from pathlib import Path
import torch
from mixlaw.corpus.shards import open_corpus
from mixlaw.mixture import Mixture
from mixlaw.online import Doge, Doremi, Grape, Odm
from mixlaw.online.samples import Samples
from mixlaw.plan import Training
from mixlaw.train import evaluation, members
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute
from mixlaw.train.ladder import Shape
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting, Stage
from mixlaw.train.processes import together

corpus, folder, phases = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
torch.set_num_threads(1)
evaluation.PIECE_TOKENS = 11 * 32  # of 45 sequences one process reads 23, in three passes, and the other 22
members.shape_of = lambda name: Shape("small", width=16, layers=2, heads=2, inner=32)
domains, processes = ("digits", "marks", "prose"), together()
base = Mixture(domains, (0.6, 0.3, 0.1))
training = Training(sequence_length=32, batch_tokens=256, learning_rate=5e-3, evaluation_tokens=480)
ways = {
    "plain": {},
    "grape": {"online": Grape(every=6, targets=("prose", "digits"))},
    "odm-linupper": {"online": Odm(every=2), "samples": Samples(temperature=0.4, burn_in=0.1)},
    "doge": {"online": Doge(every=5, strength=2e-3)},
    "doremi": {"online": Doremi(), "reference": "model"},
    "stages": {"stages": (Stage(0.3, Mixture.uniform(domains)),)},
    "pieces": {"samples": Samples(temperature=0.4, burn_in=0.5)},
    "rounded": {},
}

class Told:
    def __init__(self): self.rows, self.entries = [], []
    def measured(self, row): self.rows.append(row)
    def weights(self, row): self.entries.append(row)
    def failed(self, run, reason): raise AssertionError(reason)
    def trained(self, tokens): pass

class Stopped(Exception):
    pass

def train(way, shard, stop, checkpoints):
    told, checkpoint = Told(), Checkpoint(folder / checkpoints / f"{way}.safetensors", way, every_s=0 if stop else 1e9)
    member = Member(way, way, base, "small", (12 * 256, 30 * 256), 3, full=True, **ways[way])
    own = training.model_copy(update={"shard": shard, "micro_batches": 2 if way == "pieces" else 1})
    setting = Setting(corpus, "", domains, ("prose", "digits", "marks"), {}, own)
    compute = Compute(torch.device("cpu"), bfloat16=way == "rounded")
    run = PackRun([member], setting, open_corpus(corpus), compute, told, checkpoint,
                  reference=corpus.parent / "model", processes=processes)
    original = run._step
    def step(number, batch):
        if stop and number > stop:
            raise Stopped
        original(number, batch)
        assert batch.tokens.shape[1] == 8 // processes.count and batch.domains.shape[1] == 8
    run._step = step
    try:
        run.train()
    except Stopped:
        pass
    buffers = torch.cat([buffer.detach().reshape(-1) for buffer in run.pack.buffers])
    kept = (run.pack.parts, run.read.parts, run.optimizer.means, run.optimizer.squares)
    some = torch.arange(8 * 33).view(8, 33) ** 2 % 251
    even, uneven = run.passes.slope(some), run.passes.slope(some, torch.linspace(0, 0.4, 8))
    slopes = [even.norm, uneven.norm, even.product(uneven), even.loss, uneven.loss]
    length = processes.told(buffers.double().norm().item())
    return {"slopes": slopes, "rows": told.rows, "entries": told.entries, "weights": length,
            "kept": [sum(part.numel() for part in parts) for parts in kept],
            "bits": "" if shard else buffers.numpy().tobytes().hex()[:400]}

found = {}
for name, shard, stop, checkpoints, some in phases:
    found[name] = {way: train(way, shard, stop, checkpoints) for way in some or ways}
(folder / f"{processes.count}-{processes.rank}.json").write_text(json.dumps(found))
processes.meet()
processes.part()
"""


WEIGHTS = Layout(Shape("small", width=16, layers=2, heads=2, inner=32), 256)
COUNT = sum(math.prod(size) for size in (WEIGHTS.matrices | WEIGHTS.others).values())


Found = dict[str, dict[str, dict[str, Any]]]
"""By phase and way, what one process found."""

SOME = ["plain", "grape", "pieces"]


def trained(corpus: Path, folder: Path, processes: int, *phases: tuple[str, bool, int, str, list[str]]) -> list[Found]:
    """What each of so many processes found in phases: a name, whether weights are shared out, the step it is stopped
    after (0 for none), the folder of its checkpoints, and the ways to train (none for all).
    """
    script = folder / "train.py"
    script.write_text(TRAIN)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    given = [str(script), str(corpus), str(folder), json.dumps(phases)]
    command = [sys.executable, *(torchrun if processes > 1 else []), *given]
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert answer.returncode == 0, answer.stderr[-3000:]
    return [json.loads((folder / f"{processes}-{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def corpus(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus, and beside it the model that DoReMi is held against."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(tiny_corpus, folder / "corpus")
    pack = Pack.of(WEIGHTS, [7], torch.device("cpu"), torch.float32)
    save_llama(folder / "model", WEIGHTS, of_member(WEIGHTS, pack.buffers, 0), open_corpus(tiny_corpus), 32)
    return folder / "corpus"


@pytest.fixture(scope="module")
def runs(corpus: Path) -> tuple[Found, Found, Found]:
    """Of one process, and of each of two: one after the other, to spare starting Python for each phase."""
    folder = corpus.parent
    alone = trained(corpus, folder, 1, ("alone", False, 0, "new", []), ("begun", False, 8, "begun alone", []))
    together = trained(
        corpus,
        folder,
        2,
        ("whole", False, 0, "new", []),
        ("shared", True, 0, "begun alone", []),
        ("begun", True, 17, "begun shared", SOME),
        ("ended", False, 0, "begun shared", SOME),
    )
    return alone[0], together[0], together[1]


def check_alike(ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> None:
    for way, found in ours.items():
        expected, rough = theirs[way], 10 if way == "rounded" else 1
        assert found["rows"] and found["weights"] == pytest.approx(expected["weights"], rel=1e-4 * rough), way
        assert found["slopes"] == pytest.approx(expected["slopes"], rel=3e-3 * rough), way
        for row in found["rows"]:
            same = next(other for other in expected["rows"] if other["tokens"] == row["tokens"])
            assert row["loss.prose"] == pytest.approx(same["loss.prose"], rel=5e-4 * rough), way
        entries = {entry["step"]: entry for entry in expected["entries"]}
        for entry in found["entries"]:
            assert entry.keys() == entries[entry["step"]].keys(), way
            numbers = [value for value in entry.values() if isinstance(value, float)]
            others = [value for value in entries[entry["step"]].values() if isinstance(value, float)]
            np.testing.assert_allclose(numbers, others, rtol=2e-3, atol=1e-6, err_msg=f"{way} {entry['step']}")


def test_two_processes_move_as_one_does_and_agree_on_every_bit(runs: tuple[Found, Found, Found]) -> None:
    alone, first, second = runs
    assert first["whole"] == second["whole"], "a process that is told of weights by another, or too late, would differ"
    check_alike(first["whole"], alone["alone"])


def test_a_run_goes_on_with_its_weights_shared_out_among_two_processes(runs: tuple[Found, Found, Found]) -> None:
    alone, first, second = runs
    assert first["shared"]["grape"]["entries"][0]["step"] == 9
    check_alike(first["shared"], alone["alone"])
    for way, found in first["shared"].items():
        assert (found["rows"], found["entries"]) == (second["shared"][way]["rows"], second["shared"][way]["entries"])


def test_a_run_goes_on_with_whole_weights_where_they_were_shared_out(runs: tuple[Found, Found, Found]) -> None:
    alone, first, _ = runs
    assert [row["step"] for row in first["begun"]["grape"]["rows"]] == [12]
    assert first["ended"]["grape"]["entries"][0]["step"] == 18
    check_alike(first["ended"], alone["alone"])


def test_each_of_two_processes_keeps_half_of_the_weights_moments_and_averages(
    runs: tuple[Found, Found, Found],
) -> None:
    alone, first, second = runs
    for way, found in first["shared"].items():
        assert alone["alone"][way]["kept"] == first["whole"][way]["kept"] == [COUNT] * 4
        for ours, theirs in zip(found["kept"], second["shared"][way]["kept"], strict=True):
            assert ours + theirs == COUNT
            assert abs(ours - theirs) <= 3, "each block, and what does not decay, is cut in two"


def test_sequences_that_cannot_be_shared_evenly_are_refused() -> None:
    assert Processes(1, 4).share(8) == slice(2, 4)
    with pytest.raises(Refused, match="9 sequences a step cannot be shared evenly by 4 processes"):
        Processes(0, 4).share(9)


def test_a_process_that_does_not_see_the_checkpoint_of_the_first_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Processes, "told", lambda self, content: 120)
    assert Processes(1, 2).check_step(120) == 120
    with pytest.raises(Refused, match="goes on after step 120 and process 1 after step 0: they do not see the same"):
        Processes(1, 2).check_step(0)


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_world_size_that_a_cluster_sets_for_every_shell_is_not_torchrun(environment: pytest.MonkeyPatch) -> None:
    assert together() == Processes(0, 1)
    environment.setenv("WORLD_SIZE", "64")
    environment.setenv("MASTER_PORT", "29500")
    assert together() == Processes(0, 1)


@pytest.mark.parametrize("missing", ["LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_a_rank_without_a_place_to_meet_the_others_is_refused(environment: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in TORCHRUN.items():
        environment.setenv(name, value)
    environment.delenv(missing)
    with pytest.raises(Refused, match=f"RANK is 1 and {missing} is not set; start the processes with torchrun"):
        together()


def test_several_members_are_not_shared_out_together() -> None:
    with pytest.raises(ValueError, match="2 members are shared out together"):
        parallel(WEIGHTS, 2, Compute(torch.device("cpu")), Processes(0, 2), sharded=True)
