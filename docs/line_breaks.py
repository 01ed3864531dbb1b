"""Pages whose lines end where a reader would end them: not between a number and its unit, nor within a name."""

import re

from docutils import nodes

SHORT_NAME = 16
GAP = re.compile(r"(?<=\d) (?=(?:%|±|×|nats?\b|\d{3}\b))|(?<=[±×]) (?=[.\d])")
PART = re.compile(r"(?<=\w\w\w[._(=/,])(?=[A-Za-z]{3})")
VERBATIM = nodes.literal | nodes.literal_block | nodes.math | nodes.math_block


def join_numbers(doctree):
    """Keep a number with its unit, its error and its digits."""
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, VERBATIM):
            text.parent.replace(text, nodes.Text(GAP.sub("\N{NO-BREAK SPACE}", text)))


def join_formulas(doctree):
    """Keep a formula with the comma or bracket after it."""
    for formula in list(doctree.findall(nodes.math)):
        after = formula.next_node(descend=False, siblings=True)
        stop = re.match(r"[),.;:’]+", after) if isinstance(after, nodes.Text) else None
        if stop:
            after.parent.replace(after, nodes.Text(after[stop.end() :]))
            formula.replace_self(nodes.inline("", "", formula.deepcopy(), nodes.Text(stop[0]), classes=["whole"]))


def divide_names(doctree):
    """Keep short names whole; long ones may end a line between their parts."""
    for name in list(doctree.findall(nodes.literal)):
        first, *parts = PART.split(name.astext())
        if len(name.astext()) <= SHORT_NAME:
            name["classes"].append("whole")
        elif len(name.children) == 1:
            name.clear()
            name.append(nodes.Text(first))
            for part in parts:
                name.extend([nodes.raw("", "<wbr>", format="html"), nodes.Text(part)])


def setup(app):
    """Do all of that to every page that is read."""
    for step in (join_numbers, join_formulas, divide_names):
        app.connect("doctree-read", lambda app, doctree, step=step: step(doctree))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
