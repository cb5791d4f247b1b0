"""Keep workers at work until every run is done, or has failed for good; whatever engine starts them.

The engine is believed when it says that a worker is gone. Whether a run is done is read from the records alone, and a
run that its worker left undone is given to another worker, once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mixlaw.errors import Refused
from mixlaw.launch.history import read_history
from mixlaw.launch.progress import Tally
from mixlaw.launch.queue import Claim, Queue, Waiting
from mixlaw.launch.standing import Standing
from mixlaw.train.records import Writer

ATTEMPTS = 2
"""How often a run is begun whose worker crashes or dies."""

FRUITLESS = 3
"""Workers in a row that end without taking a run, beyond the number of all, before it is said that none can start."""


class Engine(Protocol):
    """Starts workers somewhere, and knows which are gone.

    Attributes:
        workers: at most so many at a time.
    """

    workers: int

    def attach(self) -> Sequence[str]:
        """Workers that an earlier command started and that are still at work."""

    def start(self, count: int) -> Sequence[str]:
        """Start workers; the names they claim runs under."""

    def ended(self, workers: Sequence[str]) -> Mapping[str, str]:
        """Those of the workers that are gone, each with what is known of its end."""

    def wait(self, look: Callable[[], None]) -> None:
        """Let some time pass; an engine that works in this very process works now, and looks in between."""

    def leave(self) -> None:
        """This command ends before its runs do."""

    def stop(self) -> None:
        """No more workers are needed."""


@dataclass
class Supervisor:
    """Gets what waits trained.

    Args:
        queue: of the study.
        engine: starts workers.
        standing: where the training stands before it begins.
        tally: counts what is trained.
    """

    queue: Queue
    engine: Engine
    standing: Standing
    tally: Tally
    left: set[str] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)
    _attempts: Counter[str] = field(default_factory=Counter)
    _taking: set[str] = field(default_factory=set)
    _fruitless: int = 0

    def run(self, waiting: Waiting) -> None:
        """Return when every run that waits is done or has failed.

        Raises:
            Refused: what a worker refused, or that none can be started.
        """
        self.left = {member.run for member in waiting.members}
        self.queue.offer(waiting)
        self.workers = set(self.engine.attach())
        self.queue.release_all_but(sorted(self.workers))
        try:
            self._look()
            while self.left:
                self.engine.wait(self._look)
                self._look()
        except BaseException:
            self.engine.leave()
            raise
        self.engine.stop()
        self.queue.clear()

    def _look(self) -> None:
        """See who is gone, who is how far and what is over; start workers for what nobody trains."""
        for why in self.queue.refusals():
            raise Refused(why)
        ended = self.engine.ended(sorted(self.workers))  # before the claims, which may change until a worker ends
        self.workers -= set(ended)
        claims = {run: claim for run, claim in self.queue.claims().items() if run in self.left}
        self._taking |= {claim.worker for claim in claims.values()}
        ends = {run: self._end(claim, ended) for run, claim in claims.items()}
        over = {run: why for run, why in ends.items() if why is not None}
        if over:
            self._settle(over)
        in_training = {run: claim.tokens for run, claim in claims.items() if run not in over}
        self.tally.at(in_training)
        self._start(len(self.left - set(in_training)), ended)

    def _end(self, claim: Claim, ended: Mapping[str, str]) -> str | None:
        """Why a run's training is over, if it is."""
        if claim.state == "over":
            return "it ended without all its rows"
        if claim.state == "crashed":
            return claim.why
        if claim.worker not in self.workers:
            return f"its worker on {claim.host} {ended.get(claim.worker, 'is gone')}"
        return None

    def _settle(self, over: Mapping[str, str]) -> None:
        """Count what the records show to be done or to have failed; have the rest tried again, or tell that it failed.

        Args:
            over: runs that nobody trains any longer, and why.
        """
        now = replace(self.standing, history=read_history(self.queue.runs))
        done = now.done
        final = {run for run, entry in now.history.recorded.failed.items() if entry["final"]}
        for run, why in over.items():
            if run in done:
                self.tally.finished(run)
                self.left.discard(run)
            elif run in final:
                self.tally.failed.add(run)
                self.left.discard(run)
            else:
                self._try_again(run, why)
        self.tally.tell(now=True)

    def _try_again(self, run: str, why: str) -> None:
        self._attempts[run] += 1
        self.tally.again(run)
        if self._attempts[run] < ATTEMPTS:
            self.queue.release(run)
            return
        self.queue.bury(run, why)
        writer = Writer(self.queue.runs / "records-0.jsonl")
        writer.failed(run, why, final=False)
        writer.close()
        self.tally.failed.add(run)
        self.left.discard(run)

    def _start(self, waiting: int, ended: Mapping[str, str]) -> None:
        """Start workers if fewer are at work than could be."""
        fruitless = [worker for worker in ended if worker not in self._taking]
        self._fruitless = self._fruitless + len(fruitless) if len(fruitless) == len(ended) else 0
        if self._fruitless >= FRUITLESS + self.engine.workers:
            raise Refused(
                f"{self._fruitless} workers in a row ended before they began a run; the last one "
                f"{ended[fruitless[-1]] or 'gave no reason'}"
            )
        count = min(waiting, self.engine.workers - len(self.workers))
        if count > 0:
            started = self.engine.start(count)
            self._taking -= set(started)
            self.workers |= set(started)
