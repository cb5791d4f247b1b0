"""How well a set of mixtures spreads each domain, and how many runs are advised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixlaw.errors import Refused
from mixlaw.mixture import Array, groups_of
from mixlaw.wording import counted, is_are

Flags = NDArray[np.bool_]

CONSTANT, OF_ITSELF = 1e-6, 0.01
"""Range of a proportion over all mixtures up to which the domain was never varied, and the same as a share of the
largest: what a log of realised proportions differs by from run to run."""

SEEN_IN_QUANTITY = 0.1
"""A domain whose 95th percentile lies below is hardly ever seen in quantity, so an optimum rich in it is found late."""

FEWEST_MIXTURES = 4
"""With fewer different mixtures nothing is fitted: they say nothing that a prior does not."""

TOGETHER = 0.95
"""Correlation beyond which two domains' effects are hardly told apart."""


@dataclass(frozen=True)
class Spread:
    """What a design lets the runs tell.

    Attributes:
        domains: M names.
        smallest, median, high, largest: (M,) proportions over distinct mixtures; `high` is the 95th percentile.
        absent: (M,) share of distinct mixtures that leave the domain out.
        mixtures: how many distinct mixtures.
        repeats: how many runs repeat a mixture: they measure the noise of a run.
        condition: largest over smallest singular value of the centred proportions, each domain scaled to its own
            spread; the direction that the sum takes away is left out. Infinite if some direction was never varied.
        closest: the two domains whose proportions rise and fall together most, and their correlation over mixtures;
            None for two domains. That one falls as another rises is no harm: it is what a sum of 1 does.
        least, advised: how many distinct mixtures a law of these domains needs, and how many are advised.
        unvaried: which domains are the same in every mixture, in words.
        warnings: what else the runs cannot tell, in words.
    """

    domains: tuple[str, ...]
    smallest: Array
    median: Array
    high: Array
    largest: Array
    absent: Array
    mixtures: int
    repeats: int
    condition: float
    closest: tuple[str, str, float] | None
    least: int
    advised: int
    unvaried: tuple[str, ...]
    warnings: tuple[str, ...]


def advised_runs(domain_count: int) -> tuple[int, int]:
    """Fewest and advised number of distinct mixtures for M domains: max(2M, 24) and max(3(M + 1), 32).

    With 2M runs an exponential law, M + 1 parameters, keeps nearly as many residual degrees of freedom as it uses; the
    second is what Olmix asks for (2026, 2602.12237), 54 for 17 domains.
    """
    return max(2 * domain_count, 24), max(3 * (domain_count + 1), 32)


def runs_needed(domain_count: int) -> str:
    """The same numbers in words, wherever a count of runs is judged."""
    least, advised = advised_runs(domain_count)
    return (
        f"for {counted(domain_count, 'domain')} a law takes at least {FEWEST_MIXTURES} different mixtures, a choice by "
        f"it at least {least}, and {advised} are advised"
    )


def spread(proportions: Array, domains: Sequence[str], *, cap: Array | None = None) -> Spread:
    """Describe how a set of runs spreads its domains.

    Args:
        proportions: (n, M), one row a run; repeats may be among them.
        domains: M names.
        cap: (M,) largest proportion that was allowed; a domain kept small by its cap is not warned about.

    Raises:
        Refused: if there is no run.
    """
    if not len(proportions):
        raise Refused("there is no mixture to describe")
    distinct = _distinct(proportions)
    least, advised = advised_runs(len(domains))
    high = np.quantile(distinct, 0.95, axis=0)
    constant = np.isin(domains, [*never_varied(distinct, domains)])
    closest = _closest(distinct, domains, constant)
    warnings = [
        *(["all runs are one mixture: nothing can be told about any other"] if len(distinct) == 1 else []),
        *_moving_together(closest),
        *_hardly_seen(high, domains, constant, np.ones(len(domains)) if cap is None else cap),
        *_too_few(len(distinct), len(domains)),
    ]
    return Spread(
        domains=tuple(domains),
        smallest=distinct.min(axis=0),
        median=np.median(distinct, axis=0),
        high=high,
        largest=distinct.max(axis=0),
        absent=(distinct <= 0).mean(axis=0),
        mixtures=len(distinct),
        repeats=len(proportions) - len(distinct),
        condition=_condition(distinct),
        closest=closest,
        least=least,
        advised=advised,
        unvaried=tuple(_unvaried(distinct, domains)),
        warnings=tuple(warnings),
    )


