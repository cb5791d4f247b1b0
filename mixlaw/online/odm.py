"""ODM: a bandit that samples where the loss is high (Albalak et al. 2023, 2312.02406; EXP3, Auer et al. 2002)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mixlaw.online.base import Method
from mixlaw.online.simplex import Array, stepped
from mixlaw.section import Section


class Odm(Section):
    """Settings of ODM.

    Attributes:
        reward: nats of training loss that are one unit of reward; 10 in the published code.
        every: steps between changes of what is sampled.
    """

    searches: ClassVar[bool] = False

    method: Literal["odm"] = "odm"
    reward: Annotated[float, Field(gt=0)] = 10.0
    every: Annotated[int, Field(gt=0)] = 1

    def begin(self, start: Array) -> "Bandit":
        """The state machine, from these proportions."""
        return Bandit(start, self.reward)


@dataclass(frozen=True)
class BatchLosses:
    """What a batch, drawn by the proportions now, lost on each domain.

    Attributes:
        sums: (M,), sum of the mean losses of its sequences, nats per token.
        sequences: (M,), how many; 0 for a domain that is not in it.
    """

    sums: Array
    sequences: Array


class Bandit(Method[BatchLosses]):
    """EXP3 with a falling share of exploration.

    R_i += (loss / reward) / p_i for the domain i that was drawn, so that R_i estimates the reward of all steps; a batch
    of B sequences adds the mean of what each would have added. Then, of K domains at update t,

        e_t = min(1 / K, sqrt(ln K / (K t))),   p_i = (1 - K e_t) s_i exp(e_{t-1} R_i) / sum + e_t,

    with s the proportions it began with. A domain that is not in the batch gains nothing, and e_t keeps it drawn.
    """

    def __init__(self, start: Array, reward: float) -> None:
        super().__init__(start)
        self.start, self.reward = self.weights, reward
        self.rewards = np.zeros_like(self.weights)

    def _moved(self, signals: BatchLosses) -> Array:
        seen = signals.sequences > 0
        gains = signals.sums / signals.sequences.sum() / self.reward
        self.rewards = self.rewards + np.where(seen, gains / np.where(seen, self.weights, 1.0), 0.0)
        count, explored = len(self.weights), self._exploration(self.updates + 1)
        exploited = stepped(self.start, self._exploration(self.updates) * self.rewards)
        return (1 - count * explored) * exploited + explored

    def _exploration(self, update: int) -> float:
        count = len(self.weights)
        return min(1 / count, math.sqrt(math.log(count) / (count * update))) if update else 1 / count

    def state(self) -> dict[str, Any]:
        """See `Method.state`."""
        return {**super().state(), "start": self.start.tolist(), "rewards": self.rewards.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Method.restore`."""
        super().restore(state)
        self.start = np.array(state["start"], dtype=np.float64)
        self.rewards = np.array(state["rewards"], dtype=np.float64)
