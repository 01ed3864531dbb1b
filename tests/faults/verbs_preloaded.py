"""What a verb imports and compiles, done once in the process that is forked for every verb."""

import importlib
import pkgutil
import tempfile
import warnings

import tiny_run

import bayespde

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for module in pkgutil.walk_packages(bayespde.__path__, "bayespde."):
        importlib.import_module(module.name)
    with tempfile.TemporaryDirectory() as folder:
        tiny_run.write_all(folder)
        bayespde.report(folder)
