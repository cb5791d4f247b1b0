"""`mixlaw sample`: a design of mixtures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from mixlaw.cli.pairs import pairs
from mixlaw.cli.spread_table import runs_advised, spread_table
from mixlaw.corpus.shards import open_corpus
from mixlaw.design import DESIGNS, sample, spread
from mixlaw.design.planned import planned_tokens, proxy_limits, target_limits
from mixlaw.design.spread import advised_runs
from mixlaw.errors import Refused
from mixlaw.limits import Limits
from mixlaw.mixture import Mixture, write_mixtures
from mixlaw.plan import Plan, read_plan
from mixlaw.weights import read_numbers
from mixlaw.wording import counted

NAME = "sample"


@dataclass(frozen=True)
class Request:
    """What to sample: from a plan, or from flags alone.

    Attributes:
        count, method, seed: of the design.
        limits: what a proxy may train on.
        natural: token shares, where they are known.
        target: what the full run may train on, where it is known.
    """

    count: int
    method: str
    seed: int
    limits: Limits
    natural: Mixture | None = None
    target: Limits | None = None


def run(
    plan: Annotated[Path | None, typer.Argument(help="Plan of a study: .toml.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Mixtures file to write: .csv.", show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="How many mixtures, natural and uniform among them.", show_default=False)
    ] = None,
    method: Annotated[str | None, typer.Option(help=f"Design: {', '.join(DESIGNS)}.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", show_default=False)] = None,
    domains: Annotated[
        str | None, typer.Option(help="Without a plan: names, with commas between.", show_default=False)
    ] = None,
    natural: Annotated[
        Path | None, typer.Option(help="Without a plan: unique tokens by domain, .json.", show_default=False)
    ] = None,
    tokens: Annotated[
        float | None,
        typer.Option(help="With --natural: tokens one proxy trains on, so that none runs out.", show_default=False),
    ] = None,
    max_epochs: Annotated[float, typer.Option(help="With --tokens: passes over a domain allowed.")] = 4.0,
    cap: Annotated[
        list[str] | None, typer.Option(help="Largest proportion, domain=0.3; repeatable.", show_default=False)
    ] = None,
    floor: Annotated[
        list[str] | None, typer.Option(help="Smallest proportion, domain=0.02; repeatable.", show_default=False)
    ] = None,
) -> None:
    """Choose which mixtures the proxies train on, and say how well they spread every domain.

    Example: mixlaw sample plan.toml -o mixtures.csv

    Example: mixlaw sample --domains web,code,books --count 24 -o mixtures.csv
    """
    limited = {"caps": pairs(cap, "--cap"), "floors": pairs(floor, "--floor")}
    if plan is not None:
        if domains or natural or tokens:
            raise Refused(
                "the plan says which domains there are and how long a proxy is; drop --domains, --natural, --tokens"
            )
        request = _from_plan(read_plan(plan), limited)
    else:
        request = _from_flags(domains, natural, limited, tokens, max_epochs)
    mixtures = sample(
        request.limits.domains,
        request.count if count is None else count,
        method=request.method if method is None else method,
        natural=request.natural,
        limits=request.limits,
        seed=request.seed if seed is None else seed,
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    _describe(console, request, mixtures)
    if output is None:
        console.print("Next: the same with -o mixtures.csv")
        return
    write_mixtures(output, mixtures)
    trained = f"mixlaw train {plan}" if plan is not None else "train a proxy on each, then mixlaw check runs.csv"
    console.print(f"{output}: {counted(len(mixtures), 'mixture')}\nNext: {trained}")


def _from_plan(plan: Plan, limited: Mapping[str, Mapping[str, float]]) -> Request:
    design = plan.design.model_copy(update={name: {**getattr(plan.design, name), **limited[name]} for name in limited})
    plan = plan.model_copy(update={"design": design})
    tokens = open_corpus(plan.path(plan.corpus.path)).train_tokens
    return Request(
        count=design.mixtures,
        method=design.method,
        seed=plan.seed,
        limits=proxy_limits(plan, tokens),
        natural=Mixture.natural(planned_tokens(plan, tokens)),
        target=target_limits(plan, tokens),
    )


def _from_flags(
    names: str | None,
    natural: Path | None,
    limited: Mapping[str, Mapping[str, float]],
    budget_tokens: float | None,
    max_epochs: float,
) -> Request:
    if budget_tokens is not None and natural is None:
        raise Refused("--tokens limits a proxy by the tokens there are; give them with --natural tokens.json")
    available = None if natural is None else read_numbers(natural, "tokens by domain")
    listed = tuple(name.strip() for name in names.split(",")) if names else tuple(available or ())
    if not listed:
        raise Refused(
            "there is no plan and no domain; give a plan.toml, --domains web,code,books or --natural tokens.json"
        )
    if len(set(listed)) < len(listed) or "" in listed:
        raise Refused(f"--domains {names} has an empty or repeated name; give each domain once, with commas between")
    limits = Limits.of(
        listed,
        **limited,
        available=available if budget_tokens is not None else None,
        budget_tokens=budget_tokens,
        max_epochs=max_epochs,
    )
    return Request(
        count=advised_runs(len(listed))[0],
        method="default",
        seed=0,
        limits=limits,
        natural=None if available is None else Mixture.natural({name: available[name] for name in listed}),
    )


def _describe(console: Console, request: Request, mixtures: Mapping[str, Mixture]) -> None:
    limits = request.limits
    found = spread(np.array([mixture.proportions for mixture in mixtures.values()]), limits.domains, cap=limits.cap)
    more = {}
    if request.natural is not None:
        more["natural"] = [f"{share:.4f}" for share in request.natural.proportions]
    if (limits.cap < 1).any():
        more["proxy cap"] = [f"{cap:.4f}" for cap in limits.cap]
    if request.target is not None and (request.target.cap < 1).any():
        more["target cap"] = [f"{cap:.4f}" for cap in request.target.cap]
    console.print(spread_table(found, more, shown=len(limits.domains)))
    console.print(runs_advised(found))
    for name, proportions in (("natural", request.natural), ("uniform", Mixture.uniform(limits.domains))):
        if proportions is not None and name not in mixtures and not limits.allows(np.array(proportions.proportions)):
            console.print(f"note: the {name} mixture does not meet the limits; it is left out")
    if "target cap" in more:
        console.print(
            "note: proxies may pass a target cap: the law has to see what a scarce domain does; the optimum keeps it"
        )
    for warning in found.warnings:
        console.print(f"warning: {warning}")
