"""A module of which one function fails from its n-th call on."""

import os
from errno import ENOSPC


class FailingSystem:
    """A module, of which one function fails from its n-th call on: a disk that is full stays full."""

    def __init__(self, name, nth=0, number=ENOSPC, of=os):
        self.name, self.left, self.number, self.of = name, nth, number, of

    def __getattr__(self, name):
        found = getattr(self.of, name)
        return self._failing(found) if name == self.name else found

    def _failing(self, found):
        def call(*arguments):
            self.left -= 1
            if self.left >= 0:
                return found(*arguments)
            if self.name == "close":
                found(*arguments)
            raise OSError(self.number, os.strerror(self.number))

        return call
