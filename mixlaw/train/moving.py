"""What changes while a run trains: the mixture it reads by, and the weights of its domains and sequences."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixlaw.mixture import Array
from mixlaw.online.samples import effective_sample_size, within_cap
from mixlaw.online.simplex import uniform
from mixlaw.train.feed import Batch
from mixlaw.train.movers import Mover, View, read_by

ENTRIES = 100
"""How often what moves is written down, in a run."""


class Moving:
    """The moving parts of one run, as a function of the global step and what was measured by then.

    Args:
        view: of its member.
        mover: of its online method, if it has one.
        steps: of the whole run.

    Attributes:
        read: (M,), the proportions that the next step is read by.
        loss: mean of the last step whose losses were seen, under the weights of the domains, nats per token.
    """

    def __init__(self, view: View, mover: Mover | None, steps: int) -> None:
        self.view, self.mover, self.steps = view, mover, steps
        member = view.member
        self.switches = {
            step: mixture.aligned(view.setting.domains)
            for step, mixture in member.switches(view.setting.training).items()
        }
        self.read = read_by(member, view.setting)
        self.samples_begin = steps + 1 if member.samples is None else member.samples.begins(steps)
        self.loss = 0.0
        self._effective: list[float] = []
        self._over_cap: list[bool] = []

    def next_stop(self, step: int) -> int:
        """The next step after which something may change."""
        stops = [self.steps, *self.switches]
        if self.mover is not None:
            stops += [step - step % every + every for every in self.mover.every]
        return min(stop for stop in stops if stop > step)

    def change(self, step: int, rate: float) -> bool:
        """Change what is due between `step` and the next; return whether the next is read by another mixture.

        Args:
            step: done.
            rate: of the next, as a share of its peak.
        """
        before = self.read
        if self.mover is not None:
            if any(step % every == 0 for every in self.mover.every):
                self.mover.change(step, rate)
            if self.mover.samples:
                self.read = self.mover.method.weights
        self.read = self.switches.get(step, self.read)
        return not np.array_equal(before, self.read)

    def weighs(self, step: int) -> bool:
        """Whether the losses of a step have to be seen before its gradient."""
        return step >= self.samples_begin or (self.mover is not None and self.mover.weighs)

    def weights(self, step: int, batch: Batch, losses: Tensor) -> Tensor:
        """Weights of this process's sequences, (1, b): those of the domains times those of the samples.

        Over all processes the former sum to 1 where every domain is in the batch, and the latter are 1 on average.
        Losses that are not numbers move nothing; the run is told to have diverged at its next read-out.

        Args:
            step: counted from 1.
            batch: that is trained on.
            losses: (1, b, S), of the tokens of this process's slice.
        """
        means = self.view.passes.processes.gathered(losses.mean(2)[0])
        if np.isfinite(means).all():
            domains = self._domain_weights(batch, means, losses)
            self.loss = float(np.average(means, weights=domains if domains.any() else None))
            weights = domains * self._sample_factors(step, means)
        else:
            weights, self.loss = uniform(len(means)), math.nan
        own = weights[self.view.passes.processes.share(len(means))]
        return torch.from_numpy(own).to(losses).unsqueeze(0)

    def _domain_weights(self, batch: Batch, means: Array, losses: Tensor) -> Array:
        factors = None if self.mover is None else self.mover.factors(batch, means, losses)
        return uniform(len(means)) if factors is None else factors

    def _sample_factors(self, step: int, means: Array) -> Array:
        samples = self.view.member.samples
        if samples is None or step < self.samples_begin:
            return np.ones(len(means))
        weights = samples.weights(means)
        self._effective.append(effective_sample_size(weights))
        self._over_cap.append(not within_cap(weights))
        return len(means) * weights

    def due(self, step: int) -> bool:
        """Whether it is time to write down what moves."""
        return step == self.steps or step % max(1, self.steps // ENTRIES) == 0

    def entry(self, step: int) -> dict[str, Any]:
        """A row of the table of weights: what a step was read and weighed by."""
        domains, tokens = self.view.setting.domains, step * self.view.setting.training.batch_tokens
        row: dict[str, Any] = {"run": self.view.member.run, "step": step, "tokens": tokens}
        row |= _named("mix", domains, self.read)
        if self.mover is not None:
            row |= _named("weight", domains, self.mover.method.weights)
            row |= _named("average", domains, self.mover.method.average)
            row |= {f"target.{name}": weight for name, weight in self.mover.targets.items()}
        if self._effective:
            row["effective_samples"] = float(np.mean(self._effective))
            row["over_cap"] = float(np.mean(self._over_cap))
            self._effective, self._over_cap = [], []
        return row

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON."""
        mover = None if self.mover is None else self.mover.state()
        samples = {"effective": self._effective, "over_cap": self._over_cap}
        return {"read": self.read.tolist(), **samples, "mover": mover}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.read = np.array(state["read"])
        self._effective, self._over_cap = list(state["effective"]), list(state["over_cap"])
        if self.mover is not None and state["mover"] is not None:
            self.mover.restore(state["mover"])


def _named(column: str, domains: tuple[str, ...], values: Array) -> dict[str, float]:
    return {f"{column}.{domain}": float(value) for domain, value in zip(domains, values, strict=True)}
