"""Which runs a plan asks for."""

import hashlib
from collections.abc import Mapping, Sequence

from mixlaw.errors import Refused
from mixlaw.mixture import Mixture
from mixlaw.plan import Plan
from mixlaw.train.ladder import shape_of
from mixlaw.train.members import Member


def proxies(plan: Plan, mixtures: Mapping[str, Mixture]) -> list[Member]:
    """The members of a plan's swarm: every mixture at every size, and the repeats.

    Repeats are further seeds of the mixture called "natural", or of the first where none is called so. Every member
    has a seed of its own, drawn from the plan's and the run's name: noise that runs shared would look like a property
    of the size, and adding a run changes no other.
    """
    for size in plan.proxies.sizes:
        _check_size("proxies.sizes", size)
    repeated = "natural" if "natural" in mixtures else next(iter(mixtures))
    runs = {name: name for name in mixtures}
    runs |= {f"{repeated}-repeat{number}": repeated for number in range(1, plan.design.repeats + 1)}
    return [
        Member(
            f"{run}-{size}",
            name,
            mixtures[name],
            size,
            plan.proxies.tokens,
            _seed(plan.seed, f"{run}-{size}"),
            unique=plan.unique_share,
        )
        for size in plan.proxies.sizes
        for run, name in runs.items()
    ]


def full_runs(plan: Plan, mixtures: Mapping[str, Mixture], seeds: Sequence[int]) -> list[Member]:
    """The members that train mixtures at the plan's target: proxies with other numbers, read at their token counts too.

    Seeds are as given, so that mixtures can be compared seed by seed.
    """
    size, end = plan.target.size, plan.target.tokens
    _check_size("target.size", size)
    tokens = (*(count for count in plan.proxies.tokens if count < end), end)
    return [
        Member(f"{name}-{size}-seed{seed}", name, mixture, size, tokens, seed, full=True)
        for name, mixture in mixtures.items()
        for seed in seeds
    ]


def _check_size(key: str, size: str) -> None:
    try:
        shape_of(size)
    except Refused as error:
        raise Refused(f"the plan's {key}: {error}") from None


def _seed(seed: int, run: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {run}".encode()).digest()[:4]) >> 1
