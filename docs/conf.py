"""Sphinx settings: pages in MyST, notebooks with the outputs that are committed, references from references.bib."""

import importlib.metadata
import re
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bibliography import entries, label, render
from docutils import nodes

HERE = Path(__file__).parent
REFERENCES = entries((HERE / "references.bib").read_text(encoding="utf-8"))

project = "bayespde"
author = "The bayespde authors"
project_copyright = "The bayespde authors"
release = importlib.metadata.version("bayespde")
version = ".".join(release.split(".")[:2])

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml_pages", "line_breaks"]
exclude_patterns = [
    "_build",
    "conf.py",
    "bibliography.py",
    "mathml_pages.py",
    "line_breaks.py",
    "figures.py",
    "execute_notebooks.py",
]
default_role = "code"
highlight_language = "text"

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "fieldlist"]
myst_heading_anchors = 3
math_eqref_format = "({number})"
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "bayespde"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"developers": []}
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"

warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)


def copy_notebooks(app):
    """Copy the notebooks, which live next to docs/, to where Sphinx looks for pages, and adapt their links."""
    folder = HERE / "notebooks"
    folder.mkdir(exist_ok=True)
    for source in (HERE.parent / "notebooks").glob("*.ipynb"):
        target, text = folder / source.name, source.read_text(encoding="utf-8").replace("](../docs/", "](../")
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def list_references(app, page, source):
    """Write the bibliography into its page."""
    if page == "references":
        source[0] = source[0].replace("<!-- references -->", render(REFERENCES))


def link_citations(app, what, name, obj, options, lines):
    """Turn `[key]` and `[key1, key2]` in docstrings into links to the bibliography."""
    keys = "|".join(REFERENCES)

    def link(match):
        found = (k.strip() for k in match[1].split(","))
        return "(" + "; ".join(f":ref:`{label(REFERENCES[k])} <ref-{k}>`" for k in found) + ")"

    for i, line in enumerate(lines):
        lines[i] = re.sub(rf"\[((?:{keys})(?:,\s*(?:{keys}))*)\]", link, line)


def describe_figures(app, doctree):
    """Name the line of a notebook that drew a figure, for readers who do not see it; the text says what it shows."""
    for cell in doctree.findall(lambda node: "cell" in getattr(node, "attributes", {}).get("classes", ())):
        code = next(iter(cell.findall(nodes.literal_block)), nodes.literal_block()).astext()
        drawn = re.findall(r"figures\.plot_.*", code)
        for image in cell.findall(nodes.image):
            image["alt"] = f"Figure drawn by {drawn[-1]}" if drawn else "Figure drawn by the code above"


def skip_field_numbers(app, what, name, obj, skip, options):
    """Leave out the generated docstrings of the fields of a NamedTuple; the class describes them."""
    return True if (obj.__doc__ or "").startswith("Alias for field number") else None


def setup(app):
    """Connect the steps above."""
    app.connect("builder-inited", copy_notebooks)
    app.connect("source-read", list_references)
    app.connect("doctree-read", describe_figures)
    app.connect("autodoc-process-docstring", link_citations)
    app.connect("autodoc-skip-member", skip_field_numbers)
