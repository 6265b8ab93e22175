"""Parameter studies of time functions: the tables of Wei et al. (2024) rebuilt, and least squares cell by cell."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import models, simulate
from subsidence.errors import InputError
from subsidence.fitting import _sweep
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._sweep import sweep
from subsidence.models import Weibull

W_M, ETA, LAM = -0.2, 0.068, 2.5
UNITS = {"year": 365.25, np.timedelta64(152, "D"): 152.0}
#: Sentinel-1 from 2018-05 to 2021-09, as the paper has it; only the months are printed.
DATES = np.arange(np.datetime64("2018-05-01"), np.datetime64("2021-09-02"), 12).astype("M8[ns]")


def weibull(t: Any, eta: float, lam: float) -> np.ndarray:
    return 1.0 - np.exp(-eta * np.asarray(t) ** lam)


def paper_series(days: float) -> tuple[xr.Dataset, np.ndarray]:
    """Eq. 8 at the paper's dates with t in a unit of so many days, and t."""
    t = (DATES - DATES[0]) / np.timedelta64(1, "D") / days
    return xr.Dataset({"displacement": ("time", W_M * weibull(t, ETA, LAM))}, {"time": DATES}), t


def three_scores(y: np.ndarray, f: np.ndarray) -> tuple[float, float, float]:
    """R2 with the amplitude as it is, R2 with the best amplitude and no offset, r2."""
    total = np.sum((y - y.mean()) ** 2)
    return (
        1 - np.sum((y - W_M * f) ** 2) / total,
        1 - np.sum((y - (f @ y) / (f @ f) * f) ** 2) / total,
        np.corrcoef(y, f)[0, 1] ** 2,
    )


def many(points: int = 6, epochs: int = 30, *, gaps: bool = False, std: bool = False) -> xr.Dataset:
    rng = np.random.default_rng(5)
    params = {"w_m": rng.uniform(-0.3, -0.1, points), "eta": rng.uniform(0.8, 2, points), "lam": 2.5, "offset": 0.004}
    time = np.datetime64("2018-01-06", "ns") + np.cumsum(rng.integers(1, 5, epochs)) * np.timedelta64(12, "D")
    series = simulate.settlement_series(Weibull(), params, time=time, seed=3)[0]
    if gaps:
        series["displacement"] = series.displacement.where(rng.random(series.displacement.shape) > 0.2)
    if std:
        series["displacement_std"] = (series.displacement.dims, rng.uniform(0.001, 0.004, series.displacement.shape))
        series["displacement_std"][0] = 0.0
    return series


def years(series: xr.Dataset) -> np.ndarray:
    return (series.time - series.time[0]).values / np.timedelta64(1, "D") / 365.25


class TestPaper:
    """Tables 2 and 3 in form: their figures cannot be matched, since t has no printed unit."""

    @pytest.mark.parametrize("unit", UNITS, ids=str)
    @pytest.mark.parametrize(
        "grid",
        [{"eta": [0.07], "lam": [2.0, 2.5, 3.0, 3.5, 4.0]}, {"eta": [0.1, 0.08, 0.06, 0.04, 0.02], "lam": [2.5]}],
        ids=["table 2", "table 3"],
    )
    def test_three_measures_that_are_called_r2(self, unit, grid):
        series, t = paper_series(UNITS[unit])
        held = sweep(Weibull(unit), series, grid=grid, fixed={"w_m": W_M, "offset": 0.0})
        refitted = sweep(Weibull(unit), series, grid=grid, fixed={"offset": 0.0})
        y = series.displacement.values
        for eta in grid["eta"]:
            for lam in grid["lam"]:
                expected = three_scores(y, weibull(t, eta, lam))
                cell = {"eta": eta, "lam": lam}
                got = (held.r_squared, refitted.r_squared, held.correlation_squared)
                np.testing.assert_allclose([float(one.sel(cell)) for one in got], expected, atol=1e-12)
        np.testing.assert_allclose(refitted.correlation_squared, held.correlation_squared, atol=1e-12)
        # Whatever is meant by R2, the tables have their highest value at the parameters nearest to eq. 8.
        assert float(held.r_squared.max()) > 0.98

    def test_published_consequences_of_the_unit(self):
        grid = {"eta": [0.02], "lam": [2.5]}
        cells = {}
        for unit, days in UNITS.items():
            series, _ = paper_series(days)
            held = sweep(Weibull(unit), series, grid=grid, fixed={"w_m": W_M, "offset": 0.0})
            refitted = sweep(Weibull(unit), series, grid=grid, fixed={"offset": 0.0})
            scores = (held.r_squared, refitted.r_squared, refitted.correlation_squared)
            cells[days] = [float(score.squeeze()) for score in scores]
        np.testing.assert_allclose(cells[152.0], [0.57, 0.75, 0.85], atol=0.005)
        assert cells[365.25][1] == pytest.approx(0.98, abs=0.005)

    @pytest.mark.parametrize("unit", UNITS, ids=str)
    @pytest.mark.parametrize("fixed", [{"w_m": W_M, "offset": 0.0}, {"offset": 0.0}, None], ids=str)
    def test_the_final_search_finds_the_curve(self, unit, fixed):
        series, _ = paper_series(UNITS[unit])
        grid = {"eta": np.linspace(0.04, 0.08, 41), "lam": np.linspace(2, 3, 41)}
        result = sweep(Weibull(unit), series, grid=grid, fixed=fixed)
        best = result.isel(result.r_squared.argmax(["eta", "lam"]))
        assert (float(best.eta), float(best.lam)) == (pytest.approx(ETA), pytest.approx(LAM))
        assert float(best.w_m) == pytest.approx(W_M)
        assert float(best.offset) == pytest.approx(0.0, abs=1e-9)
        assert float(best.r_squared) == pytest.approx(1.0)
        assert float(best.rmse) < 1e-12


