"""How often a call chain returns to a room of the package that it has left: `discover` and `sample`, traced.

    python tests/benchmarks/walk.py

A room is a folder of the package (or a module at its root); `core` is the floor that all stand on, and no room. Calls
between rooms are listed once each, in the order in which they first happen. A call counts as a return if its room has
been entered and left before, and is none of the rooms that are waiting for it to come back.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["NUMBA_DISABLE_JIT"] = "0"

import small_problem

import bayespde as bp

PACKAGE = str(Path(bp.__file__).parent) + os.sep


def room(filename):
    """The room of a file of the package; None for everything else, and for core."""
    if not filename.startswith(PACKAGE):
        return None
    parts = filename[len(PACKAGE) :].split(os.sep)
    name = parts[0].removesuffix(".py")
    return None if name in ("core", "__init__") else name


def trace(run):
    """Distinct calls between rooms in the order of their first occurrence, each with whether it is a return."""
    stack, left, seen = [], set(), {}

    def profile(frame, event, _):
        if event == "call":
            here = room(frame.f_code.co_filename)
            current = next((r for r in reversed(stack) if r), None)
            if here and here != current:
                call = (current, here, frame.f_code.co_name)
                seen.setdefault(call, here in left and here not in stack)
            stack.append(here)
        elif event == "return" and stack:
            here = stack.pop()
            if here and here not in stack:
                left.add(here)

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return seen


def main():
    """Print the number of calls between rooms, and of returns, for both."""
    field = small_problem.video()
    found = small_problem.discover(field)
    walks = {
        "discover": lambda: small_problem.discover(field),
        "sample": lambda: bp.sample(found.model, seed=0),
    }
    for name, run in walks.items():
        calls = trace(run)
        rooms = {here for _, here, _ in calls}
        returns = sum(calls.values())
        sys.stdout.write(f"{name}: {len(rooms)} rooms, {len(calls)} calls between them, {returns} returns\n")


if __name__ == "__main__":
    main()
