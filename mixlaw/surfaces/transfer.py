"""Many runs at a small size and a few at a large one: the small law, mapped onto the large size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws import LAWS
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import array_of, lists, numbers_of
from mixlaw.surfaces.base import FitAtScale, Surface
from mixlaw.surfaces.curves import distinct, same_scale
from mixlaw.surfaces.single import common_scale
from mixlaw.wording import counted, in_words

FEWEST_LARGE = 3
"""A line through fewer large runs would leave no residual to judge it by."""

SLOPE_SPREAD = 0.5
"""Prior standard deviation of the slope about 1: by default a difference between mixtures stays what it was."""

ROUNDS = 20
"""Updates of the map's noise; the slope's prior is weighed against it."""


@dataclass(frozen=True)
class Transfer(Surface):
    """loss_large(r) = alpha + beta loss_small(r) for each target, with beta shrunk to 1.

    The ranking of mixtures changes little with size, and a few large runs tell the level and the scale: on published
    SlimPajama runs, 60 at 122M and 8 at 680M halve the error of the 8 alone. Small losses are taken from the law fitted
    to them, so the large runs need not repeat small mixtures. The small runs, mapped, and the large ones then carry a
    mixing law of any family at the large scale, the only one this surface knows.

    Attributes:
        family: the mixing law.
        params, tokens: the large scale.
        level, slope: (V,) alpha in nats per token, and beta.
        error: (V,) standard deviation of a large run about the map, nats per token.
        proportions: (n, M) small runs, then large ones.
        losses: (n, V) their losses at the large scale: mapped, then measured; NaN = not measured.
    """

    family: type[MixingLaw]
    params: float
    tokens: float
    level: Array
    slope: Array
    error: Array
    proportions: Array
    losses: Array

    scale: ClassVar[str] = "transfer"

    @classmethod
    def fit(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit the small law and the map to the largest size.

        Raises:
            Refused: if there is one size only, or fewer than three large runs of a target.
        """
        sizes = distinct(table.params)
        if len(sizes) == 1:
            raise Refused(
                f"{table.source} holds one size, {in_words(float(sizes[0]))} params; transfer needs many runs at a "
                "small size and a few at a large one: use --scale none, or add runs at another size"
            )
        at_largest = same_scale(table.params, float(sizes[-1]))
        params, tokens, large = common_scale(table.where(at_largest))
        _, _, small = common_scale(table.where(same_scale(table.params, _best_covered(table, sizes[:-1]))))
        for target, losses in zip(table.targets, large.losses.T, strict=True):
            known = int(np.isfinite(losses).sum())
            if known < FEWEST_LARGE:
                raise Refused(
                    f"{table.source}: target '{target}' is measured in {counted(known, 'run')} at {in_words(params)} "
                    f"params; the map from a smaller size needs at least {FEWEST_LARGE}, and 8 to be of use: run "
                    "more there"
                )
        small_law = family.fit(table.domains, table.targets, small.proportions, small.losses).law
        level, slope, error = _affine(small_law.predict(large.proportions), large.losses)
        return cls(
            table.domains,
            table.targets,
            family,
            params,
            tokens,
            level,
            slope,
            error,
            np.concatenate([small.proportions, large.proportions]),
            np.concatenate([level + slope * small.losses, large.losses]),
        )

    def at(self, params: float | None = None, tokens: float | None = None) -> FitAtScale:
        """The law at the large scale, the only one it knows."""
        for name, asked, known in (("params", params, self.params), ("tokens", tokens, self.tokens)):
            if asked is not None and not same_scale(np.array([asked]), known)[0]:
                raise Refused(
                    f"a transferred law knows one scale, {in_words(self.params)} params and {in_words(self.tokens)} "
                    f"tokens, and was asked for {name} {in_words(asked)}; leave --{name} out, or use --scale pooled"
                )
        _, groups = np.unique(np.round(self.proportions, 6), axis=0, return_inverse=True)
        return FitAtScale(
            self.family.fit(self.domains, self.targets, self.proportions, self.losses),
            self.proportions,
            self.losses,
            groups.reshape(-1),
            self.error,
        )

    def parameters(self) -> dict[str, Any]:
        """The map, and the losses that it gives; the law follows from them."""
        return {
            "law": self.family.kind,
            "params": self.params,
            "tokens": self.tokens,
            "level": self.level.tolist(),
            "slope": self.slope.tolist(),
            "error": self.error.tolist(),
            "proportions": self.proportions.tolist(),
            "losses": lists(self.losses),
        }

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(
            domains,
            targets,
            LAWS[parameters["law"]],
            float(parameters["params"]),
            float(parameters["tokens"]),
            numbers_of(parameters["level"], "level"),
            numbers_of(parameters["slope"], "slope"),
            numbers_of(parameters["error"], "error"),
            numbers_of(parameters["proportions"], "proportions"),
            array_of(parameters["losses"]),
        )


def _best_covered(table: RunTable, sizes: Array) -> float:
    """The size with most mixtures; the largest of those that tie."""
    counts = [len(set(table.mixtures[same_scale(table.params, float(size))])) for size in sizes]
    return float(sizes[np.flatnonzero(np.array(counts) == max(counts))[-1]])


def _affine(predicted: Array, measured: Array) -> tuple[Array, Array, Array]:
    """Level, slope and error (V,) of measured = level + slope predicted, with slope ~ N(1, 0.5²).

    The noise that weighs the prior is the geometric mean of each target's own and all targets' (a handful of runs tells
    one target's noise badly), iterated to its fixed point.
    """
    known = np.isfinite(measured)
    count = known.sum(axis=0)
    mean_x = np.where(known, predicted, 0.0).sum(axis=0) / count
    mean_y = np.where(known, measured, 0.0).sum(axis=0) / count
    x, y = np.where(known, predicted - mean_x, 0.0), np.where(known, measured - mean_y, 0.0)
    squares = (x**2).sum(axis=0)
    variance = np.maximum((y**2).sum(axis=0) / count, 1e-12)
    for _ in range(ROUNDS):
        ridge = variance / SLOPE_SPREAD**2
        slope = ((x * y).sum(axis=0) + ridge) / (squares + ridge)
        used = 1 + squares / (squares + ridge)
        own = np.maximum(((y - slope * x) ** 2).sum(axis=0) / np.maximum(count - used, 1.0), 1e-12)
        variance = np.sqrt(own * np.exp(np.log(own).mean()))
    return mean_y - slope * mean_x, slope, np.sqrt(variance * (1 + 1 / count))
