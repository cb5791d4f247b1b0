"""A worker: takes runs that wait, trains them, and writes what it measures; the same under every engine.

    python -m mixlaw.launch.worker RUNS NAME

is a worker process of this machine. It ends when nothing waits, or when its stdin closes, because the process that
started it is gone.
"""

import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mixlaw.corpus.shards import MANIFEST, open_corpus
from mixlaw.errors import Refused
from mixlaw.files import sha256
from mixlaw.launch.job import Job, do, numbers
from mixlaw.launch.packing import pack_size
from mixlaw.launch.queue import Claim, Queue, State, Waiting
from mixlaw.launch.standing import differences
from mixlaw.train.device import compute_of
from mixlaw.train.members import Member
from mixlaw.train.processes import together
from mixlaw.train.records import Writer

BEAT_S = 1.0
"""Between two words on how far a run is."""

STARTS = 3
"""How often one worker begins a run that its engine stops and restarts; a run that needs more never ends."""


@dataclass(frozen=True)
class Crash:
    """Why a pack came to no end, and whether that was for lack of memory."""

    why: str
    memory: bool


class Worker:
    """Trains what waits in a queue, one pack after another, in this process.

    Args:
        queue: of the study.
        name: no other worker's; its record file and its log are called so.
        beat: called about every second while it trains.
        records: name of its record file, if another than its own.
    """

    def __init__(self, queue: Queue, name: str, beat: Callable[[], None] = lambda: None, records: str = "") -> None:
        self.queue, self.name, self.beat = queue, name, beat
        self.log = queue.runs / f"worker-{name}.log"
        self.writer = Writer(queue.runs / f"records-{records or name}.jsonl")
        self.fits: dict[str, int] = {}
        self.sound = True
        self.claims: dict[str, Claim] = {}
        self._compiled_for: tuple[str, int] | None = None

    def serve(self) -> None:
        """Train until nothing waits, or until a crash may have spoiled the GPU for this process.

        Raises:
            Refused: for what would stop every other worker too: a full disk, a corpus or a device that is not the
                study's.
        """
        waiting = self.queue.waiting()
        if waiting is not None:
            _check(waiting)
        while self.sound and waiting is not None and (members := self._taken(waiting)):
            self._train(members, waiting)
            waiting = self.queue.waiting()

    def close(self) -> None:
        """Let another process write its record file."""
        self.writer.close()

    def _taken(self, waiting: Waiting) -> list[Member]:
        """Members to train as one: what this worker had when its engine stopped it, else what nobody has."""
        claims = self.queue.claims()
        mine = [member for member in waiting.members if self._is_mine(claims.get(member.run))]
        if mine:
            return self._resumed(mine, claims, waiting)
        taken: list[Member] = []
        for member in waiting.members:
            if member.run not in claims and self._joins(taken, member, waiting):
                claim = self._claimed(member.run)
                if claim is not None:
                    self.claims[member.run] = claim
                    taken.append(member)
        return taken

    def _resumed(self, mine: Sequence[Member], claims: Mapping[str, Claim], waiting: Waiting) -> list[Member]:
        taken: list[Member] = []
        for member in mine:
            if self._joins(taken, member, waiting):
                before = claims[member.run]
                host, process = socket.gethostname(), os.getpid()
                self.claims[member.run] = replace(before, starts=before.starts + 1, host=host, process=process)
                if before.starts >= STARTS:
                    self._tell([member], "crashed", f"its worker was stopped {STARTS} times before its end")
                else:
                    taken.append(member)
        self._tell(taken, "training")
        return taken

    def _joins(self, taken: Sequence[Member], member: Member, waiting: Waiting) -> bool:
        """Whether a member may be trained as one with those taken."""
        return not taken or (_alike(taken[0], member, waiting) and len(taken) < self._pack_size(taken[0], waiting))

    def _is_mine(self, claim: Claim | None) -> bool:
        """Whether a run was in this worker's hands when its engine stopped it."""
        if claim is None or claim.worker != self.name or claim.state != "training":
            return False
        return claim.run not in self.claims  # else it is in the hands of this very process

    def _claimed(self, run: str) -> Claim | None:
        """Take a run, unless another has it or it no longer waits: it may have ended since the queue was read."""
        claim = self.queue.claim(run, self.name)
        now = self.queue.waiting() if claim else None
        if claim and (now is None or run not in now.threads):
            self.queue.release(run)
            return None
        return claim

    def _pack_size(self, member: Member, waiting: Waiting) -> int:
        """As on record, else measured here once a size, and no more than this worker's share of what waits."""
        if waiting.setting.training.shard and together().count > 1:
            return 1
        if member.size not in self.fits:
            alike = [other for other in waiting.members if _alike(member, other, waiting)]
            share = alike[: -(-len(alike) // waiting.workers)]
            vocabulary = open_corpus(waiting.setting.corpus).vocabulary_size
            known = waiting.packs.get(member.size)
            self.fits[member.size] = known or pack_size(share, waiting.setting, vocabulary)
        return self.fits[member.size]

    def _train(self, members: Sequence[Member], waiting: Waiting) -> None:
        """Train members as one pack, or as several if so many have been found not to fit."""
        while members:
            largest = self.fits.get(members[0].size, len(members))
            pack, members = tuple(members[:largest]), members[largest:]
            threads = waiting.threads[pack[0].run]
            crash = self._attempt(Job(self.queue.runs.parent, waiting.setting, pack, threads, waiting.checkpoints))
            if crash is None:
                self._tell(pack, "over")
            elif crash.memory and len(pack) > 1:
                self.fits[pack[0].size] = len(pack) // 2
                self._tell(pack, "training")
                self._train(pack, waiting)
            else:
                self._tell(pack, "crashed", crash.why)
                self.sound = not _on_gpu(waiting)  # an error on a GPU can spoil all that follows in its process

    def _attempt(self, job: Job) -> Crash | None:
        """Train a pack; what of its memory the error holds is free when this returns."""
        trained, told = 0, time.monotonic()

        def progress(tokens: int) -> None:
            nonlocal trained, told
            trained += tokens // len(job.members)
            if time.monotonic() - told > BEAT_S:
                told = time.monotonic()
                self._tell(job.members, "training", tokens=trained)

        self._compile_afresh(job)
        try:
            do(job, self.writer, progress)
        except Refused:
            raise
        except Exception as error:  # told to whoever supervises, and other runs go on
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{', '.join(job.runs)}:\n{traceback.format_exc()}\n")
            return Crash(f"{type(error).__name__}: {error} (see {self.log})", _is_lack_of_memory(error))
        return None

    def _compile_afresh(self, job: Job) -> None:
        """Forget what was compiled for another size or pack: torch would compile it again for any shape, and slower."""
        shape = job.members[0].size, len(job.members)
        if shape != self._compiled_for and compute_of(job.setting.training).compiled:
            torch.compiler.reset()
        self._compiled_for = shape

    def _tell(self, members: Sequence[Member], state: State, why: str = "", tokens: int = 0) -> None:
        for member in members:
            self.claims[member.run] = replace(self.claims[member.run], state=state, why=why, tokens=tokens)
            self.queue.tell(self.claims[member.run])
        self.beat()


def _alike(first: Member, second: Member, waiting: Waiting) -> bool:
    """Whether two members may be trained as one: proxies that differ in their mixtures and seeds alone."""
    if first.full or second.full:
        return first is second
    own = {name: getattr(first, name) for name in ("run", "group", "mixture", "seed")}
    return waiting.threads[first.run] == waiting.threads[second.run] and replace(second, **own) == first


def _check(waiting: Waiting) -> None:
    """Refuse to train on another text, or with other numbers, than the study's."""
    setting = waiting.setting
    corpus = open_corpus(setting.corpus)
    if sha256(corpus.path / MANIFEST) != setting.corpus_sha256:
        raise Refused(f"{corpus.path} is not the corpus that the study began with; let every worker see the same one")
    different = differences(waiting.numbers, numbers(setting))
    if different:
        raise Refused(
            f"the workers would train with other numbers than planned: {'; '.join(different)}; write into the plan the "
            "training.device and training.precision that they have, and take another folder"
        )


def _on_gpu(waiting: Waiting) -> bool:
    return bool(waiting.numbers["device"] == "cuda")


def _is_lack_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def work(runs: Path, name: str, records: str = "") -> None:
    """Be a worker until nothing waits; a refusal is left in the queue for whoever supervises."""
    queue = Queue(runs)
    faulthandler.enable()
    try:
        worker = Worker(queue, name, records=records)
        worker.serve()
        worker.close()
    except Refused as error:
        queue.refuse(name, str(error))
        raise


def main() -> None:
    """Work, and end with the process at the other end of stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what to do
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(Path(sys.argv[1]), sys.argv[2])
    except Refused as error:
        sys.exit(f"refused: {error}")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
