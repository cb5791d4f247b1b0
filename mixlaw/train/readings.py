"""What a read-out says of a run: its row of the run table, or that it has diverged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixlaw.corpus.shards import Corpus
from mixlaw.mixture import Array
from mixlaw.runs import BITS, EPOCHS, LOSS, MIX
from mixlaw.stages import FINAL, FINAL_SHARE
from mixlaw.train.feed import Feed, Integers
from mixlaw.train.members import Member, Setting
from mixlaw.train.schedule import learning_rate

DIVERGED = 1.02
"""A run has diverged when its training loss is more than this times ln(vocabulary), the loss of an even guess."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Readings:
    """What the read-outs of a pack say.

    Attributes:
        members: of the pack.
        setting: of the study.
        corpus: the setting's, opened.
        feed: that the members read by.
        last: step of the runs.
        averaged: whether the weights that are measured are averages.
        totals: (K, M), sequences of each domain that each member will have read by its end; None where it moves.
    """

    members: Sequence[Member]
    setting: Setting
    corpus: Corpus
    feed: Feed
    last: int
    averaged: bool
    totals: Integers | None

    def divergence(self, training_loss: float, losses: Array) -> str:
        """Why the numbers are not those of a run that trained, or nothing.

        Args:
            training_loss: mean since the last read-out, nats per token.
            losses: (V,), of the targets.
        """
        guess = math.log(self.corpus.vocabulary_size)
        if not math.isfinite(training_loss) or not np.isfinite(losses).all():
            return "the loss is not a number"
        if training_loss > DIVERGED * guess:
            return f"the training loss is {training_loss:.3f}, above the {guess:.3f} of an even guess,"
        return ""

    def row(self, index: int, step: int, losses: Array, read: Integers) -> Row:
        """The row of a member after a step.

        Args:
            index: of the member.
            step: counted from 1.
            losses: (V,), of the targets, nats per token.
            read: (M,), sequences of each domain it has read.
        """
        member, training = self.members[index], self.setting.training
        last = step == self.last
        row: Row = {
            "run": member.run,
            "group": member.group,
            "params": member.shape.params,
            "tokens": step * training.batch_tokens,
            "seed": member.seed,
            "step": step,
            "lr": learning_rate(step, self.last, member.rising(training), training, member.shape.width),
            "kind": "read-out" if self.averaged else "decayed" if last else "mid-schedule",
        }
        whole = read if self.totals is None else self.totals[index]
        share, epochs = whole / whole.sum(), read / self.feed.counts
        row |= {MIX + domain: float(share[place]) for place, domain in enumerate(self.setting.domains)}
        row |= self._final_phase() if last else {}
        row |= {EPOCHS + domain: float(epochs[place]) for place, domain in enumerate(self.setting.domains)}
        row |= {LOSS + target: float(losses[place]) for place, target in enumerate(self.setting.targets)}
        in_bits = {t: math.log(2) * self.corpus.bytes_per_token[t] for t in self.setting.targets}
        return row | {BITS + t: float(losses[place]) / in_bits[t] for place, t in enumerate(self.setting.targets)}

    def _final_phase(self) -> dict[str, float]:
        """What the final phase of a run in two stages read, realised; of a run that never changed, nothing."""
        switch = self.feed.changed_after
        if not switch or [*self.members[0].switches(self.setting.training)] != [switch]:
            return {}
        read = self.feed.read_since_change(self.last)[0]
        finals = {
            FINAL + domain: float(share) for domain, share in zip(self.setting.domains, read / read.sum(), strict=True)
        }
        return {FINAL_SHARE: (self.last - switch) / self.last, **finals}
