"""The notebook, cell by cell."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_quickstart_runs_and_gives_what_it_shows(tmp_path):
    shown = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    for cell, before in zip(notebook.cells, shown.cells, strict=True):
        assert [*map(_kind, cell.get("outputs", []))][-1:] == [*map(_kind, before.get("outputs", []))][-1:], cell.source
    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert printed.count("test_accuracy") == 1 and printed.count("epoch 5/5") == 1  # told once, whatever tells it
    assert "('completed', 0.9" in str(notebook.cells)


def _kind(output) -> str:
    return output.output_type
