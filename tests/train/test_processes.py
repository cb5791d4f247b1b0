"""Two processes train as one: the same order of data, the same weights, to the rounding of sums."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixlaw.errors import Refused
from mixlaw.train.processes import Processes

TRAIN = """
import json, sys
from pathlib import Path
import torch
from mixlaw.corpus.shards import open_corpus
from mixlaw.mixture import Mixture
from mixlaw.online import Grape, Odm, Doge
from mixlaw.online.samples import Samples
from mixlaw.plan import Training
from mixlaw.train import members
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute
from mixlaw.train.ladder import Shape
from mixlaw.train.loop import PackRun
from mixlaw.train.members import Member, Setting, Stage
from mixlaw.train.processes import together

corpus, folder, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
members.shape_of = lambda name: Shape("small", width=16, layers=1, heads=2, inner=32)
domains, processes = ("digits", "marks", "prose"), together()
base = Mixture(domains, (0.6, 0.3, 0.1))
training = Training(sequence_length=32, batch_tokens=256, learning_rate=5e-3, evaluation_tokens=480)
setting = Setting(corpus, "", domains, ("prose", "digits"), {}, training)
ways = {
    "plain": {},
    "grape": {"online": Grape(every=6, targets=("prose", "digits"))},
    "odm-linupper": {"online": Odm(every=2), "samples": Samples(temperature=0.4, burn_in=0.1)},
    "doge": {"online": Doge(every=5, strength=2e-3)},
    "stages": {"stages": (Stage(0.3, Mixture.uniform(domains)),)},
}

class Told:
    def __init__(self): self.rows, self.entries = [], []
    def measured(self, row): self.rows.append(row)
    def weights(self, row): self.entries.append(row)
    def failed(self, run, reason): raise AssertionError(reason)
    def trained(self, tokens): pass

class Stopped(Exception):
    pass

found = {}
for way, moves in ways.items():
    told, checkpoint = Told(), Checkpoint(folder / f"{way}.safetensors", way, every_s=0 if stop else 1e9)
    member = Member(way, way, base, "small", (12 * 256, 30 * 256), 3, full=True, **moves)
    run = PackRun([member], setting, open_corpus(corpus), Compute(torch.device("cpu")), told, checkpoint,
                  processes=processes)
    original = run._step
    def step(number, batch, original=original, run=run):
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
    found[way] = {"rows": told.rows, "entries": told.entries, "weights": buffers.double().norm().item(),
                  "bits": buffers.numpy().tobytes().hex()[:400], "first": processes.told(told.entries) == told.entries}
(folder / f"rank{processes.rank}.json").write_text(json.dumps(found))
processes.part()
"""


def trained(corpus: Path, folder: Path, processes: int, stop: int = 0) -> list[dict[str, Any]]:
    """What every process found, of runs trained by so many together, stopped after a step if one is given."""
    folder.mkdir(exist_ok=True)
    script = folder / "train.py"
    script.write_text(TRAIN)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(script), str(corpus), str(folder), str(stop)]
    answer = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert answer.returncode == 0, answer.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(tiny_corpus, tmp_path_factory.mktemp("alone"), 1)[0]


def check_alike(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for way, expected in theirs.items():
        found = ours[way]
        for row in found["rows"]:
            same = next(other for other in expected["rows"] if other["tokens"] == row["tokens"])
            assert row["loss.prose"] == pytest.approx(same["loss.prose"], rel=5e-4), way
        entries = {entry["step"]: entry for entry in expected["entries"]}
        for entry in found["entries"]:
            assert entry.keys() == entries[entry["step"]].keys(), way
            numbers = [value for value in entry.values() if isinstance(value, float)]
            others = [value for value in entries[entry["step"]].values() if isinstance(value, float)]
            np.testing.assert_allclose(numbers, others, rtol=2e-3, atol=1e-6, err_msg=f"{way} {entry['step']}")
        assert found["weights"] == pytest.approx(expected["weights"], rel=1e-4), way


def test_two_processes_move_as_one_does_and_agree_on_every_bit(
    tiny_corpus: Path, tmp_path: Path, alone: dict[str, Any]
) -> None:
    first, second = trained(tiny_corpus, tmp_path / "two", 2)
    assert first == second, "a process that is told of weights by another, or too late, would differ"
    check_alike(first, alone)


def test_a_run_goes_on_with_another_number_of_processes(
    tiny_corpus: Path, tmp_path: Path, alone: dict[str, Any]
) -> None:
    trained(tiny_corpus, tmp_path / "run", 1, stop=17)
    resumed = trained(tiny_corpus, tmp_path / "run", 2)[0]
    assert resumed["grape"]["entries"][0]["step"] == 18
    check_alike(resumed, alone)


def test_sequences_that_cannot_be_shared_evenly_are_refused() -> None:
    assert Processes(1, 4).share(8) == slice(2, 4)
    with pytest.raises(Refused, match="9 sequences a step cannot be shared evenly by 4 processes"):
        Processes(0, 4).share(9)
