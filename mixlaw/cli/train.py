"""`mixlaw train`: the proxies of a plan, or a full run of one mixture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.progress import minutes, shown
from mixlaw.cli.screen import screen
from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused, one_of
from mixlaw.mixture import Mixture, read_mixture
from mixlaw.plan import Plan, read_plan
from mixlaw.runs import SUFFIXES, RunTable, write_runs
from mixlaw.wording import counted, in_words

if TYPE_CHECKING:
    from mixlaw.launch.standing import Standing

NAME = "train"
PLAN = "plan.toml"


def run(
    plan: Annotated[Path, typer.Argument(help="Plan of a study: .toml, or its folder.", show_default=False)],
    mixture: Annotated[
        Path | None,
        typer.Option(help="Train this mixture at the plan's target: optimum.json or a mixture.", show_default=False),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --mixture: what to call its runs; the file's name.", show_default=False)
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="With --mixture: of a run; repeatable. As many as the plan says.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at a time; one a core, or one a GPU.", min=1, show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would cost, after a moment's try.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell what is done, failed and left.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the run table here as well.", show_default=False),
    ] = None,
) -> None:
    """Train what is missing of a plan's proxies; what is measured is kept, whatever stops it.

    Example: mixlaw train study/plan.toml --dry-run

    Example: mixlaw train study/plan.toml

    Example: mixlaw train study/plan.toml --mixture study/optimum.json --seed 0
    """
    if mixture is None and (name is not None or seed):
        raise Refused("--name and --seed are for a full run; give --mixture too, or put the seed into the plan")
    if output is not None:
        one_of(output.suffix.lower(), SUFFIXES, "format of a run table")
    read = read_plan(plan / PLAN if plan.is_dir() else plan)
    console = screen()
    if mixture is None:
        chosen, seeds = planned(read, open_corpus(read.path(read.corpus.path)).train_tokens), None
    else:
        chosen, seeds = {name or mixture.stem: read_mixture(mixture)}, tuple(seed or range(read.target.seeds))
    if status or dry_run:
        now = _standing(read, chosen, seeds)
        (_tell_status if status else _tell_price)(console, read, now, workers)
        return
    table = _train(console, read, chosen, seeds, workers)
    for note in table.notes:
        console.print(f"note: {note}")
    if output is not None:
        write_runs(table, output)
    _tell_next(console, read, table, seeds, output)


def _standing(plan: Plan, chosen: Mapping[str, Mixture], seeds: Sequence[int] | None) -> "Standing":
    from mixlaw.launch.roster import full_runs, proxies
    from mixlaw.launch.standing import standing
    from mixlaw.train.members import setting_of

    members = proxies(plan, chosen) if seeds is None else full_runs(plan, chosen, seeds)
    return standing(members, setting_of(plan), plan.folder)


def _train(
    console: Console, plan: Plan, chosen: Mapping[str, Mixture], seeds: Sequence[int] | None, workers: int | None
) -> RunTable:
    from mixlaw.launch.swarm import train_full, train_swarm

    with shown(console) as watching:
        if seeds is None:
            runs = len(plan.proxies.sizes) * (len(chosen) + plan.design.repeats)
            watch = watching(f"{counted(runs, 'proxy run')} of {' and '.join(plan.proxies.sizes)}")
            return train_swarm(plan, chosen, plan.folder, watch, workers=workers)
        scale = f"{plan.target.size} on {in_words(plan.target.tokens)} tokens"
        watch = watching(f"{counted(len(seeds), 'full run')} of {scale}")
        return train_full(plan, chosen, plan.folder, watch, seeds=seeds, workers=workers)


def _tell_status(console: Console, plan: Plan, now: "Standing", workers: int | None) -> None:
    from mixlaw.launch.job import RECORDS
    from mixlaw.launch.lock import holder
    from mixlaw.launch.packing import default_workers

    at_work, count = holder(now.folder / RECORDS), workers or default_workers(now.setting)
    console.print(
        f"{len(now.done)} of {counted(len(now.members), 'run')} done, {len(now.failed)} failed, {len(now.left)} left"
    )
    for run, reason in now.failed.items():
        console.print(f"  {run} failed: {reason}")
    console.print(f"training now: {at_work}" if at_work else "nothing is being trained")
    rate, left = now.tokens_per_s(), now.seconds_left(open_corpus(now.setting.corpus).vocabulary_size, count)
    if rate is not None:
        console.print(f"{in_words(rate)} tokens/s a worker in the runs that are done")
    if left:
        console.print(f"{minutes(left)} left with {counted(count, 'worker')}")
    end = f"report {plan.folder}" if now.members[0].full else f"fit {plan.folder / 'runs.csv'}"
    console.print(f"Next: mixlaw train {plan.folder / PLAN}" if now.left else f"Next: mixlaw {end}")


def _tell_price(console: Console, plan: Plan, now: "Standing", workers: int | None) -> None:
    from mixlaw.launch.packing import default_workers
    from mixlaw.launch.price import prices

    count = workers or default_workers(now.setting)
    if not now.left:
        console.print("nothing is left to train")
        return
    found = prices(now.left, now.setting, open_corpus(now.setting.corpus).vocabulary_size)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("size", "params", "runs", "tokens", "operations", "on the vocabulary", "tokens/s", "time"):
        table.add_column(heading, justify="left" if heading == "size" else "right")
    for price in found:
        numbers = in_words(price.params), str(price.runs), in_words(price.tokens), f"{price.flops:.2g}"
        pace = f"{price.vocabulary_share:.0%}", in_words(price.tokens_per_s), minutes(price.seconds)
        table.add_row(price.size, *numbers, *pace)
    console.print(table)
    runs, seconds = sum(price.runs for price in found), sum(price.seconds for price in found)
    console.print(
        f"{counted(runs, 'run')} left of {len(now.members)}: {minutes(seconds)} of one worker, "
        f"about {minutes(seconds / min(count, runs))} with {counted(count, 'worker')}, if nothing else runs here"
    )
    console.print(f"Next: mixlaw train {plan.folder / PLAN}")


def _tell_next(console: Console, plan: Plan, table: RunTable, seeds: Sequence[int] | None, output: Path | None) -> None:
    runs = len(set(table.runs))
    console.print(f"{output or table.source}: {counted(runs, 'run')}, {counted(len(table), 'row')}")
    if seeds is None:
        console.print(f"Next: mixlaw fit {output or table.source} -o {plan.folder / 'law.json'}")
    else:
        console.print(f"models are in {plan.folder / 'models'}, each as transformers loads it")
        console.print(f"Next: mixlaw report {plan.folder}")
