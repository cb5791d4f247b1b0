"""Surfaces with a formula for mixture, size and tokens together, fitted to all checkpoints at once."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from mixlaw.errors import Refused
from mixlaw.laws.base import MixingFit, MixingLaw
from mixlaw.mixture import Array
from mixlaw.runs import RunTable
from mixlaw.surfaces.arrays import array_of, lists, numbers_of
from mixlaw.surfaces.backtest import Backtest, backtests, scale_error
from mixlaw.surfaces.base import FitAtScale, Surface
from mixlaw.surfaces.curves import Index, same_scale, training_curves
from mixlaw.surfaces.reach import Reach
from mixlaw.surfaces.robust import clustered_covariance, robust_fit
from mixlaw.surfaces.shared_curve import Rows
from mixlaw.surfaces.surface_law import SurfaceLaw
from mixlaw.surfaces.terms import SumOfTerms
from mixlaw.wording import counted, in_words


@dataclass(frozen=True)
class Places:
    """Where n losses were measured.

    Attributes:
        proportions: (n, M).
        log_params, log_tokens: (n,) logarithms of N and D over their units.
    """

    proportions: Array
    log_params: Array
    log_tokens: Array


@dataclass(frozen=True)
class ParametricSurface(Surface):
    """A formula in mixture, params and tokens, with one vector of parameters a target.

    Fitted by robust least squares with analytic derivatives from several deterministic starts, under priors that are
    measured in units of the noise and so fade with data. What a run as a whole is off the formula (its offset) is kept:
    it, not the scatter of checkpoints within a run, is the noise of a law of mixtures.

    Attributes:
        theta: (V, p) parameters, in the order each surface documents.
        covariance: (V, p, p) of the errors of theta, runs taken as a whole.
        unit: the params and tokens that heights are given at.
        proportions: (G, M) the mixtures that were run, each once.
        offsets: (G, V) mean residual of each mixture, nats per token; NaN where not measured.
        unsettled: targets whose fit had a step worth taking left when the last was allowed.
        reach: the scales measured.
        backtests: errors of predicting the largest scale from the smaller ones.
    """

    theta: Array
    covariance: Array
    unit: tuple[float, float]
    proportions: Array
    offsets: Array
    unsettled: tuple[str, ...]
    reach: Reach
    backtests: tuple[Backtest, ...]

    @classmethod
    @abstractmethod
    def curve(cls, places: Places) -> SumOfTerms:
        """The formula at n places."""

    @classmethod
    @abstractmethod
    def prior(cls, domains: int) -> tuple[Array, Array, Array, Array]:
        """Precision (p, p), centre (p,), lower and upper bounds (p,) of one target's parameters."""

    @classmethod
    @abstractmethod
    def starts(cls, places: Places, losses: Array) -> Array:
        """Where the search begins for one target with losses (n,): (S, p)."""

    @abstractmethod
    def law_at(self, log_params: float, log_tokens: float) -> SurfaceLaw:
        """The formula at one scale."""

    @abstractmethod
    def law_columns(self) -> list[int]:
        """Columns of theta that the law at one scale has as its own parameters, in its order."""

    @classmethod
    def fit_formula(cls, table: RunTable, near: Self | None = None) -> Self:
        """Fit, without backtests.

        Args:
            table: checked runs.
            near: a fit to more of the runs, from which to begin instead of the starts.

        Raises:
            Refused: if a target has fewer losses than the formula has parameters that are left free by priors.
        """
        curves = training_curves(table)
        rows = Rows.of(curves)
        middle = (float(np.exp(np.log(rows.params).mean())), float(np.exp(np.log(rows.tokens).mean())))
        unit = middle if near is None else near.unit
        places = Places(curves.proportions[rows.mixture], np.log(rows.params / unit[0]), np.log(rows.tokens / unit[1]))
        starts = []
        for target, losses in zip(table.targets, rows.losses.T, strict=True):
            known = np.isfinite(losses)
            if known.sum() < 3:
                raise Refused(
                    f"{table.source}: target '{target}' is measured in {counted(int(known.sum()), 'row')}; the "
                    f"{cls.scale} surface needs at least 3: measure it in more, or leave it out"
                )
            part = Places(places.proportions[known], places.log_params[known], places.log_tokens[known])
            starts.append(cls.starts(part, losses[known]))
        curve = cls.curve(places)
        first = np.stack(starts) if near is None else near.theta[:, None]
        prior = cls.prior(len(table.domains))
        theta, settled = robust_fit(curve, first, rows.losses, prior)
        unsettled = tuple(target for target, ended in zip(table.targets, settled, strict=True) if not ended)
        residuals = rows.losses - curve.values(theta).T
        offsets = _mean_by(rows.mixture, residuals, len(curves.proportions))
        covariance = clustered_covariance(curve.slopes(theta), residuals, rows.run, prior[0])
        return cls(
            table.domains,
            table.targets,
            theta,
            covariance,
            unit,
            curves.proportions,
            offsets,
            unsettled,
            Reach.of(table),
            (),
        )

    @classmethod
    def fit(cls, table: RunTable, family: type[MixingLaw]) -> Self:
        """Fit to a run table, and to its lower parts for backtests; the formula leaves no mixing law to choose."""
        surface = cls.fit_formula(table)
        return replace(surface, backtests=backtests(table, lambda part: cls.fit_formula(part, surface)))

    def losses_at(self, params: float, tokens: float) -> Array:
        """(G, V) losses of the surface's own mixtures at a scale, nats per token."""
        return self._law(params, tokens).predict(self.proportions)

    def at(self, params: float | None = None, tokens: float | None = None) -> FitAtScale:
        """The law at one scale; None means the largest size, and the most tokens measured at it."""
        params, tokens = self.reach.scale(params, tokens)
        law = self._law(params, tokens)
        ratios = self.reach.ratios(params, tokens)
        losses = law.predict(self.proportions)
        fall = (self.losses_at(params, tokens / ratios[1]) - losses).mean(axis=0)
        error, said = scale_error(self.backtests, *ratios, fall)
        return FitAtScale(
            self._fit_of(law),
            self.proportions,
            losses + self.offsets,
            np.arange(len(self.proportions)),
            np.maximum(error, self._shared_error(params, tokens)),
            (*self.reach.warnings(params, tokens), *said),
        )

    def parameters(self) -> dict[str, Any]:
        """Parameters of every target, and what the fit left over."""
        return {
            "theta": self.theta.tolist(),
            "covariance": self.covariance.tolist(),
            "unit": list(self.unit),
            "proportions": self.proportions.tolist(),
            "offsets": lists(self.offsets),
            "unsettled": list(self.unsettled),
            "reach": self.reach.parameters(),
            "backtests": [test.parameters() for test in self.backtests],
        }

    @classmethod
    def from_parameters(cls, domains: tuple[str, ...], targets: tuple[str, ...], parameters: Mapping[str, Any]) -> Self:
        """Rebuild from `parameters()`."""
        return cls(
            domains,
            targets,
            numbers_of(parameters["theta"], "theta"),
            numbers_of(parameters["covariance"], "covariance"),
            (parameters["unit"][0], parameters["unit"][1]),
            numbers_of(parameters["proportions"], "proportions"),
            array_of(parameters["offsets"]),
            tuple(parameters["unsettled"]),
            Reach.from_parameters(parameters["reach"]),
            tuple(Backtest.from_parameters(test) for test in parameters["backtests"]),
        )

    def _law(self, params: float, tokens: float) -> SurfaceLaw:
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
        return self.law_at(float(np.log(params / self.unit[0])), float(np.log(tokens / self.unit[1])))

    def _shared_error(self, params: float, tokens: float) -> Array:
        """(V,) standard deviation, by the delta method, of the mean predicted loss of the surface's own mixtures."""
        count = len(self.proportions)
        there = np.log([params / self.unit[0], tokens / self.unit[1]])
        places = Places(self.proportions, np.full(count, there[0]), np.full(count, there[1]))
        mean = self.curve(places).slopes(self.theta).mean(axis=1)
        variance = np.einsum("vp,vpq,vq->v", mean, self.covariance, mean)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)

    def _fit_of(self, law: SurfaceLaw) -> MixingFit:
        """The law with run-level noise: each mixture counts as one run, however many checkpoints it had."""
        known = np.isfinite(self.offsets)
        columns = self.law_columns()
        decided = np.minimum(len(columns), known.sum(axis=0) / 2)
        freedom = np.maximum(known.sum(axis=0) - decided, 1.0)
        squares = np.where(known, self.offsets, 0.0) ** 2
        noise = np.sqrt(np.maximum(squares.sum(axis=0) / freedom, 1e-12))
        precision = self.prior(len(self.domains))[0][np.ix_(columns, columns)]
        return MixingFit(
            law=law,
            noise=noise,
            freedom=freedom,
            weights=known.astype(float),
            prior=noise[:, None, None] ** 2 * (precision + 1e-6 * np.eye(len(columns))),
            objective=squares.sum(axis=0),
            notes=dict.fromkeys(self.unsettled, ("not converged: a step worth taking was left",)),
        )


def centred(count: int, deviation: float) -> Array:
    """Precision (count, count) of parameters that lie within `deviation` of their own mean, wherever that is."""
    precision: Array = (np.eye(count) - 1 / count) / deviation**2
    return precision


def _mean_by(group: Index, values: Array, groups: int) -> Array:
    """Mean of the finite values (n, V) of each group: (groups, V), NaN for a group without any."""
    finite = np.isfinite(values)
    total, count = np.zeros((groups, values.shape[1])), np.zeros((groups, values.shape[1]))
    np.add.at(total, group, np.where(finite, values, 0.0))
    np.add.at(count, group, finite)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
