"""How much more a token counts that was read last: two numbers from runs whose final phase read another mixture.

Given a law fitted to runs of one mixture, the recency of `mixlaw.optimize.two_stages` is all that is left to learn from
runs in two stages: k at a final phase of middling length, and the power p by which it grows with the length. With y the
losses they measured and L(k, p) what the law says of the mixtures they felt, both make

    Q = (y - L(k, p))ᵀ S⁻¹ (y - L(k, p)) + (p - 1)²

least, where S holds the noise of runs, which targets share, and how far the law itself may be off, which runs share.
The last term says p = 1, give or take 1, where all final phases have one length and nothing else is known of it.

Every run is left out in turn, which gives both the standard error that is needed where the model is wrong (jackknife;
Tukey 1958) and an honest answer to whether order told anything at all: errors on runs that k and p have not seen,
beside the errors of taking each run for one of what it read in all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mixlaw.errors import Refused
from mixlaw.fitting.law import Law
from mixlaw.mixture import Array
from mixlaw.optimize.staged_runs import StagedProblem, longer, staged_problem
from mixlaw.runs import RunTable
from mixlaw.wording import counted

EDGE = (-float(np.log(50.0)), float(np.log(50.0)))
"""Recencies from 1 / 50 to 50 are looked at, by their logarithm."""

KNOWN = 1.0
"""Standard error of ln k above which the runs do not identify it: a factor of e either way."""

POWERS = (0.1, 4.0)
"""Powers that are looked at."""

ROUNDS, STEPS, HALVINGS = 3, 60, 30
"""How often S is taken again where it has led to; how many steps are taken each time, and how often one is halved."""


@dataclass(frozen=True)
class Recency:
    """How much a token of a final phase counts for each of the phase before, and how that is known.

    Attributes:
        factor: k, of a final phase of share `length`, the middle of those that were run.
        power: p.
        length: share of the tokens.
        covariance: of the errors of ln k and p: the model's or by leaving runs out, whichever says more of k.
        low, high: ends of the 90% interval of k.
        by_target: k of each target alone, p as it is; None where its losses do not decide it.
        misfit: root of Q per degree of freedom: 1 where runs in two stages scatter as the law expects.
        runs: their names.
        shares: the smallest and the largest final phase, as shares of their run.
        largest_final: domain -> its largest proportion in any final phase.
        held_out: root mean squared error, nats per token, of runs predicted by a k and p they had no part in.
        held_out_total: the same with every run taken for one of what it read in all (k = 1).
        closer: in how many runs the first error is the smaller one.
        noise: what runs of one mixture differ from the law by, root mean square, nats per token.
    """

    factor: float
    power: float
    length: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    low: float
    high: float
    by_target: Mapping[str, float | None]
    misfit: float
    runs: tuple[str, ...]
    shares: tuple[float, float]
    largest_final: Mapping[str, float]
    held_out: float
    held_out_total: float
    closer: int
    noise: float

    def at(self, share: float | Array) -> Any:
        """k of a final phase of some share of the tokens."""
        return self.factor * np.exp((self.power - 1) * longer(share, self.length))

    @property
    def spread(self) -> float:
        """Standard deviation of ln k between targets: a weighting of them has another k than all together have."""
        alone = [np.log(factor) for factor in self.by_target.values() if factor is not None]
        return float(np.std(alone, ddof=1)) if len(alone) > 1 else 0.0

    def error_at(self, share: float) -> float:
        """Standard error of ln k there, for targets weighted in any way: their spread is part of it."""
        way = np.array([1.0, float(longer(share, self.length))])
        return float(np.sqrt(way @ np.array(self.covariance) @ way + self.spread**2))

    @property
    def told(self) -> bool:
        """Whether order matters beyond doubt: the interval does not hold 1."""
        return not self.low <= 1 <= self.high


def recency_of(law: Law, table: RunTable) -> Recency:
    """Learn the recency from the runs in two stages of a table; its other runs are not looked at.

    Args:
        law: fitted to runs of one mixture, at or reaching the scale of these.
        table: with `final_share` and `final.<domain>`.

    Raises:
        Refused: without runs in two stages, or too few; for other domains or targets than the law's; where the runs
            leave the recency open.
    """
    problem, names, table = staged_problem(law, table)
    place = _begin(problem, problem.precision(np.array([0.0, 1.0])))
    for _ in range(ROUNDS):
        precision = problem.precision(place)
        place = _settle(problem, precision, place)
    each = np.array([_settle(problem, _without(precision, run, problem), place) for run in range(problem.count)])
    misfit = np.sqrt(problem.squares(place, precision) / max(int(problem.known.sum()) - 2, 1))
    covariance = _covariance(problem.bend(place, precision), each, float(misfit))
    error = float(np.sqrt(covariance[0, 0]))
    _refuse_unknown(table, float(place[0]), error)
    half = float(stdtrit(problem.count - 1, 0.95) * error)
    alone = np.array([problem.residuals(other)[run] for run, other in enumerate(each)])
    errors, totals = (_root_mean(problem, found) for found in (alone, problem.residuals(np.array([0.0, 1.0]))))
    return Recency(
        factor=float(np.exp(place[0])),
        power=float(place[1]),
        length=problem.parts[0].length,
        covariance=((error**2, float(covariance[0, 1])), (float(covariance[1, 0]), float(covariance[1, 1]))),
        low=float(np.exp(place[0] - half)),
        high=float(np.exp(place[0] + half)),
        by_target=_by_target(problem, law.targets, place),
        misfit=float(misfit),
        runs=names,
        shares=(float(table.final_shares.min()), float(table.final_shares.max())),
        largest_final=dict(zip(table.domains, table.finals.max(axis=0).tolist(), strict=True)),
        held_out=float(np.sqrt(np.mean(errors**2))),
        held_out_total=float(np.sqrt(np.mean(totals**2))),
        closer=int((errors < totals).sum()),
        noise=float(np.sqrt(np.mean(np.concatenate([part.at.uncertainty.noise for part in problem.parts]) ** 2))),
    )


def _begin(problem: StagedProblem, precision: Array) -> Array:
    """The best of a coarse grid: Q may have more than one valley."""
    grid = [np.array([place, power]) for place in np.linspace(*EDGE, 41) for power in (0.5, 1.0, 1.5, 2.0, 3.0)]
    return min(grid, key=lambda place: problem.squares(place, precision))


def _settle(problem: StagedProblem, precision: Array, place: Array) -> Array:
    """Where Q is least near a place: Gauss-Newton, each step halved until Q falls."""
    value = problem.squares(place, precision)
    for _ in range(STEPS):
        slope, residuals = problem.slope(place).reshape(-1, 2), problem.residuals(place).ravel()
        pull = slope.T @ (precision @ residuals) + np.array([0.0, 1.0 - place[1]])
        step = np.linalg.solve(problem.bend(place, precision) + 1e-9 * np.eye(2), pull)
        for halving in range(HALVINGS):
            after = np.clip(place + 0.5**halving * step, [EDGE[0], POWERS[0]], [EDGE[1], POWERS[1]])
            lower = problem.squares(after, precision)
            if lower < value:
                break
        else:
            return place
        moved, place, value = float(np.abs(after - place).max()), after, lower
        if moved < 1e-9:
            break
    return place


def _without(precision: Array, run: int, problem: StagedProblem) -> Array:
    """The precision (nV, nV) when a run is left out: the least over what it could have measured."""
    targets = problem.known.shape[1]
    place = slice(run * targets, (run + 1) * targets)
    own = np.linalg.pinv(precision[place, place], hermitian=True)
    found: Array = precision - precision[:, place] @ own @ precision[place]
    return found


def _covariance(bend: Array, each: Array, misfit: float) -> Array:
    """(2, 2) of ln k and p: by the model, or by leaving runs out, whichever leaves ln k less sure."""
    model: Array = np.diag([np.inf, 1.0])
    if bend[0, 0] > 0:
        model = np.array(max(misfit, 1.0) ** 2 * np.linalg.inv(bend), dtype=float)
    away = each - each.mean(axis=0)
    jackknife: Array = (len(each) - 1) / len(each) * away.T @ away
    return model if model[0, 0] >= jackknife[0, 0] else jackknife


def _refuse_unknown(table: RunTable, best: float, error: float) -> None:
    apart = float(np.abs(table.finals - table.proportions).sum(axis=1).max() / 2)
    advice = (
        f"their final mixtures differ by up to {apart:.2g} from what they read in all; train runs in two stages whose "
        "phases differ more, more of them, or fit the law to more runs"
    )
    if not EDGE[0] + 1e-6 < best < EDGE[1] - 1e-6:
        raise Refused(
            f"{table.source}: the {counted(len(table), 'run')} in two stages fit best with a recency beyond "
            f"{np.exp(best):.2g}: they follow another rule, or the law does not fit them; {advice}"
        )
    if error > KNOWN:
        raise Refused(
            f"{table.source}: the {counted(len(table), 'run')} in two stages leave the recency open (ln k is known to "
            f"within {error:.2g}; {KNOWN:g} is needed): {advice}"
        )


def _root_mean(problem: StagedProblem, residuals: Array) -> Array:
    """(n,) root mean squared error of each run over its measured targets."""
    found: Array = np.sqrt((residuals**2).sum(axis=1) / np.maximum(problem.known.sum(axis=1), 1))
    return found


def _by_target(problem: StagedProblem, targets: tuple[str, ...], place: Array) -> dict[str, float | None]:
    """The recency that each target's losses alone would give; None at the edge of what is looked at."""
    grid = np.linspace(*EDGE, 161)
    residuals = np.stack([problem.residuals(np.array([other, place[1]])) for other in grid])
    found: dict[str, float | None] = {}
    for column, target in enumerate(targets):
        alone = StagedProblem(problem.parts, problem.known & (np.arange(len(targets)) == column))
        own = np.where(alone.known, residuals, 0.0).reshape(len(grid), -1)
        squares = np.einsum("gk,gk->g", own, own @ alone.precision(place))
        best = int(squares.argmin())
        found[target] = float(np.exp(grid[best])) if 0 < best < len(grid) - 1 else None
    return found
