"""Reading an HTML page in tests: its tree, its text, and whether it stands on its own."""

import base64
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict
    children: list = field(default_factory=list)
    texts: list = field(default_factory=list)

    def all(self, tag):
        found = [self] if self.tag == tag else []
        return found + [e for child in self.children for e in child.all(tag)]

    def everything_of(self, tag, role):
        return [e for e in self.all(tag) if e.attributes.get("role") == role]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


class Page(HTMLParser):
    """The tree of a page; a tag that is not closed, or closed twice, is an error."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source, self.root = source, Element("root", {})
        self.open = [self.root]
        self.feed(source)
        self.close()
        assert self.open == [self.root], [e.tag for e in self.open]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, (self.open[-1].tag, tag)
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.texts.append(data)

    def all(self, tag):
        return self.root.all(tag)

    def by_id(self, name):
        return next(e for e in self.everything() if e.attributes.get("id") == name)

    def everything(self, element=None):
        for child in (element or self.root).children:
            yield child
            yield from self.everything(child)


def decoded(source):
    """Width and height of an embedded picture, which is read to its end."""
    from PIL import Image

    kind, content = re.fullmatch(r"data:image/(png|svg\+xml);base64,([A-Za-z0-9+/=]+)", source).groups()
    data = base64.b64decode(content, validate=True)
    if kind == "png":
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.size
    root = ElementTree.fromstring(data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return tuple(float(v) for v in root.attrib["viewBox"].split()[2:])


def check(page):
    """What every page must be, whatever it shows."""
    everything = list(page.everything())
    ids = [e.attributes["id"] for e in everything if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"] for e in page.all("a")]
    assert all(link.startswith("#") and link[1:] in ids for link in links), links
    labels = [e.attributes["aria-labelledby"] for e in everything if "aria-labelledby" in e.attributes]
    assert set(labels) <= set(ids)
    # Nothing is loaded from anywhere, and nothing runs.
    assert not {e.tag for e in everything} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not [n for e in everything for n in e.attributes if n.startswith("on") or n == "srcset"]
    assert all(e.attributes["src"].startswith("data:") for e in everything if "src" in e.attributes)
    assert not re.search(r"url\(|@import|javascript:", "".join(e.text for e in page.all("style")))
    # For readers who do not see.
    assert page.all("html")[0].attributes["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "nav", "title")] == [1] * 5
    levels = [int(e.tag[1]) for e in everything if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for image in page.all("img"):
        assert len(image.attributes["alt"]) > 40
        assert image.attributes["alt"].endswith(".")
        width, height = decoded(image.attributes["src"])
        wanted = float(image.attributes["width"]) / float(image.attributes["height"])
        assert abs(width / height / wanted - 1) < 0.02
    assert all(e.attributes.get("scope") in ("row", "col") for e in page.all("th"))
    assert all(e.text or e.all("math") for e in page.all("th"))
    assert all(e.attributes["aria-label"] for e in everything if e.attributes.get("role") in ("math", "region"))
