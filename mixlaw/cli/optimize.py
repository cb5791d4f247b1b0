"""`mixlaw optimize`: the best mixture under limits, with its proof."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mixlaw.cli.limit_flags import (
    AtMost,
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
from mixlaw.errors import Refused
from mixlaw.files import sha256, to_json
from mixlaw.fitting.law_file import read_law
from mixlaw.mixture import Mixture, read_mixture
from mixlaw.optimize.find import SLACK, optimize
from mixlaw.optimize.optimum import Optimum, write_optimum
from mixlaw.weights import read_weights
from mixlaw.wording import in_shell, in_words

NAME = "optimize"

SHOWN = 40
"""Domains listed; the file has them all."""


def run(
    law: Law,
    params: Params = None,
    tokens: Tokens = None,
    weights: Annotated[
        Path | None, typer.Option(help="Importance of targets: .json; equal by default.", show_default=False)
    ] = None,
    objective: Annotated[
        str, typer.Option(help="mean, the weighted loss; worst, the largest one; robust, by the worst of refits.")
    ] = "mean",
    cap: Cap = None,
    floor: Floor = None,
    limit: Limit = None,
    available: Available = None,
    max_epochs: MaxEpochs = None,
    at_most: AtMost = None,
    prior: Annotated[Path | None, typer.Option(help="Mixture to stay near: .json.", show_default=False)] = None,
    kl: Annotated[
        float | None,
        typer.Option(help="With --prior: nats of loss per nat of divergence from it; 0.05.", show_default=False),
    ] = None,
    within_kl: Annotated[
        float | None, typer.Option(help="With --prior: largest divergence allowed, nats.", show_default=False)
    ] = None,
    natural: Annotated[
        Path | None, typer.Option(help="Natural mixture, where --available is not given: .json.", show_default=False)
    ] = None,
    current: Annotated[
        Path | None, typer.Option(help="Mixture in use, to compare with: .json.", show_default=False)
    ] = None,
    slack: Annotated[
        float, typer.Option(help="Nats within which mixtures count as near-optimal; 0 leaves their ranges out.")
    ] = SLACK,
    trust: Trust = False,
    discount_repeats: Annotated[
        bool, typer.Option("--discount-repeats", help="With --available: count repeated data for less (2305.16264).")
    ] = False,
    interval: Annotated[float, typer.Option(help="How often the interval is to hold the measured loss.")] = 0.9,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Optimum to write: .json.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the optimum file instead of tables.")] = False,
) -> None:
    """Find the best mixture under limits, prove it, and say what it is worth.

    Example: mixlaw optimize law.json --tokens 2e10 --available tokens.json --max-epochs 4 -o optimum.json
    """
    check_output(output, ".json", "an optimum")
    if natural is not None and available is not None:
        raise Refused("--available gives the natural mixture, that of its tokens; leave --natural out, or --available")
    fitted = read_law(law)
    limits = limits_from(fitted.domains, cap, floor, limit, available, tokens, max_epochs)
    found = optimize(
        fitted,
        params=params,
        tokens=tokens,
        weights=read_weights(weights, fitted.targets),
        limits=limits,
        objective=objective,
        prior=None if prior is None else read_mixture(prior, fitted.domains),
        kl=kl,
        within_kl=within_kl,
        at_most=pairs(at_most, "--at-most"),
        baselines={
            name: read_mixture(path, fitted.domains)
            for name, path in (("natural", natural), ("current", current))
            if path is not None
        },
        slack=slack,
        trust=trust,
        discount_repeats=discount_repeats,
        interval=interval,
    )
    found = replace(found, origin={**found.origin, "law_sha256": sha256(law)})
    if output is not None:
        write_optimum(found, output)
    if json:
        print(to_json(found.as_json()), end="")
        return
    console = screen()
    show(console, found)
    if output is None:
        console.print("Next: give -o optimum.json, then mixlaw export optimum.json --to FORMAT")
    else:
        file = in_shell(output)
        console.print(
            f"Next: mixlaw export {file} --to FORMAT, mixlaw report {in_shell(law)} --optimum {file}, or mixlaw train "
            f"PLAN --mixture {file}",
            soft_wrap=True,
        )


def show(console: Console, found: Optimum) -> None:
    """Print an optimum for people."""
    _mixtures(console, found)
    _losses(console, found)
    for active in found.active:
        console.print(active.said)
    what = "largest loss" if found.objective == "worst" else "loss"
    scale = f"{in_words(found.predicted_params)} params, {in_words(found.predicted_tokens)} tokens"
    console.print(
        f"{what} {found.loss:.4f} ({found.interval:.0%} interval {found.low:.4f} to {found.high:.4f}) at {scale}",
    )
    if found.gap is None:
        console.print("NOT certified: nothing proves that no allowed mixture is better")
    else:
        word = "certified" if found.certified else "NOT certified"
        console.print(
            f"{word}: no allowed mixture has a predicted loss lower by more than {max(found.gap, 0):.1e} nats",
        )
    for warning in found.warnings:
        console.print(f"warning: {warning}")


def _mixtures(console: Console, found: Optimum) -> None:
    named: Mapping[str, Mixture] = {name: baseline.mixture for name, baseline in found.baselines.items()}
    table = Table(box=None, pad_edge=False, header_style="dim")
    ranges = ("near-optimal",) if found.near_optimal else ()
    epochs = ("epochs",) if found.epochs else ()
    for heading in ("domain", "optimum", *epochs, *ranges, *named):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    domains = sorted(found.mixture.domains, key=lambda domain: -found.mixture.as_dict()[domain])
    for domain in domains[:SHOWN]:
        cells = [f"{found.mixture.as_dict()[domain]:.4f}"]
        if epochs:
            cells.append(f"{found.epochs[domain]:.2f}")
        if ranges:
            low, high = found.near_optimal[domain]
            cells.append(f"{low:.3f} to {high:.3f}")
        table.add_row(domain, *cells, *(f"{mixture.as_dict()[domain]:.4f}" for mixture in named.values()))
    if len(domains) > SHOWN:
        table.add_row(f"... {len(domains) - SHOWN} more")
    console.print(table)
    if ranges:
        console.print(f"near-optimal: what the proportion can be within {found.slack:g} nats of the best")


def _losses(console: Console, found: Optimum) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("mixture", "predicted loss", "above the optimum", "P(optimum better)", ""):
        table.add_column(heading, justify="left" if heading in ("mixture", "") else "right")
    table.add_row("optimum", f"{found.loss:.4f}", "", "", "")
    for name, baseline in found.baselines.items():
        better = "" if baseline.probability_better is None else f"{baseline.probability_better:.2f}"
        outside = "" if baseline.allowed else "outside the limits"
        table.add_row(name, f"{baseline.loss:.4f}", f"{baseline.loss - found.loss:+.4f}", better, outside)
    console.print(table)