FAMILIES = {
    **{name: getattr(models, name)() for name in ("Weibull", "Logistic", "Richards", "Knothe", "Hyperbolic")},
    "SegmentedWeibull": models.SegmentedWeibull(),
    "Weibull + Seasonal": Weibull() + models.Seasonal(),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cell_at_the_optimum_is_the_fit(family):
    model = FAMILIES[family]
    series = many(points=1)
    fits = fit_map(model, series).isel(point=0)
    best = {name: float(fits.optimum.sel(parameter=name)) for name in model.param_names}
    first, *others = (model.prefix + name for name in model.nonlinear if name not in model.held())
    result = sweep(
        model, series.isel(point=0), grid={first: [best[first]]}, fixed={name: best[name] for name in others}
    )
    assert float(result.rmse[0]) == pytest.approx(float(fits.rmse), rel=1e-6)
    assert float(result.r_squared[0]) == pytest.approx(float(fits.r_squared), rel=1e-6)
    for name in model.param_names:
        assert float(result[name].squeeze()) == pytest.approx(best[name], rel=1e-3, abs=1e-9), name


@pytest.mark.parametrize("weights", [None, "displacement_std"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("fixed", [None, {"offset": 0.01}, {"w_m": -0.15}, {"w_m": -0.15, "offset": 0.01}], ids=str)
def test_every_cell_is_a_least_squares_fit(weights, gaps, fixed):
    series = many(gaps=gaps, std=True)
    t, model = years(series), Weibull()
    grid = {"lam": [1.5, 2.5], "eta": [0.5, 1.3, 2.0]}
    result = sweep(model, series, grid=grid, fixed=fixed, weights=weights)
    assert result.r_squared.dims == ("lam", "eta", "point")
    held = fixed or {}
    for point in range(series.sizes["point"]):
        y = series.displacement.values[:, point]
        std = series.displacement_std.values[:, point] if weights else np.ones_like(y)
        used = np.isfinite(y) & (std > 0)
        y, w = y[used], 1 / std[used]
        for lam in grid["lam"]:
            for eta in grid["eta"]:
                columns = {"w_m": weibull(t[used], eta, lam), "offset": np.ones(used.sum())}
                free = [name for name in columns if name not in held]
                rest = y - sum((value * columns[name] for name, value in held.items()), np.zeros_like(y))
                design = np.stack([columns[name] for name in free], -1) if free else np.zeros((len(y), 0))
                found = np.linalg.lstsq(w[:, None] * design, w * rest, rcond=None)[0]
                curve = y - rest + design @ found
                mean, curve_mean = (np.average(values, weights=w**2) for values in (y, curve))
                total, own = np.sum((w * (y - mean)) ** 2), np.sum((w * (curve - curve_mean)) ** 2)
                misfit = np.sum((w * (y - curve)) ** 2)
                cell = result.sel(lam=lam, eta=eta).isel(point=point)
                assert float(cell.r_squared) == pytest.approx(1 - misfit / total, abs=1e-10)
                assert float(cell.rmse) == pytest.approx(np.sqrt(misfit / np.sum(w**2)), rel=1e-9)
                common = np.sum(w**2 * (y - mean) * (curve - curve_mean))
                assert float(cell.correlation_squared) == pytest.approx(common**2 / (total * own), rel=1e-9)
                for name, value in zip(free, found, strict=True):
                    assert float(cell[name]) == pytest.approx(value, rel=1e-9)
                for name, value in held.items():
                    assert float(result.coords[name]) == value


@pytest.mark.parametrize("fixed", [None, {"eta": 1.2}], ids=["one fit for each cell", "projected"])
def test_weights_that_all_places_share(fixed):
    series = many(points=3)
    weights = xr.DataArray(np.random.default_rng(2).uniform(300, 900, 30), dims="time")
    weights[4] = 0.0
    everywhere = weights.broadcast_like(series.displacement)
    shared, own = (
        sweep(Weibull(), series, grid={"lam": [2.0, 2.5]}, fixed=fixed, weights=given)
        for given in (weights, everywhere.transpose("point", "time"))
    )
    xr.testing.assert_allclose(shared, own, rtol=1e-9)
    without = series.where(series.time != series.time[4])
    again = sweep(Weibull(), without, grid={"lam": [2.0, 2.5]}, fixed=fixed, weights=weights)
    xr.testing.assert_allclose(shared, again, rtol=1e-9)
    one = sweep(Weibull(), series.isel(point=1), grid={"lam": [2.0, 2.5]}, fixed=fixed, weights=weights)
    xr.testing.assert_allclose(one, shared.isel(point=1), rtol=1e-9)
    assert not np.allclose(shared.rmse, sweep(Weibull(), series, grid={"lam": [2.0, 2.5]}, fixed=fixed).rmse)


def test_a_swept_amplitude_is_a_fixed_one():
    series, model = many(), Weibull()
    amplitudes, offsets = [-0.3, -0.2], [0.0, 0.004, -0.01]
    result = sweep(model, series, grid={"offset": offsets, "w_m": amplitudes, "eta": [1.0, 1.5]}, fixed={"lam": 2.5})
    assert result.r_squared.dims == ("offset", "w_m", "eta", "point")
    assert list(result.data_vars) == ["r_squared", "correlation_squared", "rmse"]
    for w_m in amplitudes:
        for offset in offsets:
            one = sweep(model, series, grid={"eta": [1.0, 1.5]}, fixed={"w_m": w_m, "offset": offset, "lam": 2.5})
            np.testing.assert_array_equal(result.sel(w_m=w_m, offset=offset).rmse, one.rmse)


def test_an_onset_that_the_model_holds_can_be_swept():
    series = many()
    onsets = [-0.2, 0.0, 0.3]
    grid = {"eta": np.geomspace(0.3, 6, 20), "lam": np.linspace(1.2, 4, 15)}
    result = sweep(Weibull(), series, grid={"t0": onsets, **grid})
    t = years(series)
    for onset in onsets:
        f = weibull(np.maximum(t - onset, 0.0), grid["eta"][7], grid["lam"][4])
        expected = np.corrcoef(series.displacement.values[:, 2], f)[0, 1] ** 2
        cell = result.isel(eta=7, lam=4, point=2).sel(t0=onset)
        assert float(cell.r_squared) == pytest.approx(expected, abs=1e-10)


def test_the_best_cell_of_every_place_is_near_its_truth():
    rng = np.random.default_rng(8)
    truth = {"w_m": rng.uniform(-0.3, -0.1, 12), "eta": rng.uniform(0.8, 2.0, 12), "lam": rng.uniform(2.0, 3.0, 12)}
    series, _ = simulate.settlement_series(Weibull(), truth, noise_std=0.0005, seed=1)
    result = sweep(Weibull(), series, grid={"lam": np.linspace(1.8, 3.2, 57), "eta": np.linspace(0.7, 2.1, 57)})
    best = result.isel(result.r_squared.argmax(["lam", "eta"]))
    assert best.w_m.dims == ("point",)
    np.testing.assert_allclose(best.lam, truth["lam"], atol=0.06)
    np.testing.assert_allclose(best.eta, truth["eta"], atol=0.06)
    np.testing.assert_allclose(best.w_m, truth["w_m"], rtol=0.01)
    # 0.5 mm of noise, and half a node of the grid
    assert float(best.rmse.max()) < 0.001


def test_sums_have_prefixes_and_shared_offsets():
    model = Weibull(prefix="early_") + Weibull(prefix="late_")
    params = {
        "early_w_m": -0.1,
        "early_eta": 3.0,
        "early_lam": 2.0,
        "late_w_m": -0.2,
        "late_eta": 0.05,
        "late_lam": 4.0,
    }
    series, _ = simulate.settlement_series(model, params, noise_std=0.0)
    place = series.isel(point=0)
    result = sweep(
        model,
        place,
        grid={"early_eta": [2.0, 3.0], "late_eta": [0.04, 0.05]},
        fixed={"early_lam": 2.0, "late_lam": 4.0},
    )
    assert set(result.data_vars) == {
        "r_squared", "correlation_squared", "rmse", "early_w_m", "late_w_m", "offset",
    }  # fmt: skip
    t = years(place)
    design = np.stack([np.ones_like(t), weibull(t, 2.0, 2.0), weibull(t, 0.05, 4.0)], -1)
    found = np.linalg.lstsq(design, place.displacement.values, rcond=None)[0]
    cell = result.sel(early_eta=2.0, late_eta=0.05)
    np.testing.assert_allclose([cell.offset, cell.early_w_m, cell.late_w_m], found, rtol=1e-8)
    best = result.isel(result.r_squared.argmax(["early_eta", "late_eta"]))
    assert {name: pytest.approx(float(best[name]), abs=1e-9) for name in params} == params


def test_a_prefix_is_part_of_the_names():
    series = many()
    grid = {"a_lam": [2.0, 2.5], "a_eta": [1.0]}
    result = sweep(Weibull(prefix="a_"), series, grid=grid, fixed={"a_offset": 0.0})
    plain = sweep(Weibull(), series, grid={"lam": [2.0, 2.5], "eta": [1.0]}, fixed={"offset": 0.0})
    np.testing.assert_array_equal(result.r_squared, plain.r_squared)
    np.testing.assert_array_equal(result.a_w_m, plain.w_m)


def test_one_place_a_raster_and_points_are_alike():
    series, grid = many(points=6), {"lam": [2.0, 2.5], "eta": [1.0, 1.4, 1.8]}
    on_points = sweep(Weibull(), series, grid=grid)
    one = sweep(Weibull(), series.isel(point=4), grid=grid)
    assert one.r_squared.dims == ("lam", "eta")
    np.testing.assert_array_equal(one.r_squared, on_points.r_squared.isel(point=4))
    values = series.displacement.values.reshape(-1, 2, 3)
    raster = xr.Dataset({"displacement": (("time", "y", "x"), values)}, {"time": series.time.values, "x": [1.0, 2, 3]})
    on_raster = sweep(Weibull(), raster, grid=grid)
    assert on_raster.rmse.dims == ("lam", "eta", "y", "x")
    np.testing.assert_array_equal(on_raster.rmse.values.reshape(2, 3, 6), on_points.rmse)
    np.testing.assert_array_equal(on_raster.x, [1.0, 2.0, 3.0])
    turned = sweep(Weibull(), raster.transpose("x", "time", "y"), grid=grid)
    np.testing.assert_array_equal(turned.rmse.transpose(*on_raster.rmse.dims), on_raster.rmse)


def test_chunks_threads_and_dask_give_the_same_bits(monkeypatch):
    series = many(gaps=True)
    grid = {"lam": [2.0, 2.5, 3.0], "eta": np.linspace(0.5, 2, 7)}
    whole = sweep(Weibull(), series, grid=grid, threads=1)
    xr.testing.assert_identical(sweep(Weibull(), series, grid=grid, threads=2), whole)
    lazy = sweep(Weibull(), series.chunk(point=2, time=10), grid=grid)
    assert lazy.r_squared.chunks is not None
    xr.testing.assert_identical(lazy.compute(), whole)
    sizes = []
    basis = Weibull.basis
    monkeypatch.setattr(Weibull, "basis", lambda self, *given: sizes.append(basis(self, *given)) or sizes[-1])
    monkeypatch.setattr(_sweep, "_CURVE_VALUES", 30 * 6 * 4)
    told = []
    xr.testing.assert_identical(
        sweep(Weibull(), series, grid=grid, progress=lambda done, total: told.append((done, total))), whole
    )
    assert len(sizes) == 6, "21 cells, 4 at a time"
    assert max(columns.size + gradient.size for columns, gradient in sizes) <= 30 * 6 * 4
    assert told[-1] == (126, 126)
    assert told == sorted(told)


def test_progress_goes_from_nothing_to_all():
    series = many(points=1, epochs=5).isel(point=np.zeros(10_000, int))  # more places than a block holds
    told = []
    grid = {"eta": [1.0, 1.5], "lam": [2.5]}
    sweep(Weibull(), series, grid=grid, threads=1, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 1
    assert told == sorted(set(told))
    assert told[-1] == (20_000, 20_000)


def test_what_cannot_be_known_is_nan():
    series = many(points=3, epochs=12)
    series["displacement"][3:, 1] = np.nan  # 3 epochs are left
    series["displacement"][2:, 2] = np.nan  # 2 are
    result = sweep(Weibull(), series, grid={"eta": [1.0, 1.5], "lam": [2.5]})
    assert np.isfinite(result.r_squared).sum("eta").values.ravel().tolist() == [2, 2, 0]
    assert np.isfinite(result.w_m).sum("eta").values.ravel().tolist() == [2, 2, 0]
    # One amplitude less needs one epoch less.
    assert np.isfinite(sweep(Weibull(), series, grid={"eta": [1.0], "lam": [2.5]}, fixed={"offset": 0.0}).rmse).all()
    # A curve that begins after the record is zero at every epoch.
    late = sweep(Weibull(), many(points=1), grid={"t0": [0.0, 99.0]}, fixed={"eta": 1.0, "lam": 2.5}).isel(point=0)
    assert np.isfinite(late.w_m).values.tolist() == [True, False]
    assert np.isfinite(late.offset).all()
    assert float(late.r_squared[1]) == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(late.correlation_squared[1])
    still = many(points=1).isel(point=0)
    still["displacement"] = 0.0 * still.displacement
    for fixed in (None, {"w_m": -0.1}):
        result = sweep(Weibull(), still, grid={"eta": [1.0], "lam": [2.5]}, fixed=fixed)
        assert np.isnan(result.r_squared).all()
        assert np.isnan(result.correlation_squared).all()
        assert np.isfinite(result.rmse).all()
    # Epochs of weight zero are none.
    weights = xr.DataArray(np.repeat([1.0, 0.0], [2, 28]), dims="time")
    assert np.isnan(sweep(Weibull(), many(), grid={"eta": [1.0], "lam": [2.5]}, weights=weights).rmse).all()


def test_labels_say_what_is_what():
    series = many(points=2).assign_coords(x=("point", [1.0, 2.0]))
    copy = series.copy(deep=True)
    result = sweep(Weibull("month"), series, grid={"eta": [0.01, 0.001], "lam": [2.5]}, origin="2017-12-01")
    xr.testing.assert_identical(series, copy)
    xr.testing.assert_identical(pickle.loads(pickle.dumps(result)), result)
    assert (result.eta.attrs["units"], result.lam.attrs["units"]) == ("month**-lam", "1")
    assert (result.w_m.attrs["units"], result.offset.attrs["units"], result.rmse.attrs["units"]) == ("m", "m", "m")
    assert result.r_squared.attrs["comment"] == "1 - RSS / TSS about the mean"
    assert result.eta.values.tolist() == [0.01, 0.001], "in the order given"
    assert float(result.t0) == 0.0
    assert result.x.values.tolist() == [1.0, 2.0]
    assert result.attrs["time_unit"] == "month"
    assert result.attrs["origin"].startswith("2017-12-01")
    assert result.attrs["component"] == "up"
    shift = (series.time[0].values - np.datetime64("2017-12-01")) / np.timedelta64(1, "D") / (365.25 / 12)
    t = years(series) * 12 + shift
    expected = np.corrcoef(series.displacement.values[:, 1], weibull(t, 0.01, 2.5))[0, 1] ** 2
    assert float(result.r_squared.sel(eta=0.01, lam=2.5, point=1)) == pytest.approx(expected, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    factor=st.floats(1e-3, 1e3).flatmap(lambda size: st.sampled_from([size, -size])),
    shift=st.floats(-1, 1),
    seed=st.integers(0, 99),
)
def test_shares_do_not_depend_on_unit_sign_or_datum_of_the_data(factor, shift, seed):
    series = many(points=2, epochs=15)
    series["displacement"] = series.displacement + np.random.default_rng(seed).normal(0, 0.01, (15, 2))
    other = series.assign(displacement=factor * (series.displacement + shift))
    grid = {"eta": [0.5, 1.5], "lam": [1.5, 2.5]}
    a, b = (sweep(Weibull(), data, grid=grid) for data in (series, other))
    for name in ("r_squared", "correlation_squared"):
        np.testing.assert_allclose(a[name], b[name], atol=1e-8)
        assert (a[name] <= 1).all()
    np.testing.assert_allclose(b.rmse, abs(factor) * a.rmse, rtol=1e-6)
    np.testing.assert_allclose(b.w_m, factor * a.w_m, rtol=1e-6, atol=1e-9 * abs(factor))
    np.testing.assert_allclose(a.r_squared, a.correlation_squared, atol=1e-10)


class TestShapesFitted:
    """Cells in which a non-linear parameter is left to be fitted."""

    @pytest.mark.parametrize("weights", [None, "displacement_std"])
    def test_each_cell_is_the_fit_with_the_others_held(self, weights):
        series = many(points=3, gaps=True, std=True)
        lams = [2.0, 2.5, 3.2]
        result = sweep(Weibull(), series, grid={"lam": lams}, fixed={"offset": 0.004}, weights=weights)
        assert set(result.data_vars) == {"r_squared", "correlation_squared", "rmse", "w_m", "eta"}
        t = years(series)
        for point in range(3):
            y = series.displacement.values[:, point]
            w = 1 / np.where(series.displacement_std > 0, series.displacement_std, np.nan)[:, point]
            w = np.where(np.isfinite(w), w, 0.0) if weights else np.ones_like(w)
            used = np.isfinite(y) & (w > 0)
            for lam in lams:
                model = Weibull()
                model.set_param_hint("lam", value=lam, vary=False)
                model.set_param_hint("offset", value=0.004, vary=False)
                one = model.fit(y[used], t=t[used], weights=w[used])
                cell = result.sel(lam=lam).isel(point=point)
                assert float(cell.w_m) == pytest.approx(one.params["w_m"].value, rel=1e-4)
                assert float(cell.eta) == pytest.approx(one.params["eta"].value, rel=1e-4)
                assert float(cell.rmse) == pytest.approx(np.sqrt(one.chisqr / np.sum(w[used] ** 2)), rel=1e-5)
                r = np.cov(y[used], one.best_fit, aweights=w[used] ** 2)
                assert float(cell.correlation_squared) == pytest.approx(r[0, 1] ** 2 / (r[0, 0] * r[1, 1]), rel=1e-5)
                share = 1 - one.chisqr / np.sum(w[used] ** 2) / np.cov(y[used], aweights=w[used] ** 2, ddof=0)
                assert float(cell.r_squared) == pytest.approx(share, abs=1e-6)

    def test_the_profile_ends_where_the_grid_does(self):
        """The best cell over a fine grid of lam is no worse than the whole grid of lam and eta."""
        series = many(points=2)
        told = []
        profile = sweep(
            Weibull(), series, grid={"lam": [2.0, 2.5, 3.0]}, progress=lambda done, total: told.append((done, total))
        )
        grid = sweep(Weibull(), series, grid={"lam": [2.0, 2.5, 3.0], "eta": np.linspace(0.5, 3, 301)})
        assert (profile.rmse <= grid.rmse.min("eta") * (1 + 1e-9)).all()
        np.testing.assert_allclose(profile.rmse, grid.rmse.min("eta"), rtol=1e-3)
        assert told[-1] == (6, 6)

    def test_the_model_stays_as_it_is(self):
        model = Weibull()
        hints = {name: dict(hint) for name, hint in model.param_hints.items()}
        sweep(model, many(points=1), grid={"lam": [2.0, 3.0]})
        assert model.param_hints == hints

    def test_a_raster_in_any_order(self):
        series = many(points=6)
        values = series.displacement.values.reshape(-1, 2, 3)
        raster = xr.Dataset({"displacement": (("time", "y", "x"), values)}, {"time": series.time.values})
        on_points = sweep(Weibull(), series, grid={"lam": [2.0, 2.5]})
        for turned in (raster, raster.transpose("x", "time", "y")):
            result = sweep(Weibull(), turned, grid={"lam": [2.0, 2.5]})
            assert result.eta.dims == ("lam", "y", "x")
            np.testing.assert_allclose(result.eta.values.reshape(2, 6), on_points.eta, rtol=1e-6)
            np.testing.assert_allclose(result.rmse.values.reshape(2, 6), on_points.rmse, rtol=1e-9)

    def test_a_place_without_data_is_nan(self):
        series = many(points=2)
        series["displacement"][:, 1] = np.nan
        result = sweep(Weibull(), series, grid={"lam": [2.5]})
        assert np.isfinite(result.rmse.isel(point=0)).all()
        for name in result.data_vars:
            assert np.isnan(result[name].isel(point=1)).all(), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {}}, "grid must map names"),
        ({"grid": [("lam", [2.0])]}, "grid must map names"),
        ({"grid": {"lambda": [2.0]}}, "'lambda' is no parameter: this model has w_m, eta, lam"),
        ({"grid": {"lam": [2.0]}, "fixed": {"level": 0.0}}, "'level' is no parameter"),
        ({"grid": {"lam": [2.0]}, "fixed": {"lam": 2.0}}, "'lam' is in grid and in fixed"),
        ({"grid": {"lam": [2.0]}, "fixed": ["offset"]}, "fixed must map names"),
        ({"grid": {"lam": []}}, r"grid\['lam'\] is empty"),
        ({"grid": {"lam": 2.0}}, r"grid\['lam'\] must be a sequence of numbers, got 2.0"),
        ({"grid": {"lam": "2"}}, r"grid\['lam'\] must be a sequence of numbers, got '2'"),
        ({"grid": {"lam": ["two"]}}, r"grid\['lam'\] must be a sequence of numbers"),
        ({"grid": {"lam": [[2.0]]}}, r"grid\['lam'\] must be a sequence of numbers"),
        ({"grid": {"lam": [2.0, 2.5, 2.0]}}, r"grid\['lam'\] has the value 2 twice"),
        ({"grid": {"lam": [2.0, np.nan]}}, r"grid\['lam'\] must be finite, got nan"),
        ({"grid": {"w_m": [np.inf]}}, r"grid\['w_m'\] must be finite, got inf"),
        ({"grid": {"lam": [2.0, 9.0]}}, r"grid\['lam'\] must lie between 0.3 and 8, got 9"),
        ({"grid": {"eta": [0.0, 1.0]}}, r"grid\['eta'\] must be above zero, got 0"),
        ({"grid": {"lam": [2.0]}, "fixed": {"eta": -1.0}}, r"fixed\['eta'\] must be above zero, got -1"),
        ({"grid": {"eta": [1.0]}, "fixed": {"lam": np.nan}}, r"fixed\['lam'\] must be finite"),
        ({"grid": {"eta": [1.0]}, "fixed": {"lam": 0.1}}, r"fixed\['lam'\] must lie between 0.3 and 8, got 0.1"),
        ({"grid": {"eta": [1.0]}, "fixed": {"lam": [2.0]}}, r"fixed\['lam'\] must be a number"),
        ({"grid": {"eta": [1.0]}, "weights": "std"}, "weights='std' must name a variable"),
        ({"grid": {"eta": [1.0]}, "weights": 3.0}, "weights must be a DataArray or the name of a variable"),
        ({"grid": {"eta": [1.0]}, "origin": "yesterday"}, "origin must be a date"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        sweep(Weibull(), many(points=1), **options)


def test_bad_series():
    series = many(points=1)
    with pytest.raises(InputError, match="expected increasing times"):
        sweep(Weibull(), series.isel(time=[1, 0, 2, 3]), grid={"lam": [2.0]})
    with pytest.raises(InputError, match="'displacement' is missing"):
        sweep(Weibull(), series.drop_vars("displacement"), grid={"lam": [2.0]})
