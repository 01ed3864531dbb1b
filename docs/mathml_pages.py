"""Formulas as MathML, made when pages are built: they are read without a network, and without a script."""

import re

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)


def mathml(latex: str, *, is_display: bool) -> str:
    r"""Convert one formula; `equation`, `align` and others are taken without their numbers, which Sphinx counts.

    Raises:
        LatexError: If it has a command that is not known, or is not LaTeX.
    """
    latex = re.sub(r"\\(begin|end)\{(equation|align|gather|multline)\}", r"\\\1{\2*}", latex.strip())
    latex = re.sub(r"\\(begin|end)\{split\}", r"\\\1{aligned}", latex)
    if r"\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    return CONVERTER.convert_with_local_state(latex, displaystyle=is_display)


def visit_math(writer, node):
    """Write a formula that stands in a line."""
    writer.body.append(writer.starttag(node, "span", "", CLASS="math") + _converted(writer, node, False) + "</span>")
    raise nodes.SkipNode


def visit_math_block(writer, node):
    """Write a formula that stands by itself, with its number and a link to it."""
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    if node.get("number"):
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append(_converted(writer, node, True) + "</div>\n")
    raise nodes.SkipNode


def _converted(writer, node, is_display):
    try:
        return mathml(node.astext(), is_display=is_display)
    except LatexError as error:
        LOGGER.warning("no formula: %s: %s", node.astext(), error, location=node)
        return f"<code>{writer.encode(node.astext())}</code>"


def setup(app):
    """Let Sphinx write formulas in this way."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
