"""The one training path: a pack of members, trained in step, measured at the planned token counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.runs import MIX
from mixlaw.stages import FINAL, FINAL_SHARE
from mixlaw.train.averaging import take_in
from mixlaw.train.checkpoint import Checkpoint, Saved
from mixlaw.train.device import Compute
from mixlaw.train.evaluation import Validation
from mixlaw.train.feed import Batch, Feed
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, rotary
from mixlaw.train.movers import View, mover_of
from mixlaw.train.moving import Moving
from mixlaw.train.network import Network
from mixlaw.train.optimizer import Optimizer
from mixlaw.train.pack import Pack, drawn
from mixlaw.train.passes import Passes
from mixlaw.train.pretrained import load_llama
from mixlaw.train.processes import ALONE, Processes
from mixlaw.train.readings import Readings, Row
from mixlaw.train.schedule import learning_rate, peak_rate

ARITHMETIC = 1
"""Version of how a plan becomes losses: weights drawn, order of data, passes, rates, optimizer, averages, read-outs.

Raise it by one with any change after which the same plan trains to other losses than before, rounding apart: another
warm-up, another epsilon, another draw of the seeds. Records name it, and a study is not continued under another, so
that no run table mixes two. Not for what only rounds otherwise (a new torch does too), nor for a new key of the plan
whose default leaves everything as it was. `tests/launch/test_arithmetic.py` holds a fingerprint of each version.
"""


class Reports(Protocol):
    """What a pack tells while it trains."""

    def measured(self, row: Row) -> None:
        """A row of the run table is known."""

    def weights(self, row: Row) -> None:
        """A row of the table of weights is known, of a run whose weights move."""

    def failed(self, run: str, reason: str) -> None:
        """A run has diverged and has no further rows."""

    def trained(self, tokens: int) -> None:
        """So many more tokens were trained on, over all members."""


@dataclass
class PackRun:
    """A pack in training.

    Args:
        members: K of one size with the same token counts; one alone if anything moves while it trains.
        setting: of the study.
        corpus: the setting's, opened.
        compute: where and how precisely.
        reports: told of everything measured.
        checkpoint: where the state is kept between read-outs, if anywhere.
        branch: where the state is kept when the first stage begins, for other runs that are the same until then.
        reference: folder of the model that DoReMi's losses are held against.
        processes: that train the pack together.
    """

    members: Sequence[Member]
    setting: Setting
    corpus: Corpus
    compute: Compute
    reports: Reports
    checkpoint: Checkpoint | None = None
    branch: Checkpoint | None = None
    reference: Path | None = None
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        first, training = self.members[0], self.setting.training
        alike = (first.size, first.tokens, first.full, first.unique)
        if any((member.size, member.tokens, member.full, member.unique) != alike for member in self.members):
            raise ValueError("the members of a pack have one size and the same token counts, all proxies or all not")
        if len(self.members) > 1 and any(member.moves for member in self.members):
            raise ValueError("a member whose weights move is trained alone")
        self.layout = Layout(first.shape, self.corpus.vocabulary_size)
        self.read_outs, self.rising = first.steps(training), first.rising(training)
        self.feed = Feed(self.members, self.setting, self.corpus, self.processes)
        self.validation = Validation(
            self.corpus,
            self.setting.targets,
            training.sequence_length,
            training.evaluation_tokens,
            self.compute,
            self.processes,
        )
        self.pack = self._network()
        self.optimizer = Optimizer(self.pack, training)
        self.average = self.pack.twin() if training.schedule == "constant" else None
        self.turn = rotary(training.sequence_length, first.shape.head_width, self.compute.device, torch.float32)
        self.passes = Passes(self.pack, self.turn, self.compute, self.processes, training.micro_batches)
        self.moving = self._moving(first) if first.moves else None
        self.readings = self._readings()
        self.rows: list[Row] = []
        self.entries: list[Row] = []
        self.training_loss = torch.zeros(len(self.members), device=self.compute.device)
        self.alive = [True] * len(self.members)

    def _network(self) -> Network:
        """The members as they begin: fresh, or with the weights of a model."""
        seeds, layout, compute = [member.seed for member in self.members], self.layout, self.compute
        network: Network
        if self.processes.count == 1:
            network = Pack.of(layout, seeds, compute.device, torch.float32, compiled=compute.compiled)
        else:
            from mixlaw.train.parallel import parallel

            network = parallel(layout, len(seeds), compute, self.processes, sharded=self.setting.training.shard)
            network.fill(drawn(layout, seeds))
        if self.setting.initial is not None:
            network.fill(load_llama(self.setting.initial, layout))
        return network

    def _moving(self, member: Member) -> Moving:
        view = View(member, self.setting, self.corpus, self.passes, self.feed.size)
        moving = Moving(view, mover_of(view, self.reference), self.read_outs[-1])
        self.feed.set_mixtures(0, [moving.read])
        return moving

    def _readings(self) -> Readings:
        last = self.read_outs[-1]
        return Readings(
            members=self.members,
            setting=self.setting,
            corpus=self.corpus,
            feed=self.feed,
            last=last,
            averaged=self.average is not None,
            totals=None if self.moving else self.feed.totals(last),
        )

    def train(self) -> None:
        """Train to the last read-out, or until every member has diverged."""
        step, last = self.processes.check_step(self._resume()), self.read_outs[-1]
        while step < last and any(self.alive):
            stop = self._change(step)
            for batch in self.feed.batches(step, stop, self.compute):
                step += 1
                self._step(step, batch)
                self._after(step)
                if not any(self.alive):
                    return

    @property
    def read(self) -> Network:
        """What is measured and kept: the average along a constant rate, whose weights are as they are after a decay."""
        return self.average or self.pack

    def _change(self, step: int) -> int:
        """Between two steps, change what is due; return the step after which something may change next."""
        if self.moving is None:
            return self.read_outs[-1]
        if self.branch is not None and step and step == min(self.moving.switches, default=0):
            self._save(self.branch, step)
        share = self._rate(step + 1) / peak_rate(self.setting.training, self.layout.shape.width)
        if self.moving.change(step, share):
            self.feed.set_mixtures(step, [self.moving.read])
        return self.moving.next_stop(step)

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.read_outs[-1], self.rising, self.setting.training, self.layout.shape.width)

    def _step(self, step: int, batch: Batch) -> None:
        if self.moving is not None and self.moving.weighs(step):
            self.passes.weighed(batch.tokens, partial(self.moving.weights, step, batch))
            self.training_loss += self.moving.loss
        else:
            self.training_loss += self.passes.plain(batch.tokens)
        self.optimizer.step(self._rate(step))
        if self.average is not None:
            take_in(self.average.parts, self.pack.parts, step)
        self.reports.trained(len(self.members) * self.setting.training.batch_tokens)

    def _after(self, step: int) -> None:
        """Tell and keep what is due after a step."""
        if self.moving is not None and self.moving.due(step):
            self.entries.append(self.moving.entry(step))
            self.reports.weights(self.entries[-1])
        if step in self.read_outs:
            self._read_out(step)
        elif self.checkpoint is not None and self.processes.agree(self.checkpoint.due()):
            self._save(self.checkpoint, step)

    def _read_out(self, step: int) -> None:
        """Measure every member that has not diverged, and tell."""
        span = step - max((earlier for earlier in self.read_outs if earlier < step), default=0)
        training_losses = (self.processes.add(self.training_loss) / span / self.processes.count).tolist()
        self.training_loss.zero_()
        losses = self.validation.losses(self.read)
        read = self.feed.read(step)
        for index, member in enumerate(self.members):
            if not self.alive[index]:
                continue
            reason = self.readings.divergence(training_losses[index], losses[index])
            if reason:
                self.alive[index] = False
                self.reports.failed(member.run, f"{reason} at {step * self.setting.training.batch_tokens} tokens")
            else:
                self._tell(self.readings.row(index, step, losses[index], read[index]))

    def _tell(self, row: Row) -> None:
        """Tell a row; at the end of a run that moved, tell the others again with what the whole run read."""
        if self.moving is None:
            self.reports.measured(row)
            return
        self.rows.append(row)
        self.reports.measured(row)
        if row["step"] == self.read_outs[-1]:
            mixture = {name: value for name, value in row.items() if name.startswith((MIX, FINAL, FINAL_SHARE))}
            for earlier in self.rows[:-1]:
                self.reports.measured({**earlier, **mixture})

    def _kept(self) -> dict[str, tuple[Tensor, ...]]:
        """By name all that has the form of the weights."""
        averages = {} if self.average is None else {"average": self.average.parts}
        moments = {"mean": self.optimizer.means, "square": self.optimizer.squares}
        return {"weights": self.pack.parts, **moments, **averages}

    def _state(self) -> dict[str, Tensor]:
        state = {"training_loss": self.training_loss, "alive": torch.tensor(self.alive)}
        for name, parts in self._kept().items():
            matrices, others = self.pack.whole(parts)
            state |= {f"{name}.matrices": matrices, f"{name}.others": others}
        return state

    def _save(self, checkpoint: Checkpoint, step: int) -> None:
        """Keep the state; every process has its part in it, and the first writes."""
        state = self._state()
        if self.processes.first:
            moving = None if self.moving is None else self.moving.state()
            told = {"rows": self.rows, "entries": self.entries}
            checkpoint.save(step, state, {"feed": self.feed.state(), "moving": moving, **told})

    def _resume(self) -> int:
        """Go on from the checkpoint, or else from where a branch begins; return the step it was saved after."""
        own = None if self.checkpoint is None else self.checkpoint.load()
        if own is not None:
            self._restore(own)
            return own.step
        branch = None if self.branch is None else self.branch.load()
        if branch is None:
            return 0
        self._restore(branch)
        named = {"run": self.members[0].run, "group": self.members[0].group}
        self.rows = [{**row, **named} for row in self.rows]
        self.entries = [{**entry, "run": named["run"]} for entry in self.entries]
        for row in self.rows:
            self.reports.measured(row)
        for entry in self.entries:
            self.reports.weights(entry)
        return branch.step

    def _restore(self, saved: Saved) -> None:
        state = saved.tensors
        for name, parts in self._kept().items():
            given = self.pack.local((state[f"{name}.matrices"], state[f"{name}.others"]))
            for part, own in zip(parts, given, strict=True):
                part.copy_(own)
        self.optimizer.go_on_after(saved.step)
        self.training_loss = state["training_loss"].to(self.compute.device)
        self.alive = state["alive"].tolist()
        self.feed.restore(saved.notes["feed"])
        self.rows, self.entries = list(saved.notes["rows"]), list(saved.notes["entries"])
        if self.moving is not None and saved.notes["moving"] is not None:
            self.moving.restore(saved.notes["moving"])
