"""Rows of a benchmark -> one JSON file that grows with every row."""

import json


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
