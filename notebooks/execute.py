"""Execute every notebook in place: what stands under the cells is what they print, and nothing says when."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

for path in sorted(Path(__file__).parent.glob("*.ipynb")):
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        cell.metadata.clear()
    place = {"metadata": {"path": path.parent}}
    NotebookClient(notebook, timeout=120, record_timing=False, coalesce_streams=True, resources=place).execute()
    nbformat.write(notebook, path)
    print(f"{path}: executed")
