"""Weights of the sequences of a batch by their losses (Sow et al. 2025, 2502.06733): no proxy, no state.

Losses l of the whole global batch are brought to h in [-d, d]; with f the score of a strategy and r the temperature,
w = exp(f / r) / sum exp(f / r) is what maximises sum w f - r KL(w || uniform).
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from mixlaw.online.simplex import Array, normalised, uniform
from mixlaw.section import Section

SPREAD_FLOOR = 1e-6
"""Nats: losses closer together than this are taken as equal."""


class Samples(Section):
    """How the sequences of a batch are weighed.

    Attributes:
        strategy: "linupper" damps easy sequences, linearly up to the middle of the range and flat above; "quadratic"
            favours the middle; "extremes" favours both ends.
        temperature: r; the higher, the evener.
        spread: d, half the range that losses are brought to.
        burn_in: share of the run with even weights at its start; 0.05 in the published configurations.
        outliers: share of the losses at each end that does not stretch the range; 0 is min-max, as published.
    """

    strategy: Literal["linupper", "quadratic", "extremes"] = "linupper"
    temperature: Annotated[float, Field(gt=0)] = 1.0
    spread: Annotated[float, Field(gt=0)] = 1.0
    burn_in: Annotated[float, Field(ge=0, le=1)] = 0.05
    outliers: Annotated[float, Field(ge=0, lt=0.5)] = 0.0

    def weights(self, losses: ArrayLike) -> Array:
        """(B,), weights of the global batch's sequences, summing to 1; `losses` (B,) are means in nats per token."""
        values = np.asarray(losses, dtype=np.float64)
        low, high = values.min(), values.max()
        if self.outliers:
            low, high = np.quantile(values, [self.outliers, 1 - self.outliers])
        if not high - low > SPREAD_FLOOR:
            return uniform(len(values))
        return normalised(self.score(np.clip(values, low, high), low, high) / self.temperature)

    def score(self, losses: Array, low: float, high: float) -> Array:
        """(B,), f: the score of each loss in the range from `low` to `high`."""
        spread = self.spread
        place = spread * (2 * losses - (high + low)) / (high - low)
        if self.strategy == "linupper":
            return np.minimum(place + spread, spread)
        if self.strategy == "quadratic":
            score: Array = 1 - place**2 / spread**2
            return score
        return np.abs(place)

    def begins(self, steps: int) -> int:
        """The first step, counted from 1, at which the weights are not even, in a run of so many."""
        return round(self.burn_in * steps) + 1


def effective_sample_size(weights: ArrayLike) -> float:
    """1 / sum w^2 of weights that sum to 1: how many even samples are as noisy (Kish 1965)."""
    return float(1 / np.square(np.asarray(weights, dtype=np.float64)).sum())


def within_cap(weights: ArrayLike) -> bool:
    """Whether no weight is above 2 / B, which the convergence bound of Sow et al. assumes; a diagnostic."""
    values = np.asarray(weights, dtype=np.float64)
    return bool(values.max() <= 2 / len(values) * (1 + 1e-12))
