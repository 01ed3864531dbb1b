"""Every notebook runs from top to bottom in its short mode, and what is committed of it belongs to its source."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def tool():
    """What `make notebooks` runs."""
    for name in ("jupytext", "nbclient", "ipykernel"):
        pytest.importorskip(name)
    spec = importlib.util.spec_from_file_location("execute_notebooks", ROOT / "docs" / "execute_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))


def text_of(cell):
    return "".join(cell["source"])


@EACH
@pytest.mark.slow
def test_notebook_runs(path, tool, tmp_path, monkeypatch):
    monkeypatch.setenv("BAYESPDE_SHORT", "1")
    monkeypatch.delenv("BAYESPDE_VIDEO", raising=False)
    notebook = tool.read(path)
    tool.execute(notebook, tmp_path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@EACH
def test_outputs_belong_to_the_source(path):
    jupytext = pytest.importorskip("jupytext")
    source, kept = jupytext.read(path), committed(path)
    said = [(cell.cell_type, cell.source) for cell in source.cells]
    assert [(cell["cell_type"], text_of(cell)) for cell in kept["cells"]] == said, "run `make notebooks`"


@EACH
def test_outputs_are_whole_and_of_no_machine(path):
    text = path.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert len(text) <= 500_000
    assert not re.search(r"/(home|work|tmp|root|Users)/|site-packages|Warning:", text)
    kept = committed(path)
    assert set(kept["metadata"]) == {"jupytext", "kernelspec", "language_info"}
    assert [cell["id"] for cell in kept["cells"]] == [f"cell-{k:02}" for k in range(len(kept["cells"]))]
    assert not any(cell["metadata"] for cell in kept["cells"])
    code = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs)


@EACH
def test_notebook_asks_answers_and_uses_public_names_only(path):
    cells = committed(path)["cells"]
    assert re.search(r"^\*\*[^*]+\?\*\*$", text_of(cells[0]), flags=re.M)
    end = text_of(cells[-1])
    assert "## To take home" in end
    assert len(re.findall(r"^- ", end, flags=re.M)) == 3
    assert "../docs/" in end
    code = [text_of(cell) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) <= 16
    assert not re.search(r"bayespde\.|from bayespde|\bbp\.[\w.]*\._", "\n".join(code))


def test_gallery_names_every_notebook():
    gallery = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(notebooks/(\w+)\.ipynb\)", gallery))
    assert linked == set(re.findall(r"^notebooks/(\w+)$", gallery, flags=re.M)) == {p.stem for p in SOURCES}
