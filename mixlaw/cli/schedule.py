"""`mixlaw schedule`: two mixtures in turn, and when to switch; experimental."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.limit_flags import (
    Available,
    Cap,
    Floor,
    Law,
    Limit,
    MaxEpochs,
    Params,
    Tokens,
    Trust,
    limits_from,
)
from mixlaw.cli.outputs import check_output
from mixlaw.cli.pairs import pairs
from mixlaw.cli.screen import screen
from mixlaw.files import to_json, write_json
from mixlaw.fitting.law_file import read_law
from mixlaw.limits import Limits
from mixlaw.optimize.recency import Recency
from mixlaw.optimize.schedule import SHARES, Schedule, schedule
from mixlaw.runs import read_runs
from mixlaw.weights import read_weights
from mixlaw.wording import counted, in_words

NAME = "schedule"

BaseCap = Annotated[
    list[str] | None,
    typer.Option(help="Largest proportion before the switch, domain=0.3; repeatable.", show_default=False),
]
BaseFloor = Annotated[
    list[str] | None,
    typer.Option(help="Smallest proportion before the switch, domain=0.02; repeatable.", show_default=False),
]
FinalCap = Annotated[
    list[str] | None,
    typer.Option(help="Largest proportion after the switch, domain=0.3; repeatable.", show_default=False),
]
FinalFloor = Annotated[
    list[str] | None,
    typer.Option(help="Smallest proportion after the switch, domain=0.02; repeatable.", show_default=False),
]


def run(
    law: Law,
    runs: Annotated[
        Path, typer.Argument(help="Run table with runs in two stages.", show_default=False, metavar="RUNS")
    ],
    params: Params = None,
    tokens: Tokens = None,
    weights: Annotated[
        Path | None, typer.Option(help="Importance of targets: .json; equal by default.", show_default=False)
    ] = None,
    final_share: Annotated[
        list[float] | None,
        typer.Option(
            help=f"Share of the tokens that the final phase reads; repeatable. {', '.join(map(str, SHARES))}.",
            show_default=False,
        ),
    ] = None,
    cap: Cap = None,
    floor: Floor = None,
    limit: Limit = None,
    base_cap: BaseCap = None,
    base_floor: BaseFloor = None,
    final_cap: FinalCap = None,
    final_floor: FinalFloor = None,
    available: Available = None,
    max_epochs: MaxEpochs = None,
    trust: Trust = False,
    interval: Annotated[float, typer.Option(help="How often the interval is to hold the measured loss.")] = 0.9,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Schedule to write: .json, with the two mixtures beside it.", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the schedule file instead of tables.")] = False,
) -> None:
    """Find base mixture, final mixture and when to switch. Experimental: its model of order is held against the runs.

    --cap, --floor, --limit and --available limit what the whole run reads.

    Example: mixlaw schedule law.json staged.csv --tokens 2e10 --available tokens.json --max-epochs 4 -o late.json
    """
    check_output(output, ".json", "a schedule")
    fitted = read_law(law)
    found = schedule(
        fitted,
        read_runs(runs),
        params=params,
        tokens=tokens,
        weights=read_weights(weights, fitted.targets),
        limits=limits_from(fitted.domains, cap, floor, limit, available, tokens, max_epochs),
        base_limits=_of_phase(fitted.domains, base_cap, base_floor, "base"),
        final_limits=_of_phase(fitted.domains, final_cap, final_floor, "final"),
        final_shares=final_share or SHARES,
        trust=trust,
        interval=interval,
    )
    if output is not None:
        write_schedule(found, output)
    if json:
        print(to_json(found.as_json()), end="")
        return
    console = screen()
    show(console, found)
    _tell_next(console, found, output)


def mixture_paths(path: Path) -> tuple[Path, Path]:
    """Where the two mixtures of a schedule file lie: beside it."""
    return path.with_name(f"{path.stem}-base.json"), path.with_name(f"{path.stem}-final.json")


def write_schedule(found: Schedule, path: Path) -> None:
    """Write a schedule file, and its mixtures as files of their own, which plans and exports take."""
    base, final = mixture_paths(path)
    write_json(base, found.best.base.as_dict())
    write_json(final, found.best.final.as_dict())
    write_json(path, found.as_json())


def _of_phase(domains: tuple[str, ...], cap: list[str] | None, floor: list[str] | None, phase: str) -> Limits:
    return Limits.of(domains, caps=pairs(cap, f"--{phase}-cap"), floors=pairs(floor, f"--{phase}-floor"))


def show(console: Console, found: Schedule) -> None:
    """Print a schedule for people."""
    console.print("experimental: what order is worth is taken to be two numbers, learnt from the runs in two stages")
    for line in _about_recency(found.recency):
        console.print(line)
    console.print(_mixtures(found))
    console.print(_lengths(found))
    best, scale = found.best, f"{in_words(found.predicted_params)} params, {in_words(found.predicted_tokens)} tokens"
    console.print(
        f"loss {found.loss:.4f} ({found.interval:.0%} interval {found.low:.4f} to {found.high:.4f}) at {scale}, "
        f"switching after {1 - best.final_share:.4g} of the tokens"
    )
    console.print(
        f"{found.gain:.4f} nats below the best mixture throughout, {found.one_stage_loss:.4f} ({found.interval:.0%} "
        f"interval {found.gain_low:+.4f} to {found.gain_high:+.4f}); a run on the schedule measures the lower loss "
        f"with probability {found.probability_better:.2f}"
    )
    word = "certified" if best.certified else "NOT certified"
    console.print(
        f"{word}: in this model no allowed pair of mixtures with that final phase has a loss lower by more than "
        f"{max(best.gap, 0):.1e} nats"
    )
    for warning in found.warnings:
        console.print(f"warning: {warning}")


def _about_recency(recency: Recency) -> list[str]:
    shortest, longest = recency.shares
    each = ", ".join(
        f"{target} {'open' if factor is None else f'{factor:.2f}'}" for target, factor in recency.by_target.items()
    )
    return [
        f"recency {recency.factor:.2f} (90% interval {recency.low:.2f} to {recency.high:.2f}) of a final phase of "
        f"{recency.length:.3g}: what a token of it counts for each of the phase before; by target alone: {each}",
        f"its odds grow as the length's to the power {recency.power:.2f} (standard error "
        f"{recency.covariance[1][1] ** 0.5:.2f}); from {counted(len(recency.runs), 'run')} with final phases of "
        f"{shortest:.3g} to {longest:.3g}",
        f"runs it has not seen are predicted to within {recency.held_out:.4f} nats; as runs of what they read in all, "
        f"to within {recency.held_out_total:.4f}; it is closer in {recency.closer} of {len(recency.runs)}; runs of one "
        f"mixture differ from the law by {recency.noise:.4f}",
    ]


def _mixtures(found: Schedule) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    epochs = ("epochs",) if found.epochs else ()
    for heading in ("domain", "base", "final", "in all", *epochs, "felt", "one mixture"):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    best = found.best
    named = [mixture.as_dict() for mixture in (best.base, best.final, best.total)]
    after = [mixture.as_dict() for mixture in (found.felt, found.one_stage)]
    for domain in sorted(best.base.domains, key=lambda name: -found.felt.as_dict()[name]):
        passes = [f"{found.epochs[domain]:.2f}"] if epochs else []
        table.add_row(
            domain,
            *(f"{mixture[domain]:.4f}" for mixture in named),
            *passes,
            *(f"{mixture[domain]:.4f}" for mixture in after),
        )
    return table


def _lengths(found: Schedule) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("final share", "recency", "loss", "gap", "below one mixture"):
        table.add_column(heading, justify="right")
    for at in found.shares:
        mark = " *" if at == found.best else ""
        gain = f"{found.one_stage_loss - at.loss:.4f}{mark}"
        recency = f"{found.recency.at(at.final_share):.2f}"
        table.add_row(f"{at.final_share:g}", recency, f"{at.loss:.4f}", f"{max(at.gap, 0):.1e}", gain)
    return table


def _tell_next(console: Console, found: Schedule, output: Path | None) -> None:
    if output is None:
        console.print("Next: give -o late.json, which writes what a plan with [[stages]] and mixlaw export take")
        return
    base, final = mixture_paths(output)
    console.print("in a plan beside plan.toml:", soft_wrap=True)
    console.print(
        f'\nbase = "plan.toml"\nname = "{output.stem}"\nstart = "{base.name}"\n\n[[stages]]\n'
        f'last = {found.best.final_share:g}\nmixture = "{final.name}"\n'
    )
    console.print(
        f"Next: mixlaw train PLAN, or mixlaw export {base} --to FORMAT --stage STEP={final}, with STEP "
        f"{1 - found.best.final_share:.4g} of the run's steps",
        soft_wrap=True,
    )
