"""What every online method is, whatever it listens to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from mixlaw.online.simplex import Array

Signals = TypeVar("Signals")


class Method(ABC, Generic[Signals]):
    """An online method in progress: domain weights, and what it needs to move them.

    Args:
        start: (M,), the weights it begins with, on the simplex.

    Attributes:
        weights: (M,), now, on the simplex.
        updates: how often they were moved.
    """

    def __init__(self, start: Array) -> None:
        self.weights = np.array(start, dtype=np.float64)
        self.updates = 0
        self._total = np.zeros_like(self.weights)

    def update(self, signals: Signals) -> Array:
        """Move the weights by what was measured; return them, (M,)."""
        self.weights = self._moved(signals)
        self.updates += 1
        self._total = self._total + self.weights
        return self.weights

    @property
    def average(self) -> Array:
        """(M,), mean of the weights after every update; the start before there was one."""
        return self._total / self.updates if self.updates else self.weights

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON: floats read back to the same bits."""
        return {"weights": self.weights.tolist(), "total": self._total.tolist(), "updates": self.updates}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self.weights = np.array(state["weights"], dtype=np.float64)
        self._total = np.array(state["total"], dtype=np.float64)
        self.updates = int(state["updates"])

    @abstractmethod
    def _moved(self, signals: Signals) -> Array:
        """(M,), the next weights."""
