"""What the final phase of a run owes to each of its domains, as `mixlaw probe` measured it."""

from pathlib import Path

import pandas as pd

from mixlaw.errors import Refused
from mixlaw.report.figures.choice import differences
from mixlaw.report.page import Cell, Column, Drawing, Section, Table

COLUMNS = ("runs", "weighted", "difference")
"""Numbers of each way: how many runs, mean weighted loss, and by how much it is above that of the first way."""


def probed(path: Path) -> Section | None:
    """The ways that a probe compared; None where there is no probe.

    Raises:
        Refused: for a table that is not one of a probe.
    """
    if not path.is_file():
        return None
    try:
        frame = pd.read_csv(path, dtype={"way": str})
        ways, values = frame["way"].tolist(), frame[list(COLUMNS)].to_numpy(dtype=float)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, KeyError, ValueError) as error:
        raise Refused(f"{path} is not the table of a probe ({error}); delete it, or run mixlaw probe again") from None
    rows: list[list[Cell]] = [[way, *map(float, row)] for way, row in zip(ways, values, strict=True)]
    columns = [Column("way"), Column("runs", ".0f"), Column("weighted loss", ".4f"), Column("difference", "+.4f")]
    return Section(
        title="What the final phase owes to each domain",
        paragraphs=["Full runs that share their first part and differ in their last, and controls; means over seeds."],
        figures=[
            Drawing.of(
                differences(ways[1:], values[1:, 2]),
                "Weighted loss above that of the run that switched to the final mixture. Right of zero: worse without "
                "the domain, or without the switch.",
            )
        ]
        if len(ways) > 1
        else [],
        tables=[Table.of(columns, rows, "nats per token")],
    )
