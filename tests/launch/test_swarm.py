"""A plan is trained to the same table however it is interrupted, and a changed plan is not mixed with what is there."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import mixlaw.launch.worker as worker
from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused
from mixlaw.launch.lock import locked
from mixlaw.launch.progress import Progress
from mixlaw.launch.queue import Queue
from mixlaw.launch.swarm import train_full, train_swarm
from mixlaw.launch_plan import Launch
from mixlaw.mixture import Mixture, read_mixtures, write_mixtures
from mixlaw.plan import Plan, read_plan
from mixlaw.runs import read_runs
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.loop import PackRun
from mixlaw.train.records import Writer, read_records

Planned = Callable[..., Plan]
LAUNCH = """
import signal
import sys
from pathlib import Path
from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.launch.swarm import train_swarm
from mixlaw.plan import read_plan
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in a shell's background
plan, folder, workers = read_plan(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
mixtures = planned(plan, open_corpus(plan.corpus.path).train_tokens)
train_swarm(plan, mixtures, folder, lambda moment: print(moment.done, flush=True), workers=workers)
"""


def mixtures_of(plan: Plan) -> dict[str, Mixture]:
    return planned(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens)


def swarm(plan: Plan, folder: Path, workers: int = 1) -> list[Progress]:
    moments: list[Progress] = []
    train_swarm(plan, mixtures_of(plan), folder, moments.append, workers=workers)
    return moments


def launched(plan: Plan, folder: Path, workers: int) -> "subprocess.Popen[str]":
    """A process that trains a plan."""
    command = [sys.executable, "-c", LAUNCH, str(plan.folder / "plan.toml"), str(folder), str(workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True)


def rows_on_disk(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"record": "row"') for path in folder.glob("runs/records-*.jsonl"))


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(number) for path in tasks for number in path.read_text().split()]


def swarm_is_free(folder: Path) -> bool:
    with locked(folder / "runs"):
        return True


def wait_for(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.01)


def test_a_plan_becomes_a_run_table_with_every_mixture_size_and_repeat(plan_of: Planned, tmp_path: Path) -> None:
    plan = plan_of(sizes='"0.03M", "0.05M"')
    moments = swarm(plan, tmp_path / "study")
    table = read_runs(tmp_path / "study" / "runs.csv")
    assert set(table.runs) == {
        f"{name}-{size}" for name in ("natural", "uniform", "m001", "natural-repeat1") for size in ("0.03M", "0.05M")
    }
    assert len(table) == 8 * 2
    assert set(table.params) == {26784, 55536}
    assert table.frame["seed"].nunique() == 8
    assert read_mixtures(tmp_path / "study" / "mixtures.csv") == mixtures_of(plan)
    assert (moments[-1].runs, moments[-1].done, moments[-1].left_s) == (8, 8, 0.0)
    assert moments[-1].trained_tokens == moments[-1].tokens == 8 * 1280
    repeats = table.frame[table.frame["group"] == "natural"].drop_duplicates("run")
    assert len(repeats) == 4


def test_what_is_done_is_not_trained_again(plan_of: Planned, tmp_path: Path) -> None:
    plan = plan_of()
    swarm(plan, tmp_path / "study")
    before = (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes()
    moments = swarm(plan, tmp_path / "study")
    assert (tmp_path / "study" / "runs" / "records-1.jsonl").read_bytes() == before
    assert moments[0].done == 4


def test_a_training_killed_at_any_moment_ends_with_the_table_it_would_have_had(
    plan_of: Planned, tmp_path: Path
) -> None:
    plan = plan_of(mixtures=4, last=12800)
    swarm(plan, tmp_path / "whole", workers=1)
    expected = (tmp_path / "whole" / "runs.csv").read_bytes()
    process = launched(plan, tmp_path / "killed", 2)
    wait_for(lambda: rows_on_disk(tmp_path / "killed") >= 3 or process.poll() is not None)
    process.kill()
    process.communicate()
    acknowledged = read_records(tmp_path / "killed" / "runs").rows
    assert acknowledged
    assert not (tmp_path / "killed" / "runs.csv").exists()
    swarm(plan, tmp_path / "killed")
    assert (tmp_path / "killed" / "runs.csv").read_bytes() == expected
    final = read_records(tmp_path / "killed" / "runs").rows
    assert all(final[run][tokens] == row for run, found in acknowledged.items() for tokens, row in found.items())


def test_a_killed_worker_is_replaced_and_a_run_that_kills_its_worker_each_time_is_told_and_stops_no_other(
    plan_of: Planned, tmp_path: Path
) -> None:
    plan = plan_of(mixtures=4, last=12800)
    swarm(plan, tmp_path / "whole", workers=1)
    queue = Queue(tmp_path / "study" / "runs")
    killed: list[tuple[str, int]] = []
    with ThreadPoolExecutor() as pool:
        training = pool.submit(swarm, plan, tmp_path / "study", workers=2)
        while not training.done():
            for claim in queue.claims().values():
                deadly = claim.run == "uniform-0.03M" or (claim.run == "m001-0.03M" and ("m001-0.03M", 1) not in killed)
                assert claim.process != os.getpid()
                if deadly and claim.state == "training" and (claim.run, claim.process) not in killed:
                    os.kill(claim.process, signal.SIGKILL)
                    killed += [(claim.run, claim.process), (claim.run, 1)]
            time.sleep(0.01)
        training.result()
    assert len({pid for run, pid in killed if run == "uniform-0.03M" and pid != 1}) == 2
    survivors = read_runs(tmp_path / "whole" / "runs.csv").frame.query("run != 'uniform-0.03M'")
    assert read_runs(tmp_path / "study" / "runs.csv").frame.equals(survivors.reset_index(drop=True))
    reason = read_records(tmp_path / "study" / "runs").failed["uniform-0.03M"]["reason"]
    assert "was killed by SIGKILL (see " in reason and not queue.folder.exists()


@contextmanager
def at_most(limit: int, size: int) -> Iterator[None]:
    """A limit on the resources of this process and of those it starts."""
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(limit, before)


def test_a_full_disk_ends_every_worker_and_keeps_what_was_measured(plan_of: Planned, tmp_path: Path) -> None:
    plan, others = plan_of(mixtures=4), children(os.getpid())
    told = "cannot be written: .*; what was measured before is kept: make room, then run the same"
    with at_most(resource.RLIMIT_FSIZE, 4000), pytest.raises(Refused, match=told):
        swarm(plan, tmp_path / "study", workers=2)
    assert set(children(os.getpid())) <= set(others)
    before = read_records(tmp_path / "study" / "runs").rows
    assert before and not (tmp_path / "study" / "runs.csv").exists()
    assert swarm_is_free(tmp_path / "study")
    swarm(plan, tmp_path / "study")
    after = read_records(tmp_path / "study" / "runs").rows
    assert all(after[run][tokens] == row for run, rows in before.items() for tokens, row in rows.items())


def test_an_interrupt_ends_all_workers_and_keeps_what_was_measured(plan_of: Planned, tmp_path: Path) -> None:
    process = launched(plan_of(mixtures=4, last=128000), tmp_path / "study", 2)
    wait_for(lambda: rows_on_disk(tmp_path / "study") >= 2 or process.poll() is not None)
    workers = children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), timeout_s=20)
    assert len(workers) == 2
    assert rows_on_disk(tmp_path / "study") >= 2
    assert swarm_is_free(tmp_path / "study")


def test_a_run_whose_worker_dies_every_time_is_reported_and_stops_no_other(
    plan_of: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def do(job: worker.Job, *others: object) -> None:
        attempts.append(job.name)
        if job.name.startswith("uniform"):
            raise RuntimeError("the device is on fire")
        original(job, *others)  # type: ignore[arg-type]

    original = worker.do
    monkeypatch.setattr(worker, "do", do)
    plan = plan_of()
    table = train_swarm(plan, mixtures_of(plan), tmp_path, workers=1)
    assert attempts.count("uniform-0.03M") == 2
    log = tmp_path / "runs" / "worker-1.log"
    assert f"run 'uniform-0.03M' failed: RuntimeError: the device is on fire (see {log})" in table.notes
    assert log.read_text().count("Traceback (most recent call last)") == 2
    assert set(table.runs) == {"natural-0.03M", "m001-0.03M", "natural-repeat1-0.03M"}
    monkeypatch.setattr(worker, "do", original)
    assert "uniform-0.03M" in set(train_swarm(plan, mixtures_of(plan), tmp_path, workers=1).runs)


def test_a_pack_that_does_not_fit_is_halved_until_it_does(
    plan_of: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def do(job: worker.Job, *others: object) -> None:
        tried.append(len(job.members))
        if len(job.members) > 1:
            raise torch.OutOfMemoryError("too little")
        original(job, *others)  # type: ignore[arg-type]

    original = worker.do
    monkeypatch.setattr(worker, "do", do)
    monkeypatch.setattr(worker, "pack_size", lambda *_: 4)
    plan = plan_of()
    assert len(set(train_swarm(plan, mixtures_of(plan), tmp_path, workers=1).runs)) == 4
    assert tried == [4, 2, 1, 1, 1, 1], "what was found not to fit is not tried again"


@pytest.fixture
def little_memory() -> Iterator[None]:
    """This process may map 200 MB more than it has."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with at_most(resource.RLIMIT_AS, mapped + 200 * 2**20):
        yield


@pytest.mark.usefixtures("little_memory")
def test_a_pack_for_which_there_is_no_memory_is_trained_in_parts(
    plan_of: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member needs some 130 MB for a step, four of them 500."""
    tried: list[int] = []

    def do(job: worker.Job, *others: object) -> None:
        tried.append(len(job.members))
        original(job, *others)  # type: ignore[arg-type]

    original = worker.do
    monkeypatch.setattr(worker, "do", do)
    monkeypatch.setattr(worker, "pack_size", lambda *_: 4)
    plan = plan_of(batch=16384, first=16384, last=32768, target=32768)
    table = train_swarm(plan, mixtures_of(plan), tmp_path, workers=1)
    assert len(set(table.runs)) == 4 and not table.notes
    assert tried[0] == 4 and tried.count(4) == 1 and sum(tried) >= 4 + 4


def test_a_pack_of_four_measures_what_four_packs_measure(
    plan_of: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of()
    alone = train_swarm(plan, mixtures_of(plan), tmp_path / "alone", workers=1)
    monkeypatch.setattr(worker, "pack_size", lambda *_: 4)
    together = train_swarm(plan, mixtures_of(plan), tmp_path / "together", workers=1)
    assert abs(alone.losses - together.losses).max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 1e-2}, "training.learning_rate was 0.005, is 0.01"),
        ({"last": 2560}, r"member.tokens was \[640, 1280\], is \[640, 2560\]"),
        ({"batch": 64}, "training.batch_tokens was 128, is 64"),
    ],
)
def test_a_plan_that_would_change_runs_on_record_is_refused_with_the_difference(
    plan_of: Planned, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    swarm(plan_of(), tmp_path / "study")
    with pytest.raises(Refused, match=said):
        swarm(plan_of(**changes), tmp_path / "study")


def test_full_runs_and_proxies_of_one_folder_have_one_setting(plan_of: Planned, tmp_path: Path) -> None:
    plan = plan_of()
    train_full(plan, {"mine": mixtures_of(plan)["m001"]}, tmp_path / "study", seeds=[0], workers=1)
    with pytest.raises(Refused, match=r"run 'mine-0\.05M-seed0' was trained with other numbers.*another folder"):
        swarm(plan_of(rate=1e-2), tmp_path / "study")


@pytest.mark.parametrize("checkpoints", [False, True])
def test_a_proxy_goes_on_where_it_was_stopped_if_its_state_is_kept(
    plan_of: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoints: bool
) -> None:
    plan = plan_of(mixtures=2, first=1280, last=2560)
    plan = plan.model_copy(update={"launch": Launch(checkpoints=checkpoints)})
    steps: list[int] = []
    original = PackRun._step

    def step(self: PackRun, number: int, *others: Any) -> None:
        if number == 15 and 15 not in steps:
            steps.append(number)
            raise KeyboardInterrupt
        steps.append(number)
        original(self, number, *others)

    swarm(plan, tmp_path / "whole")
    monkeypatch.setattr(PackRun, "_step", step)
    monkeypatch.setattr(Checkpoint, "due", lambda self: True)
    with pytest.raises(KeyboardInterrupt):
        swarm(plan, tmp_path / "study")
    swarm(plan, tmp_path / "study")
    assert steps[:15] == list(range(1, 16)) and steps[15] == (15 if checkpoints else 1)
    assert (tmp_path / "study" / "runs.csv").read_bytes() == (tmp_path / "whole" / "runs.csv").read_bytes()
    assert not list((tmp_path / "study").glob("checkpoints/*"))


def test_a_plan_that_drops_runs_on_record_is_refused_and_one_that_adds_some_is_trained(
    plan_of: Planned, tmp_path: Path
) -> None:
    swarm(plan_of(), tmp_path / "study")
    swarm(plan_of(mixtures=4, sizes='"0.03M", "0.05M"'), tmp_path / "study")
    table = read_runs(tmp_path / "study" / "runs.csv")
    assert len(set(table.runs)) == 10
    with pytest.raises(Refused, match=r"6 runs that the plan no longer has \(natural-0\.05M, "):
        swarm(plan_of(), tmp_path / "study")


def test_a_mixtures_file_of_other_mixtures_is_neither_trained_over_nor_lost(plan_of: Planned, tmp_path: Path) -> None:
    plan, folder = plan_of(), tmp_path / "study"
    folder.mkdir()
    planned = mixtures_of(plan)
    mine = {**planned, "mine": planned["m001"]}
    write_mixtures(folder / "mixtures.csv", mine)
    with pytest.raises(Refused, match=r"'mine' that the plan would not train.*file = \"mixtures.csv\""):
        swarm(plan, folder)
    assert set(read_mixtures(folder / "mixtures.csv")) == set(mine)
    write_mixtures(folder / "mixtures.csv", {**planned, "m001": planned["uniform"]})
    with pytest.raises(Refused, match="'m001' that the plan would not train"):
        swarm(plan, folder)
    write_mixtures(folder / "mixtures.csv", planned)
    swarm(plan, folder)


def test_a_corpus_that_changed_is_refused(plan_of: Planned, tmp_path: Path, tiny_corpus: Path) -> None:
    plan = plan_of()
    swarm(plan, tmp_path / "study")
    copy = tmp_path / "corpus"
    shutil.copytree(tiny_corpus, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["domains"]["prose"]["duplicates"] += 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    path = plan.folder / "plan.toml"
    path.write_text(path.read_text().replace(str(tiny_corpus), str(copy)))
    with pytest.raises(Refused, match="corpus_sha256 was"):
        swarm(read_plan(path), tmp_path / "study")


def test_a_second_training_in_the_same_folder_is_refused_and_a_stale_lock_is_not(
    plan_of: Planned, tmp_path: Path
) -> None:
    plan = plan_of()
    with locked(tmp_path / "runs"), pytest.raises(Refused, match=f"trained in by process {os.getpid()} on"):
        swarm(plan, tmp_path)
    (tmp_path / "runs" / "lock").write_text('{"process": 1, "host": "gone", "since": "then"}')
    assert swarm(plan, tmp_path)[-1].done == 4


def test_a_run_that_diverged_is_named_kept_out_of_the_table_and_not_tried_again(
    plan_of: Planned, tmp_path: Path
) -> None:
    plan = plan_of()
    swarm(plan, tmp_path)
    writer = Writer(tmp_path / "runs" / "records-9.jsonl")
    writer.failed("m001-0.03M", "the loss is not a number at 640 tokens", final=True)
    writer.close()
    table = train_swarm(plan, mixtures_of(plan), tmp_path, workers=1)
    assert "m001-0.03M" not in set(table.runs)
    assert table.notes == ("run 'm001-0.03M' failed: the loss is not a number at 640 tokens",)


def test_when_every_run_fails_no_table_is_written(plan_of: Planned, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"holds no run that succeeded; run 'natural-0\.03M' failed: the "):
        swarm(plan_of(rate=50), tmp_path / "study")
    assert not (tmp_path / "study" / "runs.csv").exists()


def test_a_full_run_is_a_proxy_with_other_numbers_and_leaves_a_model(plan_of: Planned, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    plan = plan_of()
    table = train_full(plan, {"mine": mixtures_of(plan)["m001"]}, tmp_path, workers=1)
    assert set(table.runs) == {"mine-0.05M-seed0", "mine-0.05M-seed1"}
    assert set(table.frame["group"]) == {"mine"}
    assert list(table.tokens) == [640, 1280, 2560] * 2
    model = LlamaForCausalLM.from_pretrained(tmp_path / "models" / "mine-0.05M-seed1")
    counted = sum(weight.numel() for name, weight in model.named_parameters() if "embed" not in name)
    assert counted - model.lm_head.weight.numel() == table.params[0] == 55536
    assert not list((tmp_path / "checkpoints").glob("*"))


def test_full_runs_gather_in_one_table_and_a_lost_model_is_made_again(plan_of: Planned, tmp_path: Path) -> None:
    plan = plan_of()
    train_full(plan, {"one": mixtures_of(plan)["m001"]}, tmp_path, seeds=[0], workers=1)
    table = train_full(plan, {"two": mixtures_of(plan)["uniform"]}, tmp_path, seeds=[5], workers=1)
    assert set(table.runs) == {"one-0.05M-seed0", "two-0.05M-seed5"}
    before = (tmp_path / "full_runs.csv").read_bytes()
    shutil.rmtree(tmp_path / "models" / "one-0.05M-seed0")
    train_full(plan, {"one": mixtures_of(plan)["m001"]}, tmp_path, seeds=[0], workers=1)
    assert (tmp_path / "models" / "one-0.05M-seed0" / "model.safetensors").is_file()
    assert (tmp_path / "full_runs.csv").read_bytes() == before
    with pytest.raises(Refused, match=r"member.mixture.*give the changed run another name"):
        train_full(plan, {"one": mixtures_of(plan)["uniform"]}, tmp_path, seeds=[0], workers=1)
