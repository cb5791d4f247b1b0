"""The two mixtures of a run, and when it switches, that together have the least predicted loss. Experimental.

For each length of the final phase the best pair of mixtures is a convex program (`mixlaw.optimize.two_stages`), solved
and certified like any other; the lengths are tried one by one. Order alone gains nothing in this model: every mixture
that a schedule lets targets feel could be read throughout, were there text enough. It gains where the text at hand or a
limit on the whole run holds the best mixture back, for what is scarce counts most when it is read last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from mixlaw.errors import Refused
from mixlaw.fitting.extrapolation import FAR, beyond
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.at_share import AtShare, best_at
from mixlaw.optimize.interior_point import solve
from mixlaw.optimize.printed import printed
from mixlaw.optimize.program import Program
from mixlaw.optimize.question import limits_of
from mixlaw.optimize.recency import Recency, recency_of
from mixlaw.optimize.staged_runs import ENOUGH
from mixlaw.optimize.two_stages import Staged, felt_share
from mixlaw.runs import RunTable
from mixlaw.version import __version__
from mixlaw.weights import weights_of
from mixlaw.wording import counted

SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Lengths of the final phase that are tried: those of Blakeney et al. (2024) and between."""


WORTH_SAYING = 1e-6
"""Gain, nats per token, up to which a schedule is no better than one mixture throughout."""

MISFIT = 2.0
"""Scatter of runs in two stages, as a multiple of what the law expects, from which that is said."""


@dataclass(frozen=True)
class Schedule:
    """The best schedule of two mixtures, beside the best mixture throughout.

    Attributes:
        best: of all lengths tried.
        shares: each of them.
        felt: the one mixture that targets feel of it.
        loss, low, high, interval: predicted, with the interval for a run measured next.
        losses: by target.
        one_stage: the best mixture throughout, under the same limits on the whole run.
        one_stage_loss: predicted.
        gain: by how much the schedule's predicted loss is below that, nats per token.
        gain_low, gain_high: its interval, from what the runs leave open of law and recency.
        probability_better: that a run on the schedule measures a lower loss than one on the one mixture.
        recency: what was learnt of order.
        epochs: domain -> passes over it in the whole run; empty where available tokens are not known.
        warnings: in words.
        weights: target -> importance.
        params, tokens: the run that the schedule is for; `predicted_*` the scale of the predictions.
        origin: what it rests on.
    """

    best: AtShare
    shares: tuple[AtShare, ...]
    felt: Mixture
    loss: float
    low: float
    high: float
    interval: float
    losses: Mapping[str, float]
    one_stage: Mixture
    one_stage_loss: float
    gain: float
    gain_low: float
    gain_high: float
    probability_better: float
    recency: Recency
    epochs: Mapping[str, float]
    warnings: tuple[str, ...]
    weights: Mapping[str, float]
    params: float
    tokens: float
    predicted_params: float
    predicted_tokens: float
    origin: Mapping[str, str]
    version: str = __version__

    def as_json(self) -> dict[str, Any]:
        """The content of a schedule file. It has no `mixture`: read throughout, what it reads in all is another run."""
        own = {key: value for key, value in asdict(self).items() if key not in ("best", "shares", "origin")}
        return {
            **own,
            **self.origin,
            "experimental": True,
            "base": self.best.base.as_dict(),
            "final": self.best.final.as_dict(),
            "total": self.best.total.as_dict(),
            "felt": self.felt.as_dict(),
            "one_stage": self.one_stage.as_dict(),
            "final_share": self.best.final_share,
            "lower_bound": self.best.lower_bound,
            "gap": self.best.gap,
            "certified": self.best.certified,
            "shares": [
                {**asdict(at), "base": at.base.as_dict(), "final": at.final.as_dict(), "certified": at.certified}
                for at in self.shares
            ],
        }


