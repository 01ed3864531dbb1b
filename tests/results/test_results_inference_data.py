import dataclasses
import json
import os
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from bayespde.core.errors import FileError
from bayespde.core.likelihood import Likelihood
from bayespde.core.pairwise import PairwiseSpins
from bayespde.core.slabs import HyperGSlab
from bayespde.results.draws import block_log_likelihood, replicated_energy
from bayespde.results.equations import equations
from bayespde.results.inference_data import from_inference_data, load, save
from bayespde.results.inference_tree import to_tree
from bayespde.results.pareto import pareto_front

ARRAYS = [
    "spins",
    "coefficients",
    "noise_scale",
    "log_prior",
    "log_likelihood",
    "log_evidence",
    "eve_index",
]


def assert_identical(first, second):
    for name in ARRAYS:
        a, b = getattr(first, name), getattr(second, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)
    for name in ("estimates", "stages"):
        a, b = getattr(first, name), getattr(second, name)
        assert set(a) == set(b)
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert first.library == second.library
    for name in ("slab", "likelihood", "sampling", "units", "provenance"):
        assert getattr(first, name) == getattr(second, name), name
    records = [None if p.prior is None else p.prior.record() for p in (first, second)]
    assert records[0] == records[1]
    for item in dataclasses.fields(first.statistics):
        a, b = (getattr(p.statistics, item.name) for p in (first, second))
        np.testing.assert_array_equal(a, b, err_msg=item.name) if isinstance(a, np.ndarray) else None
        assert isinstance(a, np.ndarray) or a == b
    assert (first.exact is None) == (second.exact is None)
    if first.exact is not None:
        for item in dataclasses.fields(first.exact):
            a, b = (getattr(p.exact, item.name) for p in (first, second))
            np.testing.assert_array_equal(a, b, err_msg=item.name)


@pytest.mark.parametrize("exact", [True, False])
def test_a_file_gives_back_every_number(burgers_rows, build, rng, tmp_path, exact):
    posterior = build(*burgers_rows, rng=rng, exact=exact, complexities=[1.0, 1.5, 2.0, 0.1, 3.0])
    save(posterior, tmp_path / "deep" / "posterior.nc")
    back = load(tmp_path / "deep" / "posterior.nc")
    assert_identical(posterior, back)
    assert_identical(posterior, from_inference_data(str(tmp_path / "deep" / "posterior.nc")))
    assert_identical(posterior, from_inference_data(to_tree(posterior)))
    assert equations(back) == equations(posterior)
    assert pareto_front(back).identical(pareto_front(posterior))


def test_a_posterior_without_history_is_kept(sampled, tmp_path):
    bare = dataclasses.replace(sampled, stages={}, units={}, provenance={})
    save(bare, tmp_path / "bare.nc")
    assert_identical(bare, load(tmp_path / "bare.nc"))


def test_groups_and_types_follow_the_layout(burgers):
    tree = to_tree(burgers)
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "smc_stats",
        "log_likelihood",
        "log_prior",
        "observed_data",
        "posterior_predictive",
        "constant_data",
        "exact",
    }
    assert tree["posterior/spin"].dtype == np.int8
    assert tree["posterior/spin"].dims == ("chain", "draw", "term")
    assert json.loads(tree["posterior/coefficient"].attrs["units"])["u"] == "s^-1"
    np.testing.assert_array_equal(tree["posterior/model_size"], burgers.spins.sum(axis=-1))
    np.testing.assert_array_equal(tree["sample_stats/lp"], burgers.log_prior + burgers.log_likelihood)
    assert tree["smc_stats/stages"].values.tolist() == [2, 2, 2, 3]
    assert tree["smc_stats/inverse_temperature"].dims == ("chain", "stage")
    for group in tree.children.values():
        assert set(group.to_dataset().sizes) <= set(group.to_dataset().coords)
        assert group.attrs["inference_library"] == "bayespde"
        for value in group.attrs.values():
            assert isinstance(value, str | float | int)
            assert not isinstance(value, bool)
    assert tree.attrs["seed"] == "7"
    assert tree.attrs["sampling_time"] == 1.5
    assert tree.attrs["data_hash"] == burgers.statistics.target_hash


def test_block_likelihoods_are_those_of_the_rows(burgers_rows, burgers):
    design, target, _ = burgers_rows
    values = block_log_likelihood(burgers)
    edges = np.linspace(0, len(target), burgers.statistics.blocks + 1).round().astype(int)
    for run, draw in ((0, 0), (3, 17)):
        mean, sd = design @ burgers.coefficients[run, draw], burgers.noise_scale[run, draw]
        per_row = stats.norm.logpdf(target, mean, sd)
        expected = [per_row[a:b].sum() for a, b in pairwise(edges)]
        np.testing.assert_allclose(values[run, draw], expected, rtol=1e-9)
    energies = [np.sum(target[a:b] ** 2) for a, b in pairwise(edges)]
    np.testing.assert_allclose(to_tree(burgers)["observed_data/block_energy"], energies, rtol=1e-12)


