"""Surfaces that carry each mixture's losses to a scale and fit a mixing law there."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import lists, numbers_of
from mixlaw.surfaces.backtest import Backtest, backtests, mean_of_known, noise_of_runs, scale_error
from mixlaw.surfaces.base import FitAtScale, Surface
from mixlaw.surfaces.reach import Reach
from mixlaw.wording import counted


@dataclass(frozen=True)
class CarriedSurface(Surface):
    """Scale and mixture kept apart: losses are carried to a scale first, then a mixing law is fitted to them there.

    Attributes:
        family: the mixing law fitted at each scale.
        proportions: (G, M) the mixtures that were run, each once.
        reach: the scales measured.
        backtests: errors of predicting the largest scale from the smaller ones.
        run_noise: (V,) standard deviation of the largest runs' last losses about those carried of their mixtures.
    """

    family: type[MixingLaw]
    proportions: Array
    reach: Reach
    backtests: tuple[Backtest, ...]
    run_noise: Array

    @classmethod
    @abstractmethod
    def carry_from(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit to a table, without backtests and without the noise of a run."""

    @abstractmethod
    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) losses of the mixtures at a scale, nats per token; NaN where they cannot be carried there.

        Raises:
            Refused: for a scale the surface cannot reach.
        """

    def spread_at(self, params: float, tokens: float) -> Array:
        """(V,) standard deviation between specifications, nats per token; 0 for a surface that has one."""
        return np.zeros(len(self.targets))

    def fit_error_at(self, params: float, tokens: float) -> Array:
        """(V,) standard deviation that the fit itself admits, nats per token; 0 for a surface that cannot tell."""
        return np.zeros(len(self.targets))

    @classmethod
    def fit(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit to a run table and to its lower parts, which tell how well it carries."""
        surface = cls.carry_from(table, family)
        tests = backtests(table, lambda part: cls.carry_from(part, family))
        return replace(surface, backtests=tests, run_noise=noise_of_runs(table, surface))

    def at(self, params: float | None = None, tokens: float | None = None) -> FitAtScale:
        """The mixing law at one scale; None means the largest size, and the most tokens measured at it."""
        params, tokens = self.reach.scale(params, tokens)
        losses = self.losses_at(params, tokens)
        carried = np.isfinite(losses).any(axis=1)
        proportions = self.proportions[carried]
        fit = self.family.fit(self.domains, self.targets, proportions, losses[carried])
        ratios = self.reach.ratios(params, tokens)
        fall = mean_of_known(self.losses_at(params, tokens / ratios[1]) - losses)
        error, said = scale_error(self.backtests, *ratios, fall)
        return FitAtScale(
            fit,
            proportions,
            losses[carried],
            np.arange(len(proportions)),
            np.hypot(np.maximum(error, self.fit_error_at(params, tokens)), self.spread_at(params, tokens)),
            (*self.reach.warnings(params, tokens), *said, *_left_out(len(losses) - len(proportions), len(losses))),
            self.run_noise,
        )

    def parameters(self) -> dict[str, Any]:
        """What all carried surfaces keep."""
        return {
            "law": self.family.kind,
            "proportions": lists(self.proportions),
            "reach": self.reach.parameters(),
            "backtests": [test.parameters() for test in self.backtests],
            "run_noise": self.run_noise.tolist(),
        }

    @staticmethod
    def kept(parameters: Mapping[str, Any]) -> tuple[type[MixingLaw], Array, Reach, tuple[Backtest, ...], Array]:
        """Family, proportions, reach, backtests and the noise of a run from `parameters()`."""
        return (
            LAWS[parameters["law"]],
            numbers_of(parameters["proportions"], "proportions"),
            Reach.from_parameters(parameters["reach"]),
            tuple(Backtest.from_parameters(test) for test in parameters["backtests"]),
            numbers_of(parameters["run_noise"], "run_noise"),
        )


def _left_out(missing: int, count: int) -> tuple[str, ...]:
    """What is to be said of mixtures that were not carried."""
    if not missing:
        return ()
    return (
        f"{missing} of {counted(count, 'mixture')} left out, run at too few sizes or checkpoints to be carried here",
    )
