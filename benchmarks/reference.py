"""Where benchmarks find the published runs, and how they write what they measured."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def reference_folder() -> Path:
    """The folder of published run tables: `MIXLAW_REFERENCE`, or ../shared/reference beside the repository."""
    folder = Path(os.environ.get("MIXLAW_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        sys.exit(f"the published run tables are not at {folder}; set MIXLAW_REFERENCE to their folder")
    return folder


def markdown(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A table; floats with four decimals, columns as wide as their longest entry."""
    cells = [list(header)] + [[f"{c:.4f}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def write_results(name: str, sections: Sequence[str]) -> None:
    """Write what was printed to benchmarks/results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / name).write_text("\n\n".join(sections) + "\n", encoding="utf-8")
