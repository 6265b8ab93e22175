"""Predicted curves and their bands: against truth, against lmfit, against formulas written here."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from subsidence import models, schema, simulate
from subsidence.errors import InputError, SchemaError
from subsidence.fitting._average import predict_average
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import assemble
from subsidence.fitting._predict import predict
from subsidence.schema import Status
from subsidence.timescale import from_elapsed, to_elapsed

WEIBULL = models.Weibull()
BANDS = ("displacement", "displacement_std", "lower", "upper")
RECORD = np.datetime64("2018-01-06", "ns") + np.arange(85) * np.timedelta64(12, "D")
BOTH = np.datetime64("2018-01-06", "ns") + np.arange(170) * np.timedelta64(12, "D")


def drawn(rng, count: int, *, late: bool = False) -> dict[str, np.ndarray]:
    """Parameters of Weibull curves that are fastest inside the record, or well after it."""
    lam = rng.uniform(1.5, 3.5, count)
    peak = rng.uniform(3.5, 4.5, count) if late else rng.uniform(0.5, 1.8, count)
    return {"w_m": -rng.uniform(0.05, 0.4, count), "eta": (lam - 1) / (lam * peak**lam), "lam": lam}


def simulated(params, *, seed: int = 1, model=WEIBULL, time=RECORD, **options):
    return simulate.settlement_series(model, params, time=time, seed=seed, **options)[0]


def truth(params, *, model=WEIBULL, time=BOTH) -> np.ndarray:
    return simulate.settlement_series(model, params, time=time)[1]["displacement"].values


@pytest.fixture(scope="module")
def fits() -> xr.Dataset:
    return fit_map(WEIBULL, simulated(drawn(np.random.default_rng(1), 6)))


@pytest.fixture(scope="module")
def late() -> xr.Dataset:
    """Fits of curves that are fastest after the record: only the strong ones, which the record tells to be so."""
    params = drawn(np.random.default_rng(2), 12, late=True) | {"w_m": np.full(12, -0.4), "lam": np.full(12, 2.0)}
    params["eta"] = 0.5 / np.linspace(3.6, 4.4, 12) ** 2
    found = fit_map(WEIBULL, simulated(params))
    assert (found["status"] == Status.NOT_IDENTIFIABLE).all()
    return found.assign_attrs(truth=truth(params))


def by_hand(
    model, values: dict[str, float], std: dict[str, float], *, start: float, end: float, status: Status, **more: float
) -> xr.Dataset:
    """FITS of one point with independent parameters."""
    names = list(model.param_names)
    optimum = np.array([[values[name] for name in names]])
    covariance = np.diag([std.get(name, 0.0) ** 2 for name in names])[None]
    dates = from_elapsed([start, end], origin=RECORD[0], unit=model.time_unit)
    point = xr.Dataset({"displacement": (("time", "point"), np.zeros((85, 1)))}, {"time": RECORD})
    scalars = {"rmse": 0.002, "noise_std": 0.002, **more}
    variables = {
        **{name: xr.Variable(("point", "parameter"), optimum) for name in ("optimum", "estimate", "estimate_std")},
        "covariance": xr.Variable(("point", "parameter", "parameter_2"), covariance),
        **{name: xr.Variable("point", [value]) for name, value in scalars.items()},
        "epoch_count": xr.Variable("point", [85]),
        "status": xr.Variable("point", np.array([status], np.int8)),
        "record_start": xr.Variable("point", dates[:1]),
        "record_end": xr.Variable("point", dates[1:]),
    }
    return assemble(model, point, variables, origin=RECORD[0])


# Bands hold the truth


@pytest.mark.parametrize(("correlation", "noise"), [(0.0, "white"), (0.5, "autocorrelated")])
def test_bands_hold_the_truth_inside_the_record_and_a_record_beyond(correlation, noise):
    params = drawn(np.random.default_rng(3), 400)
    found = fit_map(WEIBULL, simulated(params, autocorrelation=correlation), noise=noise)
    known = (found["status"] == Status.OK).values
    assert known.mean() > 0.95
    curves = truth(params)
    observed = curves + 0.002 * np.random.default_rng(4).standard_normal(curves.shape)
    for kind, values in (("curve", curves), ("observation", observed)):
        bands = predict(found, BOTH, kind=kind)
        inside = ((bands["lower"].values <= values) & (values <= bands["upper"].values))[:, known]
        assert 0.92 <= inside[:85].mean() <= 0.975, kind
        assert 0.90 <= inside[85:].mean() <= 0.98, kind


def test_band_is_that_of_lmfit_inside_the_record():
    t = to_elapsed(RECORD)
    series = simulated({"w_m": -0.2, "eta": 0.6, "lam": 2.5}, seed=5)
    result = WEIBULL.fit(series["displacement"].values[:, 0], t=t)
    bands = predict(fit_map(WEIBULL, series).isel(point=0), RECORD, level=0.95)
    half = 0.5 * (bands["upper"] - bands["lower"])
    np.testing.assert_allclose(bands["displacement"], result.best_fit, atol=2e-6)
    np.testing.assert_allclose(half, result.eval_uncertainty(sigma=0.95), rtol=0.01, atol=1e-6)


def test_band_follows_from_the_covariance_by_numerical_derivatives():
    model = models.Logistic(prefix="l_") + models.Seasonal(prefix="s_")
    rng = np.random.default_rng(6)
    values = {name: 0.01 * rng.standard_normal() for name in model.param_names}
    values |= {"l_b": -0.2, "l_a": 30.0, "l_c": 2.5}
    fixed = model.held()
    values |= fixed
    free = [name for name in model.param_names if name not in fixed]
    std = {name: abs(values[name]) * 0.1 for name in free}
    made = by_hand(model, values, std, start=0.0, end=2.76, status=Status.OK, noise_dof=13.0)
    root = rng.standard_normal((len(free), len(free))) * np.array([std[name] for name in free])[:, None]
    at = [model.param_names.index(name) for name in free]
    covariance = np.zeros(made["covariance"].shape)
    covariance[0][np.ix_(at, at)] = root @ root.T
    made["covariance"] = made["covariance"].dims, covariance
    bands = predict(made, BOTH, level=0.9).isel(point=0)
    t = to_elapsed(BOTH)
    gradient = []
    for name in free:
        step = 1e-5 * (abs(values[name]) or 1.0)
        sides = [model.eval(t=t, **(values | {name: values[name] + sign * step})) for sign in (1, -1)]
        gradient.append((sides[0] - sides[1]) / (2 * step))
    expected = np.sqrt(((root.T @ np.array(gradient)) ** 2).sum(axis=0))
    np.testing.assert_allclose(bands["displacement"], model.eval(t=t, **values), atol=1e-12)
    np.testing.assert_allclose(bands["displacement_std"], expected, rtol=1e-5)
    half = 0.5 * (bands["upper"] - bands["lower"])
    np.testing.assert_allclose(half, stats.t.ppf(0.95, 13.0) * expected, rtol=1e-5)


def test_observation_adds_the_noise_and_joins_the_degrees_of_freedom(fits):
    fits = fits.assign(noise_dof=("point", np.full(6, 7.0)))
    curve, observation = predict(fits, BOTH), predict(fits, BOTH, kind="observation")
    one, noise = curve["displacement_std"].values ** 2, fits["noise_std"].values ** 2
    np.testing.assert_allclose(observation["displacement_std"] ** 2, one + noise, rtol=1e-12)
    dof = (one + noise) ** 2 / (one**2 / 7.0 + noise**2 / 81)
    half = stats.t.ppf(0.975, dof) * np.sqrt(one + noise)
    np.testing.assert_allclose(observation["upper"] - observation["displacement"], half, rtol=1e-9)
    assert (observation["lower"] < curve["lower"]).all()
    assert (observation["upper"] > curve["upper"]).all()


@settings(max_examples=25, deadline=None)
@given(
    levels=st.lists(st.floats(0.01, 0.999), min_size=2, max_size=2, unique=True),
    kind=st.sampled_from(["curve", "observation"]),
)
def test_bands_widen_with_their_level(fits, levels, kind):
    narrow, wide = (predict(fits, BOTH[::20], level=level, kind=kind) for level in sorted(levels))
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (wide["upper"] >= narrow["upper"]).all()
    assert (narrow["lower"] <= narrow["displacement"]).all()
    xr.testing.assert_equal(wide["displacement"], narrow["displacement"])


# Shapes and dates


def test_places_are_alike_in_any_shape(fits):
    points = predict(fits, BOTH[::10])
    index = pd.MultiIndex.from_product([[0.0, 1.0], [0.0, 1.0, 2.0]], names=("y", "x"))
    raster = fits.assign_coords(xr.Coordinates.from_pandas_multiindex(index, "point")).unstack("point")
    grid = predict(raster, BOTH[::10])
    assert grid["displacement"].dims == ("time", "y", "x")
    for name in BANDS:
        np.testing.assert_array_equal(grid[name].values.reshape(17, 6), points[name].values)
    one = predict(fits.isel(point=4), BOTH[::10])
    assert one["displacement"].dims == ("time",)
    np.testing.assert_array_equal(one["upper"], points["upper"].isel(point=4))
    schema.SERIES.check(grid)
    schema.SERIES.check(one)


def test_dates_may_come_in_any_order_and_twice(fits):
    order = np.random.default_rng(7).integers(0, 170, 250)
    plain, mixed = predict(fits, BOTH), predict(fits, BOTH[order])
    for name in BANDS:
        np.testing.assert_array_equal(mixed[name].values, plain[name].values[order])
    np.testing.assert_array_equal(mixed["time"].values, BOTH[order])
    np.testing.assert_array_equal(predict(fits, BOTH[3])["lower"].values[0], plain["lower"].values[3])
    from_days = predict(fits, BOTH.astype("M8[D]"))
    np.testing.assert_array_equal(from_days["lower"], plain["lower"])


def test_dates_before_the_onset_have_the_offset(fits):
    early = predict(fits, np.array(["1990-01-01", "2017-12-31"], "M8[ns]"))
    offset = fits.sel(parameter="offset", parameter_2="offset")
    np.testing.assert_allclose(early["displacement"], np.broadcast_to(offset["optimum"], (2, 6)), rtol=1e-12)
    np.testing.assert_allclose(early["displacement_std"] ** 2, np.broadcast_to(offset["covariance"], (2, 6)), rtol=1e-9)


def test_attributes_say_what_the_band_is(fits):
    found = predict(fits, BOTH, level=0.8, kind="observation")
    assert (found.attrs["level"], found.attrs["band"]) == (0.8, "observation")
    assert found.attrs["horizon"] == "1020 days past the record"
    assert predict(fits, RECORD[:3]).attrs["horizon"] == "inside the record"
    assert found["lower"].attrs["units"] == "m"
    np.testing.assert_array_equal(found["status"], fits["status"])


def test_lazy_fits_stay_lazy_and_give_the_same(fits):
    pytest.importorskip("dask")
    import dask

    lazy = predict(fits.chunk({"point": 2}), BOTH)
    assert dask.is_dask_collection(lazy["lower"].data)
    assert "horizon" not in lazy.attrs
    now, sent = predict(fits, BOTH), pickle.loads(pickle.dumps(lazy))  # as to another process
    for name in BANDS:
        np.testing.assert_array_equal(sent[name].compute(scheduler="threads").values, now[name].values)


def test_many_places_are_as_few(fits):
    many = fits.isel(point=np.tile(np.arange(6), 3000))
    found = predict(many, BOTH[::17], threads=2)
    few = predict(fits, BOTH[::17])
    np.testing.assert_array_equal(found["upper"].values, np.tile(few["upper"].values, 3000))


def test_a_family_of_ones_own_is_given_with_model(fits):
    plain = fits.drop_attrs(deep=False).assign_attrs(origin=fits.attrs["origin"])
    with pytest.raises(InputError, match="model_spec"):
        predict(plain, BOTH)
    xr.testing.assert_equal(predict(plain, BOTH, model=WEIBULL), predict(fits, BOTH))
    with pytest.raises(InputError, match="model must have the parameters of fits"):
        predict(fits, BOTH, model=models.Logistic())


# Places without an answer


def test_settlement_that_the_record_does_not_hold_has_no_lower_bound_after_it(late):
    bands = predict(late, BOTH)
    curves = late.attrs["truth"]
    inside = (bands["lower"].values <= curves) & (curves <= bands["upper"].values)
    assert inside[:85].mean() > 0.85
    assert inside[85:].all()
    assert np.isneginf(bands["lower"][85:]).all()
    # It does not come back: the other bound is the band's edge at the end of the record.
    np.testing.assert_allclose(bands["upper"][85:], np.broadcast_to(bands["upper"][84], (85, 12)), rtol=1e-12)
    assert np.isposinf(bands["displacement_std"][85:]).all()
    assert np.isfinite(bands["displacement_std"][:85]).all()
    assert np.isfinite(bands["displacement"]).all()


def test_uplift_has_no_upper_bound(late):
    up = late.copy(deep=True)
    flip = np.array([-1.0 if name in ("w_m", "offset") else 1.0 for name in up["parameter"].values])
    up["optimum"] = up["optimum"] * xr.Variable("parameter", flip)
    up["covariance"] = up["covariance"] * xr.Variable("parameter", flip) * xr.Variable("parameter_2", flip)
    down, risen = predict(late, BOTH), predict(up, BOTH)
    np.testing.assert_allclose(risen["upper"], -down["lower"])
    np.testing.assert_allclose(risen["lower"], -down["upper"])


def test_observation_of_an_open_end_is_bounded_with_its_noise(late):
    curve, observation = predict(late, BOTH), predict(late, BOTH, kind="observation")
    np.testing.assert_allclose(
        observation["upper"][85:], np.broadcast_to(observation["upper"][84], (85, 12)), rtol=1e-12
    )
    assert (observation["upper"] > curve["upper"]).all()


def test_motion_that_is_not_certain_is_open_on_both_sides():
    model = models.Logistic()
    values = {"b": -0.002, "a": 400.0, "c": 2.0, "t0": 0.0, "offset": 0.0}
    made = by_hand(model, values, {"b": 0.003, "offset": 0.001}, start=0.0, end=2.76, status=Status.NOT_IDENTIFIABLE)
    bands = predict(made, BOTH).isel(point=0)
    assert np.isneginf(bands["lower"][85:]).all()
    assert np.isposinf(bands["upper"][85:]).all()
    assert np.isfinite(bands["upper"][:85]).all()


def test_a_record_of_the_end_alone_is_open_before_it_and_closed_after_it():
    model = models.Logistic()
    values = {"b": -0.3, "a": 30.0, "c": 3.0, "t0": 0.0, "offset": 0.02}  # fastest after 1.1 years
    std = {"b": 0.2, "a": 0.1, "c": 0.05, "offset": 0.001}
    made = by_hand(model, values, std, start=1.3, end=4.5, status=Status.NOT_IDENTIFIABLE)
    made["covariance"][0, 0, 0] = 0.0  # the level at the end is known well
    times = from_elapsed([0.5, 1.0, 2.0, 4.4, 5.0, 9.0], origin=RECORD[0])
    bands = predict(made, times).isel(point=0)
    usual = predict(made.assign(status=("point", np.array([0], np.int8))), times).isel(point=0)
    for name in BANDS:
        np.testing.assert_array_equal(bands[name][2:], usual[name][2:])
    assert np.isposinf(bands["upper"][:2]).all()
    start = predict(made, made["record_start"].values).isel(point=0, time=0)
    np.testing.assert_allclose(bands["lower"][:2], float(start["lower"]))


def test_a_stop_in_the_last_quarter_of_the_record_does_not_count_as_rest():
    model = models.Logistic()
    values = {"b": -0.03, "a": float(np.exp(30 * 2.3)), "c": 30.0, "t0": 0.0, "offset": 0.0}  # over by 2.6 years
    made = by_hand(model, values, {"b": 0.001}, start=0.0, end=2.76, status=Status.NOT_IDENTIFIABLE)
    assert np.isneginf(predict(made, BOTH[90:])["lower"]).all()
    values["a"] = float(np.exp(30 * 1.5))
    made = by_hand(model, values, {"b": 0.001}, start=0.0, end=2.76, status=Status.NOT_IDENTIFIABLE)
    assert np.isfinite(predict(made, BOTH[90:])["lower"]).all()


def test_other_terms_of_a_sum_go_on_where_the_settlement_is_open():
    model = models.Weibull() + models.Seasonal()
    seasonal = [name for name in model.linear if name != "w_m"]
    values = {"w_m": -1.0, "eta": 0.02, "lam": 2.5, **model.held(), "offset": 0.0, **dict.fromkeys(seasonal, 0.004)}
    std = {"w_m": 0.5, "offset": 0.0003}
    made = by_hand(model, values, std, start=0.0, end=2.76, status=Status.NOT_IDENTIFIABLE)
    made["covariance"][0, 0, 0] = 0.0001**2
    made["optimum"][0, 0] = values["w_m"]
    bands = predict(made, BOTH).isel(point=0)
    t = to_elapsed(BOTH)
    after = t > 2.76
    stays = model.eval(t=t, **(values | {"w_m": 0.0})) + models.Weibull().eval(t=2.76, w_m=-1.0, eta=0.02, lam=2.5)
    assert np.isneginf(bands["lower"][after]).all()
    gap = (bands["upper"] - stays)[after]
    assert (gap > 0).all()
    assert (gap < 0.001).all()
    assert np.ptp(bands["upper"].values[after]) > 0.005


def test_a_curve_that_jumps_back_is_open_on_both_sides():
    model = models.SegmentedWeibull(continuity="printed")  # jumps back by 0.15 w_m after 2.39 years
    values = {"w_m": -1.0, "eta": 0.068, "lam": 2.5, "eta_2": 0.048, "lam_2": 2.3, "t0": 0.0, "offset": 0.0}
    made = by_hand(model, values, {"w_m": 0.01}, start=0.0, end=2.0, status=Status.NOT_IDENTIFIABLE)
    bands = predict(made, BOTH).isel(point=0)
    assert np.isposinf(bands["upper"][-80:]).all()
    assert np.isneginf(bands["lower"][-80:]).all()


@pytest.mark.parametrize("status", [Status.NO_DATA, Status.TOO_FEW_EPOCHS, Status.NOT_CONVERGED])
def test_places_without_a_fit_are_nan(fits, status):
    fits = fits.copy(deep=True)
    fits["status"][2] = status
    if status == Status.NOT_CONVERGED:  # which has numbers as a rule
        fits["optimum"][2] = np.nan
    bands = predict(fits, BOTH)
    assert np.isnan(bands.isel(point=2)[list(BANDS)].to_array()).all()
    assert np.isfinite(bands.drop_isel(point=2)[list(BANDS)].to_array()).all()


def test_series_without_data_go_through():
    series = simulated(drawn(np.random.default_rng(8), 3))
    series["displacement"][:, 1] = np.nan
    bands = predict(fit_map(WEIBULL, series), BOTH)
    np.testing.assert_array_equal(np.isnan(bands["upper"]).all("time"), [False, True, False])


def test_a_parameter_without_covariance_counts_only_where_it_acts():
    model = models.Weibull() + models.Step(at=3.5)
    (height,) = (name for name in model.linear if name != "w_m")
    values = {"w_m": -0.2, "eta": 0.6, "lam": 2.5, height: 0.0, "offset": 0.0, **model.held()}
    made = by_hand(model, values, {"offset": 0.001, height: 1.0}, start=0.0, end=2.76, status=Status.OK)
    row = model.param_names.index(height)
    made["covariance"][0, row, row] = np.nan
    t = to_elapsed(BOTH)
    std = predict(made, BOTH).isel(point=0)["displacement_std"]
    np.testing.assert_allclose(std[t < 3.49], 0.001, rtol=1e-12)
    assert np.isposinf(std[t > 3.51]).all()


# Averages


def comparison(names, weights) -> xr.Dataset:
    return schema.COMPARISON.stamp(
        xr.Dataset({"akaike_weight": (("model", "point"), np.array(weights, float))}, {"model": list(names)})
    )


@pytest.fixture(scope="module")
def several() -> dict[str, xr.Dataset]:
    series = simulated({"w_m": np.linspace(-0.2, -0.3, 4), "eta": 0.6, "lam": 2.5}, noise_std=0.01)
    return {"weibull": fit_map(WEIBULL, series), "logistic": fit_map(models.Logistic(), series)}


@pytest.mark.parametrize("kind", ["curve", "observation"])
def test_average_of_one_is_that_one(several, kind):
    weights = comparison(["other", "weibull", "logistic"], [[0.5] * 4, [0.5] * 4, [0.0] * 4])
    for fits in (several, {"weibull": several["weibull"]}):
        mean = predict_average(fits, BOTH, weights, kind=kind, level=0.9)
        one = predict(several["weibull"], BOTH, kind=kind, level=0.9)
        for name in BANDS:
            np.testing.assert_allclose(mean[name], one[name], rtol=1e-12)
        np.testing.assert_array_equal(mean["status"], one["status"])


def test_average_is_the_mixture(several):
    share = np.array([[0.3, 0.9, 0.5, 0.02], [0.7, 0.1, 0.5, 0.98]])
    times = BOTH[[20, 60, 90, 169]]
    parts = [predict(fits, times, level=0.9) for fits in several.values()]
    mean = predict_average(several, times, comparison(several, share), level=0.9)
    curve, std = (np.array([part[name].values for part in parts]) for name in BANDS[:2])
    average = (share[:, None] * curve).sum(axis=0)
    variance = (share[:, None] * (std**2 + (curve - average) ** 2)).sum(axis=0)
    np.testing.assert_allclose(mean["displacement"], average, rtol=1e-12)
    np.testing.assert_allclose(mean["displacement_std"], np.sqrt(variance), rtol=1e-12)
    freedom = [85 - 4] * 2
    for i in range(4):
        for k in range(4):

            def below(x: float, i: int = i, k: int = k) -> float:
                return sum(
                    w * stats.t.cdf((x - c[i, k]) / s[i, k], dof)
                    for w, c, s, dof in zip(share[:, k], curve, std, freedom, strict=True)
                )

            span = curve[:, i, k].min() - 20 * std[:, i, k].max(), curve[:, i, k].max() + 20 * std[:, i, k].max()
            for name, probability in (("lower", 0.05), ("upper", 0.95)):
                expected = optimize.brentq(lambda x, p=probability: below(x) - p, *span, xtol=1e-12)
                assert abs(float(mean[name][i, k]) - expected) < 1e-4 * std[:, i, k].max()


def test_average_is_open_as_soon_as_the_open_model_weighs_enough(late):
    sure = late.assign(status=("point", np.zeros(12, np.int8)))
    share = np.concatenate([[0.0, 1e-9], np.linspace(0.01, 0.024, 5), np.linspace(0.026, 1.0, 5)])
    fits = {"open": late, "sure": sure}
    mean = predict_average(fits, BOTH, comparison(fits, [share, 1 - share]))
    one = predict(sure, BOTH)
    after = mean.isel(time=slice(85, None))
    np.testing.assert_array_equal(np.isneginf(after["lower"]).all("time"), share > 0.025)
    np.testing.assert_array_equal(np.isneginf(after["lower"]).any("time"), share > 0.025)
    np.testing.assert_array_equal(np.isinf(after["displacement_std"]).all("time"), share > 1e-6)
    np.testing.assert_allclose(after["lower"][:, :2], one["lower"][85:, :2], rtol=1e-6)
    # The weight that is at minus infinity pushes the bound of the rest outwards: its quantile is this one.
    std, dof = one["displacement_std"][85:, 2:7], 81
    pushed = stats.t.ppf((0.025 - share[2:7]) / (1 - share[2:7]), dof)
    np.testing.assert_allclose(after["lower"][:, 2:7], one["displacement"][85:, 2:7] + pushed * std, rtol=1e-3)
    np.testing.assert_allclose(mean["upper"][:85], one["upper"][:85], rtol=1e-6)


def test_average_of_one_place_and_of_places_without_weight(several):
    share = np.array([[0.4, np.nan, 1.0, 0.0], [0.6, np.nan, np.nan, 0.0]])
    mean = predict_average(several, BOTH[::30], comparison(several, share))
    np.testing.assert_array_equal(np.isnan(mean["lower"]).all("time"), [False, True, False, True])
    bounded = several["logistic"].assign(status=("point", np.full(4, Status.AT_BOUND, np.int8)))
    status = predict_average(several | {"logistic": bounded}, BOTH[:1], comparison(several, share))["status"]
    assert (status[0], status[2]) == (Status.AT_BOUND, Status.OK)
    only = predict(several["weibull"].isel(point=2), BOTH[::30])
    np.testing.assert_allclose(mean["lower"].isel(point=2), only["lower"], rtol=1e-12)
    single = predict_average(
        {name: fits.isel(point=0) for name, fits in several.items()},
        BOTH[::30],
        comparison(several, share).isel(point=0),
    )
    np.testing.assert_array_equal(single["upper"], mean["upper"].isel(point=0))


# Bad input


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1, np.nan, "0.95", None])
def test_level_must_be_a_probability(fits, several, level):
    with pytest.raises(InputError, match="level must lie between 0 and 1"):
        predict(fits, BOTH, level=level)
    with pytest.raises(InputError, match="level must lie between 0 and 1"):
        predict_average(several, BOTH, comparison(several, np.ones((2, 4))), level=level)


def test_kind_must_be_known(fits):
    with pytest.raises(InputError, match="kind must be 'curve' or 'observation', got 'mean'"):
        predict(fits, BOTH, kind="mean")


def test_times_may_be_text_or_timestamps(fits):
    expected = predict(fits, np.array(["2020-01-01"], "M8[ns]"))
    xr.testing.assert_identical(predict(fits, ["2020-01-01"]), expected)
    xr.testing.assert_identical(predict(fits, [pd.Timestamp("2020-01-01")]), expected)
    with pytest.raises(InputError, match="times must be dates such as"):
        predict(fits, ["soon"])


@pytest.mark.parametrize(
    "times",
    [np.arange(3.0), [], np.array(["2020-01-01", "NaT"], "M8[ns]"), BOTH.reshape(2, 85), None],
)
def test_times_must_be_dates(fits, times):
    with pytest.raises(InputError, match=r"times must be dates along one dimension, got .* use numpy.array"):
        predict(fits, times)


def test_times_must_fit_nanoseconds(fits):
    with pytest.raises(InputError, match="times must lie between 1678 and 2261, got the years 2020 to 3000"):
        predict(fits, np.array(["2020-01-01", "3000-01-01"], "M8[D]"))


def test_fits_must_be_fits(fits, several):
    with pytest.raises(SchemaError, match="FITS"):
        predict(simulated(drawn(np.random.default_rng(1), 2)), BOTH)
    with pytest.raises(SchemaError, match="'record_end' is missing"):
        predict(fits.drop_vars("record_end"), BOTH)
    with pytest.raises(InputError, match="fits must be a mapping of names to FITS"):
        predict_average(fits, BOTH, comparison(several, np.ones((2, 4))))
    with pytest.raises(InputError, match="an empty one"):
        predict_average({}, BOTH, comparison(several, np.ones((2, 4))))


def test_weights_must_be_of_the_models_and_places(several):
    with pytest.raises(InputError, match="none for logistic"):
        predict_average(several, BOTH, comparison(["weibull"], np.ones((1, 4))))
    with pytest.raises(InputError, match="same places"):
        predict_average(several, BOTH, comparison(several, np.ones((2, 5))))
    with pytest.raises(SchemaError, match="akaike_weight"):
        predict_average(several, BOTH, comparison(several, np.ones((2, 4))).drop_vars("akaike_weight"))