def test_the_library_is_parsed_never_evaluated(burgers):
    tree = to_tree(burgers)
    marker = "__import__('os').getpid()"
    described = json.loads(tree["constant_data"].attrs["library"])
    described["terms"] = {marker: 1.0, **described["terms"]}
    tree["constant_data"].attrs["library"] = json.dumps(described)
    with pytest.raises(FileError, match="do not hold"):
        from_inference_data(tree)


def test_mismatched_or_missing_parts_are_named(burgers):
    tree = to_tree(burgers)
    described = json.loads(tree["constant_data"].attrs["library"])
    described["terms"] = dict(reversed(described["terms"].items()))
    tree["constant_data"].attrs["library"] = json.dumps(described)
    with pytest.raises(FileError, match="same names in the same order"):
        from_inference_data(tree)
    with pytest.raises(FileError, match="constant_data"):
        from_inference_data(xr.DataTree.from_dict({"posterior": xr.Dataset()}))
    with pytest.raises(FileError):
        from_inference_data(3.0)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(FileError):
        load(tmp_path / "absent.nc")
    (tmp_path / "text.nc").write_text("not a netCDF file")
    with pytest.raises(FileError):
        load(tmp_path / "text.nc")
    xr.Dataset({"other": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(FileError):
        load(tmp_path / "other.nc")


def test_an_unwritable_path_leaves_nothing(burgers, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(FileError, match="cannot be written"):
        save(burgers, tmp_path / "file" / "posterior.nc")
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_keeps_the_old_file(burgers, tmp_path, monkeypatch):
    path = tmp_path / "posterior.nc"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise RuntimeError("disk full")

    monkeypatch.setattr(xr.Dataset, "dump_to_store", fail)
    with pytest.raises(RuntimeError):
        save(burgers, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["posterior.nc"]


@pytest.mark.parametrize("blocks", [8, 100])
def test_replicated_blocks_have_the_moments_of_their_rows(burgers_rows, build, rng, blocks):
    """Sum of squares of X b + s z over n rows: mean |X b|^2 + n s^2, variance 4 s^2 |X b|^2 + 2 n s^4."""
    design, target, names = burgers_rows
    posterior = build(design, target, names, rng=rng, runs=1, particles=4000, blocks=blocks)
    coefficients, noise = posterior.coefficients[0, 0], posterior.noise_scale[0, 0]
    fixed = dataclasses.replace(
        posterior,
        coefficients=np.broadcast_to(coefficients, posterior.coefficients.shape),
        noise_scale=np.full_like(posterior.noise_scale, noise),
    )
    found = replicated_energy(fixed)[0]
    edges = np.linspace(0, len(target), blocks + 1).round().astype(int)
    for b, (start, stop) in enumerate(pairwise(edges)):
        mean = np.sum((design[start:stop] @ coefficients) ** 2)
        expected, rows = mean + (stop - start) * noise**2, stop - start
        variance = 4 * noise**2 * mean + 2 * rows * noise**4
        assert abs(found[:, b].mean() - expected) < 6 * np.sqrt(variance / len(found))
        assert found[:, b].var() == pytest.approx(variance, rel=0.3)


def test_prior_draws_have_the_prior_probabilities(burgers):
    prior = [0.1, 0.3, 0.5, 0.7, 0.9]
    spins_prior = PairwiseSpins(np.log(np.divide(prior, np.subtract(1, prior))), np.zeros((5, 5)))
    along = Likelihood("observation", along=("u_xx", "u*u_x"), boundary="periodic", padding=0.5)
    known = dataclasses.replace(burgers, prior=spins_prior, slab=HyperGSlab(), likelihood=along)
    tree = to_tree(known)
    spins = tree["prior/spin"].values.reshape(-1, 5)
    assert tree["prior/spin"].dtype == np.int8
    np.testing.assert_array_equal(tree["prior/model_size"], tree["prior/spin"].sum("term"))
    error = np.sqrt(np.array(prior) * (1 - np.array(prior)) / len(spins))
    assert (np.abs(spins.mean(axis=0) - prior) < 5 * error).all()
    np.testing.assert_allclose(tree["constant_data/prior_inclusion"], prior, rtol=1e-12)
    assert tree["prior/spin"].identical(to_tree(known)["prior/spin"])
    assert_identical(known, from_inference_data(tree))


def test_tempered_rows_have_neither_density_nor_replicates(burgers):
    tempered = dataclasses.replace(burgers, statistics=dataclasses.replace(burgers.statistics, power=0.5))
    assert not {"log_likelihood", "posterior_predictive"} & set(to_tree(tempered).children)
