"""Matching and agreement against hand-made truth and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from subsidence import schema
from subsidence.errors import InputError
from subsidence.validation import agreement, match, metrics

EPOCHS = np.arange("2018-01-01", "2020-01-01", 12, dtype="M8[D]").astype("M8[ns]")
CAMPAIGNS = np.array(["2018-03-07", "2018-11-20", "2019-10-31"], "M8[ns]")
YEARS = (EPOCHS - EPOCHS[0]) / np.timedelta64(1, "D") / 365.25
INCIDENCE = 36.0


def field(x, y):
    """Vertical rate in m/year at a place."""
    return -0.03 * np.exp(-(x**2 + y**2) / 2e6) - 0.002


def raster(component: str = "los") -> xr.Dataset:
    """Steady vertical motion on a raster of 90 m pixels, float32, seen in the line of sight."""
    x, y = np.arange(-1800.0, 1801, 90), np.arange(1800.0, -1801, -90)
    up = field(x[None, :], y[:, None])
    seen = up * np.cos(np.deg2rad(INCIDENCE)) if component == "los" else up
    return xr.Dataset(
        {"displacement": (("time", "y", "x"), (YEARS[:, None, None] * seen).astype(np.float32))},
        {"time": EPOCHS, "x": x, "y": y, "incidence": INCIDENCE},
        {"component": component},
    )


def levels(x, y, *, name: str = "height") -> xr.Dataset:
    """Heights of benchmarks that follow the same field without error."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    years = (CAMPAIGNS - EPOCHS[0]) / np.timedelta64(1, "D") / 365.25
    start = 12.3 if name == "height" else 0.0
    return xr.Dataset(
        {name: (("time", "benchmark"), start + years[:, None] * field(x, y)), "std": ((), 0.001)},
        {
            "time": CAMPAIGNS,
            "x": ("benchmark", x),
            "y": ("benchmark", y),
            "benchmark": [f"B{k}" for k in range(x.size)],
        },
        {"component": "up"},
    )


def as_points(series: xr.Dataset) -> xr.Dataset:
    flat = series.stack(point=("y", "x")).reset_index("point")
    return flat.transpose("time", "point")


@pytest.mark.parametrize("component", ["los", "up"])
@pytest.mark.parametrize("name", ["height", "displacement"])
@pytest.mark.parametrize("shape", ["raster", "points"])
def test_mean_of_places_within_the_radius(component, name, shape):
    series = raster(component)
    if shape == "points":
        series = as_points(series)
    levelling = levels([0.0, 700.0, -1000.0], [30.0, -400.0, 900.0], name=name)
    matched = match(series, levelling, radius=200.0)
    schema.MATCHED.check(matched)
    xx, yy = np.meshgrid(raster().x, raster().y)
    for k in range(3):
        gap = np.hypot(xx - levelling.x.values[k], yy - levelling.y.values[k])
        rates = field(xx, yy)[gap <= 200]
        assert matched.place_count[k] == rates.size
        assert matched.distance[k] == pytest.approx(gap.min())
        assert matched.insar_velocity[k].item() == pytest.approx(rates.mean(), abs=2e-8)
        assert matched.insar_velocity_spread[k].item() == pytest.approx(rates.std(ddof=1), abs=2e-8)
        years = (CAMPAIGNS - CAMPAIGNS[0]) / np.timedelta64(1, "D") / 365.25
        np.testing.assert_allclose(matched.insar_displacement[:, k], rates.mean() * years, atol=2e-8)
    np.testing.assert_allclose(matched.truth_velocity, field(levelling.x.values, levelling.y.values), rtol=1e-12)
    assert list(matched.benchmark.values) == ["B0", "B1", "B2"]
    assert ("assumption" in matched.attrs) == (component == "los")
    assert matched.attrs["radius"] == 200.0


def test_incidence_of_each_place_counts():
    series = raster()
    incidence = np.linspace(30, 45, series.sizes["x"])
    up = series.displacement / np.cos(np.deg2rad(INCIDENCE))
    series = series.assign(displacement=up * np.cos(np.deg2rad(xr.DataArray(incidence, dims="x"))))
    series = series.drop_vars("incidence").assign_coords(
        incidence=(("y", "x"), np.tile(incidence, (series.sizes["y"], 1)))
    )
    levelling = levels([0.0, -1500.0, 1500.0], [0.0, 0.0, 0.0])
    expected = match(raster(), levelling).insar_velocity
    np.testing.assert_allclose(match(series, levelling).insar_velocity, expected, atol=1e-7)
    vector = series.drop_vars("incidence").assign_coords(los_up=np.cos(np.deg2rad(series.incidence)))
    np.testing.assert_allclose(match(vector, levelling).insar_velocity, expected, atol=1e-7)


