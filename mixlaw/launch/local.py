"""Jobs on this machine: in this process, or in worker processes that each train one job after another."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Lock, Thread
from typing import Protocol

import torch

from mixlaw.errors import Refused
from mixlaw.launch.job import Job, do
from mixlaw.launch.progress import Tally
from mixlaw.train.records import Writer

ATTEMPTS = 2
"""How often a job is started whose worker dies."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended: `crash` is empty if it is done, `memory` tells that the device had too little of it."""

    crash: str = ""
    memory: bool = False


class Trainer(Protocol):
    """Trains jobs one after another."""

    def train(self, job: Job, trained: Callable[[int], None]) -> Outcome:
        """Train one job to its end or its crash; refuse what no other job would survive either."""

    def close(self) -> None:
        """End, in the middle of a job if need be."""


class InProcess:
    """Trains in this process."""

    def __init__(self, runs: Path, number: int) -> None:
        self._writer = Writer(runs / f"records-{number}.jsonl")

    def train(self, job: Job, trained: Callable[[int], None]) -> Outcome:
        """See `Trainer`."""
        try:
            do(job, self._writer, trained)
        except Refused:
            raise
        except Exception as error:  # recorded as the job's reason; other jobs go on
            return Outcome(f"{type(error).__name__}: {error}", isinstance(error, torch.OutOfMemoryError))
        return Outcome()

    def close(self) -> None:
        """See `Trainer`."""
        self._writer.close()


class InWorker:
    """Trains in a worker process, which is started when there is a job and started again if it dies."""

    def __init__(self, runs: Path, number: int, device: int | None) -> None:
        self._runs, self._number, self._device = runs, number, device
        self._process: subprocess.Popen[str] | None = None

    def train(self, job: Job, trained: Callable[[int], None]) -> Outcome:
        """See `Trainer`."""
        process = self._process or self._start(job.threads)
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(job.as_json()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._death(process)
        for line in process.stdout:
            told = json.loads(line)
            if "tokens" in told:
                trained(told["tokens"])
            elif "refused" in told:
                raise Refused(told["refused"])
            elif "crashed" in told:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(told["traceback"])
                return Outcome(f"{told['crashed']} (see {self._log})", "OutOfMemoryError" in told["crashed"])
            else:
                return Outcome()
        return self._death(process)

    def close(self) -> None:
        """See `Trainer`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):  # what was still to be sent to a process that is gone
                    if pipe is not None:
                        pipe.close()
            self._process = None

    def stop(self) -> None:
        """End the process; whoever reads from it then sees its end."""
        if self._process is not None:
            self._process.kill()

    @property
    def _log(self) -> Path:
        return self._runs / f"worker-{self._number}.log"

    def _start(self, threads: int) -> "subprocess.Popen[str]":
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if self._device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(self._device)
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mixlaw.launch.worker", str(self._runs / f"records-{self._number}.jsonl")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        return self._process

    def _death(self, process: "subprocess.Popen[str]") -> Outcome:
        code = process.wait()
        self.close()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return Outcome(f"its worker {how} (see {self._log})")


@dataclass
class _Queue:
    """Jobs that wait, and what goes wrong with them; shared by the threads that drive trainers."""

    waiting: "Queue[Job]"
    tally: Tally
    crashed: Callable[[Job, str], None]
    finished: Callable[[Job], None]
    lock: Lock
    stop: Event
    error: BaseException | None = None

    def drive(self, trainer: Trainer) -> None:
        """Train what waits until nothing does."""
        try:
            while not self.stop.is_set():
                job = self.waiting.get_nowait()
                self._train(job, trainer)
        except Empty:
            pass
        except BaseException as error:  # raised again by `run_jobs`, in the main thread
            self.error = error
            self.stop.set()

    def _train(self, job: Job, trainer: Trainer) -> None:
        def trained(tokens: int) -> None:
            with self.lock:
                self.tally.trained(job.members, tokens)

        for _ in range(ATTEMPTS):
            outcome = trainer.train(job, trained)
            if self.stop.is_set():
                return
            with self.lock:
                if not outcome.crash:
                    self.finished(job)
                    return
                self.tally.again(job.members)
            if outcome.memory and len(job.members) > 1:
                self._halve(job, trainer)
                return
        with self.lock:
            self.crashed(job, outcome.crash)

    def _halve(self, job: Job, trainer: Trainer) -> None:
        half = len(job.members) // 2
        for members in (job.members[:half], job.members[half:]):
            self._train(replace(job, members=members), trainer)


def run_jobs(
    jobs: Sequence[Job],
    runs: Path,
    tally: Tally,
    *,
    workers: int,
    crashed: Callable[[Job, str], None],
    finished: Callable[[Job], None],
) -> None:
    """Train every job; a crash is tried again once, then told, and stops no other job.

    With one worker the jobs are trained in this process; with more, each in a process of its own, on a GPU of its own
    where there are GPUs. Jobs start in the order given. A pack that does not fit the memory of its device is halved.

    Args:
        jobs: to train.
        runs: the folder of records.
        tally: counts what is trained.
        workers: how many at a time.
        crashed: told of a job that crashed for good, and why.
        finished: told of a job that ended.

    Raises:
        Refused: what a worker refused, when all have stopped.
    """
    waiting: Queue[Job] = Queue()
    for job in jobs:
        waiting.put(job)
    shared = _Queue(waiting, tally, crashed, finished, Lock(), Event())
    workers = min(workers, len(jobs))
    if workers <= 1:
        trainer = InProcess(runs, 1)
        try:
            shared.drive(trainer)
        finally:
            trainer.close()
    else:
        _drive_workers(shared, runs, workers)
    if shared.error is not None:
        raise shared.error


def _drive_workers(shared: _Queue, runs: Path, workers: int) -> None:
    devices = torch.cuda.device_count()
    trainers = [InWorker(runs, number, (number - 1) % devices if devices else None) for number in range(1, workers + 1)]
    threads = [Thread(target=shared.drive, args=(trainer,), daemon=True) for trainer in trainers]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)  # short, so that Ctrl-C is heard
    finally:
        shared.stop.set()
        for trainer in trainers:
            trainer.stop()
        for thread, trainer in zip(threads, trainers, strict=True):
            if thread.ident is not None:
                thread.join()
            trainer.close()
