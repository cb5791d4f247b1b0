"""`mixlaw train`: the proxies of a plan, or full runs, of fixed mixtures or with weights that move."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.progress import minutes, shown
from mixlaw.cli.screen import screen
from mixlaw.corpus.shards import open_corpus
from mixlaw.design.planned import planned
from mixlaw.errors import Refused, one_of
from mixlaw.launch_plan import ENGINES
from mixlaw.mixture import Mixture, read_mixture, read_mixtures
from mixlaw.plan import Plan, read_plan
from mixlaw.run_files import SUFFIXES
from mixlaw.runs import RunTable, write_runs
from mixlaw.study_files import PLAN, RECORDS, RUNS, WEIGHTS_OVER_TIME
from mixlaw.wording import counted, in_shell, in_words

if TYPE_CHECKING:
    from mixlaw.launch.progress import Watch
    from mixlaw.launch.standing import Standing

NAME = "train"


def run(
    plan: Annotated[Path, typer.Argument(help="Plan of a study: .toml, or its folder.", show_default=False)],
    mixture: Annotated[
        Path | None,
        typer.Option(
            help="Train this at the plan's target: optimum.json, a mixture, or all of a .csv.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="With --mixture: what to call its runs; the file's name.", show_default=False)
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="With --mixture: of a run; repeatable. As many as the plan says.", min=0, show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs at a time; one a core, or one a GPU.", min=1, show_default=False)
    ] = None,
    launch: Annotated[
        str | None,
        typer.Option(help="Where: local, slurm or ray; else as the plan's launch.engine says.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would cost, after a moment's try.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell what is done, failed and left.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the run table here as well.", show_default=False),
    ] = None,
) -> None:
    """Train what is missing of a plan's proxies; what is measured is kept, whatever stops it.

    A plan with [online], [samples] or [[stages]] says how full runs are trained, and trains those.

    Example: mixlaw train study/plan.toml --dry-run

    Example: mixlaw train study/plan.toml

    Example: mixlaw train study/plan.toml --launch slurm --workers 8

    Example: mixlaw train study/plan.toml --mixture study/optimum.json --seed 0

    Example: mixlaw train study/grape.toml

    Example: torchrun --nproc-per-node 8 -m mixlaw train study/plan.toml --mixture study/optimum.json
    """
    from mixlaw.launch.companions import leading

    with leading() as leads:
        if leads:
            _carry_out(plan, mixture, name, seed, output, launch, workers, dry_run=dry_run, status=status)


def _carry_out(
    path: Path,
    mixture: Path | None,
    name: str | None,
    seed: Sequence[int] | None,
    output: Path | None,
    launch: str | None,
    workers: int | None,
    *,
    dry_run: bool,
    status: bool,
) -> None:
    """The verb, in the one process that leads; arguments as of `run`."""
    if output is not None:
        one_of(output.suffix.lower(), SUFFIXES, "format of a run table")
    plan = _launched(read_plan(path / PLAN if path.is_dir() else path), launch, workers)
    if mixture is None and not plan.moves and (name is not None or seed):
        raise Refused("--name and --seed are for a full run; give --mixture too, or put the seed into the plan")
    console = screen()
    if mixture is None and not plan.moves:
        chosen, seeds = planned(plan, open_corpus(plan.path(plan.corpus.path)).train_tokens), None
    else:
        chosen, seeds = _full(plan, mixture, name), tuple(seed or range(plan.target.seeds))
    if status or dry_run:
        now = _standing(plan, chosen, seeds)
        if status:
            busy = _tell_status(console, plan, now)
        else:
            busy = False
            _tell_price(console, plan, now)
        if now.left and not busy:
            console.print(f"Next: mixlaw train {path}{'' if mixture is None else f' --mixture {mixture}'}")
        return
    table = _train(console, plan, chosen, seeds)
    for note in table.notes:
        console.print(f"note: {note}")
    if output is not None:
        write_runs(table, output)
    if plan.moves:
        _tell_weights(console, plan, tuple(chosen))
    _tell_next(console, plan, table, seeds, output)


def _full(plan: Plan, mixture: Path | None, name: str | None) -> dict[str, Mixture]:
    """The mixtures of full runs, by the names of their runs: given, or what a plan whose weights move starts from."""
    from mixlaw.launch.roster import called, mixture_called

    if mixture is None:
        return {name or called(plan): mixture_called(plan, plan.start, "start")}
    given = _given(mixture, name)
    if not plan.moves or name is not None:
        return given
    return {f"{called(plan)}-{key}": value for key, value in given.items()}


def _launched(plan: Plan, engine: str | None, workers: int | None) -> Plan:
    """The plan, with what the flags say about its launch."""
    given: dict[str, str | int] = {} if engine is None else {"engine": one_of(engine, ENGINES, "engine")}
    given |= {} if workers is None else {"workers": workers}
    from mixlaw.launch.companions import alone_or_together

    return plan.model_copy(update={"launch": alone_or_together(plan.launch.model_copy(update=given))})


def _given(path: Path, name: str | None) -> dict[str, Mixture]:
    """The mixtures of a file, by name: one of a .json, all of a .csv."""
    if path.suffix.lower() != ".csv":
        return {name or path.stem: read_mixture(path)}
    if name is not None:
        raise Refused(f"--name is for one mixture, and {path} names its own; leave --name out")
    return read_mixtures(path)


def _standing(plan: Plan, chosen: Mapping[str, Mixture], seeds: Sequence[int] | None) -> "Standing":
    from mixlaw.launch.roster import full_runs, proxies
    from mixlaw.launch.standing import standing
    from mixlaw.train.members import setting_of

    members = proxies(plan, chosen) if seeds is None else full_runs(plan, chosen, seeds)
    return standing(members, setting_of(plan), plan.folder)


def _train(console: Console, plan: Plan, chosen: Mapping[str, Mixture], seeds: Sequence[int] | None) -> RunTable:
    from mixlaw.launch.swarm import train_full, train_swarm

    try:
        with shown(console) as watching:
            if seeds is None:
                runs = len(plan.proxies.sizes) * (len(chosen) + plan.design.repeats)
                watch = watching(f"{counted(runs, 'proxy run')} of {' and '.join(plan.proxies.sizes)}")
                return train_swarm(plan, chosen, plan.folder, watch)
            if plan.online is not None and plan.online.searches:
                chosen = _searched(plan, chosen, watching)
            scale = f"{plan.target.size} on {in_words(plan.target.tokens)} tokens"
            watch = watching(f"{counted(len(seeds), 'full run')} of {scale}")
            return train_full(plan, chosen, plan.folder, watch, seeds=seeds)
    except KeyboardInterrupt:
        if plan.launch.engine == "slurm":
            console.print("the Slurm tasks go on; run the same command to watch them again, or end them with scancel")
        raise


def _searched(plan: Plan, chosen: Mapping[str, Mixture], watching: Callable[[str], "Watch"]) -> dict[str, Mixture]:
    """What a plan's method finds before the full runs."""
    from mixlaw.launch.search import search

    if len(chosen) > 1:
        raise Refused(f"the search of [online] starts from one mixture, not {len(chosen)}; give one")
    return {name: search(plan, name, start, watching) for name, start in chosen.items()}


