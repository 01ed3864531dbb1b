"""Results of many experiments -> one file each, so that a laboratory can be stopped, gone on with, and added to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm


class Store:
    """A folder of JSON files `method/seed.json`.

    Attributes:
        folder: Made when the first result is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def has(self, method: str, seed: int) -> bool:
        """Whether the result is there."""
        return self._file(method, seed).exists()

    def read(self, method: str, seed: int) -> Any:
        """One result."""
        return json.loads(self._file(method, seed).read_text())

    def write(self, method: str, seed: int, result: Any) -> None:
        """Write one result, whole or not at all."""
        file = self._file(method, seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(result))
        partial.replace(file)

    def results(self, method: str) -> dict[int, Any]:
        """All results of a method, by seed."""
        files = sorted((self.folder / method).glob("*.json"), key=lambda f: int(f.stem))
        return {int(f.stem): json.loads(f.read_text()) for f in files}

    def _file(self, method: str, seed: int) -> Path:
        return self.folder / method / f"{seed}.json"


def fill(
    store: Store, method: str, measure: Callable[[int, Store], Any], seeds: Iterable[int], *, workers: int = 1
) -> None:
    """Measure what the store lacks, in any order, one thread per process; each result is written when it is there.

    Args:
        store: Where results go, and where those of other methods are.
        method: Their name.
        measure: Seed and store -> result; a function of a module, so that other processes can find it.
        seeds: Wanted.
        workers: Processes; the results do not depend on it.
    """
    missing = [s for s in seeds if not store.has(method, s)]
    if workers == 1:
        for seed in tqdm(missing, desc=method):
            store.write(method, seed, measure(seed, store))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = {pool.submit(measure, s, store): s for s in missing}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc=method):
            store.write(method, jobs[job], job.result())


def _one_thread() -> None:
    threadpool_limits(1)
    torch.set_num_threads(1)
