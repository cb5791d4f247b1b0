"""`mixlaw report`: one page that shows a study to someone who was not there."""

from pathlib import Path
from typing import Annotated

import typer

from mixlaw.cli.screen import screen
from mixlaw.files import write_text
from mixlaw.study import open_study

NAME = "report"
PAGE = "report.html"


def run(
    study: Annotated[
        Path, typer.Argument(help="Folder of a study: plan.toml and what came of it.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help=f"The page; {PAGE} in the folder by default.", show_default=False),
    ] = None,
) -> None:
    """Write one self-contained HTML page with the figures and tables of a study.

    Example: mixlaw report demo
    """
    from mixlaw.report.study import study_page

    page = output or study / PAGE
    write_text(page, study_page(open_study(study)))
    screen().print(f"{page}: written\nNext: open {page} in a browser")
