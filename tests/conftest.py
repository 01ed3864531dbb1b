"""Options and fixtures that every test may use."""

import os
from pathlib import Path

import numpy as np
import pytest
from run_record import RunRecord


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=0, help="seed of every statistical test; any seed should pass")
    parser.addoption("--full", action="store_true", help="every noise level and draw of the benchmark tables")
    parser.addoption("--damaged", type=int, default=500, help="damaged files to read; `make nightly` asks for more")
    parser.addoption("--kills", type=int, default=100, help="processes to kill; `make nightly` asks for more")
    # `--record FILE` with a space would name a path: where the file exists, pytest looks there for this conftest.
    parser.addoption("--record", type=Path, help="--record=FILE: write collected and finished tests as they come")


def pytest_configure(config):
    file = config.getoption("--record")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(RunRecord(file), "run_record")


@pytest.fixture
def seed(request):
    return request.config.getoption("--seed")


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture
def generator(seed):
    torch = pytest.importorskip("torch")
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="session")
def data_folder():
    """The folder of benchmark files; tests that need it skip where it is missing."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("BAYESPDE_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no benchmark data: set BAYESPDE_DATA to the folder that holds it")
    return folder


def pytest_collection_modifyitems(items):
    if not any("gpu" in item.keywords for item in items) or pytest.importorskip("torch").cuda.is_available():
        return
    skip = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(skip)