def schedule(
    law: Law,
    table: RunTable,
    *,
    params: float | None = None,
    tokens: float | None = None,
    weights: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    base_limits: Limits | None = None,
    final_limits: Limits | None = None,
    final_shares: Sequence[float] = SHARES,
    trust: bool = False,
    interval: float = 0.9,
) -> Schedule:
    """Find base mixture, final mixture and switch point of least predicted loss, and prove each pair the best.

    Args:
        law: fitted to runs of one mixture.
        table: with runs in two stages, which tell what reading last counts.
        params, tokens: the scale; by default the largest measured.
        weights: importance of targets; equal by default.
        limits: on what the whole run reads; by default none.
        base_limits, final_limits: on the mixture of each phase; by default none.
        final_shares: lengths of the final phase to try.
        trust: keep every domain within 1.5 times the largest proportion that any run had; in the final phase, that any
            final phase had.
        interval: how often intervals are to hold.

    Raises:
        Refused: for a law that is not convex, runs that leave the recency open, or limits that no schedule meets.
    """
    if not 0 < interval < 1:
        raise Refused(f"the interval is {interval:g}; it is a probability between 0 and 1, such as 0.9")
    for share in final_shares:
        if not 0 < share < 1:
            raise Refused(f"a final share of {share:g} is no part of a run; it lies between 0 and 1, such as 0.2")
    whole = limits_of(law, limits, trust)
    base, final = (limits_of(law, given, trust=False) for given in (base_limits, final_limits))
    at, importance = law.for_choosing(params, tokens), weights_of(weights, law.targets)
    if not at.law.convex[importance > 0].all():
        raise Refused(
            f"the {at.law.kind} law is not convex, so no schedule could be proved the best; fit with --law reciprocal, "
            "or another that is"
        )
    recency = recency_of(law, table)
    if trust:
        seen = FAR * np.array([recency.largest_final[domain] for domain in law.domains])
        final = final.with_caps(seen, f"{FAR:g} times the largest proportion of any final phase")
    found = [
        best_at(Staged.of(at.law, float(share), float(recency.at(share))), importance, (whole, base, final))
        for share in sorted(set(final_shares))
    ]
    best = min(found, key=lambda each: each.loss)
    budget = at.tokens if tokens is None else float(tokens)
    answer = _answer(at, importance, whole, tuple(found), best, recency, interval)
    origin = {"law": law.kind, "runs": table.source, "runs_sha256": table.sha256}
    return replace(
        answer,
        params=at.params if params is None else float(params),
        tokens=budget if whole.supply is None else whole.supply.budget_tokens,
        origin={key: value for key, value in origin.items() if value},
    )


def _answer(
    at: LawAtScale,
    weights: Array,
    whole: Limits,
    shares: tuple[AtShare, ...],
    best: AtShare,
    recency: Recency,
    interval: float,
) -> Schedule:
    """Everything that is said of the best schedule."""
    domains = at.law.domains
    base, final = np.array(best.base.proportions), np.array(best.final.proportions)
    share = float(felt_share(best.final_share, recency.at(best.final_share)))
    felt = (1 - share) * base + share * final
    program = Program.mean(at.law, whole, weights)
    one = printed(program, solve(program))
    losses, one_loss = at.law.predict(felt[None])[0], float(weights @ at.law.predict(one[None])[0])
    loss, sure = float(weights @ losses), at.uncertainty
    turn = (
        float(weights @ at.law.slope(felt) @ (final - base)) * share * (1 - share) * recency.error_at(best.final_share)
    )
    deviation, freedom = sure.deviation(felt[None], weights)
    quantile = float(stdtrit(freedom[0], 0.5 + interval / 2))
    half = quantile * float(np.hypot(deviation[0, 0], turn))
    apart = float(weights @ sure.covariance(felt[None], one[None])[0] @ weights) + turn**2
    noise = 2 * float(weights @ sure.noise_covariance @ weights)
    gain = one_loss - loss
    better = float(stdtr(freedom[0], gain / max(np.sqrt(apart + noise), np.finfo(float).tiny)))
    half_gain = quantile * float(np.sqrt(max(apart, 0.0)))
    total = np.array(best.total.proportions)
    supply = whole.supply
    found = Schedule(
        best=best,
        shares=shares,
        felt=Mixture(domains, tuple(map(float, felt / felt.sum()))),
        loss=loss,
        low=loss - half,
        high=loss + half,
        interval=interval,
        losses=dict(zip(at.law.targets, map(float, losses), strict=True)),
        one_stage=Mixture(domains, tuple(map(float, one))),
        one_stage_loss=one_loss,
        gain=gain,
        gain_low=gain - half_gain,
        gain_high=gain + half_gain,
        probability_better=better,
        recency=recency,
        epochs={} if supply is None else dict(zip(domains, map(float, supply.epochs(total)), strict=True)),
        warnings=(),
        weights=dict(zip(at.law.targets, map(float, weights), strict=True)),
        params=at.params,
        tokens=at.tokens,
        predicted_params=at.params,
        predicted_tokens=at.tokens,
        origin={},
    )
    return replace(found, warnings=(*at.warnings, *_cautions(found, at)))


