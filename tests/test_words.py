"""Retired words appear in no name, page, docstring, message, figure or file format."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bayespde", "docs", "notebooks", "models", ".github")
SUFFIXES = {".py", ".md", ".toml", ".html", ".yml", ".yaml", ".cff"}
BUILT = {"_build", "jupyter_execute", "__pycache__"}
# The history of changes may name what it changed.
EXEMPT = {"CHANGELOG.md"}


def entries():
    """Triples of word, standard term and allowed phrases."""
    lines = (ROOT / "tests" / "retired_words.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.strip() and not line.startswith("#"):
            word, term, *allowed = (part.strip() for part in line.split("|"))
            yield word, term, [a.strip() for a in allowed[0].split(",")] if allowed else []


def pattern(phrase):
    return r"[\s_-]+".join(map(re.escape, phrase.split()))


def texts():
    files = [p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES]
    files += [p for p in ROOT.iterdir() if p.suffix in SUFFIXES and p.name not in EXEMPT]
    return [p for p in files if not BUILT & set(p.parts)]


TEXTS = {p: p.read_text(encoding="utf-8") for p in texts()}


@pytest.mark.parametrize(("word", "term", "allowed"), list(entries()), ids=lambda v: v if isinstance(v, str) else "")
def test_retired_word_is_not_used(word, term, allowed):
    found = re.compile(rf"(?<![A-Za-z]){pattern(word)}(?![A-Za-z])", re.IGNORECASE)
    keep = re.compile("|".join(map(pattern, allowed)) or r"(?!)", re.IGNORECASE)
    places = []
    for path, text in TEXTS.items():
        name = str(path.relative_to(ROOT))
        for number, line in enumerate([name, *text.splitlines()]):
            # The allowed phrases are blanked, so that a word may stand next to one.
            if found.search(keep.sub("", line)):
                places.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not places, f"say '{term}':\n" + "\n".join(places[:20])


def test_the_words_are_told_apart_from_parts_of_words():
    words = dict.fromkeys(word for word, *_ in entries())
    assert len(words) == len(list(entries()))
    assert re.search(rf"(?<![A-Za-z]){pattern('rim')}(?![A-Za-z])", "the rim_data", re.IGNORECASE)
    assert not re.search(rf"(?<![A-Za-z]){pattern('rim')}(?![A-Za-z])", "primary trim", re.IGNORECASE)
