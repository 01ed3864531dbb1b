"""pyproject.toml -> pip constraints that install the lowest version that each dependency allows, on this Python.

`python .ci/lowest.py > lowest.txt && pip install -c lowest.txt .`
"""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for wanted in map(Requirement, project["dependencies"]):
    lowest = [s.version for s in wanted.specifier if s.operator == ">="]
    if lowest and (wanted.marker is None or wanted.marker.evaluate()):
        print(f"{wanted.name}=={lowest[0]}")
