"""One curve in size and tokens for all mixtures, small deviations of each, and several ways of writing it at once."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import array_of, lists, numbers_of
from mixlaw.surfaces.backtest import mean_of_known
from mixlaw.surfaces.carried import CarriedSurface
from mixlaw.surfaces.curve_error import curve_covariance, curve_deviation
from mixlaw.surfaces.curves import same_scale, training_curves
from mixlaw.surfaces.nested import Nested
from mixlaw.surfaces.own_terms import OwnTerms
from mixlaw.surfaces.power import EXPONENTS
from mixlaw.surfaces.reach import Reach
from mixlaw.surfaces.shared_curve import Cells, Rows, SharedCurve, fit_shared_curve
from mixlaw.surfaces.youth import cells_by_youth
from mixlaw.wording import in_words

LEAST_STEP_EXPONENT = 0.4
"""A step exponent below this, free in a run of its own, is what makes the nested law err low."""

OUTLIER = 3.0
"""A checkpoint further off than so many standard deviations counts linearly, not squared (Huber 1964)."""

FIRST_NOISE = 0.02
"""Nats; the noise of one checkpoint before any residual has been seen, and where none can be."""

PASSES = 2
"""Fits after the first; each takes the noise and the outliers from the residuals of the one before."""


@dataclass(frozen=True)
class Specification:
    """One way of writing the pooled surface.

    Attributes:
        interaction: whether size and tokens have a product term.
        shared_exponents: one pair of exponents for all targets, or one each.
        deviation: tau, nats: how far a mixture's size and token terms may be from those of the average mixture; the
            token terms of a target further, where the runs show it.
    """

    interaction: bool
    shared_exponents: bool
    deviation: float


SPECIFICATIONS = (
    Specification(interaction=True, shared_exponents=True, deviation=0.1),
    Specification(interaction=True, shared_exponents=False, deviation=0.1),
    Specification(interaction=True, shared_exponents=True, deviation=0.02),
    Specification(interaction=True, shared_exponents=False, deviation=0.02),
    Specification(interaction=False, shared_exponents=True, deviation=0.1),
)
"""Both exponents with both deviations, one without the product term, and the nested law's level: the six whose median
is predicted. In every backtest towards a larger model (15, on three sets of published runs) the product term lowered
the error, so it is left out of one only; which of the others is best changes with the horizon, and short backtests pick
the wrong one."""


@dataclass(frozen=True)
class PooledFit:
    """One specification, fitted: the loss of mixture m is curve + offset + size_term (n - 1) + token_term (s - 1).

    Attributes:
        curve: the average mixture.
        deviations: (G, V, 3) offset, size and token term of each mixture, nats at the largest scale measured.
    """

    curve: SharedCurve
    deviations: Array

    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) losses of the mixtures, nats per token."""
        features = self.curve.features(params, tokens)[0, :, :3] - np.array([0.0, 1.0, 1.0])
        losses: Array = self.curve.at(params, tokens) + (self.deviations * features).sum(axis=2)
        return losses


