"""Choose how to cross scales by backtests: the largest runs predicted from the smaller ones."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingLaw
from mixlaw.runs import RunTable
from mixlaw.surfaces import SURFACES
from mixlaw.surfaces.backtest import COVERED, Backtest
from mixlaw.surfaces.base import Surface
from mixlaw.surfaces.curves import distinct

ONE_SCALE = "none"

CANDIDATES = ("pooled", "nested")
"""What `--scale auto` chooses among, the preferred first. Short backtests are known to favour the nested law where it
then fails at three times the tokens, so that one has to be far better; `pooled` predicts the median of several
specifications, the nested law among them."""

WORTH = 0.5
"""Share of the preferred surface's error that another must not exceed."""


@dataclass(frozen=True)
class ScaleCandidate:
    """How one surface did at predicting the largest runs from smaller ones.

    Attributes:
        scale: its name.
        params_ratio, tokens_ratio: how much larger the held-out runs were in the backtest that is compared, or in its
            longest where candidates have none in common; None if none is possible.
        rmse, bias: of predicted minus measured, mean over targets, nats per token.
        refused: why it could not be fitted, or nothing.
    """

    scale: str
    params_ratio: float | None = None
    tokens_ratio: float | None = None
    rmse: float | None = None
    bias: float | None = None
    refused: str = ""


@runtime_checkable
class Backtested(Protocol):
    """A surface that has predicted its largest runs from the smaller ones."""

    @property
    def backtests(self) -> tuple[Backtest, ...]:
        """By how much of the table was left out."""


def is_one_scale(table: RunTable) -> bool:
    """Whether all rows have one size and token count, to 1%."""
    return len(distinct(table.params)) == 1 and len(distinct(table.tokens)) == 1


def choose_scale(table: RunTable, family: type[MixingLaw]) -> tuple[Surface, tuple[ScaleCandidate, ...]]:
    """Fit the candidates and take the first, unless another is clearly better at the longest backtest they all admit.

    Clearly: its error is at most half, and smaller by more than one standard error of the difference over targets.

    Returns:
        The surface, fitted to the whole table, and every candidate.

    Raises:
        Refused: if none can be fitted; with what the first said.
    """
    surfaces: dict[str, Surface] = {}
    refused: dict[str, str] = {}
    for scale in CANDIDATES:
        try:
            surfaces[scale] = SURFACES[scale].fit(table, family)
        except Refused as error:
            refused[scale] = str(error)
    if not surfaces:
        raise Refused(next(iter(refused.values())))
    shared = longest_shared([_backtests(surface) for surface in surfaces.values()])
    compared = dict(zip(surfaces, shared or (), strict=False))
    chosen = next(iter(surfaces))
    for scale in surfaces:
        if compared and scale != chosen and _clearly_better(compared[scale], compared[chosen]):
            chosen = scale
    found = [
        _candidate(scale, compared[scale]) if compared else _longest(surface) for scale, surface in surfaces.items()
    ]
    found += [ScaleCandidate(scale, refused=why) for scale, why in refused.items()]
    return surfaces[chosen], tuple(found)


def backtested(surface: Surface) -> tuple[ScaleCandidate, ...]:
    """The longest backtest of a surface that was named; empty for runs of one scale, which need none."""
    return (_longest(surface),) if isinstance(surface, Backtested) else ()


def longest_shared(tests: list[tuple[Backtest, ...]]) -> tuple[Backtest, ...] | None:
    """Of each surface, the backtest of one same cut: the longest horizon that all have; None if there is none."""
    for first in sorted(tests[0], key=lambda test: -test.horizon):
        row = [next((test for test in others if _same_cut(test, first)), None) for others in tests]
        if None not in row:
            return tuple(test for test in row if test is not None)
    return None


def _same_cut(one: Backtest, other: Backtest) -> bool:
    ratios = one.params_ratio / other.params_ratio, one.tokens_ratio / other.tokens_ratio
    return all(COVERED <= ratio <= 1 / COVERED for ratio in ratios)


def _clearly_better(one: Backtest, other: Backtest) -> bool:
    known = np.isfinite(other.rmse) & np.isfinite(one.rmse)
    if not known.any() or one.rmse[known].mean() > WORTH * other.rmse[known].mean():
        return False
    gain = (other.rmse - one.rmse)[known]
    return len(gain) < 2 or bool(gain.mean() > np.std(gain, ddof=1) / np.sqrt(len(gain)))


def _candidate(scale: str, test: Backtest | None) -> ScaleCandidate:
    if test is None:
        return ScaleCandidate(scale)
    return ScaleCandidate(
        scale, test.params_ratio, test.tokens_ratio, float(np.nanmean(test.rmse)), float(np.nanmean(test.bias))
    )


def _longest(surface: Surface) -> ScaleCandidate:
    return _candidate(surface.scale, max(_backtests(surface), key=lambda test: test.horizon, default=None))


def _backtests(surface: Surface) -> tuple[Backtest, ...]:
    return surface.backtests if isinstance(surface, Backtested) else ()
