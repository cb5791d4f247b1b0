"""How far a training is, without a word on how it is shown."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mixlaw.train.members import Member, Setting


@dataclass(frozen=True)
class Progress:
    """A moment of a training.

    Attributes:
        runs: planned.
        done: with every row on disk.
        failed: that will have no further rows.
        tokens: planned, over all runs.
        trained_tokens: of them, by done runs and those under way.
        tokens_per_s: at which this training goes, over all workers; 0 before it is known.
        left_s: seconds left at the pace so far, counting operations rather than tokens; None before it is known.
    """

    runs: int
    done: int
    failed: int
    tokens: int
    trained_tokens: int
    tokens_per_s: float
    left_s: float | None


Watch = Callable[[Progress], None]
"""What is called now and then with how far it is."""

Watching = Callable[[str], Watch]
"""Given what is about to be trained, in words, returns what is called with how far it is."""


@dataclass
class Tally:
    """Counts what is done, and tells a watcher.

    Args:
        members: all that are planned.
        setting: of the study.
        vocabulary: of its corpus.
        watch: called at most every `every_s` seconds, and at the end of every run.
    """

    members: Sequence[Member]
    setting: Setting
    vocabulary: int
    watch: Watch | None = None
    every_s: float = 0.5
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    _tokens: dict[str, int] = field(default_factory=dict)
    _started: float | None = None
    _told: float = 0.0
    _work: float = 0.0
    _trained: int = 0

    def at(self, tokens: Mapping[str, int]) -> None:
        """The runs in training have come so far, each in tokens."""
        members = {member.run: member for member in self.members}
        for run, count in tokens.items():
            more = count - self._tokens.get(run, 0)
            if more <= 0 or run not in members:
                continue
            self._tokens[run] = count
            if self._started is None:  # what came before is the start of workers
                self._started = time.monotonic()
            else:
                self._trained += more
                self._work += more * self._price(members[run])
        self.tell()

    def finished(self, run: str) -> None:
        """A run has all its rows."""
        self.at(
            {member.run: member.total_tokens(self.setting.training) for member in self.members if member.run == run}
        )
        self.done.add(run)

    def again(self, run: str) -> None:
        """A run starts from the beginning."""
        self._tokens.pop(run, None)

    def tell(self, *, now: bool = False) -> None:
        """Tell the watcher, if it is time or `now`."""
        if self.watch is not None and (now or time.monotonic() - self._told > self.every_s):
            self._told = time.monotonic()
            self.watch(self.progress())

    def progress(self) -> Progress:
        """How far it is."""
        totals = {member.run: member.total_tokens(self.setting.training) for member in self.members}
        over = self.done | self.failed
        trained = {run: total if run in over else min(total, self._tokens.get(run, 0)) for run, total in totals.items()}
        left = sum((totals[member.run] - trained[member.run]) * self._price(member) for member in self.members)
        elapsed = time.monotonic() - (self._started or time.monotonic())
        return Progress(
            runs=len(self.members),
            done=len(self.done),
            failed=len(self.failed),
            tokens=sum(totals.values()),
            trained_tokens=sum(trained.values()),
            tokens_per_s=self._trained / elapsed if elapsed else 0.0,
            left_s=left * elapsed / self._work if self._work else None,
        )

    def _price(self, member: Member) -> float:
        return member.shape.flops_per_token(self.vocabulary, self.setting.training.sequence_length)
