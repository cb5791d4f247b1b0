"""The one training path: a pack of members, trained in step, measured at the planned token counts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mixlaw.corpus.shards import Corpus
from mixlaw.mixture import Array
from mixlaw.runs import LOSS, MIX
from mixlaw.train.averaging import Average
from mixlaw.train.checkpoint import Checkpoint
from mixlaw.train.device import Compute
from mixlaw.train.evaluation import Validation
from mixlaw.train.feed import Feed
from mixlaw.train.members import Member, Setting
from mixlaw.train.model import Layout, Pack, pack_loss, rotary
from mixlaw.train.optimizer import Optimizer
from mixlaw.train.schedule import learning_rate

DIVERGED = 1.02
"""A run has diverged when its training loss is more than this times ln(vocabulary), the loss of an even guess."""

Row = dict[str, Any]


class Reports(Protocol):
    """What a pack tells while it trains."""

    def measured(self, row: Row) -> None:
        """A row of the run table is known."""

    def failed(self, run: str, reason: str) -> None:
        """A run has diverged and has no further rows."""

    def trained(self, tokens: int) -> None:
        """So many more tokens were trained on, over all members."""


@cache
def compiled_loss() -> Callable[..., Tensor]:
    """`pack_loss`, compiled once a process: the packs that follow one another in it share what was compiled."""
    return torch.compile(pack_loss)


@dataclass
class PackRun:
    """A pack in training.

    Args:
        members: K of one size with the same token counts.
        setting: of the study.
        corpus: the setting's, opened.
        compute: where and how precisely.
        reports: told of everything measured.
        checkpoint: where the state is kept between read-outs, if anywhere.
    """

    members: Sequence[Member]
    setting: Setting
    corpus: Corpus
    compute: Compute
    reports: Reports
    checkpoint: Checkpoint | None = None

    def __post_init__(self) -> None:
        first, training = self.members[0], self.setting.training
        alike = (first.size, first.tokens, first.unique)
        if any((member.size, member.tokens, member.unique) != alike for member in self.members):
            raise ValueError("the members of a pack have one size and the same token counts, repeated or not")
        self.layout = Layout(first.shape, self.corpus.vocabulary_size)
        self.read_outs = first.steps(training)
        self.feed = Feed(self.members, self.setting, self.corpus)
        self.validation = Validation(
            self.corpus, self.setting.targets, training.sequence_length, training.evaluation_tokens, self.compute
        )
        seeds = [member.seed for member in self.members]
        self.pack = Pack.of(self.layout, seeds, self.compute.device, torch.float32)
        self.optimizer = Optimizer(self.pack, training)
        self.average = Average(self.pack.buffers) if training.schedule == "constant" else None
        self.turn = rotary(training.sequence_length, first.shape.head_width, self.compute.device, torch.float32)
        self.loss = compiled_loss() if self.compute.compiled else pack_loss
        totals = self.feed.totals(self.read_outs[-1])
        self.realised = totals / totals.sum(1, keepdims=True)
        self.training_loss = torch.zeros(len(self.members), device=self.compute.device)
        self.alive = [True] * len(self.members)

    def train(self) -> None:
        """Train to the last read-out, or until every member has diverged."""
        start = self._resume()
        for step, batch in enumerate(self.feed.batches(start, self.read_outs[-1], self.compute), start + 1):
            self._step(step, batch)
            if step in self.read_outs:
                self._read_out(step)
                if not any(self.alive):
                    break
            elif self.checkpoint is not None and self.checkpoint.due():
                self.checkpoint.save(step, self._state())

    @property
    def read_buffers(self) -> tuple[Tensor, Tensor]:
        """The weights that are measured and kept: averaged along a constant rate, as they are after a decay."""
        return self.pack.buffers if self.average is None else self.average.buffers

    def _step(self, step: int, batch: Tensor) -> None:
        with self.compute.precision():
            losses = self.loss(self.layout, *self.pack.buffers, batch, self.turn)
        torch.autograd.backward(losses.sum())
        self.optimizer.step(learning_rate(step, self.read_outs[-1], self.setting.training, self.layout.shape.width))
        if self.average is not None:
            self.average.update(self.pack.buffers, step)
        self.training_loss += losses.detach()
        self.reports.trained(len(self.members) * self.setting.training.batch_tokens)

    def _read_out(self, step: int) -> None:
        """Measure every member that has not diverged, and tell."""
        span = step - max((earlier for earlier in self.read_outs if earlier < step), default=0)
        training_losses = (self.training_loss / span).tolist()
        self.training_loss.zero_()
        losses = self.validation.losses(self.layout, self.read_buffers)
        read = self.feed.totals(step)
        for index, member in enumerate(self.members):
            if not self.alive[index]:
                continue
            reason = self._divergence(training_losses[index], losses[index])
            if reason:
                self.alive[index] = False
                self.reports.failed(member.run, f"{reason} at {step * self.setting.training.batch_tokens} tokens")
            else:
                self.reports.measured(self._row(index, step, losses[index], read[index] / self.feed.counts))

    def _divergence(self, training_loss: float, losses: Array) -> str:
        """Why the numbers are not those of a run that trained, or nothing."""
        guess = math.log(self.layout.vocabulary)
        if not math.isfinite(training_loss) or not np.isfinite(losses).all():
            return "the loss is not a number"
        if training_loss > DIVERGED * guess:
            return f"the training loss is {training_loss:.3f}, above the {guess:.3f} of an even guess,"
        return ""

    def _row(self, index: int, step: int, losses: Array, epochs: Array) -> Row:
        member, training = self.members[index], self.setting.training
        last = step == self.read_outs[-1]
        kind = "read-out" if self.average is not None else "decayed" if last else "mid-schedule"
        row: Row = {
            "run": member.run,
            "group": member.group,
            "params": member.shape.params,
            "tokens": step * training.batch_tokens,
            "seed": member.seed,
            "step": step,
            "lr": learning_rate(step, self.read_outs[-1], training, self.layout.shape.width),
            "kind": kind,
        }
        share = self.realised[index]
        row |= {MIX + domain: float(share[place]) for place, domain in enumerate(self.setting.domains)}
        row |= {f"epochs.{domain}": float(epochs[place]) for place, domain in enumerate(self.setting.domains)}
        row |= {LOSS + target: float(losses[place]) for place, target in enumerate(self.setting.targets)}
        in_bits = {t: math.log(2) * self.corpus.bytes_per_token[t] for t in self.setting.targets}
        return row | {f"bpb.{t}": float(losses[place]) / in_bits[t] for place, t in enumerate(self.setting.targets)}

    def _state(self) -> dict[str, Tensor]:
        averages = {f"average.{i}": buffer for i, buffer in enumerate(self.average.buffers if self.average else ())}
        moments = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        return {
            "matrices": self.pack.matrices,
            "others": self.pack.others,
            "training_loss": self.training_loss,
            "alive": torch.tensor(self.alive),
            **averages,
            **moments,
        }

    def _resume(self) -> int:
        """Go on from the checkpoint, if there is one; return the step it was saved after."""
        if self.checkpoint is None:
            return 0
        step, state = self.checkpoint.load(self.compute.device)
        if not step:
            return 0
        with torch.no_grad():
            self.pack.matrices.copy_(state["matrices"])
            self.pack.others.copy_(state["others"])
        self.optimizer.restore(
            step,
            {name.removeprefix("optimizer."): value for name, value in state.items() if name.startswith("optimizer.")},
        )
        for place, buffer in enumerate(self.average.buffers if self.average else ()):
            buffer.copy_(state[f"average.{place}"])
        self.training_loss = state["training_loss"]
        self.alive = state["alive"].tolist()
        return step