def _tell_weights(console: Console, plan: Plan, names: Sequence[str]) -> None:
    """What moved, where it began and where it ended, of the first run."""
    from mixlaw.launch.search import search_folder
    from mixlaw.launch.weights_table import weights_over_time, write_weights

    written = write_weights(plan.folder)
    searches = plan.online is not None and plan.online.searches
    folder = search_folder(plan, names[0]) if searches else plan.folder
    frame = weights_over_time(folder)
    runs = frame["run"].unique()
    shown_run = runs[0] if searches else next(run for run in runs if run.startswith(f"{names[0]}-"))
    rows = frame[frame["run"] == shown_run].dropna(axis="columns", how="all")
    places = rows.iloc[[round(part * (len(rows) - 1) / 4) for part in range(5)]]
    table = Table(box=None, pad_edge=False, header_style="dim", title=f"{shown_run} by step", title_justify="left")
    table.add_column("")
    for step in places["step"]:
        table.add_column(f"{step}", justify="right")
    for column in _worth_showing(rows, searches):
        table.add_row(column, *("" if pd.isna(value) else f"{value:.4f}" for value in places[column]))
    console.print(table)
    if searches:
        console.print(f"{folder / WEIGHTS_OVER_TIME}: the weights over time")
    if written is not None:
        console.print(f"{written}: the weights over time")


def _worth_showing(rows: pd.DataFrame, searches: bool) -> list[str]:
    """Columns of a run's weights that people look at: what it read by, or for a search its weights and their mean."""
    kinds = ("weight.", "average.") if searches else ("mix.", "target.")
    columns = [name for kind in kinds for name in rows.columns if name.startswith(kind)]
    return columns + [name for name in ("effective_samples", "over_cap") if name in rows.columns]


