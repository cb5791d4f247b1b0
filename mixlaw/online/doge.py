"""DoGE: weights by how well a domain's gradient helps the others (Fan, Pagliardini & Jaggi 2023, 2310.15393).

A proxy method, as DoReMi is: the proxy follows sum_j a_j g_j, the mean of a over its steps is the mixture that the
large model samples by. GRAPE is its descendant for several targets.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from mixlaw.online.base import Method
from mixlaw.online.simplex import Array, smoothed, stepped
from mixlaw.section import Section

NORM_FLOOR = 1e-6
"""Added to the mean norm of the gradients that a score is divided by."""

PEAK_RATE = 5e-4
"""Of the published runs; rates count as shares of their peak times this, so that mu means the same for any width."""

UNIVERSAL, OUT_OF_DOMAIN = 0.01, 0.05
"""Strength of the prior where the targets are the domains themselves, and where they are others."""


class Doge(Section):
    """Settings of DoGE.

    Attributes:
        targets: whose loss is to fall; the domains themselves, each but its own, when empty ("universal").
        strength: mu, of the pull to the weights before; 0.01 universal, 0.05 with targets, when absent.
        largest: scores are cut to [0, largest] before rate and mu; negative alignment counts as none.
        smoothing: share of the uniform mixture in the weights after every update; 0 in the published code.
        every: steps between updates; each costs two more passes over a batch.
        size: of the proxy, on the ladder; the target's when absent.
        tokens: of the proxy; the target's when absent.
    """

    searches: ClassVar[bool] = True

    method: Literal["doge"] = "doge"
    targets: tuple[str, ...] = ()
    strength: Annotated[float, Field(gt=0)] | None = None
    largest: Annotated[float, Field(gt=0)] = 5.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    every: Annotated[int, Field(gt=0)] = 1
    size: str | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None

    def begin(self, start: Array) -> "Generalisation":
        """The state machine, from these weights."""
        default = OUT_OF_DOMAIN if self.targets else UNIVERSAL
        return Generalisation(start, self.strength or default, self.largest, self.smoothing)


@dataclass(frozen=True)
class Influence:
    """What the gradients of the domains have to do with the gradient that counts.

    Attributes:
        products: (M,), <g_j, G>, with G the sum of the targets' gradients, or of all domains but j.
        norms: (M,), |g_j|.
        rate: of the step, as a share of the peak.
    """

    products: Array
    norms: Array
    rate: float


class Generalisation(Method[Influence]):
    """a_j <- a_j exp(5e-4 x share of the peak rate / mu x clip(<g_j, G> / (mean |g| + 1e-6), 0, 5)), normalised."""

    def __init__(self, start: Array, strength: float, largest: float, smoothing: float) -> None:
        super().__init__(start)
        self.strength, self.largest, self.smoothing = strength, largest, smoothing

    def _moved(self, signals: Influence) -> Array:
        scores = np.clip(signals.products / (signals.norms.mean() + NORM_FLOOR), 0.0, self.largest)
        return smoothed(stepped(self.weights, PEAK_RATE * signals.rate / self.strength * scores), self.smoothing)