def test_both_rates_are_the_same_functional_of_motion_that_is_not_steady():
    series = raster("up")
    curved = -0.05 * YEARS**2
    series["displacement"] = (("time", "y", "x"), np.broadcast_to(curved[:, None, None], series.displacement.shape))
    levelling = levels([0.0], [0.0])
    levelling["height"] = (("time", "benchmark"), np.interp(
        CAMPAIGNS.astype(np.int64), EPOCHS.astype(np.int64), curved)[:, None])  # fmt: skip
    matched = match(series, levelling)
    np.testing.assert_allclose(matched.insar_velocity, matched.truth_velocity, rtol=1e-12)
    years = (CAMPAIGNS - CAMPAIGNS[0]) / np.timedelta64(1, "D") / 365.25
    expected = stats.linregress(years, levelling.height[:, 0]).slope
    assert matched.truth_velocity.item() == pytest.approx(expected, rel=1e-12)


def test_campaigns_outside_the_series_are_not_extrapolated():
    levelling = levels([0.0, 500.0], [0.0, 0.0])
    later = levelling.assign_coords(time=CAMPAIGNS + np.timedelta64(120, "D"))
    matched = match(raster(), later)
    assert np.isnan(matched.insar_displacement[-1]).all()
    assert np.isfinite(matched.insar_velocity).all()
    with pytest.raises(InputError, match="fewer than two campaigns fall into the series: series 2018-01-01 to"):
        match(raster(), levelling.assign_coords(time=CAMPAIGNS + np.timedelta64(700, "D")))


def test_a_campaign_on_an_epoch_needs_that_epoch_only():
    series = raster()
    levelling = levels([0.0], [0.0]).isel(time=[0, 2]).assign_coords(time=EPOCHS[[4, 40]])
    series["displacement"][5:40] = np.nan
    expected = (EPOCHS[40] - EPOCHS[4]) / np.timedelta64(1, "D") / 365.25
    matched = match(series, levelling, radius=50.0)
    assert matched.insar_displacement[1, 0].item() == pytest.approx(field(0, 0) * expected, abs=1e-8)


def test_a_missing_campaign_shortens_the_interval_of_both():
    levelling = levels([0.0, 500.0], [0.0, 0.0])
    levelling["height"][0, 1] = np.nan
    matched = match(raster(), levelling, radius=100.0)
    assert np.isnan(matched.insar_displacement[0, 1])
    assert matched.insar_displacement[1, 1] == 0.0
    assert matched.truth_displacement[1, 1] == 0.0
    assert matched.insar_velocity[1].item() == pytest.approx(matched.truth_velocity[1].item(), abs=1e-3)
    levelling["height"][1, 1] = np.nan
    assert np.isnan(match(raster(), levelling).insar_velocity[1])


def test_places_with_gaps_do_not_count():
    series = raster()
    levelling = levels([0.0], [0.0])
    everything = match(series, levelling)
    series["displacement"][:, 20, 20] = np.nan
    series["displacement"][10:, 20, 21] = np.nan
    assert match(series, levelling).place_count == everything.place_count - 2
    few = match(series, levelling, min_points=everything.place_count.item())
    assert np.isnan(few.insar_velocity).all()
    assert np.isnan(few.truth_velocity).all()
    assert np.isnan(few.distance).all()


def test_datum_shift_takes_off_the_offset_of_the_reference():
    series = raster("up")
    series["displacement"] = series.displacement + 0.004 * xr.DataArray(YEARS, dims="time")
    levelling = levels([0.0, 700.0, -1000.0], [0.0, -400.0, 900.0])
    raw, shifted = match(series, levelling, radius=60.0), match(series, levelling, radius=60.0, datum="shift")
    assert shifted.velocity_shift.item() == pytest.approx(0.004, abs=1e-4)
    np.testing.assert_allclose(shifted.insar_velocity + shifted.velocity_shift, raw.insar_velocity)
    np.testing.assert_allclose(shifted.insar_displacement + shifted.displacement_shift, raw.insar_displacement)
    report = agreement(shifted)
    assert list(report.datum.values) == ["none", "shift"]
    assert report.bias.sel(datum="none").item() == pytest.approx(shifted.velocity_shift.item())
    assert report.bias.sel(datum="shift").item() == pytest.approx(0.0, abs=1e-15)
    xr.testing.assert_allclose(report.sel(datum=["none"]), agreement(raw))
    assert report.rmse.sel(datum="shift").item() == pytest.approx(report["std"].sel(datum="none").item())


