"""A design of mixtures by name."""

from collections.abc import Mapping, Sequence

import numpy as np

from mixlaw.design.base import Design
from mixlaw.design.default import Default
from mixlaw.design.dirichlet import Dirichlet
from mixlaw.design.double_diminishing import DoubleDiminishing
from mixlaw.design.maximin import Maximin
from mixlaw.design.natural import AroundNatural
from mixlaw.design.within import rounded_within
from mixlaw.errors import Refused, one_of
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture
from mixlaw.wording import counted

DESIGNS: dict[str, Design] = {
    "default": Default(),
    "dirichlet-0.3": Dirichlet(0.3),
    "dirichlet-1": Dirichlet(1.0),
    "maximin": Maximin(),
    "double-diminishing": DoubleDiminishing(),
    "natural": AroundNatural(),
}
"""Every design that `mixlaw sample --method` knows."""

DECIMALS = 4
"""Mixtures are rounded to so many: a proxy of a million tokens does not see a share below one in ten thousand."""

SAME = 0.002
"""Share of the tokens below which two mixtures differ as repeats of one do: the second would be run by accident."""

ATTEMPTS = 100


def sample(
    domains: Sequence[str],
    count: int,
    *,
    method: str = "default",
    natural: Mixture | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> dict[str, Mixture]:
    """Choose mixtures for a swarm to run.

    The natural and the uniform mixture come first where they are known and meet the limits: they are what an optimum is
    compared with. A longer design begins with the shorter one of the same seed.

    Args:
        domains: M names.
        count: how many mixtures, natural and uniform among them.
        method: a key of `DESIGNS`.
        natural: the natural mixture, where it is known.
        limits: what a proxy may train on; see `mixlaw.design.planned.proxy_limits` for what that should be.
        seed: of the draws.

    Returns:
        Mixtures by name: "natural", "uniform", "m001", "m002", ...

    Raises:
        Refused: for an unknown method or domain, limits that no mixture meets, or fewer distinct mixtures than asked.
    """
    limits = _checked(domains, limits)
    share = None if natural is None else natural.aligned(domains)
    baselines = {"natural": share, "uniform": np.full(len(domains), 1 / len(domains))}
    known = {name: row for name, row in baselines.items() if row is not None and limits.allows(row)}
    rows = _filled(known, count, method, share, limits, seed)
    return {name: Mixture(tuple(domains), tuple(map(float, row))) for name, row in rows.items()}


def sample_beside(
    frozen: Mixture,
    domains: Sequence[str],
    count: int,
    *,
    method: str = "default",
    natural: Mixture | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> dict[str, Mixture]:
    """Choose mixtures in which the domains of an earlier study keep their ratios and move as one.

    When a domain is added or changed, the ratios found for the others are frozen and only their total share varies
    beside the rest, so far fewer runs are needed (mixture reuse: Olmix 2026, 2602.12237). Runs of the earlier study are
    joined with the new ones by `mixlaw merge`: to them the new domain was at 0.

    Args:
        frozen: the earlier study's mixture, such as its optimum; comes first, by the name "frozen".
        domains: all names, those of `frozen` among them.
        count, method, natural, limits, seed: as for `sample`; the limits hold for each domain.

    Raises:
        Refused: if nothing is left to vary, or as `sample` refuses.
    """
    limits = _checked(domains, limits)
    ratios = frozen.aligned(domains)
    moving = [place for place, domain in enumerate(domains) if domain not in frozen.domains]
    if not moving:
        raise Refused("every domain is in the frozen mixture, so nothing can vary; name the domains that are new")
    blocks = np.vstack([ratios, np.eye(len(domains))[moving]])
    together = _limits_of_blocks(blocks, limits, ("(frozen)", *(domains[place] for place in moving)))
    share = None if natural is None else natural.aligned(domains)
    whole = None if share is None else np.append(share.sum() - share[moving].sum(), share[moving])
    alone = np.eye(len(blocks))[0]
    known = {"frozen": alone} if together.allows(alone) else {}
    rows = _filled(known, count, method, whole, together, seed)
    return {name: Mixture(tuple(domains), tuple(map(float, row @ blocks))) for name, row in rows.items()}


def _checked(domains: Sequence[str], limits: Limits | None) -> Limits:
    if len(domains) < 2:
        raise Refused(f"{', '.join(domains) or 'no domain'} leaves nothing to mix; a design needs at least two domains")
    limits = Limits.simplex(domains) if limits is None else limits
    if limits.domains != tuple(domains):
        raise Refused(f"the limits are for {', '.join(limits.domains)}, the design for {', '.join(domains)}")
    limits.check()
    return limits


def _limits_of_blocks(blocks: Array, limits: Limits, names: tuple[str, ...]) -> Limits:
    """The limits on the shares of blocks (B, M), each a mixture of domains that no other block has."""
    never = np.flatnonzero((blocks.max(axis=0) <= 0) & (limits.floor > 0))
    if len(never):
        raise Refused(
            f"'{limits.domains[never[0]]}' has a floor, but a ratio of 0 in the frozen mixture; drop the floor"
        )
    share = np.where(blocks > 0, blocks, np.nan)
    found = Limits(
        domains=names,
        floor=np.nanmax(limits.floor / share, axis=1),
        cap=np.minimum(np.nanmin(limits.cap / share, axis=1), 1.0),
        rows=limits.rows @ blocks.T,
        bounds=limits.bounds,
        reasons={},
    )
    found.check()
    return found


def _filled(
    baselines: Mapping[str, Array], count: int, method: str, natural: Array | None, limits: Limits, seed: int
) -> dict[str, Array]:
    """The baselines that differ, then what the design proposes, up to `count`."""
    design = DESIGNS[one_of(method, tuple(DESIGNS), "design")]
    if count < 1:
        raise Refused(f"asked for {counted(count, 'mixture')}; ask for at least 1")
    chosen: dict[str, Array] = {}
    for name, row in baselines.items():
        if len(chosen) < count and not _near(row, [*chosen.values()]):
            chosen[name] = row
    for number in range(1, count - len(chosen) + 1):
        found = _next(design, limits, natural, [*chosen.values()], np.random.default_rng((seed, number)))
        if found is None:
            raise Refused(
                f"asked for {counted(count, 'mixture')}, but under these limits the design '{method}' finds only "
                f"{counted(len(chosen), 'different mixture')}; ask for fewer, or widen the limits"
            )
        chosen[f"m{number:03d}"] = found
    return chosen


def _next(
    design: Design, limits: Limits, natural: Array | None, taken: list[Array], random: np.random.Generator
) -> Array | None:
    for _ in range(ATTEMPTS):
        proportions = rounded_within(design.propose(limits, natural, taken, random), limits, DECIMALS)
        if not _near(proportions, taken):
            return proportions
    return None


def _near(proportions: Array, taken: list[Array]) -> bool:
    return bool(taken) and float(np.abs(np.array(taken) - proportions).sum(axis=1).min()) / 2 < SAME
