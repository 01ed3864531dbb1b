"""BibTeX text -> the list of references in the documentation; reads only as much BibTeX as references.bib uses."""

import re

ACCENTS = {'{\\"a}': "ä", '{\\"u}': "ü", "{\\'e}": "é", "\\_": "_", "--": "–"}


def entries(text: str) -> dict[str, dict[str, str]]:
    """Read one entry per line: fields by name, under the entry's key."""
    found = {}
    for line in text.splitlines():
        head = re.match(r"@\w+\{(\w+),", line)
        if head:
            found[head[1]] = dict(re.findall(r"(\w+)=\{((?:[^{}]|\{[^{}]*\})*)\}", line))
    return found


def label(entry: dict[str, str]) -> str:
    """Family names and year, such as `Craven and Wahba 1979`."""
    families = [_plain(a).split(",")[0] for a in entry["author"].split(" and ") if a != "others"]
    names = " and ".join(families) if len(families) < 3 and "others" not in entry["author"] else f"{families[0]} et al."
    return f"{names} {entry['year']}"


def render(references: dict[str, dict[str, str]]) -> str:
    """MyST paragraphs in alphabetical order, each with the anchor `ref-KEY`."""
    ordered = sorted(references.items(), key=lambda item: label(item[1]))
    return "\n\n".join(f"(ref-{key})=\n{_paragraph(key, entry)}" for key, entry in ordered)


def _paragraph(key: str, entry: dict[str, str]) -> str:
    authors = "; ".join(_plain(a) for a in entry["author"].split(" and ")).removesuffix(".")
    source = _plain(entry.get("journal", entry.get("publisher", "")))
    numbers = " ".join(entry[k] for k in ("volume", "eprint") if k in entry)
    pages = f", {_plain(entry['pages'])}" if "pages" in entry else ""
    link = f" <https://doi.org/{entry['doi']}>" if "doi" in entry else ""
    end = f"*{source}*{' ' + numbers if numbers else ''}{pages}."
    return f"**{label(entry)}** `{key}`. {authors}. {_plain(entry['title'])}. {end}{link}"


def _plain(text: str) -> str:
    for tex, plain in ACCENTS.items():
        text = text.replace(tex, plain)
    return text.replace("{", "").replace("}", "")