def test_geographic_distances_are_metres():
    lat0 = 60.0
    east, north = 111_412.84 * np.cos(np.deg2rad(lat0)) - 93.5 * np.cos(np.deg2rad(3 * lat0)), 111_412.24
    lon = 20.0 + np.arange(-20, 21) * 50.0 / east
    lat = lat0 - np.arange(-20, 21) * 50.0 / north
    base = raster().isel(x=slice(0, 41), y=slice(0, 41))
    up = field(np.arange(-20, 21)[None, :] * 50.0, np.arange(20, -21, -1)[:, None] * 50.0)
    series = xr.Dataset(
        {"displacement": (("time", "y", "x"), YEARS[:, None, None] * up)},
        {"time": EPOCHS, "x": ("x", lon, {"units": "degrees_east"}), "y": ("y", lat, {"units": "degrees_north"})},
        {"component": "up"},
    )
    assert series.sizes == base.sizes
    levelling = levels([0.0], [0.0]).drop_vars(["x", "y"])
    levelling = levelling.assign_coords(lon=("benchmark", [20.0]), lat=("benchmark", [lat0]))
    xx, yy = np.meshgrid(np.arange(-20, 21) * 50.0, np.arange(-20, 21) * 50.0)
    for radius in (130.0, 220.0):
        expected = np.hypot(xx, yy) <= radius
        assert match(series, levelling, radius=radius).place_count.item() == expected.sum()
    named = series.assign_coords(x=np.arange(41.0), y=np.arange(41.0), lon=("x", lon), lat=("y", lat))
    assert match(named, levelling, radius=130.0).place_count == match(series, levelling, radius=130.0).place_count


def test_lazy_series_gives_the_same():
    levelling = levels([0.0, 700.0], [0.0, -400.0])
    lazy = raster().chunk({"time": 7, "y": 20, "x": 20})
    xr.testing.assert_identical(match(lazy, levelling), match(raster(), levelling))


def test_order_of_benchmarks_and_campaigns_does_not_matter_and_inputs_stay():
    series, levelling = raster(), levels([0.0, 700.0, -900.0], [0.0, -400.0, 20.0])
    before = series.copy(deep=True), levelling.copy(deep=True)
    expected = match(series, levelling, datum="shift")
    shuffled = match(series, levelling.isel(time=[2, 0, 1], benchmark=[1, 2, 0]), datum="shift")
    xr.testing.assert_allclose(shuffled.isel(benchmark=[2, 0, 1]), expected)
    xr.testing.assert_identical(series, before[0])
    xr.testing.assert_identical(levelling, before[1])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda s, t: (s, t), {"radius": 0.0}, "radius must be a positive number"),
        (lambda s, t: (s, t), {"min_points": 0}, "min_points must be a whole number"),
        (lambda s, t: (s, t), {"datum": "plane"}, "datum must be one of 'none', 'shift'"),
        (lambda s, t: (s, t.assign_coords(x=t.x + 1e6)), {}, r"the closest is \d+ m away"),
        (lambda s, t: (s.drop_vars(["x", "y"]), t), {}, "no coordinates in common: series has no ones"),
        (lambda s, t: (s.drop_attrs(deep=False), t), {}, "must be 'los' or 'up'"),
        (lambda s, t: (s.drop_vars("incidence"), t), {}, "'los_up' or 'incidence'"),
        (lambda s, t: (s.isel(time=slice(None, None, -1)), t), {}, "in order of time"),
        (lambda s, t: (s, t.isel(time=[0, 1, 1])), {}, "two campaigns at 2018-11-20"),
        (lambda s, t: (s, t.assign_attrs(component="los")), {}, "levelling must be vertical"),
        (lambda s, t: (s.drop_vars("displacement"), t), {}, "series: not a valid SERIES"),
        (lambda s, t: (s, t.drop_vars("height")), {}, "levelling: not a valid LEVELLING"),
    ],
)
def test_bad_input(change, options, message):
    series, levelling = change(raster(), levels([0.0, 500.0], [0.0, 0.0]))
    with pytest.raises(InputError, match=message):
        match(series, levelling, **options)


