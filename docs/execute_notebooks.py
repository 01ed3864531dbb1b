"""notebooks/*.py -> the same notebooks, executed, as notebooks/*.ipynb: `python docs/execute_notebooks.py [NAME ...]`.

The output depends on the notebook and its results only: no times, no paths, no random names of cells, and no warnings.
`jupytext --execute` does not guarantee this. `--short` runs every cell with fewer particles and writes nothing.
`--prose` executes nothing: where only the prose has changed, it keeps the outputs.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SECONDS = 900
LARGEST = 500_000
DPI = 80


def read(source: Path) -> nbformat.NotebookNode:
    """Read a source as a notebook without outputs."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.NotebookNode()
    notebook.metadata = nbformat.NotebookNode(
        jupytext={"formats": "ipynb,py:percent"},
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    return nbformat.validator.normalize(notebook)[1]


def execute(notebook: nbformat.NotebookNode, folder: str | Path) -> None:
    """Run all cells in order, with `folder` as the working folder.

    Raises:
        AssertionError: If a cell wrote a warning.
    """
    Path(folder, "matplotlibrc").write_text(f"figure.dpi: {DPI}\n", encoding="utf-8")
    metadata = notebook.metadata.copy()
    options = {"kernel_name": "python3", "record_timing": False, "resources": {"metadata": {"path": str(folder)}}}
    NotebookClient(notebook, timeout=SECONDS, **options).execute()
    notebook.metadata = metadata
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = join_printed(cell.outputs)
            warned = [o.text for o in cell.outputs if o.get("name") == "stderr"]
            assert not warned, f"{cell.source}\n{warned}"


def join_printed(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Join consecutive pieces of printed text, which the kernel cuts at random."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if kept and output.get("name", "figure") == kept[-1].get("name"):
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def keep_outputs(notebook: nbformat.NotebookNode, outputs_from: Path) -> None:
    """Copy the outputs of the same code into a notebook with new prose.

    Raises:
        AssertionError: If the code has changed.
    """
    kept = [c for c in nbformat.read(outputs_from, as_version=4).cells if c.cell_type == "code"]
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.source for c in kept] == [c.source for c in code], f"{outputs_from.stem}: its code has changed"
    for new, old in zip(code, kept, strict=True):
        new.outputs, new.execution_count = old.outputs, old.execution_count


def main(arguments: list[str]) -> None:
    """Execute the notebooks that are named, or all."""
    is_short, is_prose = "--short" in arguments, "--prose" in arguments
    os.environ["BAYESPDE_SHORT"] = str(int(is_short))
    names = [a for a in arguments if not a.startswith("--")]
    for source in [NOTEBOOKS / f"{n}.py" for n in names] or sorted(NOTEBOOKS.glob("*.py")):
        started, notebook = time.perf_counter(), read(source)
        if is_prose:
            keep_outputs(notebook, source.with_suffix(".ipynb"))
        else:
            with tempfile.TemporaryDirectory() as folder:
                execute(notebook, folder)
        text = nbformat.writes(notebook) + "\n"
        assert len(text) <= LARGEST, f"{source.stem}: {len(text)} bytes"
        if not is_short:
            source.with_suffix(".ipynb").write_text(text, encoding="utf-8")
        print(f"{source.stem}: {time.perf_counter() - started:.0f} s, {len(text) // 1000} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
