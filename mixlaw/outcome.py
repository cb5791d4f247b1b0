"""What was predicted for the mixtures of a study and what their full runs measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from mixlaw.errors import Refused
from mixlaw.runs import TOTAL, RunTable
from mixlaw.weights import weights_of

CONFIDENCE = 0.9
"""How often an interval of the difference between two mixtures is to hold it."""


@dataclass(frozen=True)
class Outcome:
    """One mixture that was predicted, then trained with several seeds; losses in nats per token.

    Attributes:
        name: of the mixture.
        predicted, low, high: the law's weighted loss and its interval.
        measured: the weighted loss of each seed.
        by_target: predicted loss and mean measured loss of each target.
    """

    name: str
    predicted: float
    low: float
    high: float
    measured: tuple[float, ...]
    by_target: Mapping[str, tuple[float, float]]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.measured))

    @property
    def inside(self) -> bool:
        """Whether the mean measured loss lies in the predicted interval."""
        return self.low <= self.mean <= self.high


def outcomes(
    predictions: pd.DataFrame, full_runs: RunTable, weights: Mapping[str, float] | None
) -> tuple[Outcome, ...]:
    """Join predictions and full runs by the name of the mixture.

    Args:
        predictions: as `Law.predict` gives them, at the scale of the full runs, with the weighted total.
        full_runs: full runs whose `group` is the name of their mixture; the last checkpoint of each counts.
        weights: importance of targets; equal when None.

    Raises:
        Refused: if a full run names a mixture that was not predicted, or lacks a loss.
    """
    last = full_runs.last()
    if "group" not in last.frame:
        raise Refused(f"{full_runs.source} has no column group; it names the mixture of each full run")
    totals = last.losses @ weights_of(weights, last.targets)
    if not np.isfinite(totals).all():
        run = last.runs[int(np.flatnonzero(~np.isfinite(totals))[0])]
        raise Refused(f"{full_runs.source}: run '{run}' lacks a loss; train it again")
    names = last.frame["group"].astype(str)
    found = []
    for name in dict.fromkeys(names):
        rows = _by_target(predictions, name)
        if TOTAL not in rows:
            raise Refused(f"{full_runs.source}: mixture '{name}' was trained but not predicted")
        of_mixture = (names == name).to_numpy()
        means = dict(zip(last.targets, last.losses[of_mixture].mean(axis=0), strict=True))
        found.append(
            Outcome(
                name=name,
                predicted=rows[TOTAL]["loss"],
                low=rows[TOTAL]["low"],
                high=rows[TOTAL]["high"],
                measured=tuple(float(value) for value in totals[of_mixture]),
                by_target={target: (rows[target]["loss"], float(means[target])) for target in last.targets},
            )
        )
    return tuple(found)


def _by_target(predictions: pd.DataFrame, mixture: str) -> dict[str, dict[str, float]]:
    rows = predictions[predictions["mixture"] == mixture]
    return {
        str(row["target"]): {key: float(row[key]) for key in ("loss", "low", "high")} for row in rows.to_dict("records")
    }


def seed_noise(found: Sequence[Outcome]) -> tuple[float, int]:
    """Standard deviation of one run between seeds, pooled over mixtures, and its degrees of freedom (0: unknown)."""
    freedom = sum(len(outcome.measured) - 1 for outcome in found)
    squares = sum(float(np.sum((np.array(outcome.measured) - outcome.mean) ** 2)) for outcome in found)
    return (float(np.sqrt(squares / freedom)) if freedom else float("nan")), freedom


def verdicts(found: Sequence[Outcome], chosen: str = "optimum") -> list[str]:
    """Say, for each baseline, whether the chosen mixture was measured better by more than the noise between seeds;
    nothing while the chosen one has not been measured.

    The difference of two means is compared with Student's t at 90% two-sided, its noise pooled over all mixtures.
    """
    noise, freedom = seed_noise(found)
    best = next((outcome for outcome in found if outcome.name == chosen), None)
    if best is None:
        return []
    return [_verdict(best, other, noise, freedom) for other in found if other is not best]


def _verdict(best: Outcome, other: Outcome, noise: float, freedom: int) -> str:
    gain, hoped = other.mean - best.mean, other.predicted - best.predicted
    if not freedom:
        way = "better" if gain >= 0 else "worse"
        return (
            f"{best.name} measured {abs(gain):.4f} nats {way} than {other.name} ({hoped:+.4f} predicted), with one "
            "seed each: the noise is not known, so nothing is claimed"
        )
    spread = noise * np.sqrt(1 / len(best.measured) + 1 / len(other.measured))
    margin = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * spread
    better = "is better than" if gain > 0 else "is WORSE than"
    claim = better if abs(gain) > margin else "cannot be told from"
    return (
        f"{best.name} {claim} {other.name}: {gain:+.4f} ± {margin:.4f} nats measured "
        f"({CONFIDENCE:.0%} interval of the difference between seeds), {hoped:+.4f} predicted"
    )