@dataclass(frozen=True)
class Pooled(CarriedSurface):
    """Loss at a larger scale by exponents that all mixtures share.

    y = (E + e_m) + (A + a_m) n + (B + b_m) s + C n s with n = (N / N0)^-α, s = (D / D0)^-β, for each target. Mixtures
    may differ freely in offset; their size and token terms are shrunk to the average mixture's, since a term of each
    mixture's own wins where it was fitted and can explode on a mixture far from the runs. How strongly token terms are
    shrunk the evidence decides (MacKay 1992), for each target. It is not asked about size terms: they rest on two or
    three runs a mixture, and would carry the noise of those on to larger models. So it decides how far young
    checkpoints are trusted, which are off any such curve (`mixlaw.surfaces.youth`).

    Several specifications are fitted, and the nested law with step exponents of at least 0.4 where the runs allow it;
    their median is the prediction and their spread a part of its error. Then a mixing law is fitted at the scale asked
    for.

    Attributes:
        fits: one for each specification.
        covariance: (V, 6, 6) of the first specification's curve.
        nested: the nested law, if there are runs for it.
    """

    fits: tuple[PooledFit, ...]
    covariance: Array
    nested: Nested | None

    scale: ClassVar[str] = "pooled"

    @classmethod
    def carry_from(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit every specification.

        Raises:
            Refused: if the runs have one size and one token count.
        """
        reach = Reach.of(table)
        if len(reach.sizes) == 1 and reach.token_counts == 1:
            raise Refused(
                f"{table.source} holds one scale, {in_words(reach.sizes[0])} params and "
                f"{in_words(reach.most_tokens)} tokens; a pooled surface needs two sizes or token counts: "
                "use --scale none, or add checkpoints"
            )
        curves = training_curves(table)
        return cls(
            table.domains,
            table.targets,
            family,
            curves.proportions,
            reach,
            (),
            np.zeros(len(table.targets)),
            *_fit_all(Rows.of(curves), len(curves.proportions)),
            _nested(table, family, reach),
        )

    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) median over the specifications.

        Raises:
            Refused: for another size when the runs have one, or other tokens when they have one token count.
        """
        losses = self.by_specification(params, tokens)
        known = np.isfinite(losses).any(axis=0)
        median = np.full(known.shape, np.nan)
        median[known] = np.nanmedian(losses[:, known], axis=0)
        return median

    def spread_at(self, params: float, tokens: float) -> Array:
        """(V,) standard deviation of the specifications about the median, of what they say of all mixtures alike."""
        apart = self.by_specification(params, tokens) - self.losses_at(params, tokens)
        counted = np.isfinite(apart)
        mean = np.where(counted, apart, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        specifications = np.maximum(counted.any(axis=1).sum(axis=0), 2)
        spread: Array = np.sqrt((mean**2).sum(axis=0) / (specifications - 1))
        return spread

    def fit_error_at(self, params: float, tokens: float) -> Array:
        """(V,) standard deviation of the first specification's curve: what is left open by sizes and tokens so few."""
        return curve_deviation(self.fits[0].curve, self.covariance, params, tokens)

    def by_specification(self, params: float, tokens: float) -> Array:
        """(specifications, G, V) losses; the last has the nested law's level, where it reaches.

        Of the nested law only the mean over its mixtures is taken: an exponent of each run's own blurs the differences
        between mixtures, and it does not reach those that were run at fewer than three sizes.
        """
        self._check_reach(params, tokens)
        losses = [fit.losses_at(params, tokens) for fit in self.fits]
        if self.nested is not None:
            with suppress(Refused):  # it needs three sizes or checkpoints to reach a scale, the others do not
                apart = self.nested.losses_at(params, tokens) - losses[0]
                losses.append(losses[0] + mean_of_known(apart))
        return np.array(losses)

    def parameters(self) -> dict[str, Any]:
        """Curves and deviations of every specification, and the nested law."""
        return {
            **super().parameters(),
            "fits": [{"curve": fit.curve.parameters(), "deviations": lists(fit.deviations)} for fit in self.fits],
            "covariance": self.covariance.tolist(),
            "nested": None if self.nested is None else self.nested.parameters(),
        }

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        nested = parameters["nested"]
        return cls(
            domains,
            targets,
            *cls.kept(parameters),
            tuple(
                PooledFit(SharedCurve.from_parameters(fit["curve"]), array_of(fit["deviations"]))
                for fit in parameters["fits"]
            ),
            numbers_of(parameters["covariance"], "covariance"),
            None if nested is None else Nested.from_parameters(domains, targets, nested),
        )

    def _check_reach(self, params: float, tokens: float) -> None:
        if len(self.reach.sizes) == 1 and not same_scale(np.array([params]), self.reach.sizes[0])[0]:
            raise Refused(
                f"the runs have one size, {in_words(self.reach.sizes[0])} params, so a loss at {in_words(params)} "
                "params cannot be told; leave --params out, or add runs of at least one other size"
            )
        if self.reach.token_counts == 1 and not same_scale(np.array([tokens]), self.reach.most_tokens)[0]:
            raise Refused(
                f"every run has one checkpoint, at {in_words(self.reach.most_tokens)} tokens, so a loss at "
                f"{in_words(tokens)} tokens cannot be told; leave --tokens out, or add the losses logged on the way"
            )


def _nested(table: RunTable, family: type[MixingLaw], reach: Reach) -> Nested | None:
    step_exponents = (LEAST_STEP_EXPONENT, EXPONENTS[1])
    return Nested.carry_from(table, family, step_exponents) if reach.token_counts > 1 else None


def _fit_all(rows: Rows, mixtures: int) -> tuple[tuple[PooledFit, ...], Array]:
    """Every specification, with noise and robust weights from the residuals of the first, and its covariance."""
    weights = np.isfinite(rows.losses).astype(float)
    noise = np.full(rows.losses.shape[1], FIRST_NOISE)
    first = SPECIFICATIONS[0]
    for _ in range(PASSES):
        cells = Cells.of(rows, weights, noise)
        own = OwnTerms.of(rows, cells, _curve(cells, first), weights, noise, mixtures)
        residual = own.residual(own.terms(first.deviation, own.widening(first.deviation)))
        noise = _noise(residual, rows, mixtures)
        off = np.where(np.isfinite(residual), np.abs(residual) / noise, np.inf)
        weights = np.where(np.isfinite(residual), np.minimum(1.0, OUTLIER / np.maximum(off, OUTLIER)), 0.0)
    cells = cells_by_youth(rows, weights, noise, lambda cells: _curve(cells, first))
    kinds = {(kind.interaction, kind.shared_exponents): kind for kind in SPECIFICATIONS}
    curves = {choices: _curve(cells, kind) for choices, kind in kinds.items()}
    owns = {choices: OwnTerms.of(rows, cells, curve, weights, noise, mixtures) for choices, curve in curves.items()}
    widening = owns[first.interaction, first.shared_exponents].widening(first.deviation)
    fits = tuple(
        PooledFit(curves[choices], owns[choices].terms(kind.deviation, widening))
        for kind in SPECIFICATIONS
        for choices in [(kind.interaction, kind.shared_exponents)]
    )
    covariance = curve_covariance(
        cells, fits[0].curve, interaction=first.interaction, shared_exponents=first.shared_exponents
    )
    return fits, covariance


def _curve(cells: Cells, kind: Specification) -> SharedCurve:
    return fit_shared_curve(cells, interaction=kind.interaction, shared_exponents=kind.shared_exponents)


def _noise(residual: Array, rows: Rows, mixtures: int) -> Array:
    """(V,) robust standard deviation of a checkpoint, from the median size of the residuals.

    A residual is shrunk by the offset that its mixture was given; a target whose mixtures have one row each shows no
    residual at all.
    """
    finite = np.isfinite(residual)
    count = np.maximum(finite.sum(axis=0), 1)
    offsets = np.zeros((mixtures, residual.shape[1]))
    np.add.at(offsets, rows.mixture, finite)
    freedom = np.maximum(count - (offsets > 0).sum(axis=0), 1)
    middle = np.array([np.median(np.abs(column[np.isfinite(column)])) for column in residual.T])
    spread = 1.4826 * middle * np.sqrt(count / freedom)
    return np.where(freedom > 1, np.maximum(spread, 1e-6), FIRST_NOISE)
