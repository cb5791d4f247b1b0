"""Flags that say which mixtures are allowed, the same for every verb that has them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mixlaw.cli.counts import METAVAR, count
from mixlaw.cli.pairs import pairs
from mixlaw.errors import Refused, naming, one_of
from mixlaw.export.sizes import read_sizes
from mixlaw.files import read_json
from mixlaw.limits import Limits
from mixlaw.optimize.linear import with_linear_limits
from mixlaw.weights import read_numbers

Law = Annotated[Path, typer.Argument(help="Law: .json.", show_default=False, metavar="LAW")]
Params = Annotated[
    float | None,
    typer.Option(
        parser=count, metavar=METAVAR, help="Non-embedding parameters; the largest measured.", show_default=False
    ),
]
Tokens = Annotated[
    float | None,
    typer.Option(
        parser=count,
        metavar=METAVAR,
        help="Tokens to be trained on; the most measured. Needed with --available.",
        show_default=False,
    ),
]
Cap = Annotated[list[str] | None, typer.Option(help="Largest proportion, domain=0.3; repeatable.", show_default=False)]
Floor = Annotated[
    list[str] | None, typer.Option(help="Smallest proportion, domain=0.02; repeatable.", show_default=False)
]
Limit = Annotated[
    list[str] | None, typer.Option(help="Linear limit, 'code + math <= 0.4'; repeatable.", show_default=False)
]
Available = Annotated[
    Path | None, typer.Option(help="Unique tokens by domain: .json, or a corpus folder.", show_default=False)
]
MaxEpochs = Annotated[
    float | None, typer.Option(help="With --available: passes over a domain allowed; 4.", show_default=False)
]
EPOCHS = 4.0
"""Passes over a domain that are allowed where none are named: up to so many, repeats are worth almost as much as new
text (Muennighoff et al. 2023, 2305.16264)."""
AtMost = Annotated[
    list[str] | None,
    typer.Option(help="Largest predicted loss allowed, target=1.84; repeatable.", show_default=False),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Keep every domain within 1.5 times the largest proportion of any run.")
]


def limits_from(
    domains: tuple[str, ...],
    cap: list[str] | None,
    floor: list[str] | None,
    limit: list[str] | None,
    available: Path | None,
    tokens: float | None,
    max_epochs: float | None,
) -> Limits:
    """The limits that flags ask for.

    Raises:
        Refused: for flags that cannot be read, unknown domains, or limits that no mixture meets.
    """
    if max_epochs is not None and available is None:
        raise Refused("--max-epochs counts passes over the tokens at hand; give --available and --tokens too")
    limits = Limits.of(
        domains,
        floors=pairs(floor, "--floor"),
        caps=pairs(cap, "--cap"),
        available=None if available is None else read_available(available, domains),
        budget_tokens=tokens,
        max_epochs=EPOCHS if max_epochs is None else max_epochs,
    )
    return with_linear_limits(limits, limit or [])


def read_available(path: Path, domains: Sequence[str] | None = None) -> dict[str, float]:
    """Unique tokens by domain: `{domain: tokens}`, sizes as `mixlaw export` reads them, or the folder of a corpus.

    Raises:
        Refused: naming the file; where `domains` are given, also for one of them that it lacks or one beside them.
    """
    tokens = _available(path)
    if domains is not None:
        with naming(path):
            for domain in tokens:
                one_of(domain, domains, "domain")
            lacking = [domain for domain in domains if domain not in tokens]
            if lacking:
                raise Refused(f"available tokens are not given for {', '.join(lacking)}; give every domain")
    return tokens


def _available(path: Path) -> dict[str, float]:
    if not path.is_dir():
        content = read_json(path)
        if isinstance(content, dict) and all(not isinstance(value, dict) for value in content.values()):
            return read_numbers(path, "available tokens")
    sizes = read_sizes(path)
    if not sizes:
        raise Refused(f"{path} gives no domain any tokens; write {{'domain': tokens}}")
    return {domain: size.tokens for domain, size in sizes.items()}
