"""`mixlaw critical`: how much old data a model must go on seeing so as not to forget."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from mixlaw.cli.limit_flags import Law, Params, Tokens
from mixlaw.cli.outputs import check_output
from mixlaw.cli.screen import screen
from mixlaw.files import to_json, write_json
from mixlaw.fitting.law_file import read_law
from mixlaw.mixture import read_mixture
from mixlaw.optimize.critical import Critical, critical
from mixlaw.wording import in_shell, in_words

NAME = "critical"


def run(
    law: Law,
    old: Annotated[str, typer.Option(help="Domain of the old data.", show_default=False)],
    target: Annotated[str, typer.Option(help="Target that must not be forgotten.", show_default=False)],
    at_most: Annotated[
        float, typer.Option(help="Largest loss allowed, nats: that before continual training.", show_default=False)
    ],
    rest: Annotated[
        Path | None, typer.Option(help="Proportions of the other domains: .json; equal.", show_default=False)
    ] = None,
    params: Params = None,
    tokens: Tokens = None,
    interval: Annotated[float, typer.Option(help="How often the interval is to hold the measured loss.")] = 0.9,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Mixture at the critical proportion: .json.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find the proportion of old data below which continual training forgets.

    Example: mixlaw critical law.json --old web --target web --at-most 2.2
    """
    check_output(output, ".json", "a mixture")
    fitted = read_law(law)
    found = critical(
        fitted.at(params, tokens),
        old,
        target,
        at_most,
        rest=None if rest is None else read_mixture(rest, fitted.domains),
        interval=interval,
    )
    if output is not None:
        write_json(output, found.mixture.as_dict())
    if json:
        content = {**asdict(found), "rest": found.rest.as_dict(), "mixture": found.mixture.as_dict()}
        print(to_json(content), end="")
        return
    console = screen()
    for line in sentences(found):
        console.print(line)
    for warning in found.warnings:
        console.print(f"warning: {warning}")
    console.print(f"Next: {_advice(law, found)}")


def _advice(law: Path, found: Critical) -> str:
    """What to do: a floor where one is safe, a run where none is."""
    if found.high is None:
        return (
            f"train a run with {found.proportion:.3f} to {found.until:.3f} of '{found.domain}' and fit again, or raise "
            f"--at-most: the runs cannot tell which proportion is safe"
        )
    if found.high == 0:
        return f"mixlaw optimize {in_shell(law)}; no floor is needed for '{found.domain}'"
    floor = np.ceil(found.high * 1e3) / 1e3
    least, most = in_shell(f"{found.domain}={floor:.3f}"), in_shell(f"{found.target}={found.at_most:g}")
    return f"mixlaw optimize {in_shell(law)} --floor {least}, or --at-most {most}"


def sentences(found: Critical) -> list[str]:
    """What was found, in words."""
    scale = f"at {in_words(found.params)} params, {in_words(found.tokens)} tokens"
    limit = f"the loss of '{found.target}' stays at or below {found.at_most:g}"
    if found.proportion == 0:
        said = [f"{scale} {limit} even without '{found.domain}'"]
    else:
        said = [
            f"{scale} {limit} from a proportion of {found.proportion:.4f} of '{found.domain}' on; below, it forgets"
        ]
    if found.until < 1:
        said.append(f"above a proportion of {found.until:.4f} the loss exceeds the limit again")
    if found.high is None:
        said.append(f"no proportion keeps a measured loss there with {0.5 + found.interval / 2:.0%} probability")
    elif found.high == 0:
        said.append(f"a run measured next keeps it there with {0.5 + found.interval / 2:.0%} probability too")
    else:
        low = found.high if found.low is None else found.low
        said.append(
            f"{found.interval:.0%} interval of the critical proportion, for a run measured next: {low:.4f} to "
            f"{found.high:.4f}; {found.high:.4f} is the safe choice"
        )
    shares = ", ".join(f"{name} {share:.3g}" for name, share in found.rest.as_dict().items())
    if len(found.rest.domains) > 1:
        said.append(f"the rest of the mixture is shared as {shares}")
    return said
