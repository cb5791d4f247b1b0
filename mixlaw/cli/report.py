"""`mixlaw report`: one page that shows a study, a law or a run table to someone who was not there."""

from pathlib import Path
from typing import Annotated

import typer

from mixlaw.cli.outputs import check_output
from mixlaw.cli.screen import screen
from mixlaw.errors import Refused, naming
from mixlaw.files import write_text
from mixlaw.fitting.law import Law
from mixlaw.fitting.law_file import read_law
from mixlaw.optimize.optimum import Optimum, read_optimum
from mixlaw.optimize.pareto import read_groups
from mixlaw.run_files import SUFFIXES
from mixlaw.runs import read_runs
from mixlaw.study import open_study
from mixlaw.weights import read_weights, weights_of

NAME = "report"
PAGE = "report.html"


def run(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of a study, a law (.json) or a run table.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"The page; {PAGE} in the study, or beside the file.", show_default=False),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Of a law or a run table: importance of targets, .json; equal by default.", show_default=False
        ),
    ] = None,
    optimum: Annotated[
        Path | None, typer.Option(help="Of a law: an optimum found with it, .json.", show_default=False)
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="Of a law: groups of targets, .json, for the front between them.", show_default=False),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Of a study: predicted and measured losses as .svg too, for a README.", show_default=False),
    ] = None,
) -> None:
    """Write one self-contained HTML page with the figures and tables of a study, a law or a run table.

    Example: mixlaw report law.json -o law.html
    """
    page = output or (source / PAGE if source.is_dir() else source.with_suffix(".html"))
    check_output(output, ".html", "a page")
    _only(source, weights=weights, optimum=optimum, groups=groups, figure=figure)
    if source.is_dir():
        text = _study(source, figure)
    elif source.suffix.lower() == ".json":
        text = _law(source, weights, optimum, groups)
    elif source.suffix.lower() in SUFFIXES:
        text = _runs(source, weights)
    else:
        raise Refused(f"{source} is no study, law or run table; name a folder, a .json or one of {', '.join(SUFFIXES)}")
    write_text(page, text)
    screen().print(f"{page}: written\nNext: open {page} in a browser")


def _only(source: Path, **given: Path | None) -> None:
    """Refuse flags that what is reported does not know, rather than leave them unheard."""
    known = {"figure"} if source.is_dir() else {"weights", "optimum", "groups"}
    if not source.is_dir() and source.suffix.lower() != ".json":
        known = {"weights"}
    for name, value in given.items():
        if value is not None and name not in known:
            raise Refused(f"--{name} says nothing about {source}; leave it out (see mixlaw report --help)")


def _study(folder: Path, figure: Path | None) -> str:
    from mixlaw.report.sections.outcome import readme_figure
    from mixlaw.report.study import study_page

    study = open_study(folder)
    if figure is not None:
        if not study.outcomes:
            raise Refused(f"{folder} has no full runs to hold against predictions; leave --figure out, or train them")
        write_text(figure, readme_figure(study.outcomes))
    return study_page(study)


def _law(path: Path, weights: Path | None, optimum: Path | None, groups: Path | None) -> str:
    from mixlaw.report.law import law_page

    law = read_law(path)
    return law_page(
        law,
        path,
        weights=read_weights(weights, law.targets),
        optimum=None if optimum is None else _optimum_of(law, optimum),
        groups=None if groups is None else read_groups(groups, law.targets),
        files=_named(weights=weights, optimum=optimum, groups=groups),
    )


def _optimum_of(law: Law, path: Path) -> Optimum:
    """Read an optimum; refuse one of other domains or targets than the law's."""
    found = read_optimum(path)
    with naming(path):
        found.mixture.aligned(law.domains)
        weights_of(found.weights, law.targets)
    return found


def _runs(path: Path, weights: Path | None) -> str:
    from mixlaw.report.runs import runs_page

    table = read_runs(path)
    return runs_page(table, path, weights=read_weights(weights, table.targets), files=_named(weights=weights))


def _named(**given: Path | None) -> dict[str, Path]:
    return {flag: file for flag, file in given.items() if file is not None}
