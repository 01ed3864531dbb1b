"""Rows of a benchmark -> one JSON file that grows with every row."""

import argparse
import json
from pathlib import Path

import torch


class Table(list):
    """Rows of this run, each written at once among those of the runs before: a table may be measured in parts.

    Attributes:
        file: The JSON file.
        keys: What tells rows apart; a row replaces the older one with the same values.
    """

    def __init__(self, file, keys=("data", "noise", "seed")):
        super().__init__()
        self.file, self.keys = file, keys

    def append(self, row):
        super().append(row)
        self.file.parent.mkdir(exist_ok=True)
        kept = [r for r in self.everything() if any(r[key] != row[key] for key in self.keys)]
        self.file.write_text(json.dumps([*kept, row], indent=0))

    def everything(self):
        """All rows of the file, those of earlier runs too."""
        return json.loads(self.file.read_text()) if self.file.exists() else []

    def lacking(self, cases):
        """Those of the cases, each the values of the keys, that no run has measured."""
        known = {tuple(r[key] for key in self.keys) for r in self.everything()}
        return [case for case in cases if case not in known]


def command_line(doc):
    """The arguments that all such benchmarks take: what to do, and with which file."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("kind", choices=("measure", "table"))
    parser.add_argument("file", type=Path)
    return parser


def measure_or_print(rows, options, cases, measure, table):
    """Print the table of a file of rows, or measure the cases that it lacks, on one thread."""
    if options.kind == "table":
        print(*table(rows.everything()), sep="\n")
        return
    torch.set_num_threads(1)
    for case in rows.lacking(cases):
        rows.append(measure(*case))
