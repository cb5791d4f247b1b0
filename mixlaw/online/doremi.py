"""DoReMi: weights that minimise the worst excess loss of a small proxy over a reference (Xie et al. 2023, 2305.10429).

The reference is trained on reference proportions; the proxy reads all domains equally often and minimises
sum_i a_i (mean token loss of domain i) while a climbs where the proxy is worse than the reference; the mean of a over
the proxy's steps is the mixture that the large model then *samples* by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mixlaw.online.base import Method
from mixlaw.online.simplex import Array, smoothed, stepped
from mixlaw.section import Section


class Doremi(Section):
    """Settings of DoReMi.

    Attributes:
        reference: proportions of the first reference: "natural", "uniform" or a file.
        step: eta, exponent per nat of excess loss; 1 in the paper.
        smoothing: c, share of the uniform mixture in the weights after every step; 1e-3 in the paper.
        rounds: at most so many; from the second on, the reference is trained on the result of the round before.
        tolerance: rounds end once no weight moves by more.
        size: of reference and proxy, on the ladder; the target's when absent.
        tokens: of each; the target's when absent.
    """

    searches: ClassVar[bool] = True

    method: Literal["doremi"] = "doremi"
    reference: str = "natural"
    step: Annotated[float, Field(gt=0)] = 1.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 1e-3
    rounds: Annotated[int, Field(gt=0)] = 1
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    size: str | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None

    def begin(self, start: Array) -> "GroupDro":
        """The state machine, from these weights."""
        return GroupDro(start, self.step, self.smoothing)


@dataclass(frozen=True)
class Excess:
    """How much worse than the reference the proxy is on one batch.

    Attributes:
        clipped: (M,), sum over the tokens of each domain of max(0, loss - reference loss), clipped token by token.
        tokens: (M,), how many tokens; 0 for a domain that is not in the batch.
    """

    clipped: Array
    tokens: Array


class GroupDro(Method[Excess]):
    """Exponentiated gradient ascent on the worst case: a_i <- a_i exp(eta lambda_i), normalised, then smoothed.

    lambda_i is the clipped excess per token of domain i. A domain that is not in the batch keeps its last lambda, and
    0 before it was first seen: an unseen domain has shown no excess.
    """

    def __init__(self, start: Array, step: float, smoothing: float) -> None:
        super().__init__(start)
        self.step, self.smoothing = step, smoothing
        self.scores = np.zeros_like(self.weights)

    def _moved(self, signals: Excess) -> Array:
        present = signals.tokens > 0
        self.scores = np.where(present, signals.clipped / np.maximum(signals.tokens, 1), self.scores)
        return smoothed(stepped(self.weights, self.step * self.scores), self.smoothing)

    def state(self) -> dict[str, Any]:
        """See `Method.state`."""
        return {**super().state(), "scores": self.scores.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Method.restore`."""
        super().restore(state)
        self.scores = np.array(state["scores"], dtype=np.float64)


def domain_factors(weights: Array, sequences: Array) -> Array:
    """(M,), factor of each sequence's mean loss under sum_i w_i (mean loss of domain i over the batch).

    A batch with two domains of unequal length gives each the weight it has, not its weight times its length. A domain
    that is not in the batch has none to weigh.

    Args:
        weights: (M,), of the domains.
        sequences: (M,), of each domain in the global batch, all of one length.
    """
    return np.where(sequences > 0, weights / np.maximum(sequences, 1), 0.0)


def settled(before: Array, after: Array, tolerance: float) -> bool:
    """Whether a round moved no weight by more than the tolerance."""
    return bool(np.abs(after - before).max() <= tolerance)
