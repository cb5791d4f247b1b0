"""What is asked of an optimum, checked and in arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mixlaw.errors import Refused, one_of
from mixlaw.fitting.extrapolation import FAR
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.laws.base import MixingLaw
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.ensemble import Ensemble
from mixlaw.optimize.program import Ceilings, Program
from mixlaw.optimize.worst_case import least_largest, worst_case

OBJECTIVES = ("mean", "worst", "robust")

ALLOWED = 1e-9
"""Nats by which a mixture may be above a limit by the arithmetic alone."""


@dataclass(frozen=True)
class Question:
    """What `optimize` was asked, checked and in arrays."""

    at: LawAtScale
    params: float
    tokens: float
    weights: Array
    limits: Limits
    objective: str
    prior: Array | None
    kl: float
    within_kl: float | None
    at_most: Mapping[str, float]
    baselines: Mapping[str, Mixture]
    slack: float
    interval: float
    refits: tuple[MixingLaw, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The ceilings, in words."""
        divergence = () if self.within_kl is None else ("divergence from the prior",)
        return (*(f"loss of '{target}'" for target in self.at_most), *divergence)

    @property
    def what(self) -> str:
        """What is minimised, in words."""
        if self.kl or self.objective == "robust":
            return "objective"
        return "largest loss" if self.objective == "worst" else "loss"

    def program(self, law: MixingLaw) -> Program:
        """The question as a program for one mixing law; a robust one is asked of the refits too."""
        robust = self.objective == "robust"
        law = Ensemble.of(self.refits) if robust else law
        kept = [law.targets.index(target) for target in self.at_most]
        ceilings = Ceilings.of(np.eye(len(law.targets))[kept], np.array([*self.at_most.values()], dtype=float))
        if self.within_kl is not None:
            ceilings += Ceilings.of(np.zeros((1, len(law.targets))), np.array([self.within_kl]), kl=1.0)
        if robust:
            each: Array = np.kron(np.eye(len(self.refits)), self.weights).astype(np.float64)
            return least_largest(law, self.limits, each, kl=self.kl, prior=self.prior, ceilings=ceilings)
        build = worst_case if self.objective == "worst" else Program.mean
        return build(law, self.limits, self.weights, kl=self.kl, prior=self.prior, ceilings=ceilings)

    def allows(self, proportions: Array) -> bool:
        """Whether a mixture (M,) meets every limit: on proportions, on losses and on the divergence from the prior."""
        program = self.program(self.at.law)
        losses = dict(zip(self.at.law.targets, self.at.law.predict(proportions[None])[0], strict=True))
        kept = all(losses[target] <= bound + ALLOWED for target, bound in self.at_most.items())
        near = self.within_kl is None or program.divergence(proportions)[0] <= self.within_kl + ALLOWED
        return kept and near and self.limits.allows(proportions)

    def loss_at(self, proportions: Array) -> float:
        """The objective without any divergence, predicted at one mixture (M,)."""
        losses = self.at.law.predict(proportions[None])[0]
        return float(losses[self.weights > 0].max() if self.objective == "worst" else losses @ self.weights)

    def interval_at(self, proportions: Array) -> tuple[float, float]:
        """Ends of the interval of the objective for a run measured at one mixture (M,).

        The largest loss lies below the largest of the targets' upper ends, and above the largest of their lower ends,
        at least as often as each target lies inside its own interval.
        """
        uncertainty = self.at.uncertainty
        if self.objective != "worst":
            loss = self.loss_at(proportions)
            half = float(uncertainty.half_width(proportions[None], self.interval, self.weights)[0, 0])
            return loss - half, loss + half
        counted = self.weights > 0
        losses = self.at.law.predict(proportions[None])[0, counted]
        halves = uncertainty.half_width(proportions[None], self.interval)[0, counted]
        return float((losses - halves).max()), float((losses + halves).max())

    def convex(self, law: MixingLaw) -> bool:
        """Whether the law is convex in every target that plays a role."""
        counted = (self.weights > 0) | np.isin(law.targets, [*self.at_most])
        return bool(law.convex[counted].all())


def limits_of(law: Law, limits: Limits | None, trust: bool) -> Limits:
    """The limits in the law's order of domains, those that it holds fixed held there.

    With `trust`, caps are at most 1.5 times the largest proportion of any run.

    Raises:
        Refused: if the limits are for other domains, or no mixture is left.
    """
    limits = Limits.simplex(law.domains) if limits is None else limits.ordered(law.domains)
    limits.check()
    if law.fixed:
        limits = limits.with_fixed(law.fixed, "the same in every run of the law")
    if not trust:
        return limits
    seen = FAR * law.evidence.mixtures.max(axis=0)
    return limits.with_caps(seen, f"{FAR:g} times the largest proportion of any run")


def prior_of(law: Law, limits: Limits, prior: Mixture | None, kl: float, within_kl: float | None) -> Array | None:
    """The prior (M,), where a divergence from it counts.

    Raises:
        Refused: for a weight without a prior, a negative one, or a prior of 0 for a domain that may be trained on:
            its divergence is infinite whatever the loss.
    """
    for name, value in (("kl", kl), ("within kl", within_kl)):
        if value is not None and not (np.isfinite(value) and value >= 0):
            raise Refused(f"{name} is {value:g}; it must be a number of at least 0, in nats")
    if not kl and within_kl is None:
        return None
    if prior is None:
        raise Refused("a divergence is counted from a prior mixture; give --prior")
    try:
        found = prior.aligned(law.domains)
    except Refused as error:
        raise Refused(f"the prior: {error}") from None
    lacking = [name for name, p, cap in zip(law.domains, found, limits.cap, strict=True) if p == 0 and cap > 0]
    if lacking:
        raise Refused(
            f"the prior has 0 of {', '.join(lacking)}, so any of it would diverge infinitely; give the prior a small "
            "proportion there, or cap the domain at 0"
        )
    return found


def at_most_of(law: Law, at_most: Mapping[str, float]) -> dict[str, float]:
    """Loss limits by target.

    Raises:
        Refused: for an unknown target or a limit that is not a positive number.
    """
    for target, bound in at_most.items():
        one_of(target, law.targets, "target")
        if not (np.isfinite(bound) and bound > 0):
            raise Refused(f"the largest loss allowed for '{target}' is {bound:g}; it must be a positive number")
    return dict(at_most)
