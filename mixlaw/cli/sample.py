"""`mixlaw sample`: a design of mixtures, and the next batch once some have been measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from mixlaw.batch import ENOUGH, Batch, next_batch, rivals_of
from mixlaw.cli.batch_table import show_batch
from mixlaw.cli.counts import METAVAR, count
from mixlaw.cli.limit_flags import MaxEpochs, limits_from, read_available
from mixlaw.cli.mixtures_output import next_step, write
from mixlaw.cli.outputs import check_output
from mixlaw.cli.pairs import pairs
from mixlaw.cli.screen import screen
from mixlaw.cli.spread_table import runs_advised, spread_table
from mixlaw.corpus.shards import open_corpus
from mixlaw.design import DESIGNS, sample, sample_beside, spread
from mixlaw.design.planned import planned_tokens, proxy_limits, target_limits
from mixlaw.design.spread import Spread, advised_runs, never_varied
from mixlaw.errors import Refused
from mixlaw.fitting.fit import fit
from mixlaw.limits import Limits
from mixlaw.mixture import Array, Mixture, read_mixture
from mixlaw.optimize.linear import with_linear_limits
from mixlaw.plan import Plan, read_plan
from mixlaw.runs import RunTable, read_runs
from mixlaw.weights import read_numbers

NAME = "sample"

BATCH = 8
"""Runs of one batch by default: few enough to learn from before the next."""


@dataclass(frozen=True)
class Request:
    """What to sample: from a plan, or from flags alone.

    Attributes:
        limits: what a proxy may train on.
        count, method, seed: of the design.
        natural: token shares, where they are known.
        target: what the full run may train on, where it is known.
        weights: importance of targets; None for equal.
    """

    limits: Limits
    count: int
    method: str = "default"
    seed: int = 0
    natural: Mixture | None = None
    target: Limits | None = None
    weights: Mapping[str, float] | None = None


def run(
    plan: Annotated[Path | None, typer.Argument(help="Plan of a study: .toml.", show_default=False)] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Mixtures file to write: .csv.", show_default=False)
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="How many mixtures, natural and uniform among them.", show_default=False)
    ] = None,
    method: Annotated[str | None, typer.Option(help=f"Design: {', '.join(DESIGNS)}.", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws.", min=0, show_default=False)] = None,
    domains: Annotated[
        str | None, typer.Option(help="Without a plan: names, with commas between.", show_default=False)
    ] = None,
    natural: Annotated[
        Path | None, typer.Option(help="Without a plan: tokens or proportions by domain, .json.", show_default=False)
    ] = None,
    available: Annotated[
        Path | None,
        typer.Option(help="Without a plan: unique tokens by domain, .json or a corpus folder.", show_default=False),
    ] = None,
    tokens: Annotated[
        float | None,
        typer.Option(
            parser=count, metavar=METAVAR, help="With --available: tokens that one proxy trains on.", show_default=False
        ),
    ] = None,
    max_epochs: MaxEpochs = None,
    cap: Annotated[
        list[str] | None, typer.Option(help="Largest proportion, domain=0.3; repeatable.", show_default=False)
    ] = None,
    floor: Annotated[
        list[str] | None, typer.Option(help="Smallest proportion, domain=0.02; repeatable.", show_default=False)
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Linear limit, 'code + math <= 0.4'; repeatable.", show_default=False)
    ] = None,
    frozen: Annotated[
        Path | None,
        typer.Option(help="Mixture of an earlier study whose domains keep their ratios: .json.", show_default=False),
    ] = None,
    after: Annotated[
        Path | None, typer.Option(help="Run table so far: choose the next batch from it.", show_default=False)
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="With --after: importance of targets, .json.", show_default=False)
    ] = None,
    enough: Annotated[
        float | None,
        typer.Option(
            help=f"With --after: nats per token of regret that you would not mind; {ENOUGH:g}.", show_default=False
        ),
    ] = None,
) -> None:
    """Choose which mixtures the proxies train on, and say how well they spread every domain.

    Example: mixlaw sample plan.toml -o mixtures.csv

    Example: mixlaw sample --domains web,code,books --count 24 -o mixtures.csv

    Example: mixlaw sample plan.toml --after runs.csv -o next.csv
    """
    check_output(output, ".csv", "a mixtures file")
    console = screen()
    supply = {"--available": available, "--tokens": tokens, "--max-epochs": max_epochs}
    if after is None:
        _without({"--weights": weights, "--enough": enough}, "only a batch after runs asks; give --after RUNS")
    else:
        _without({"--method": method, "--frozen": frozen}, "after runs the law chooses, not a design; leave that out")
    table = None if after is None else read_runs(after)
    if plan is not None:
        _without(
            {"--domains": domains, "--natural": natural, **supply},
            "the plan has the domains and their tokens; change it there",
        )
        request = _from_plan(read_plan(plan), pairs(cap, "--cap"), pairs(floor, "--floor"), limit or [])
    else:
        if natural is not None and available is not None:
            raise Refused("--available gives the natural mixture, that of its tokens; leave --natural out")
        if available is None:
            _without(supply, "a proxy is limited by the text at hand; give --available")
        names = _names(domains, natural or available, None if table is None else table.domains)
        request = Request(
            limits=limits_from(
                names,
                cap=cap,
                floor=floor,
                limit=limit,
                available=None if tokens is None else available,
                tokens=tokens,
                max_epochs=max_epochs,
            ),
            count=advised_runs(len(names))[0],
            natural=_natural(names, natural or available),
        )
    request = replace(request, method=method or request.method, seed=request.seed if seed is None else seed)
    if table is not None:
        _same_domains(after, table, request.limits.domains)
    if table is None:
        mixtures = _first(console, replace(request, count=request.count if count is None else count), frozen)
    else:
        importance = request.weights if weights is None else read_numbers(weights, "weights")
        request = replace(request, weights=importance, count=BATCH if count is None else count)
        batch = _next(request, table, ENOUGH if enough is None else enough)
        mixtures = batch.mixtures
        show_batch(console, batch)
    if output is None:
        console.print("Next: the same with -o mixtures.csv")
    else:
        write(console, output, mixtures, extend=table is not None)
        console.print(next_step(plan, output, mixtures))


def _without(flags: Mapping[str, object], why: str) -> None:
    """Refuse flags that would change nothing."""
    given = [flag for flag, value in flags.items() if value is not None]
    if given:
        raise Refused(f"{' and '.join(given)} would change nothing: {why}")


def _same_domains(after: Path | None, table: RunTable, domains: Sequence[str]) -> None:
    """Refuse to choose the next runs by a law of other domains."""
    unseen, gone = sorted({*domains} - {*table.domains}), sorted({*table.domains} - {*domains})
    if unseen or gone:
        found = [f"no run has trained on {', '.join(unseen)}"] * bool(unseen)
        found += [f"its runs have trained on {', '.join(gone)} too"] * bool(gone)
        raise Refused(
            f"{after}: {' and '.join(found)}, while mixtures of {', '.join(domains)} are asked for; name the same "
            "domains, or bring the table to these with mixlaw merge --map"
        )


def _from_plan(plan: Plan, caps: Mapping[str, float], floors: Mapping[str, float], rows: Sequence[str]) -> Request:
    limited = {"caps": {**plan.design.caps, **caps}, "floors": {**plan.design.floors, **floors}}
    plan = plan.model_copy(update={"design": plan.design.model_copy(update=limited)})
    tokens = open_corpus(plan.path(plan.corpus.path)).train_tokens
    return Request(
        limits=with_linear_limits(proxy_limits(plan, tokens), rows),
        count=plan.design.mixtures,
        method=plan.design.method,
        seed=plan.seed,
        natural=Mixture.natural(planned_tokens(plan, tokens)),
        target=with_linear_limits(target_limits(plan, tokens), rows),
        weights=plan.weights or None,
    )


def _names(given: str | None, file: Path | None, measured: Sequence[str] | None) -> tuple[str, ...]:
    """Domains as the flags, the file of tokens or the run table name them, whichever comes first."""
    if given is not None:
        names = tuple(name.strip() for name in given.split(","))
        if len(set(names)) < len(names) or "" in names:
            raise Refused(f"--domains {given} has an empty or repeated name; give each once, with commas between")
        return names
    if file is not None:
        return tuple(read_available(file))
    if measured is not None:
        return tuple(measured)
    raise Refused("there is no plan and no domain; give a plan.toml, --domains web,code,books or --available A.json")


def _natural(names: Sequence[str], file: Path | None) -> Mixture | None:
    if file is None:
        return None
    tokens = read_available(file)
    lacking = [name for name in names if name not in tokens]
    if lacking:
        raise Refused(f"{file} has no number for {', '.join(lacking)}; give every domain")
    return Mixture.natural({name: tokens[name] for name in names})


def _first(console: Console, request: Request, frozen: Path | None) -> dict[str, Mixture]:
    names, limits = request.limits.domains, request.limits
    kept = None if frozen is None else read_mixture(frozen)
    choose = sample if kept is None else partial(sample_beside, kept)
    mixtures = choose(
        names, request.count, method=request.method, natural=request.natural, limits=limits, seed=request.seed
    )
    rows = np.array([mixture.proportions for mixture in mixtures.values()])
    if kept is None:
        _describe(console, request, rows)
    else:
        moving = [place for place, name in enumerate(names) if name not in kept.domains]
        rows = np.column_stack([1 - rows[:, moving].sum(axis=1), rows[:, moving]])
        _spread(console, spread(rows, ["(frozen)", *(names[place] for place in moving)]), {})
    return mixtures


def _next(request: Request, table: RunTable, enough: float) -> Batch:
    constant, limits = never_varied(table.proportions, table.domains), request.limits.ordered(table.domains)
    free = [name for name in constant if (limits.floor < limits.cap)[table.domains.index(name)]]
    if free:
        raise Refused(
            f"{table.source}: {', '.join(free)} never varied, so no law can say what more or less of it does; train "
            "mixtures of a design first (mixlaw sample without --after), or keep it there with --floor and --cap"
        )
    law = fit(table, fixed=[*constant])
    return next_batch(
        law,
        request.count,
        rivals=rivals_of(law, table),
        weights=request.weights,
        limits=request.limits if request.target is None else request.target,
        reach=request.limits,
        enough=enough,
        seed=request.seed,
    )


def _describe(console: Console, request: Request, rows: Array) -> None:
    limits = request.limits
    more = {}
    if request.natural is not None:
        more["natural"] = [f"{share:.4f}" for share in request.natural.proportions]
    if (limits.cap < 1).any():
        more["cap"] = [f"{cap:.4f}" for cap in limits.cap]
    if request.target is not None and (request.target.cap < 1).any():
        more["target cap"] = [f"{cap:.4f}" for cap in request.target.cap]
    for name, baseline in (("natural", request.natural), ("uniform", Mixture.uniform(limits.domains))):
        if baseline is not None and not limits.allows(np.array(baseline.proportions)):
            console.print(f"note: the {name} mixture does not meet the limits; it is left out")
    if "target cap" in more:
        console.print("note: proxies may pass a target cap: the law has to see what a scarce domain does")
    _spread(console, spread(rows, limits.domains, cap=limits.cap), more)


def _spread(console: Console, found: Spread, more: Mapping[str, Sequence[str]]) -> None:
    console.print(spread_table(found, more, shown=len(found.domains)))
    if found.mixtures >= found.least:  # where they are few a warning says so
        console.print(runs_advised(found))
    for warning in (*found.unvaried, *found.warnings):
        console.print(f"warning: {warning}")
