"""Runs in two stages, and how far they lie from what a law says of them, at any recency.

A place is (ln k, p): the recency k of `mixlaw.optimize.two_stages` at a final phase of one length, and the power p by
which it grows with the length. `mixlaw.optimize.recency` looks for the place where the runs lie nearest.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixlaw.errors import Refused
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.fitting.uncertainty import parameter_slope
from mixlaw.mixture import Array
from mixlaw.optimize.two_stages import base_of, felt, felt_share
from mixlaw.runs import RunTable
from mixlaw.wording import counted

FEWEST = 4
"""Runs in two stages below which nothing is said of their recency."""

ENOUGH = 12
"""Runs in two stages below which the answer is said to rest on few."""


@dataclass(frozen=True)
class StagedRuns:
    """Runs in two stages at one scale.

    Attributes:
        at: the law at their scale.
        base, final: (n, M) mixtures.
        share: (n,) of the final phase.
        losses: (n, V); NaN = not measured.
        length: share of a final phase at which ln k is taken.
    """

    at: LawAtScale
    base: Array
    final: Array
    share: Array
    losses: Array
    length: float

    def felt(self, place: Array) -> Array:
        """(n, M), at a place (ln k, p)."""
        return felt(self.base, self.final, self.share, self.recency(place))

    def recency(self, place: Array) -> Array:
        """(n,) k of each run."""
        found: Array = np.exp(place[0] + (place[1] - 1) * longer(self.share, self.length))
        return found

    def residuals(self, place: Array) -> Array:
        """(n, V) of the losses."""
        found: Array = self.losses - self.at.law.predict(self.felt(place))
        return found

    def slope(self, place: Array) -> Array:
        """(n, V, 2) change of the predictions by ln k and p."""
        share = felt_share(self.share, self.recency(place))
        turns = (share * (1 - share))[:, None] * (self.final - self.base)
        by_recency = np.stack([self.at.law.slope(e) @ turn for e, turn in zip(self.felt(place), turns, strict=True)])
        ways = np.column_stack([np.ones(len(self.share)), longer(self.share, self.length)])
        found: Array = by_recency[:, :, None] * ways[:, None, :]
        return found

    def covariance(self, place: Array) -> Array:
        """(n, V, n, V) of the residuals: noise of each run, the law's own error, and that of carrying it to a scale."""
        sure = self.at.uncertainty
        slope = parameter_slope(sure.law, self.felt(place))
        runs, priors = np.matmul(slope, sure.by_runs), np.matmul(slope, sure.by_priors)
        shared = sure.correlation[:, None, :, None] * np.einsum("unk,vmk->unvm", runs, runs, optimize=True)
        shared = shared + np.einsum("unk,vmk->unvm", priors, priors, optimize=True)
        found: Array = np.einsum("unvm,u,v->numv", shared, sure.noise, sure.noise)
        found += np.einsum("nm,uv->numv", np.eye(len(self.share)), sure.noise_covariance)
        targets = np.arange(len(sure.noise))
        found[:, targets, :, targets] += (sure.scale_error**2)[:, None, None]
        return found


@dataclass(frozen=True)
class StagedProblem:
    """The residuals of all runs as one vector, by recency, and their covariance.

    Attributes:
        parts: runs by scale.
        known: (n, V) what was measured, runs in the order of the parts.
    """

    parts: tuple[StagedRuns, ...]
    known: "np.ndarray[tuple[int, int], np.dtype[np.bool_]]"

    @property
    def count(self) -> int:
        """Runs."""
        return len(self.known)

    def residuals(self, place: Array) -> Array:
        """(n, V), 0 where nothing was measured."""
        return np.where(self.known, np.vstack([part.residuals(place) for part in self.parts]), 0.0)

    def slope(self, place: Array) -> Array:
        """(n, V, 2), 0 where nothing was measured."""
        return np.where(self.known[:, :, None], np.concatenate([part.slope(place) for part in self.parts]), 0.0)

    def precision(self, place: Array) -> Array:
        """(nV, nV) inverse covariance of what was measured; 0 where nothing was."""
        targets = self.known.shape[1]
        whole = np.zeros((self.count * targets,) * 2)
        start = 0
        for part in self.parts:
            size = len(part.share) * targets
            whole[start : start + size, start : start + size] = part.covariance(place).reshape(size, size)
            start += size
        known = self.known.ravel()
        whole[np.ix_(known, known)] = np.linalg.inv(whole[np.ix_(known, known)])
        whole[~known] = 0.0
        whole[:, ~known] = 0.0
        return whole

    def squares(self, place: Array, precision: Array) -> float:
        """Q of `mixlaw.optimize.recency`."""
        residuals = self.residuals(place).ravel()
        return float(residuals @ precision @ residuals) + float(place[1] - 1) ** 2

    def bend(self, place: Array, precision: Array) -> Array:
        """(2, 2) half the curvature of Q, but for that of the law: positive where the runs or the prior decide."""
        slope = self.slope(place).reshape(-1, 2)
        found: Array = slope.T @ precision @ slope + np.diag([0.0, 1.0])
        return found


def longer(share: float | Array, length: float) -> Any:
    """ln of the odds of a share, less those of a length."""
    return np.log(share / (1 - share)) - np.log(length / (1 - length))


def staged_problem(law: Law, table: RunTable) -> tuple[StagedProblem, tuple[str, ...], RunTable]:
    """The runs in two stages of a table by scale, their names in that order, and the table of them alone.

    Args:
        law: fitted to runs of one mixture, at or reaching the scale of these.
        table: with `final_share` and `final.<domain>`.

    Raises:
        Refused: without runs in two stages, or too few; for other domains or targets than the law's.
    """
    if not table.in_two_stages.any():
        raise Refused(
            f"{table.source} has no run in two stages (final_share, final.<domain>), and how much reading last counts "
            "cannot be learnt from runs of one mixture; train some with [[stages]] in a plan"
        )
    staged = table.where(table.in_two_stages).last()
    if set(staged.domains) != set(law.domains):
        raise Refused(f"{table.source} is of {', '.join(table.domains)}, the law of {', '.join(law.domains)}")
    lacking = [target for target in law.targets if target not in staged.targets]
    if lacking:
        raise Refused(f"{table.source} has no losses of the law's {', '.join(lacking)}; fit a law with --target")
    order = [staged.domains.index(domain) for domain in law.domains]
    staged = staged.with_targets(law.targets)
    staged = staged.where(pd.Series(~np.isnan(staged.losses).all(axis=1)))
    if len(staged) < FEWEST:
        raise Refused(
            f"{table.source} has {counted(len(staged), 'run')} in two stages; at least {FEWEST} are needed, better "
            f"{ENOUGH}: train more with [[stages]] in a plan, on final mixtures unlike their base"
        )
    odds = np.log(staged.final_shares / (1 - staged.final_shares)).mean()
    length = float(1 / (1 + np.exp(-odds)))
    parts: list[StagedRuns] = []
    names: list[str] = []
    for params, tokens in sorted(set(zip(staged.params.tolist(), staged.tokens.tolist(), strict=True))):
        part = staged.where(pd.Series((staged.params == params) & (staged.tokens == tokens)))
        final = part.finals[:, order]
        base = base_of(part.proportions[:, order], final, part.final_shares)
        parts.append(StagedRuns(law.at(params, tokens), base, final, part.final_shares, part.losses, length))
        names += map(str, part.runs)
    known = ~np.isnan(np.vstack([part.losses for part in parts]))
    return StagedProblem(tuple(parts), known), tuple(names), staged
