"""A design of mixtures by name."""

from collections.abc import Sequence

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

SAME = 0.02
"""Mixtures closer than this in square-root proportions are one mixture: the second run would repeat it by accident."""

ATTEMPTS = 200


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
        limits: what a proxy may train on; see `mixlaw.design.reach` for which limits a proxy should have.
        seed: of the draws.

    Returns:
        Mixtures by name: "natural", "uniform", "m001", "m002", ...

    Raises:
        Refused: for an unknown method or domain, limits that no mixture meets, or fewer distinct mixtures than asked.
    """
    design = DESIGNS[one_of(method, tuple(DESIGNS), "design")]
    if count < 1:
        raise Refused(f"{count} mixtures were asked for; ask for at least 1")
    if len(domains) < 2:
        raise Refused(f"{', '.join(domains) or 'no domain'} leaves nothing to mix; a design needs at least two domains")
    limits = Limits.simplex(domains) if limits is None else limits
    if limits.domains != tuple(domains):
        raise Refused(f"the limits are for {', '.join(limits.domains)}, the design for {', '.join(domains)}")
    limits.check()
    share = None if natural is None else natural.aligned(domains)
    chosen: dict[str, Array] = {}
    for name, proportions in (("natural", share), ("uniform", np.full(len(domains), 1 / len(domains)))):
        new = proportions is not None and limits.allows(proportions) and not _near(proportions, [*chosen.values()])
        if proportions is not None and new and len(chosen) < count:
            chosen[name] = proportions
    for number in range(1, count - len(chosen) + 1):
        found = _next(design, limits, share, [*chosen.values()], np.random.default_rng((seed, number)))
        if found is None:
            raise Refused(
                f"{count} mixtures were asked for, but the design '{method}' finds only {len(chosen)} that differ "
                f"under these limits; ask for fewer, or widen the limits"
            )
        chosen[f"m{number:03d}"] = found
    return {name: Mixture(tuple(domains), tuple(map(float, row))) for name, row in chosen.items()}


def _next(
    design: Design, limits: Limits, natural: Array | None, taken: list[Array], random: np.random.Generator
) -> Array | None:
    for _ in range(ATTEMPTS):
        proportions = rounded_within(design.propose(limits, natural, taken, random), limits, DECIMALS)
        if not _near(proportions, taken):
            return proportions
    return None


def _near(proportions: Array, taken: list[Array]) -> bool:
    return any(float(np.sum((np.sqrt(proportions) - np.sqrt(row)) ** 2)) < SAME**2 for row in taken)
