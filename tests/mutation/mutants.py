"""Source files -> every mutant of them (one operator changed at one place) -> a stratified random sample.

A stratum is a folder and a kind of operator. Places are drawn with equal probability, so that a comparison, which has
seven other forms, counts no more than a constant, which has two.
"""

import ast
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import parso  # noqa: F401 - cosmic_ray's operators need it loaded first
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# Without one of these decorators a function is slower, and its values are the same.
ONLY_SPEED = {"njit", "cache", "lru_cache"}
KINDS = {
    "ReplaceBinaryOperator": "arithmetic",
    "ReplaceComparisonOperator": "comparison",
    "ReplaceUnaryOperator": "sign or not",
    "AddNot": "condition",
    "ReplaceTrueWithFalse": "constant",
    "ReplaceFalseWithTrue": "constant",
    "ReplaceAndWithOr": "condition",
    "ReplaceOrWithAnd": "condition",
    "NumberReplacer": "number",
    "ReplaceBreakWithContinue": "flow",
    "ReplaceContinueWithBreak": "flow",
    "ZeroIterationForLoop": "flow",
    "ExceptionReplacer": "flow",
    "RemoveDecorator": "decorator",
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the operator's name, its occurrence, and the line (from 1) and column (from 0)."""

    file: str
    operator: str
    occurrence: int
    line: int
    column: int

    @property
    def kind(self):
        return KINDS[self.operator.partition("/")[2].split("_")[0]]

    def code(self, source):
        return mutate_code(source, get_operator(self.operator)(), self.occurrence)


class _Values(ast.NodeTransformer):
    """Removes what no value depends on: annotations, passing by name, decorators that save time, `strict` of `zip`."""

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arguments(self, node):
        node.args, node.posonlyargs = node.posonlyargs + node.args + node.kwonlyargs, []
        node.defaults, node.kwonlyargs, node.kw_defaults = node.defaults + node.kw_defaults, [], []
        return self.generic_visit(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_Call(self, node):
        if _name(node) == "zip":
            node.keywords = [k for k in node.keywords if k.arg != "strict"]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.returns = None
        node.decorator_list = [d for d in node.decorator_list if _name(d) not in ONLY_SPEED]
        return self.generic_visit(node)


def _name(decorator):
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def values_of(source):
    """Everything of a module that values depend on, to be compared."""
    return ast.dump(_Values().visit(ast.parse(source)))


def mutants_of(file, root):
    """Every mutant of a file, among them some that change no value."""
    nodes = list(ast_nodes(get_ast((root / file).read_text(encoding="utf-8"))))
    for name in operator_names():
        if name.partition("/")[2].split("_")[0] in KINDS:
            places = [place for node in nodes for place, _ in get_operator(name)().mutation_positions(node)]
            yield from (Mutant(str(file), name, i, *place) for i, place in enumerate(places))


def sample(folders, root, count, seed):
    """At least `count` mutants, from each stratum its share of the places, rounded up; order and choice from `seed`."""
    strata = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            for mutant in mutants_of(file.relative_to(root), root):
                strata[folder, mutant.kind][mutant.file, mutant.line, mutant.column].append(mutant)
    total, chosen = sum(map(len, strata.values())), []
    for (folder, kind), places in sorted(strata.items()):
        rng = random.Random(f"{seed} {folder} {kind}")
        one_each = [rng.choice(variants) for _, variants in sorted(places.items())]
        rng.shuffle(one_each)
        changing = (mutant for mutant in one_each if _changes_values(mutant, root))
        chosen += islice(changing, -(-count * len(places) // total))
    random.Random(seed).shuffle(chosen)
    return chosen


def _changes_values(mutant, root):
    source = Path(root / mutant.file).read_text(encoding="utf-8")
    try:
        return values_of(mutant.code(source)) != values_of(source)
    except SyntaxError:
        return False
