"""One seed -> independent generators for every run, thread and library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bayespde.core.errors import ConfigError

if TYPE_CHECKING:
    import torch


def checked_seed(seed: int) -> int:
    """Return a seed as a plain int.

    Raises:
        ConfigError: If it is not a non-negative integer of at most 63 bits, which files can hold.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        got = f"{seed:#x}"[:40] if isinstance(seed, int) else repr(seed)[:40]
        raise ConfigError(
            "A seed must be a non-negative integer.", got=got, wanted="an int from 0 to 2**63 - 1", fix="pass seed=0"
        )
    return int(seed)


def spawn_seeds(seed: int, count: int) -> list[int]:
    """Derive `count` independent 63-bit seeds from one.

    Args:
        seed: Non-negative integer.
        count: How many.

    Returns:
        Integers, the same for the same arguments.

    Raises:
        ConfigError: If the seed is not a non-negative integer.
    """
    children = np.random.SeedSequence(checked_seed(seed)).spawn(count)
    return [int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children]


def torch_generator(seed: int, device: str = "cpu") -> torch.Generator:
    """Return a `torch.Generator` on `device`, seeded with `seed` and independent of global state."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def forked_torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generator inside the block only, for libraries that accept no generator (Pyro)."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
