"""Time functions on real records: extensometers of Houston and Galveston, benchmarks of Bangkok."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import subsidence as sd
from subsidence.schema import Status

pytest.importorskip("matplotlib")
SCRIPT = Path(__file__).parents[1] / "docs" / "scripts" / "settlement_real.py"
spec = importlib.util.spec_from_file_location("settlement_real", SCRIPT)
assert spec is not None
assert spec.loader is not None
real = importlib.util.module_from_spec(spec)
spec.loader.exec_module(real)


@pytest.fixture(scope="module")
def sites(data_dir):
    if not (data_dir / "usgs-houston-extensometers").is_dir():
        pytest.skip("the extensometers are not there")
    return real.extensometers(data_dir)


def test_all_fourteen_are_read_and_sink(sites):
    assert len(sites) == 14
    assert all(float(series.displacement[-1]) < 0 for series in sites.values())
    assert sites["Addicks"].sizes["time"] == 595
    assert float(sites["Addicks"].displacement[-1]) == pytest.approx(-1.1451, abs=1e-4)


def test_addicks_has_the_published_optimum(sites):
    """The figures of the data's page: scipy's Weibull 16.7 mm (16.739 in full), Logistic 36.3, both without offset."""
    weibull, logistic = sd.models.Weibull(), sd.models.Logistic()
    for model in (weibull, logistic):
        model.set_param_hint("offset", value=0.0, vary=False)
    found = sd.fit_map(weibull, sites["Addicks"])
    scale = found.optimum.sel(parameter="eta").item() ** (-1 / found.optimum.sel(parameter="lam").item())
    assert 1000 * found.rmse.item() <= 16.75
    assert 1000 * found.optimum.sel(parameter="w_m").item() == pytest.approx(-1186, abs=1)
    assert scale == pytest.approx(19.2, abs=0.05)
    assert found.optimum.sel(parameter="lam").item() == pytest.approx(1.44, abs=0.005)
    assert 1000 * sd.fit_map(logistic, sites["Addicks"]).rmse.item() <= 36.33
    # a free level of the first epoch is what the logistic lacks
    assert 1000 * sd.fit_map(sd.models.Logistic(), sites["Addicks"]).rmse.item() < 17


@pytest.mark.parametrize("name", ["Weibull", "Logistic", "SegmentedWeibull", "Richards"])
def test_every_site_is_fitted_no_worse_than_by_a_line(sites, name):
    model, statuses = real.families()[name], []
    for series in sites.values():
        fits, line = sd.fit_map(model, series), sd.fit_map(sd.models.Linear(), series)
        statuses.append(int(fits.status))
        assert fits.rmse.item() <= 1.02 * line.rmse.item()
    # Four shape parameters run along a valley on one site; the flag says so.
    assert statuses.count(Status.NOT_CONVERGED) <= (name == "Richards")
    assert set(statuses) <= {0, Status.NOT_CONVERGED, Status.AT_BOUND, Status.NOT_IDENTIFIABLE, Status.MIXED_SIGNS}


def test_forecasts_of_addicks_beat_a_straight_line(sites):
    found = real.hold_out(sites["Addicks"], sd.models.Weibull()).forecast_rmse
    assert (found.sel(forecaster="model") < 0.5 * found.sel(forecaster="trend")).all()


def test_bangkok(data_dir):
    pytest.importorskip("openpyxl")
    if not (data_dir / "bangkok-wellnests").is_dir():
        pytest.skip("Bangkok's levelling is not there")
    marks = real.bangkok(data_dir)
    assert marks.sizes["point"] == 81
    assert (np.isfinite(marks.displacement).sum("time") >= 15).all()
    fits = sd.fit_map(sd.models.Weibull(), marks)
    assert set(np.unique(fits.status)) <= {Status.OK, Status.AT_BOUND, Status.NOT_IDENTIFIABLE, Status.MIXED_SIGNS}
    assert float(fits.rmse.median()) < 0.012


def test_a_benchmark_has_the_published_curve(data_dir):
    """CI 18-1, 1978 to 2005: 107.2 cm, 8.58 years, shape 0.99, RMSE 3.2 cm."""
    pytest.importorskip("openpyxl")
    path = data_dir / "bangkok-wellnests" / "SurveyingLevels.xlsx"
    if not path.is_file():
        pytest.skip("Bangkok's levelling is not there")
    table = pd.read_excel(path, sheet_name="All", index_col=0)
    row = table[table.index.astype(str).str.replace(" ", "") == "CI18-1"].iloc[0]
    row.index = [float(str(name).replace("_5", ".5")) for name in row.index]
    row = pd.to_numeric(row, errors="coerce").dropna().sort_index().loc[:2005.0]
    time = sd.timescale.from_elapsed(row.index.to_numpy() - 1978.0, origin="1978-01-01")
    series = xr.Dataset({"displacement": ("time", row.to_numpy() / 100)}, {"time": time}, {"component": "up"})
    model = sd.models.Weibull()
    model.set_param_hint("offset", value=0.0, vary=False)
    found = sd.fit_map(model, series)
    scale = found.optimum.sel(parameter="eta").item() ** (-1 / found.optimum.sel(parameter="lam").item())
    assert found.optimum.sel(parameter="w_m").item() == pytest.approx(-1.072, abs=0.005)
    assert (scale, found.optimum.sel(parameter="lam").item()) == pytest.approx((8.58, 0.99), abs=0.06)
    assert found.rmse.item() == pytest.approx(0.032, abs=0.001)
