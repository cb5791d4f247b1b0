"""The nested pipeline: step law, then size law, then mixing law."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import array_of, lists, numbers_of
from mixlaw.surfaces.carried import CarriedSurface
from mixlaw.surfaces.curves import Index, TrainingCurves, distinct, mean_at_size, same_scale, training_curves
from mixlaw.surfaces.power import EXPONENTS, fit_power_curves
from mixlaw.surfaces.reach import Reach
from mixlaw.wording import in_words

STEP_HUBER, SIZE_HUBER = 0.05, 0.08
"""Nats beyond which a residual counts linearly, in the step law and in the size law (the source's own values)."""

STEP_HELD_OUT, SIZE_HELD_OUT = 5, 1
"""Points at the end of a curve that only choose the exponent (the source's own, for 11 checkpoints and 4 sizes)."""

POINTS_NEEDED = 3
"""A curve with a floor and a height shows its exponent from three points on."""


@dataclass(frozen=True)
class Nested(CarriedSurface):
    """Loss at a larger scale by three laws, each fitted to what the one before predicts (Ye et al. 2024, 2403.16952).

    1. Step law, for each run: L(D) = floor + height D^-a, the exponent a tied over the targets of that run.
    2. Size law on the step laws' predictions at the tokens asked for: the same form in N, its exponent tied over all
       mixtures and targets.
    3. Mixing law, of any family, on the size law's predictions.

    As in the source, the exponent is the one that best predicts the last points of the curves, while floor and height
    come from the points before them. The source searches floor, height and exponent from thousands of random starts;
    given the exponent the rest is linear, so here one number a run is searched, and the answer is always the same.
    An exponent free in every run makes long extrapolations err low, by 0.1 nats and more; `pooled` shares it.

    Attributes:
        mixture: (R,) the mixture of each run, a row of `proportions`.
        params: (R,) the size of each run.
        tokens: (R,) the tokens of each run's last checkpoint.
        last: (R, V) its losses there.
        floor: (R, V) of the step laws, nats per token; NaN where a target has under three checkpoints.
        height: (R, V) of the step laws at `unit` tokens, nats per token.
        exponent: (R,) of the step laws.
        unit: tokens.
    """

    mixture: Index
    params: Array
    tokens: Array
    last: Array
    floor: Array
    height: Array
    exponent: Array
    unit: float

    scale: ClassVar[str] = "nested"

    @classmethod
    def carry_from(
        cls, table: RunTable, family: type[MixingLaw], step_exponents: tuple[float, float] = EXPONENTS
    ) -> Self:
        """Fit the step laws; size and mixing law follow for each scale that is asked for.

        Args:
            table: checked runs.
            family: the mixing law.
            step_exponents: the interval in which the exponents of the step laws are searched.
        """
        curves = training_curves(table)
        floor, height, exponent, unit = _step_laws(curves, step_exponents)
        ends = np.isfinite(curves.tokens).sum(axis=1) - 1
        runs = np.arange(len(ends))
        return cls(
            table.domains,
            table.targets,
            family,
            curves.proportions,
            Reach.of(table),
            (),
            np.zeros(len(table.targets)),
            curves.mixture,
            curves.params,
            curves.tokens[runs, ends],
            curves.losses[runs, ends],
            floor,
            height,
            exponent,
            unit,
        )

    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) losses of the mixtures by step law and size law; NaN for mixtures with under three sizes.

        Raises:
            Refused: for other tokens than were measured when no run shows a step law, or for another size when no
                mixture was run at three.
        """
        at_tokens = self._losses_of_runs(tokens)
        sizes = distinct(self.params)
        if same_scale(sizes, params).any():
            return mean_at_size(at_tokens, self.mixture, same_scale(self.params, params), len(self.proportions))
        by_size = np.stack(
            [
                mean_at_size(at_tokens, self.mixture, same_scale(self.params, float(size)), len(self.proportions))
                for size in sizes
            ],
            axis=2,
        )
        flat = by_size.reshape(-1, len(sizes))
        points = np.isfinite(flat).sum(axis=1)
        usable = points >= POINTS_NEEDED
        if not usable.any():
            raise Refused(
                f"the nested law at {in_words(params)} params needs mixtures that were run at three sizes; the runs "
                f"have {_listed(sizes)}; ask for one of these, run a third size, or use --scale pooled with two sizes"
            )
        curves = fit_power_curves(
            np.tile(sizes, (int(usable.sum()), 1)),
            flat[usable],
            np.zeros(int(usable.sum()), dtype=np.int64),
            huber=SIZE_HUBER,
            held_out=np.minimum(SIZE_HELD_OUT, points[usable] - POINTS_NEEDED),
        )
        losses = np.full(len(flat), np.nan)
        losses[usable] = curves.at(params)
        return losses.reshape(len(self.proportions), len(self.targets))

    def parameters(self) -> dict[str, Any]:
        """Step laws as arrays by run; the size law and the mixing law follow from them."""
        return {
            **super().parameters(),
            "mixture": self.mixture.tolist(),
            "params": self.params.tolist(),
            "tokens": self.tokens.tolist(),
            "last": lists(self.last),
            "floor": lists(self.floor),
            "height": lists(self.height),
            "exponent": lists(self.exponent),
            "unit": self.unit,
        }

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(
            domains,
            targets,
            *cls.kept(parameters),
            np.array(parameters["mixture"], dtype=np.int64),
            numbers_of(parameters["params"], "params"),
            numbers_of(parameters["tokens"], "tokens"),
            array_of(parameters["last"]),
            array_of(parameters["floor"]),
            array_of(parameters["height"]),
            array_of(parameters["exponent"]),
            parameters["unit"],
        )

    def _losses_of_runs(self, tokens: float) -> Array:
        """(R, V) by step law; without one, as measured if the run ended at these tokens; NaN otherwise."""
        predicted = self.floor + self.height * (tokens / self.unit) ** -self.exponent[:, None]
        ended_here = same_scale(self.tokens, tokens)[:, None]
        losses = np.where(np.isfinite(predicted), predicted, np.where(ended_here, self.last, np.nan))
        if not np.isfinite(losses).any():
            raise Refused(
                f"the nested law at {in_words(tokens)} tokens needs runs of {POINTS_NEEDED} or more checkpoints; they "
                f"have fewer, and end at {_listed(distinct(self.tokens))} tokens: ask for that, or add the losses that "
                "were logged on the way"
            )
        return losses


def _step_laws(curves: TrainingCurves, exponents: tuple[float, float]) -> tuple[Array, Array, Array, float]:
    """Floor and height (R, V), exponent (R,) and unit of the step law of every run with enough checkpoints."""
    runs, length, targets = curves.losses.shape
    flat = curves.losses.transpose(0, 2, 1).reshape(-1, length)
    points = curves.checkpoints.reshape(-1)
    usable = points >= POINTS_NEEDED
    floor, height = np.full(runs * targets, np.nan), np.full(runs * targets, np.nan)
    exponent, unit = np.full(runs, np.nan), 1.0
    if usable.any():
        run_of = np.repeat(np.arange(runs), targets)[usable]
        kept, groups = np.unique(run_of, return_inverse=True)
        fitted = fit_power_curves(
            np.repeat(curves.tokens, targets, axis=0)[usable],
            flat[usable],
            groups,
            huber=STEP_HUBER,
            held_out=np.minimum(STEP_HELD_OUT, (points[usable] - 1) // 2),
            exponents=exponents,
        )
        floor[usable], height[usable], unit = fitted.floor, fitted.height, fitted.unit
        exponent[kept] = fitted.exponent[np.searchsorted(run_of, kept)]
    return floor.reshape(runs, targets), height.reshape(runs, targets), exponent, unit


def _listed(values: Array) -> str:
    """A few numbers in words, the rest counted."""
    shown = ", ".join(f"{in_words(value)}" for value in values[:6])
    return shown + (f" and {len(values) - 6} more" if len(values) > 6 else "")
