"""A law: what was fitted, what it rests on, and what it says about any mixture at any scale it reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.fitting.asked import Asked
from mixlaw.fitting.diagnose import ALARM, Diagnostics, prior_dominated
from mixlaw.fitting.extrapolation import extrapolations
from mixlaw.fitting.fixed import check_fixed, said_of
from mixlaw.fitting.uncertainty import Uncertainty, uncertainty_of
from mixlaw.laws.base import MixingLaw
from mixlaw.mixture import Array, Mixture, Mixtures, mixtures_of
from mixlaw.runs import TOTAL, RunTable
from mixlaw.surfaces.base import Surface
from mixlaw.surfaces.curves import distinct
from mixlaw.weights import weights_of
from mixlaw.wording import in_words

COLUMNS = ("mixture", "params", "tokens", "target", "loss", "low", "high")


@dataclass(frozen=True)
class Evidence:
    """The runs a law was fitted to.

    Attributes:
        source: where the run table was read from.
        sha256: hash of that file; empty for a table made in memory.
        runs, rows: how many were used.
        names: of the runs; the following are each run's, at its last checkpoint.
        params, tokens: model size and tokens seen.
        proportions: (n, M).
        losses: (n, V), nats per token; None = not measured.
    """

    source: str
    sha256: str
    runs: int
    rows: int
    names: tuple[str, ...]
    params: tuple[float, ...]
    tokens: tuple[float, ...]
    proportions: tuple[tuple[float, ...], ...]
    losses: tuple[tuple[float | None, ...], ...]

    @classmethod
    def of(cls, table: RunTable) -> "Evidence":
        """Read the evidence off the rows that a law is fitted to."""
        last = table.last()
        losses = [[None if np.isnan(loss) else loss for loss in row] for row in last.losses.tolist()]
        return cls(
            source=table.source,
            sha256=table.sha256,
            runs=len(last),
            rows=len(table),
            names=tuple(map(str, last.runs)),
            params=tuple(last.params.tolist()),
            tokens=tuple(last.tokens.tolist()),
            proportions=tuple(map(tuple, last.proportions.tolist())),
            losses=tuple(map(tuple, losses)),
        )

    @property
    def mixtures(self) -> Array:
        """(n, M) the proportions of the runs."""
        return np.array(self.proportions)

    @property
    def scale(self) -> tuple[float, float]:
        """The largest params, and the most tokens at that size: the scale a law is asked about by default."""
        largest = max(self.params)
        same = [tokens for params, tokens in zip(self.params, self.tokens, strict=True) if params >= 0.99 * largest]
        return largest, max(same)

    def largest(self, domains: Sequence[str]) -> dict[str, float]:
        """The largest proportion of each domain that any run had."""
        return dict(zip(domains, self.mixtures.max(axis=0).tolist(), strict=True))


@dataclass(frozen=True)
class LawAtScale:
    """A law at one model size and token count.

    Attributes:
        law: loss of the mixture alone; predicts, differentiates, and says for which targets it is convex.
        uncertainty: how sure it is: intervals, covariances, and the probability that one mixture beats another.
        params, tokens: the scale.
        proportions: (n, M) the mixtures it rests on here.
        losses: (n, V) their losses at this scale, measured or carried to it; NaN = not measured.
        evidence: (m, M) the mixtures of all runs, for telling what lies beyond them.
        warnings: how far from the runs this scale is and where intervals fail, in words.
        fixed: domain -> its proportion in every run, for domains whose effect is not known.
    """

    law: MixingLaw
    uncertainty: Uncertainty
    params: float
    tokens: float
    proportions: Array
    losses: Array
    evidence: Array
    warnings: tuple[str, ...]
    fixed: Mapping[str, float] = field(default_factory=dict)

    def extrapolations(self, mixtures: Mapping[str, Mixture]) -> tuple[str, ...]:
        """Which of these mixtures lie outside the hull of the runs or far above a proportion they had, in words."""
        named = {name: mixture.aligned(self.law.domains) for name, mixture in mixtures.items()}
        return extrapolations(self.evidence, self.law.domains, named)

    def aligned(self, mixtures: Mapping[str, Mixture]) -> list[Array]:
        """Each mixture in the order of the law's domains, (M,); refuse what the law says nothing about."""
        named = {name: mixture.aligned(self.law.domains) for name, mixture in mixtures.items()}
        check_fixed(self.fixed, self.law.domains, named)
        return [*named.values()]

    def predict(
        self, mixtures: Mapping[str, Mixture], weights: Mapping[str, float] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Losses with intervals, in the form `Law.predict` documents."""
        if not 0 < interval < 1:
            raise Refused(f"the interval is {interval:g}; it is a probability between 0 and 1, such as 0.9")
        if not mixtures:
            raise Refused("there is no mixture to predict; give at least one")
        proportions = np.array(self.aligned(mixtures))
        importance = weights_of(weights, self.law.targets)
        each = self.law.predict(proportions)
        loss = np.column_stack([each, each @ importance])
        half = np.column_stack(
            [
                self.uncertainty.half_width(proportions, interval),
                self.uncertainty.half_width(proportions, interval, importance),
            ]
        )
        targets = [*self.law.targets, TOTAL]
        frame = pd.DataFrame(
            {
                "mixture": np.repeat(list(mixtures), len(targets)),
                "params": round(self.params),
                "tokens": round(self.tokens),
                "target": np.tile(targets, len(mixtures)),
                "loss": loss.ravel(),
                "low": (loss - half).ravel(),
                "high": (loss + half).ravel(),
            },
            columns=list(COLUMNS),
        )
        frame.attrs["warnings"] = (*self.warnings, *self.extrapolations(mixtures))
        return frame


@dataclass(frozen=True)
class Law:
    """A fitted law with its evidence.

    Attributes:
        kind: the mixing law at one scale.
        surface: loss over mixture, params and tokens.
        evidence: the runs it was fitted to.
        diagnostics: what it can be trusted with.
        version: of mixlaw that fitted it.
        fixed: domain -> its proportion in every run, for domains whose effect is not known.
        asked: what the fit was asked for.
    """

    kind: str
    surface: Surface
    evidence: Evidence
    diagnostics: Diagnostics
    version: str
    fixed: Mapping[str, float] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)

    @property
    def domains(self) -> tuple[str, ...]:
        """M names."""
        return self.surface.domains

    @property
    def targets(self) -> tuple[str, ...]:
        """V names."""
        return self.surface.targets

    @property
    def scale(self) -> str:
        """How the law crosses scales: "none" for a law of one scale."""
        return self.surface.scale

    def at(self, params: float | None = None, tokens: float | None = None) -> LawAtScale:
        """The law at one scale; by default the largest params measured, and the most tokens at that size.

        Raises:
            Refused: for a scale the law cannot reach.
        """
        at = self.surface.at(params, tokens)
        uncertainty = uncertainty_of(at)
        largest, most = self.evidence.scale
        return LawAtScale(
            law=at.fit.law,
            uncertainty=uncertainty,
            params=largest if params is None else float(params),
            tokens=most if tokens is None else float(tokens),
            proportions=at.proportions,
            losses=at.losses,
            evidence=self.evidence.mixtures,
            warnings=(*at.warnings, *said_of(self.fixed), *self._alarms(), *_same_everywhere(uncertainty)),
            fixed=self.fixed,
        )

    def reaches(self, params: float, tokens: float) -> bool:
        """Whether the law says what is lost at a scale."""
        try:
            self.surface.at(params, tokens)
        except Refused:
            return False
        return True

    def for_choosing(self, params: float | None = None, tokens: float | None = None) -> LawAtScale:
        """The law to choose a mixture with: `at`, but what the runs have one of stays as it is, with a warning.

        A law of one size, or of one scale, cannot say what a larger run will lose, yet which mixture is better carries
        over well: from 1M to 1B params, predicted and measured losses of mixtures rank alike with Spearman 0.96
        (RegMix, 2407.01492).
        """
        asked = {"params": params, "tokens": tokens}
        for name, value in asked.items():
            if value is not None and not (np.isfinite(value) and value > 0):
                raise Refused(f"{name} is {value}; it must be a positive number")
        largest, most = self.evidence.scale
        alone = self.scale == "none"
        only = {"params": largest} if alone or len(distinct(np.array(self.evidence.params))) == 1 else {}
        only |= {"tokens": most} if alone else {}
        missed = [name for name, known in only.items() if asked[name] not in (None, known)]
        at = self.at(**{name: None if name in missed else value for name, value in asked.items()})
        if not missed:
            return at
        what, more = ("scale", "sizes or token counts") if alone else ("size", "sizes")
        there = f"{in_words(largest)} params" + (f" and {in_words(most)} tokens" if alone else "")
        said = (
            f"the law knows one {what}: losses are those of {there}, and that the better mixture there is the better "
            f"one at the {what} asked for is taken on trust; runs of several {more} would tell"
        )
        return replace(at, warnings=(*at.warnings, said))

    def predict(
        self,
        mixtures: Mixtures,
        *,
        params: float | None = None,
        tokens: float | None = None,
        weights: Mapping[str, float] | None = None,
        interval: float = 0.9,
    ) -> pd.DataFrame:
        """Losses of mixtures at one scale, each target and the weighted total, with intervals.

        An interval is for a loss measured next: it holds the noise of a run, what the fit leaves open, and across
        scales the error of carrying losses there.

        Args:
            mixtures: by name, in a sequence, a frame or an array; see `mixlaw.mixture.mixtures_of`.
            params, tokens: the scale; by default the largest params measured, and the most tokens at that size.
            weights: importance of targets, scaled to sum to 1; equal by default.
            interval: how often a central interval is to hold the measured loss.

        Returns:
            One row per mixture and target: `mixture`, `params`, `tokens`, `target`, `loss`, `low`, `high` in nats per
            token; the weighted total has target "(weighted)". `attrs["warnings"]` says in words what is extrapolated.

        Raises:
            Refused: for unknown domains or targets, or a scale the law cannot reach.
        """
        return self.at(params, tokens).predict(mixtures_of(mixtures, self.domains), weights, interval)

    def _alarms(self) -> tuple[str, ...]:
        few = prior_dominated(self.diagnostics.mixtures, self.diagnostics.parameters)
        narrow = {
            target.target: target.stretch
            for target in self.diagnostics.targets
            if target.stretch is not None and target.stretch > ALARM
        }
        if not narrow:
            return few
        listed = ", ".join(f"'{target}' {stretch:.2g} times" for target, stretch in narrow.items())
        return (
            *few,
            f"intervals are too narrow by cross-validation, where they would have to be wider: {listed}",
        )


def _same_everywhere(uncertainty: Uncertainty) -> tuple[str, ...]:
    if uncertainty.by_runs.shape[1]:
        return ()
    kind = uncertainty.law.kind
    return (f"intervals of the {kind} law are as wide far from the runs as among them: it has no parameters to doubt",)
