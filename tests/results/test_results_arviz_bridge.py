import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from bayespde.core.errors import FileWarning
from bayespde.results.arviz_bridge import to_inference_data
from bayespde.results.diagnose import diagnose
from bayespde.results.elpd import leave_block_out_elpd
from bayespde.results.inference_data import from_inference_data, load, save

arviz = pytest.importorskip("arviz")
LINE = int(arviz.__version__.split(".")[0])


@pytest.fixture
def inference_data(burgers):
    return to_inference_data(burgers)


def dataset(group):
    return group if isinstance(group, xr.Dataset) else group.to_dataset()


def test_the_type_is_what_the_installed_arviz_takes(inference_data):
    expected = xr.DataTree if LINE >= 1 else arviz.InferenceData
    assert isinstance(inference_data, expected)


def test_arviz_gives_back_every_number(burgers, inference_data, tmp_path):
    back = from_inference_data(inference_data)
    inference_data.to_netcdf(str(tmp_path / "arviz.nc"), engine="h5netcdf")
    with pytest.warns(FileWarning, match="it has no checksum"):
        written = load(tmp_path / "arviz.nc")
    for other in (back, written):
        for name in ("spins", "coefficients", "noise_scale", "log_evidence", "log_prior", "eve_index"):
            np.testing.assert_array_equal(getattr(other, name), getattr(burgers, name))
        assert other.library == burgers.library
        for name in ("sampling", "likelihood", "units", "provenance"):
            assert getattr(other, name) == getattr(burgers, name)
        np.testing.assert_array_equal(other.statistics.factors, burgers.statistics.factors)
        np.testing.assert_array_equal(other.exact.probability, burgers.exact.probability)


def test_our_file_rewritten_by_arviz_is_read_and_known_to_be_whole(burgers, tmp_path):
    save(burgers, tmp_path / "ours.nc")
    for k in range(2):
        opened = arviz.from_netcdf(str(tmp_path / "ours.nc"), engine="h5netcdf")
        opened.to_netcdf(str(tmp_path / f"{k}.nc"), engine="h5netcdf")
        with pytest.warns(FileWarning, match="its values are those of its checksums"):
            back = load(tmp_path / f"{k}.nc")
        (tmp_path / f"{k}.nc").rename(tmp_path / "ours.nc")
    np.testing.assert_array_equal(back.coefficients, burgers.coefficients)


def test_arviz_opens_our_file(burgers, tmp_path):
    save(burgers, tmp_path / "ours.nc")
    opened = arviz.from_netcdf(str(tmp_path / "ours.nc"), engine="h5netcdf")
    np.testing.assert_array_equal(dataset(opened["posterior"])["spin"], burgers.spins.astype(np.int8))
    np.testing.assert_array_equal(dataset(opened["exact"])["probability"], burgers.exact.probability)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_summary_rhat_and_ess_run_and_mean_is_the_frequency(burgers, inference_data):
    summary = arviz.summary(inference_data, var_names=["spin"], round_to="none")
    means = [summary.loc[f"spin[{n}]", "mean"] for n in burgers.library.names]
    np.testing.assert_allclose(means, burgers.spins.mean(axis=(0, 1)))
    rhat = dataset(arviz.rhat(inference_data, var_names=["noise_scale"]))
    assert abs(float(rhat["noise_scale"]) - 1) < 0.05
    ess = dataset(arviz.ess(inference_data, var_names=["noise_scale"]))
    draws = burgers.noise_scale.size
    assert 0.5 * draws < float(ess["noise_scale"]) < 2 * draws


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_forest_plot_runs(inference_data):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    try:
        drawn = arviz.plot_forest(inference_data, var_names=["coefficient"], combined=True)
        labels = str([t.get_text() for f in map(pyplot.figure, pyplot.get_fignums()) for t in f.findobj(has_text)])
        assert drawn is not None
        assert "u_xx" in labels
    finally:
        pyplot.close("all")


def has_text(artist):
    return hasattr(artist, "get_text")


def test_results_import_neither_torch_nor_arviz_nor_matplotlib():
    modules = "arviz_bridge, compare, diagnose, diagnostics, equations, figures, front_position, inference_data, pareto"
    code = f"from bayespde.results import {modules}; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "pyro", "arviz", "matplotlib"} & set(loaded.split())
    assert "bayespde.results.pareto" in loaded


def test_diagnosis_and_predictive_densities_work_in_this_line(burgers):
    found = diagnose(burgers)
    assert {"agreement", "precision", "mixing", "evidence", "enumeration"} <= {c.name for c in found.sampler}
    assert abs(next(c.value for c in found.sampler if c.name == "mixing") - 1) < 0.05
    elpd = leave_block_out_elpd(burgers)
    assert np.isfinite(elpd["elpd"]).all()
    assert float(elpd["pareto_k"].max()) < 1
