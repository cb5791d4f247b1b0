"""An engine is believed about workers and not about runs; it is played here by one that does as it is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mixlaw.launch.worker as worker_module
from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused
from mixlaw.launch.engines import engine_of
from mixlaw.launch.history import Begun
from mixlaw.launch.job import numbers
from mixlaw.launch.local import InProcess, Local
from mixlaw.launch.lock import locked
from mixlaw.launch.packing import threads_of
from mixlaw.launch.progress import Tally
from mixlaw.launch.queue import Queue, Waiting
from mixlaw.launch.roster import proxies
from mixlaw.launch.slurm import ARRAYS
from mixlaw.launch.standing import standing
from mixlaw.launch.supervise import Supervisor
from mixlaw.launch.worker import Worker
from mixlaw.launch_plan import Launch
from mixlaw.plan import Plan
from mixlaw.train.device import Compute
from mixlaw.train.members import setting_of
from mixlaw.train.records import read_records

Deed = Callable[[Queue, str], None]


class Played:
    """Workers that do the next of the given deeds when time passes, and are gone after it."""

    workers, reused = 1, False

    def __init__(self, queue: Queue, deeds: list[Deed], living: Sequence[str] = ()) -> None:
        self.queue, self.deeds, self.at_work, self.count = queue, deeds, list(living), 0

    def attach(self) -> Sequence[str]:
        return list(self.at_work)

    def start(self, count: int) -> Sequence[str]:
        self.count += 1
        self.at_work.append("new" if self.reused else f"new-{self.count}")
        return self.at_work[-1:]

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        return {worker: "was struck by lightning" for worker in workers if worker not in self.at_work}

    def wait(self, look: Callable[[], None]) -> None:
        self.deeds.pop(0)(self.queue, self.at_work.pop(0))

    def leave(self) -> None:
        self.left = True

    def stop(self) -> None:
        self.stopped = True


def train_all(queue: Queue, name: str) -> None:
    worker = Worker(queue, name)
    worker.serve()
    worker.close()


def say_over_without_training(queue: Queue, name: str) -> None:
    claim = queue.claim("natural-0.03M", name)
    assert claim is not None
    queue.tell(replace(claim, state="over"))


def die_with_a_run(queue: Queue, name: str) -> None:
    assert queue.claim("natural-0.03M", name) is not None


def do_nothing(queue: Queue, name: str) -> None:
    pass


@pytest.fixture
def begin(plan_of: Callable[..., Plan], tmp_path: Path) -> Callable[..., tuple[Supervisor, Waiting, Played]]:
    """A study of three runs that nobody has begun, and deeds for its workers."""

    def make(*deeds: Deed, living: Sequence[str] = ()) -> tuple[Supervisor, Waiting, Played]:
        plan = plan_of(mixtures=2)
        corpus = open_corpus(plan.corpus.path)
        setting, members = setting_of(plan, corpus), proxies(plan, planned(plan, corpus.train_tokens))
        with locked(tmp_path / "study" / "runs"):
            now = standing(members, setting, tmp_path / "study")
        queue = Queue(tmp_path / "study" / "runs")
        waiting = Waiting(setting, numbers(setting), members, {member.run: 1 for member in members}, {}, 1)
        engine = Played(queue, list(deeds), living)
        return Supervisor(queue, engine, now, Tally(members, setting, corpus.vocabulary_size)), waiting, engine

    return make


def done(supervisor: Supervisor) -> set[str]:
    """Runs with both their rows on disk, whatever anybody says of them."""
    return {run for run, rows in read_records(supervisor.queue.runs).rows.items() if set(rows) == {640, 1280}}


def test_a_run_is_not_done_because_a_worker_says_so(begin: Callable[..., tuple[Supervisor, Waiting, Played]]) -> None:
    supervisor, waiting, engine = begin(say_over_without_training, train_all)
    supervisor.run(waiting)
    assert len(done(supervisor)) == len(supervisor.tally.done) == 3
    assert engine.stopped and not supervisor.queue.folder.exists()


def test_a_run_that_loses_every_worker_fails_with_the_words_of_the_engine_and_the_others_are_trained(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]],
) -> None:
    supervisor, waiting, engine = begin(die_with_a_run, die_with_a_run, train_all)
    engine.reused = True
    supervisor.run(waiting)
    assert supervisor.tally.failed == {"natural-0.03M"}
    now = standing(supervisor.standing.members, supervisor.standing.setting, supervisor.standing.folder)
    assert "was struck by lightning" in now.failed["natural-0.03M"]
    assert len(now.done) == 2


def test_a_run_whose_worker_dies_after_its_last_row_is_done(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_and_die_before_saying_so(queue: Queue, name: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(queue, "tell", lambda claim: None)
            train_all(queue, name)

    supervisor, waiting, engine = begin(train_and_die_before_saying_so)
    supervisor.run(waiting)
    assert len(done(supervisor)) == 3 and engine.count == 1


def test_workers_of_an_earlier_command_keep_their_runs_and_new_ones_take_the_rest(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]],
) -> None:
    supervisor, waiting, engine = begin(train_all, living=["old"])
    supervisor.queue.offer(waiting)
    supervisor.queue.claim("natural-0.03M", "old")
    supervisor.queue.claim("uniform-0.03M", "killed with its command")
    supervisor.run(waiting)
    assert len(done(supervisor)) == 3 and engine.count == 0


def test_workers_that_never_begin_are_told_of_rather_than_started_for_ever(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]],
) -> None:
    supervisor, waiting, engine = begin(*[do_nothing] * 10)
    with pytest.raises(Refused, match="4 workers in a row ended before they began a run; the last one was struck"):
        supervisor.run(waiting)
    assert engine.left


def test_a_worker_that_would_train_with_other_numbers_refuses(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]],
) -> None:
    supervisor, waiting, _ = begin(do_nothing)
    supervisor.queue.offer(replace(waiting, numbers={**waiting.numbers, "bfloat16": True}))
    worker = Worker(supervisor.queue, "1")
    with pytest.raises(Refused, match="other numbers than planned: bfloat16 was True, is False;"):
        worker.serve()
    worker.close()


def test_a_worker_whose_gpu_a_crash_may_have_spoiled_leaves_the_rest_to_another(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, waiting, _ = begin()
    supervisor.queue.offer(waiting)
    trained: list[str] = []

    def do(job: worker_module.Job, *_: object) -> None:
        trained.append(job.name)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(worker_module, "do", do)
    monkeypatch.setattr(worker_module, "_on_gpu", lambda waiting: True)
    train_all(supervisor.queue, "1")
    assert len(trained) == 1
    monkeypatch.setattr(worker_module, "_on_gpu", lambda waiting: False)
    train_all(supervisor.queue, "2")
    assert len(trained) == 3


def test_what_was_compiled_for_one_size_is_not_made_to_fit_another(
    begin: Callable[..., tuple[Supervisor, Waiting, Played]], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, waiting, _ = begin()
    first, second, third = waiting.members
    order = [first, second, replace(third, size="0.05M")]
    supervisor.queue.offer(replace(waiting, members=order))
    resets: list[str] = []
    trained: list[str] = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(trained[-1] if trained else "at the start"))
    monkeypatch.setattr(worker_module, "compute_of", lambda training: Compute(torch.device("cpu"), compiled=True))
    monkeypatch.setattr(worker_module, "do", lambda job, *_: trained.append(job.members[0].size))
    train_all(supervisor.queue, "1")
    assert trained == ["0.03M", "0.03M", "0.05M"]
    assert resets == ["at the start", "0.03M"]


def test_a_study_keeps_the_threads_that_runs_of_a_size_began_with(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(mixtures=2)
    member = proxies(plan, planned(plan, open_corpus(plan.corpus.path).train_tokens))[0]
    begun = [Begun({}, member, 2, (member.run,)), Begun({}, replace(member, size="8M"), 3, ("another",))]
    assert threads_of(replace(member, run="new"), begun, cpus=8) == 2
    assert threads_of(replace(member, size="8M"), begun, cpus=8) == 3
    assert threads_of(replace(member, size="4M"), begun, cpus=8) == 8
    assert threads_of(replace(member, size="0.1M"), begun, cpus=8) == 1


def test_slurm_wants_a_number_of_workers_and_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "runs")
    with pytest.raises(Refused, match=r"give --workers, or launch\.workers"):
        engine_of(Launch(engine="slurm"), queue, 1, 1)
    queue.folder.mkdir(parents=True)
    (queue.folder / ARRAYS).write_text('["12"]')
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Refused, match=r"workers of a Slurm cluster may be at work .* squeue: .*delete"):
        engine_of(Launch(), queue, 1, 1)


def test_one_worker_is_this_process_where_a_crash_cannot_spoil_it(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "runs")
    assert isinstance(engine_of(Launch(), queue, 1, 1), InProcess)
    assert isinstance(engine_of(Launch(), queue, 1, 1, in_process=False), Local)
    assert isinstance(engine_of(Launch(), queue, 2, 1), Local)