def matched_with(estimate, truth) -> xr.Dataset:
    estimate, truth = np.asarray(estimate, float), np.asarray(truth, float)
    time = CAMPAIGNS[:2]
    zero = np.zeros_like(estimate)
    return xr.Dataset(
        {
            "insar_velocity": ("benchmark", estimate),
            "truth_velocity": ("benchmark", truth),
            "insar_displacement": (("time", "benchmark"), np.stack([zero, estimate])),
            "truth_displacement": (("time", "benchmark"), np.stack([zero, truth])),
        },
        {"time": time},
    )


def test_agreement_against_other_formulas():
    rng = np.random.default_rng(3)
    truth = rng.uniform(-0.1, 0.0, 40)
    estimate = 0.9 * truth + 0.003 + rng.normal(0, 0.002, 40)
    report = agreement(matched_with(estimate, truth)).isel(datum=0)
    line = stats.linregress(truth, estimate)
    assert report.pearson_r.item() == pytest.approx(line.rvalue)
    assert report.r2_pearson.item() == pytest.approx(line.rvalue**2)
    residual = estimate - truth
    assert report.r2_one_to_one.item() == pytest.approx(1 - np.sum(residual**2) / (40 * np.var(truth)))
    assert report.r2_one_to_one < report.r2_pearson
    assert report.mae.item() == pytest.approx(np.abs(residual).mean())
    assert report.n.item() == 40
    assert report.rmse.attrs["units"] == "m/year"
    assert report.r2_pearson.attrs["units"] == "1"


def test_agreement_of_displacement_leaves_out_the_common_zero():
    report = agreement(matched_with([0.1, 0.2, np.nan], [0.1, 0.3, 0.4]), quantity="displacement")
    assert report.n.item() == 2
    assert report.mae.item() == pytest.approx(0.05)
    assert report.mae.attrs["units"] == "m"
    with pytest.raises(InputError, match="quantity must be"):
        agreement(matched_with([0.1], [0.1]), quantity="rate")
    with pytest.raises(InputError, match="matched: not a valid MATCHED"):
        agreement(xr.Dataset())


values = hnp.arrays(
    float, 12, elements=st.one_of(st.integers(-(10**6), 10**6).map(lambda k: k / 1000), st.just(np.nan))
)


@settings(max_examples=80, deadline=None)
@given(estimate=values, truth=values)
def test_invariants_of_the_metrics(estimate, truth):
    n = metrics.count(estimate, truth)
    assert n == np.count_nonzero(np.isfinite(estimate - truth))
    measured = {name: getattr(metrics, name)(estimate, truth) for name in ("bias", "std", "rmse", "mae")}
    if n == 0:
        assert np.isnan(list(measured.values())).all()
        return
    assert measured["rmse"] ** 2 == pytest.approx(measured["bias"] ** 2 + measured["std"] ** 2, abs=1e-6, rel=1e-9)
    assert measured["mae"] <= measured["rmse"] * (1 + 1e-12)
    assert metrics.bias(truth, estimate) == pytest.approx(-measured["bias"], abs=1e-9)
    r = metrics.pearson_r(estimate, truth)
    assert np.isnan(r) or -1 <= r <= 1


@pytest.mark.parametrize("level", [0.1, -0.0123, 1000 / 3])
@pytest.mark.parametrize("n", [3, 7, 10, 37])
def test_a_constant_has_no_spread_whatever_its_mean_rounds_to(level, n):
    constant = np.full(n, level)
    varying = constant + np.random.default_rng(n).normal(0, 0.01, n)
    rounded = constant * (1 + np.finfo(float).eps * (np.arange(n) % 2))
    for truth in (constant, rounded):
        assert np.isnan(metrics.r2_one_to_one(varying, truth))
        for name in ("pearson_r", "r2_pearson"):
            assert np.isnan(getattr(metrics, name)(varying, truth))
            assert np.isnan(getattr(metrics, name)(truth, varying))
            assert np.isnan(getattr(metrics, name)(truth, truth))
    small = level + 1e-9 * np.arange(n)  # little spread, but far above rounding
    assert metrics.pearson_r(small, small) == pytest.approx(1.0)
    assert metrics.r2_one_to_one(small, small) == 1.0


def test_metrics_without_spread_or_shape():
    assert np.isnan(metrics.pearson_r([1.0], [1.0]))
    assert np.isnan(metrics.pearson_r([1.0, 1.0], [1.0, 2.0]))
    assert np.isnan(metrics.r2_one_to_one([1.0, 2.0], [1.0, 1.0]))
    assert metrics.r2_one_to_one([1.0, 1.0], [1.0, 2.0]) == -1.0
    with pytest.raises(InputError, match=r"got \(2,\) and \(3,\)"):
        metrics.bias([1, 2], [1, 2, 3])
