"""Two mixtures side by side, and how sure it is that one beats the other."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mixlaw.fitting.law import Law
from mixlaw.mixture import Mixture
from mixlaw.runs import TOTAL
from mixlaw.weights import weights_of


@dataclass(frozen=True)
class Compared:
    """One target of two mixtures: predicted losses in nats per token, and the probability that A measures lower."""

    target: str
    first: float
    second: float
    probability: float


@dataclass(frozen=True)
class Comparison:
    """Mixture A against mixture B at one scale.

    Attributes:
        params, tokens: the scale.
        targets: target by target.
        total: the weighted total, its target called "(weighted)".
        warnings: what is extrapolated, in words.
    """

    params: float
    tokens: float
    targets: tuple[Compared, ...]
    total: Compared
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def compare(
    law: Law,
    first: Mixture,
    second: Mixture,
    *,
    params: float | None = None,
    tokens: float | None = None,
    weights: Mapping[str, float] | None = None,
) -> Comparison:
    """Give the probability that a run on mixture `first` (A) measures a lower loss than one on `second` (B).

    Both runs' noise counts; errors that both predictions share cancel, that of carrying losses across scales among
    them.

    Args:
        law: the law.
        first, second: mixtures A and B.
        params, tokens: the scale; by default the largest params measured, and the most tokens at that size.
        weights: importance of targets; equal by default.

    Raises:
        Refused: for unknown domains or targets, or a scale the law cannot reach.
    """
    at = law.at(params, tokens)
    pair = np.array(at.aligned({"A": first, "B": second}))
    importance = np.vstack([np.eye(len(law.targets)), weights_of(weights, law.targets)])
    losses = at.law.predict(pair) @ importance.T
    probabilities = at.uncertainty.probability_better(pair[:1], pair[1:], importance)[:, 0]
    rows = [
        Compared(target, float(losses[0, row]), float(losses[1, row]), float(probabilities[row]))
        for row, target in enumerate((*law.targets, TOTAL))
    ]
    warnings = (*at.warnings, *at.extrapolations({"A": first, "B": second}))
    return Comparison(at.params, at.tokens, tuple(rows[:-1]), rows[-1], warnings)
