"""What an installation needs may be used under the package's own licence: nothing that is copyleft as a whole."""

import re
from importlib.metadata import distribution

from packaging.requirements import Requirement

# Licences of the GPL family, but for the lesser one, which binds changes of the library alone.
COPYLEFT = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)


def needed(name, seen):
    """Names of all that a package needs to run here, itself included."""
    requirements = [Requirement(text) for text in distribution(name).requires or ()]
    for requirement in requirements:
        here = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if here and requirement.name.lower() not in seen:
            seen.add(requirement.name.lower())
            needed(requirement.name, seen)
    return seen


def licence_of(name):
    metadata = distribution(name).metadata
    classifiers = [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    # Some write their whole licence here, which names others.
    text = (metadata.get("License") or "").strip().splitlines()[:1]
    return "; ".join(filter(None, [metadata.get("License-Expression"), *text, *classifiers]))


def test_nothing_that_is_needed_is_copyleft():
    licences = {name: licence_of(name) for name in needed("bayespde", set())}
    assert len(licences) > 20
    # Where a package offers a choice, another one may be chosen.
    assert [name for name, licence in licences.items() if COPYLEFT.search(licence) and " OR " not in licence] == []