def _cautions(found: Schedule, at: LawAtScale) -> list[str]:
    """What the schedule should not be trusted with, in words."""
    return [*_about_gain(found), *_about_recency(found.recency), *_beyond_the_runs(found, at)]


def _about_gain(found: Schedule) -> list[str]:
    if found.gain <= WORTH_SAYING:
        return ["one mixture throughout is as good: under these limits nothing holds it back, so order gains nothing"]
    if found.gain_low <= 0:
        return [
            f"the gain over one mixture throughout, {found.gain:.4f} nats, is within what the runs leave open "
            f"({found.gain_low:+.4f} to {found.gain_high:+.4f})"
        ]
    return []


def _about_recency(recency: Recency) -> list[str]:
    said = []
    if len(recency.runs) < ENOUGH:
        said.append(f"the recency rests on {counted(len(recency.runs), 'run')} in two stages; {ENOUGH} are advised")
    if recency.held_out >= recency.held_out_total:
        said.append(
            "runs in two stages that the recency has not seen are predicted no better by it than by what they read in "
            f"all ({recency.held_out:.4f} and {recency.held_out_total:.4f} nats): nothing shows that order matters here"
        )
    elif not recency.told:
        said.append(
            f"the recency cannot be told from 1, at which order does not matter ({recency.low:.2f} to "
            f"{recency.high:.2f})"
        )
    if recency.misfit > MISFIT:
        said.append(
            f"runs in two stages scatter {recency.misfit:.1f} times as far as the law expects: one recency for all "
            "targets is not the whole truth"
        )
    return said


def _beyond_the_runs(found: Schedule, at: LawAtScale) -> list[str]:
    recency, best = found.recency, found.best
    said = []
    shortest, longest = recency.shares
    if not shortest - 1e-3 <= best.final_share <= longest + 1e-3:
        said.append(
            f"the final phases that were run read {shortest:.3g} to {longest:.3g} of the tokens; one of "
            f"{best.final_share:g} is extrapolated"
        )
    for domain, proportion in best.final.as_dict().items():
        most = recency.largest_final[domain]
        if proportion > FAR * most + 1e-4:
            said.append(
                f"the final mixture has {proportion:.3g} of '{domain}', and no final phase of a run had more than "
                f"{most:.3g}: nothing measured supports that; --trust keeps within {FAR:g} times"
            )
    if beyond(at.evidence, at.law.domains, np.array(found.felt.proportions)).outside:
        said.append("what targets feel of the schedule is no average of the runs' mixtures: there the law extrapolates")
    tried = [each.final_share for each in found.shares]
    if len(tried) > 1 and best.final_share in (tried[0], tried[-1]) and found.gain > WORTH_SAYING:
        which, way = ("shortest", "shorter") if best.final_share == tried[0] else ("longest", "longer")
        said.append(f"the {which} final phase tried is the best; a {way} one may be better still")
    return said
