"""The next batch of runs, once some have been measured, and whether any more are worth their cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.design.within import rounded_within
from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.fitting.law import Law, LawAtScale
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.optimize.find import optimize
from mixlaw.optimize.regret import NEAR, Regret, around, regret_of
from mixlaw.runs import RunTable
from mixlaw.weights import weights_of
from mixlaw.wording import counted

ENOUGH = 0.005
"""Nats per token of expected regret, inflated, below which more runs are not advised (see `INFLATION`)."""

DECIMALS = 4
APART = 0.02
"""Share of the tokens that any two mixtures of a batch differ by, at least."""


@dataclass(frozen=True)
class Batch:
    """What to run next.

    Attributes:
        mixtures: by name, in the order they were chosen.
        towards: names of those chosen because they may be the best; the law is least sure near it at the rest.
        loss: predicted weighted loss of each, nats per token, in the same order.
        deviation: standard deviation of what the law knows of each, the noise of a run aside.
        optimum: the mixture the law would choose now.
        regret: what that choice may lose.
        enough: nats per token of inflated regret that the user would not mind.
    """

    mixtures: dict[str, Mixture]
    towards: tuple[str, ...]
    loss: tuple[float, ...]
    deviation: tuple[float, ...]
    optimum: Mixture
    regret: Regret
    enough: float

    @property
    def done(self) -> bool:
        """Whether the regret to be expected is within what the user would not mind, for nine swarms of ten."""
        return self.regret.inflated <= self.enough


def next_batch(
    law: Law,
    count: int = 8,
    *,
    rivals: Sequence[Law] = (),
    weights: Mapping[str, float] | None = None,
    limits: Limits | None = None,
    reach: Limits | None = None,
    enough: float = ENOUGH,
    seed: int = 0,
) -> Batch:
    """Choose the next mixtures to run: half toward the optimum, half where the law is least sure near it.

    The first half are Thompson draws (Thompson 1933): the best mixtures of laws drawn from what the runs leave open.
    The second lower most the variance of the weighted loss where those best mixtures lie (I-optimality), and lie near
    the optimum themselves, so that a law of the wrong form is not led away by the far end of the simplex. In
    simulations such batches did not save runs over a static design: they are for finding out that a law is wrong, and
    for knowing when to stop.

    Args:
        law: fitted to the runs so far.
        count: mixtures to choose.
        rivals: laws of other kinds that the same runs cannot tell from it; `rivals_of` finds them.
        weights: importance of targets; equal by default.
        limits: what the full run may train on; by default any mixture.
        reach: what a proxy may train on; by default the same.
        enough: nats per token of inflated expected regret below which more runs are not worth their cost.
        seed: of the draws.

    Raises:
        Refused: for a count below 1, limits on other domains, or fewer distinct mixtures than asked.
    """
    if count < 1:
        raise Refused(f"a batch of {count} was asked for; ask for at least 1")
    if not enough > 0:
        raise Refused(f"enough is {enough:g}; it is nats per token of regret that you would not mind, above 0")
    limits = Limits.simplex(law.domains) if limits is None else limits.ordered(law.domains)
    reach = limits if reach is None else reach.ordered(law.domains)
    at, importance, random = law.at(), weights_of(weights, law.targets), np.random.default_rng(seed)
    laws = [at, *(rival.at() for rival in rivals)]
    optimum = optimize(law, weights=weights, limits=limits, slack=0.0).mixture
    best = optimum.aligned(law.domains)
    regret = regret_of(laws, best, importance, limits, random)

    towards = _first_apart(regret.pool, regret.winners, (count + 1) // 2, [])
    nearby = around(best, reach, random, NEAR)
    unsure = _least_sure(laws, importance, regret, towards, nearby, count - len(towards))
    if len(towards) + len(unsure) < count:
        raise Refused(
            f"a batch of {count} was asked for, but only {counted(len(towards) + len(unsure), 'mixture')} within the "
            "limits differ; ask for fewer, or widen the limits"
        )
    rows = np.array(
        [rounded_within(row, limits, DECIMALS) for row in regret.pool[towards]]
        + [rounded_within(row, reach, DECIMALS) for row in nearby[unsure]]
    )
    names = [f"after{law.evidence.runs}-{number:02d}" for number in range(1, count + 1)]
    return Batch(
        mixtures={name: Mixture(law.domains, tuple(map(float, row))) for name, row in zip(names, rows, strict=True)},
        towards=tuple(names[: len(towards)]),
        loss=tuple((at.law.predict(rows) @ importance).tolist()),
        deviation=tuple(_deviation(at, rows, importance).tolist()),
        optimum=optimum,
        regret=regret,
        enough=enough,
    )


def rivals_of(law: Law, table: RunTable) -> list[Law]:
    """The laws of other kinds that cross-validation could not tell from the best, fitted to the same runs."""
    equal = (
        candidate.kind
        for candidate in law.diagnostics.candidates
        if candidate.behind is not None and candidate.doubt is not None and candidate.behind <= candidate.doubt
    )
    return [fit(table, kind, law.scale, law.targets, [*law.fixed]) for kind in equal if kind != law.kind]


def _least_sure(
    laws: Sequence[LawAtScale], weights: Array, regret: Regret, towards: list[int], nearby: Array, count: int
) -> list[int]:
    """Greedily lower the variance of the weighted loss, averaged over laws and over where the best mixture may be.

    Running mixture c lowers the variance of target v at q by σ_v² (φ_v(q)·φ_v(c))² / (1 + |φ_v(c)|²), and leaves
    loadings φ_v(q) (I + φ_v(c) φ_v(c)ᵀ)^-½. The targets' errors are taken as independent here.
    """
    likely, chance = np.flatnonzero(regret.chance), regret.chance[regret.chance > 0]
    matter = np.flatnonzero(weights)
    pool = np.vstack([regret.pool[likely], regret.pool[towards], nearby])
    scales = [(weights[matter] * at.uncertainty.noise[matter]) ** 2 for at in laws]
    loadings = [at.uncertainty.loadings(pool)[matter] for at in laws]
    first = len(likely) + len(towards)
    taken = list(range(len(likely), first))
    for place in taken:
        loadings = [_after_running(one, place) for one in loadings]
    for _ in range(count):
        gains = [_gain(one, scale, chance) for one, scale in zip(loadings, scales, strict=True)]
        order = first + np.argsort(-np.sum(gains, axis=0)[first:], kind="stable")
        for place in _first_apart(pool, order, 1, taken):
            taken.append(place)
            loadings = [_after_running(one, place) for one in loadings]
    return [place - first for place in taken if place >= first]


def _gain(loadings: Array, scale: Array, chance: Array) -> Array:
    """(n,) how much running each mixture lowers the variance at the first ones, weighted by their chance."""
    shared = loadings[:, : len(chance)] @ loadings.transpose(0, 2, 1)
    gain: Array = scale @ ((chance @ shared**2) / (1 + (loadings**2).sum(axis=2)))
    return gain


def _after_running(loadings: Array, place: int) -> Array:
    """Loadings (V, n, k) once mixture `place` has been run, all targets measured."""
    row = loadings[:, place]
    square = np.maximum((row**2).sum(axis=1), np.finfo(float).tiny)
    along = (loadings @ row[:, :, None])[:, :, 0] * ((1 - 1 / np.sqrt(1 + square)) / square)[:, None]
    left: Array = loadings - along[:, :, None] * row[:, None, :]
    return left


def _first_apart(pool: Array, order: NDArray[np.int64], count: int, taken: list[int]) -> list[int]:
    """The first `count` places that differ from those taken and from each other; fewer if there are not so many."""
    chosen = [*taken]
    for place in map(int, order):
        if len(chosen) == len(taken) + count:
            break
        if not chosen or np.abs(pool[chosen] - pool[place]).sum(axis=1).min() / 2 >= APART:
            chosen.append(place)
    return chosen[len(taken) :]


def _deviation(at: LawAtScale, rows: Array, weights: Array) -> Array:
    variance = np.einsum("u,nuv,v->n", weights, at.uncertainty.covariance(rows), weights)
    deviation: Array = np.sqrt(np.maximum(variance, 0.0))
    return deviation
