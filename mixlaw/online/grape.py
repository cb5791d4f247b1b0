"""GRAPE: domains follow the targets that improve slowest (Fan, Glarou & Jaggi 2025, 2505.20380).

max over domain weights a, min over target weights z, of sum_n z_n (rate of improvement of target n). With d the
gradient of the batch that is trained on and g_k that of domain k, mirror descent gives

    z_n <- z_n exp(-target_step <s_n grad l_n, d>),    a_k <- a_k exp(+domain_step <g_k, sum_n z_n s_n grad l_n>),

each normalised. s_n = 1 / l_n makes it the relative improvement ("log"), 1 / (running mean of l_n) a steadier one
("ema"), 1 the plain one ("gap"). A trainer measures raw inner products, norms and losses; the rest is done here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mixlaw.online.base import Method
from mixlaw.online.simplex import Array, smoothed, stepped, uniform
from mixlaw.section import Section

LOSS_FLOOR = 1e-3
"""Nats: no target's improvement is counted relative to a loss below this, which is that of a text known by heart."""

STEPS = (1.5, 10.0)
"""Exponents per unit of alignment, of domains and targets: of the published code, which holds them, and of the paper at
its peak rate, where it divides the rate 1.5e-4 by 1e-4 and 1.5e-5."""


class Grape(Section):
    """Settings of GRAPE.

    Attributes:
        targets: whose improvement counts; the plan's when empty.
        every: steps between updates of the domain weights, 100 in the paper; 50 and 200 were worse there.
        every_targets: steps between updates of the target weights; `every` when absent.
        step: "const", as in the published code, or "lr": falling with the learning rate, as in the paper.
        domain_step, target_step: exponent per unit of alignment, at the peak of the rate for "lr". The rate counts as a
            share of its peak, so that they mean the same for any width.
        improvement: "log", "gap" or "ema".
        beta: share of the old in the running mean of "ema".
        signal: how targets' improvement is seen: "gradient", by its alignment with the batch's gradient, or "loss", by
            the fall of the loss between two updates; then `target_step` is per unit of improvement.
        clip: largest norm of every gradient before the inner product; without, one update can empty the simplex. None
            for no clipping.
        smoothing: share of the uniform in the target weights after every update; 1e-3 in the published code.
        floor: smallest proportion of a domain.
        sequences: of each batch whose gradient is taken; a training batch's when absent.
    """

    searches: ClassVar[bool] = False

    method: Literal["grape"] = "grape"
    targets: tuple[str, ...] = ()
    every: Annotated[int, Field(gt=0)] = 100
    every_targets: Annotated[int, Field(gt=0)] | None = None
    step: Literal["const", "lr"] = "const"
    domain_step: Annotated[float, Field(gt=0)] = STEPS[0]
    target_step: Annotated[float, Field(gt=0)] = STEPS[1]
    improvement: Literal["log", "gap", "ema"] = "log"
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.7
    signal: Literal["gradient", "loss"] = "gradient"
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 1e-3
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sequences: Annotated[int, Field(gt=0)] | None = None

    def begin(self, start: Array, targets: int) -> "Alignment":
        """The state machine, from these proportions, for so many targets."""
        return Alignment(start, targets, self)

    def exponents(self, rate: float) -> tuple[float, float]:
        """Per unit of alignment, of domains and of targets, at a share of the peak rate."""
        scale = 1.0 if self.step == "const" else rate
        return scale * self.domain_step, scale * self.target_step


@dataclass(frozen=True)
class Aligned:
    """Gradients of several batches against one that is held.

    Attributes:
        products: inner product of each with the held one.
        norms: of each.
        held_norm: of the held one.
        rate: of the step, as a share of the peak.
    """

    products: Array
    norms: Array
    held_norm: float
    rate: float

    def clipped(self, scale: Array, largest: float | None) -> Array:
        """Inner products of the gradients, each times its scale, after both sides are cut to a largest norm."""
        if largest is None:
            return scale * self.products
        ours = np.minimum(scale, largest / np.maximum(self.norms, np.finfo(float).tiny))
        return ours * self.products * min(1.0, largest / max(self.held_norm, np.finfo(float).tiny))


class Alignment(Method[Aligned]):
    """Target weights by rate of improvement, domain weights by alignment with the weighted targets.

    Attributes:
        targets: (N,), weights of the targets, on the simplex.
        losses: (N,), of the targets when they were last seen, nats per token; None before.
        running: (N,), their running mean, for "ema"; None before.
    """

    def __init__(self, start: Array, targets: int, settings: Grape) -> None:
        super().__init__(start)
        if settings.floor * len(self.weights) > 1:
            raise ValueError(f"a floor of {settings.floor} for {len(self.weights)} domains is more than there is")
        self.settings = settings
        self.targets = uniform(targets)
        self.losses: Array | None = None
        self.running: Array | None = None

    @property
    def scales(self) -> Array:
        """(N,), s_n: what a target's gradient is multiplied by so that its improvement is counted as the settings say.

        Raises:
            ValueError: before any loss of the targets was seen.
        """
        if self.losses is None or self.running is None:
            raise ValueError("the targets' losses have not been seen yet")
        if self.settings.improvement == "gap":
            return np.ones_like(self.losses)
        base = self.losses if self.settings.improvement == "log" else self.running
        scales: Array = 1 / np.maximum(base, LOSS_FLOOR)
        return scales

    def update_targets(self, losses: Array, signals: Aligned | None, rate: float) -> Array:
        """Move the target weights, away from those that improve fastest; return them, (N,).

        Args:
            losses: (N,), of the targets now, nats per token.
            signals: the targets' gradients against that of the batch; None under the signal "loss".
            rate: of the step, as a share of the peak.
        """
        before, scales_before = self.losses, self.scales if self.losses is not None else None
        self._see(losses)
        if self.settings.signal == "gradient":
            if signals is None:
                raise ValueError("the signal 'gradient' needs inner products")
            improved = signals.clipped(self.scales, self.settings.clip)
            step = self.settings.exponents(rate)[1]
        elif before is None or scales_before is None:
            return self.targets
        else:
            improved = (before - losses) * scales_before
            step = self.settings.target_step
        self.targets = smoothed(stepped(self.targets, -step * improved), self.settings.smoothing)
        return self.targets

    def _see(self, losses: Array) -> None:
        self.losses = np.array(losses, dtype=np.float64)
        beta = self.settings.beta
        self.running = self.losses if self.running is None else beta * self.running + (1 - beta) * self.losses

    def _moved(self, signals: Aligned) -> Array:
        alignments = signals.clipped(np.ones_like(self.weights), self.settings.clip)
        moved = stepped(self.weights, self.settings.exponents(signals.rate)[0] * alignments)
        return smoothed(moved, self.settings.floor * len(moved))

    def state(self) -> dict[str, Any]:
        """See `Method.state`."""
        seen = {name: None if (value := getattr(self, name)) is None else value.tolist() for name in SEEN}
        return {**super().state(), **seen, "targets": self.targets.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Method.restore`."""
        super().restore(state)
        self.targets = np.array(state["targets"], dtype=np.float64)
        self.losses, self.running = (None if state[name] is None else np.array(state[name]) for name in SEEN)


SEEN = ("losses", "running")
"""What is known of the targets' losses, by attribute."""