def _distinct(proportions: Array) -> Array:
    _, first = np.unique(groups_of(proportions), return_index=True)
    rows: Array = proportions[np.sort(first)]
    return rows


def _condition(distinct: Array) -> float:
    """On the simplex the centred columns sum to 0, so the smallest of M singular values is 0 whatever the design."""
    centred = distinct - distinct.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    if distinct.shape[1] < 2:
        return 1.0
    if len(distinct) < distinct.shape[1] or (scale <= CONSTANT).any():
        return float("inf")
    values = np.linalg.svd(centred / scale, compute_uv=False)[: distinct.shape[1] - 1]
    return float(values[0] / values[-1]) if values[-1] > 1e-9 * values[0] else float("inf")


def _closest(distinct: Array, domains: Sequence[str], constant: Flags) -> tuple[str, str, float] | None:
    varied = np.flatnonzero(~constant)
    if len(varied) < 3 or len(distinct) < 3:
        return None
    correlation = np.asarray(np.corrcoef(distinct[:, varied], rowvar=False)) - np.eye(len(varied))
    first, second = sorted(divmod(int(np.argmax(correlation)), len(varied)))
    return domains[varied[first]], domains[varied[second]], float(correlation[first, second])


def never_varied(proportions: Array, domains: Sequence[str]) -> dict[str, float]:
    """Domains whose proportion is the same in every mixture (n, M), and that proportion."""
    largest = proportions.max(axis=0)
    same = np.ptp(proportions, axis=0) <= np.maximum(CONSTANT, OF_ITSELF * largest)
    means = proportions.mean(axis=0)
    return {domains[number]: float(means[number]) for number in map(int, np.flatnonzero(same))}


def _unvaried(distinct: Array, domains: Sequence[str]) -> list[str]:
    if len(distinct) == 1:
        return []
    return [
        f"'{domain}' is {share:.4g} in every mixture, so its effect cannot be told from a constant; vary it, or hold "
        "it there (mixlaw fit --fixed)"
        for domain, share in never_varied(distinct, domains).items()
    ]


def _moving_together(closest: tuple[str, str, float] | None) -> list[str]:
    if closest is None or closest[2] < TOGETHER:
        return []
    first, second, correlation = closest
    return [
        f"'{first}' and '{second}' move together (correlation {correlation:.2f}), so their effects are hardly told "
        "apart; add mixtures with much of one and little of the other"
    ]


def _hardly_seen(high: Array, domains: Sequence[str], constant: Flags, cap: Array) -> list[str]:
    """With very many domains no design shows each in quantity to a tenth of its mixtures: 4 / M is asked for there."""
    wanted = np.minimum(min(SEEN_IN_QUANTITY, 4 / len(domains)), 0.75 * cap)
    low = np.flatnonzero((high < wanted) & ~constant)
    if not len(low):
        return []
    named = ", ".join(f"'{domains[number]}' ({high[number]:.3f})" for number in low[:6])
    more = f" and {len(low) - 6} more" if len(low) > 6 else ""
    most = min(SEEN_IN_QUANTITY, 4 / len(domains))
    return [
        f"95% of the mixtures hold less than {most:.2g} of {named}{more}: an optimum rich in them is found "
        "only with many more runs; add mixtures of the design 'default'"
    ]


def _too_few(mixtures: int, domain_count: int) -> list[str]:
    if mixtures >= advised_runs(domain_count)[0]:
        return []
    return [f"{counted(mixtures, 'different mixture')} {is_are(mixtures)} few: {runs_needed(domain_count)}"]