def _tell_status(console: Console, plan: Plan, now: "Standing") -> bool:
    """Tell what is done, running, failed and left; return whether a command trains here now."""
    from mixlaw.launch.lock import holder
    from mixlaw.launch.packing import on_gpu, workers_of
    from mixlaw.launch.queue import Queue

    at_work, count = holder(now.folder / RECORDS), workers_of(plan)
    lives = at_work or plan.launch.engine == "slurm"  # other workers end with their command
    running = Queue(now.folder / RECORDS).running() if lives else []
    states = f"{len(running)} running, {len(now.failed)} failed, {len(now.left)} left"
    console.print(f"{len(now.done)} of {counted(len(now.members), 'run')} done, {states}")
    for run, reason in now.failed.items():
        console.print(f"  {run} failed: {reason}")
    totals = {member.run: member.total_tokens(plan.training) for member in now.members}
    for claim in running:
        share = f", {claim.tokens / totals[claim.run]:.0%}" if claim.run in totals else ""
        console.print(f"  {claim.run} is trained by worker {claim.worker} on {claim.host}{share}")
    console.print(f"training now: {at_work}" if at_work else "no command trains here now")
    rate, left = now.tokens_per_s(), now.device_seconds_left(open_corpus(now.setting.corpus).vocabulary_size)
    if rate is not None:
        console.print(f"{in_words(rate)} tokens/s a worker in the runs that are done")
    if left:
        device = "GPU" if on_gpu(plan) else "CPU worker"
        console.print(f"{left / 3600:.3g} {device}-hours left: {minutes(left / count)} with {counted(count, 'worker')}")
    if not now.left:
        end = f"report {plan.folder}" if now.members[0].full else f"fit {plan.folder / RUNS}"
        console.print(f"Next: mixlaw {end}")
    return bool(at_work)


def _tell_price(console: Console, plan: Plan, now: "Standing") -> None:
    from mixlaw.launch.packing import workers_of
    from mixlaw.launch.price import WORTH_SAYING, prices

    if not now.left:
        console.print("nothing is left to train")
        return
    found = prices(now.left, now.setting, open_corpus(now.setting.corpus).vocabulary_size)
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings = "size", "params", "runs", "tokens", "operations", "on the vocabulary", "on read-outs", "tokens/s", "time"
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "size" else "right")
    for price in found:
        numbers = in_words(price.params), str(price.runs), in_words(price.tokens), f"{price.flops:.2g}"
        shares = f"{price.vocabulary_share:.0%}", f"{price.read_out_share:.0%}"
        table.add_row(price.size, *numbers, *shares, in_words(price.tokens_per_s), minutes(price.seconds))
    console.print(table)
    runs, seconds, count = sum(price.runs for price in found), sum(price.seconds for price in found), workers_of(plan)
    console.print(
        f"{counted(runs, 'run')} left of {len(now.members)}: {minutes(seconds)} of one worker, "
        f"about {minutes(seconds / min(count, runs))} with {counted(count, 'worker')}, if nothing else runs here"
    )
    if plan.launch.engine != "local":
        console.print(f"note: measured on this machine, not on a worker of {plan.launch.engine}")
    if max(price.read_out_share for price in found) > WORTH_SAYING:
        console.print(
            f"note: read-outs take more than {WORTH_SAYING:.0%} of the time; "
            "lower training.evaluation_tokens, or read at fewer token counts"
        )


def _tell_next(console: Console, plan: Plan, table: RunTable, seeds: Sequence[int] | None, output: Path | None) -> None:
    runs = len(set(table.runs))
    console.print(f"{output or table.source}: {counted(runs, 'run')}, {counted(len(table), 'row')}")
    if seeds is None:
        floors, caps = plan.design.floors, plan.design.caps
        flags = "".join(
            f" --fixed {in_shell(domain)}" for domain, cap in caps.items() if floors.get(domain, 0.0) == cap
        )
        console.print(
            f"Next: mixlaw fit {in_shell(output or table.source)}{flags} -o {in_shell(plan.folder / 'law.json')}"
        )
    else:
        console.print(f"models are in {plan.folder / 'models'}, each as transformers loads it")
        console.print(f"Next: mixlaw report {plan.folder}")
