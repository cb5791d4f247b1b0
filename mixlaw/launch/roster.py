"""Which runs a plan asks for."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned_domains, planned_tokens
from mixlaw.errors import Refused, one_of
from mixlaw.mixture import Mixture, read_mixture
from mixlaw.online import Doge, Grape, Settings
from mixlaw.online.samples import Samples
from mixlaw.plan import Plan
from mixlaw.train.ladder import shape_of
from mixlaw.train.members import Member, Stage


def proxies(plan: Plan, mixtures: Mapping[str, Mixture]) -> list[Member]:
    """The members of a plan's swarm: every mixture at every size, and the repeats.

    Repeats are further seeds of the mixture called "natural", or of the first where none is called so. Every member
    has a seed of its own, drawn from the plan's and the run's name: noise that runs shared would look like a property
    of the size, and adding a run changes no other.
    """
    for size in plan.proxies.sizes:
        _check_size("proxies.sizes", size)
    _check_size("target.size", plan.target.size)  # now, and not when the whole swarm has been trained
    repeated = "natural" if "natural" in mixtures else next(iter(mixtures))
    runs = {name: name for name in mixtures}
    runs |= {f"{repeated}-repeat{number}": repeated for number in range(1, plan.design.repeats + 1)}
    return [
        Member(
            run=f"{run}-{size}",
            group=name,
            mixture=mixtures[name],
            size=size,
            tokens=plan.proxies.tokens,
            seed=_seed(plan.seed, f"{run}-{size}"),
            unique=plan.unique_share,
        )
        for size in plan.proxies.sizes
        for run, name in runs.items()
    ]


def full_runs(plan: Plan, mixtures: Mapping[str, Mixture], seeds: Sequence[int]) -> list[Member]:
    """The members that train mixtures at the plan's target: proxies with other numbers, read at their token counts too.

    Seeds are as given, so that mixtures can be compared seed by seed. What the plan says of weights that move holds for
    each of them, from its mixture on; a method that finds its mixture beforehand has no part in the run.
    """
    _check_size("target.size", plan.target.size)
    online = None if plan.online is not None and plan.online.searches else plan.online
    later = stages(plan)
    check_online(plan)
    return [
        full_run(plan, name, mixture, seed, online=online, samples=plan.samples, stages=later)
        for name, mixture in mixtures.items()
        for seed in seeds
    ]


def full_run(
    plan: Plan,
    name: str,
    mixture: Mixture,
    seed: int,
    *,
    online: Settings | None = None,
    samples: Samples | None = None,
    stages: tuple[Stage, ...] = (),
    reference: str | None = None,
) -> Member:
    """One run at the plan's target, read at the proxies' token counts too; what moves is as in `Member`."""
    size, end = plan.target.size, plan.target.tokens
    return Member(
        run=f"{name}-{size}-seed{seed}",
        group=name,
        mixture=mixture,
        size=size,
        tokens=(*(count for count in plan.proxies.tokens if count < end), end),
        seed=seed,
        full=True,
        online=online,
        samples=samples,
        stages=stages,
        reference=reference,
    )


def called(plan: Plan) -> str:
    """What the runs of a plan whose weights move are called: its name, as a file may be."""
    return re.sub(r"[^a-z0-9.]+", "-", plan.name.lower()).strip("-.") or "moving"


def stages(plan: Plan) -> tuple[Stage, ...]:
    """The stages of a plan's full runs, with their mixtures."""
    return tuple(
        Stage(stage.last, mixture_called(plan, stage.mixture, f"stages.{place}.mixture"))
        for place, stage in enumerate(plan.stages)
    )


def mixture_called(plan: Plan, name: str, key: str) -> Mixture:
    """The mixture that a plan calls "natural", "uniform" or by a file.

    Raises:
        Refused: naming the key, for a file that is not there or that names a domain the plan does not train on.
    """
    tokens = open_corpus(plan.path(plan.corpus.path)).train_tokens
    domains = planned_domains(plan, tokens)
    if name == "natural":
        return Mixture.natural(planned_tokens(plan, tokens))
    if name == "uniform":
        return Mixture.uniform(domains)
    try:
        return given(plan, plan.path(Path(name)))
    except Refused as error:
        raise Refused(f"the plan's {key} is '{name}', and neither 'natural' nor 'uniform': {error}") from None


def given(plan: Plan, path: Path) -> Mixture:
    """The mixture of a file, over all domains of the plan."""
    domains = planned_domains(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens)
    return Mixture(domains, tuple(map(float, read_mixture(path).aligned(domains))))


def check_online(plan: Plan) -> None:
    """Refuse a target of the plan's online method that the corpus does not hold, or a floor that is too high."""
    domains = planned_domains(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens)
    if isinstance(plan.online, Grape) and plan.online.floor * len(domains) > 1:
        raise Refused(
            f"the plan's online.floor is {plan.online.floor}, and {len(domains)} domains cannot have so much each; "
            f"write {1 / len(domains):.3g} or less"
        )
    targets = plan.online.targets if isinstance(plan.online, Grape | Doge) else ()
    for target in targets:
        try:
            one_of(target, open_corpus(plan.path(plan.corpus.path)).domains, "domain of the corpus")
        except Refused as error:
            raise Refused(f"the plan's online.targets: {error}") from None


def _check_size(key: str, size: str) -> None:
    try:
        shape_of(size)
    except Refused as error:
        raise Refused(f"the plan's {key}: {error}") from None


def _seed(seed: int, run: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {run}".encode()).digest()[:4]) >> 1
