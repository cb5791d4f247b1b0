"""The notebooks are run, not believed: what is stored under their cells is what the cells print."""

import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")

MOST_CELLS = 12
DIGITS = 2e-3
"""By how much numbers may differ between machines: the third decimal of a loss."""


def said(notebook: NotebookNode) -> list[str]:
    """What every cell says as text, in order; a picture says only that it is one."""
    cells = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    # A kernel sends what a cell prints in as many pieces as it comes to be sent in.
    return ["".join(output.get("text") or output["data"]["text/plain"] for output in outputs) for outputs in cells]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # of the machinery that runs kernels
def test_a_notebook_prints_what_is_stored_in_it(path: Path) -> None:
    stored = nbformat.read(path, 4)
    assert len(stored.cells) <= MOST_CELLS
    fresh = nbformat.read(path, 4)
    begun = time.monotonic()
    NotebookClient(fresh, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert time.monotonic() - begun < 60
    assert len(said(fresh)) == len(said(stored))
    for new, old in zip(said(fresh), said(stored), strict=True):
        assert NUMBER.sub("#", new).split() == NUMBER.sub("#", old).split()
        numbers = [float(text) for text in NUMBER.findall(old)]
        close = pytest.approx(numbers, abs=DIGITS, rel=DIGITS)
        assert [float(text) for text in NUMBER.findall(new)] == close, (
            "if laws or the study have changed: make notebooks"
        )


def test_the_first_notebook_needs_no_torch() -> None:
    assert "torch was imported: False" in "".join(said(nbformat.read(NOTEBOOKS[0], 4)))


def test_stored_cells_were_run_from_top_to_bottom_without_errors() -> None:
    for path in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
