"""Fits of a time function to every series: equal to lmfit's, honest about what they do not know."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from subsidence import fit_map, schema
from subsidence.errors import InputError, SubsidenceError
from subsidence.fitting._problem import pose
from subsidence.models import Linear, Logistic, Seasonal, Weibull
from subsidence.schema import Status
from subsidence.simulate import settlement_series
from subsidence.timescale import to_elapsed

DATES = np.datetime64("2018-01-06", "ns") + np.arange(85) * np.timedelta64(12, "D")
T = to_elapsed(DATES)


def held(model, **values):
    for name, value in values.items():
        model.set_param_hint(name, value=value, vary=False)
    return model


def weibulls(points, *, seed=0, noise_std=0.002, peak=(0.5, 1.8), **more):
    """Series whose velocity peaks at known times, and their truth."""
    rng = np.random.default_rng(seed)
    lam, peak = rng.uniform(1.5, 3.5, points), rng.uniform(*peak, points)
    truth = {"w_m": -rng.uniform(0.05, 0.4, points), "eta": (lam - 1) / (lam * peak**lam), "lam": lam}
    return settlement_series(Weibull(), truth, noise_std=noise_std, seed=seed, **more)


def logistics(points, *, seed=0, peak=(0.5, 2.0)):
    rng = np.random.default_rng(seed)
    a = np.exp(rng.uniform(np.log(10), np.log(100), points))
    model = Logistic()
    truth = {model.linear[0]: -rng.uniform(0.05, 0.4, points), "a": a, "c": np.log(a) / rng.uniform(*peak, points)}
    return settlement_series(model, truth, seed=seed)


def one(values, dates=DATES):
    return xr.Dataset({"displacement": ("time", values)}, {"time": dates})


def column(fits, name, variable="optimum"):
    return fits[variable].sel(parameter=name).values


# Truth


@pytest.mark.parametrize("free", [(), ("t0",)], ids=["offset", "onset"])
def test_truth_lies_inside_the_errors(free):
    series, truth = weibulls(300, seed=1)
    model = Weibull()
    for name in free:
        model.set_param_hint(name, vary=True)
    fits = fit_map(model, series)
    schema.FITS.check(fits)
    good = fits.status.values == Status.OK
    assert good.mean() > 0.93
    miss = (fits.estimate - truth.optimum.T).values / fits.estimate_std.where(fits.estimate_std > 0).values
    within = (np.abs(miss) < 1)[good].mean(axis=0)
    names = ["w_m", "eta", "lam", "offset", *free]
    for name in names:
        assert within[list(fits.parameter.values).index(name)] == pytest.approx(0.683, abs=0.08), name
    assert np.median(fits.noise_std) == pytest.approx(0.002, rel=0.02)
    assert np.median(fits.rmse) == pytest.approx(0.002 * np.sqrt(1 - (4 + len(free)) / 85), rel=0.02)


def test_stated_errors_of_autocorrelated_noise_are_larger_and_right():
    series, truth = weibulls(300, seed=2, autocorrelation=0.6)
    white, correlated = fit_map(Weibull(), series), fit_map(Weibull(), series, noise="autocorrelated")
    np.testing.assert_array_equal(white.optimum, correlated.optimum)
    assert np.median(correlated.noise_autocorrelation) == pytest.approx(0.6, abs=0.1)
    shares = []
    for fits in (white, correlated):
        miss = np.abs(column(fits, "lam") - truth.optimum.values[2]) / np.sqrt(fits.covariance.values[:, 2, 2])
        shares.append((miss < 1).mean())
    assert shares[0] < 0.5
    assert shares[1] == pytest.approx(0.683, abs=0.08)
    assert correlated.attrs["noise"] == "autocorrelated"


# lmfit


@pytest.mark.parametrize(
    ("family", "hints"),
    [
        (Weibull, {}),
        (Weibull, {"offset": {"value": 0.0, "vary": False}}),
        (Weibull, {"lam": {"value": 2.2, "vary": False}}),
        (Weibull, {"w_m": {"value": -0.2, "vary": False}, "offset": {"min": -0.5, "max": 0.5}}),
        (Weibull, {"eta": {"value": 1.1, "vary": False}, "t0": {"value": 0.05, "vary": False}}),
        (Logistic, {}),
    ],
    ids=["weibull", "no offset", "lam held", "w_m held", "eta and t0 held", "logistic"],
)
def test_optimum_and_covariance_are_lmfits(family, hints):
    series, _ = (logistics if family is Logistic else weibulls)(6, seed=3)
    series["displacement"][{"time": slice(5, 9), "point": 2}] = np.nan
    model = family()
    for name, hint in hints.items():
        model.set_param_hint(name, **hint)
    fits = fit_map(model, series)
    for point in np.flatnonzero(fits.status.values == Status.OK):
        result = model.fit(series.displacement.values[:, point], t=T, fit_kws={"xtol": 1e-12, "ftol": 1e-12})
        fit = fits.isel(point=point)
        std = np.array([result.params[name].stderr or 0.0 for name in model.param_names])
        best = np.array([result.params[name].value for name in model.param_names])
        assert (np.abs(fit.optimum.values - best) <= 1e-3 * std + 1e-12).all()
        np.testing.assert_allclose(fit.estimate_std, std, rtol=5e-3)
        np.testing.assert_array_equal(fit.estimate, fit.optimum)
        rows = [list(model.param_names).index(name) for name in result.var_names]
        size = np.outer(std[rows], std[rows])
        np.testing.assert_allclose(fit.covariance.values[np.ix_(rows, rows)] / size, result.covar / size, atol=5e-3)
        n, k = result.ndata, result.nvarys + 1
        assert fit.epoch_count == n
        assert fit.rmse == pytest.approx(np.sqrt(result.chisqr / n), rel=1e-6)
        assert fit.noise_std == pytest.approx(np.sqrt(result.redchi), rel=1e-6)
        assert fit.r_squared == pytest.approx(result.rsquared, rel=1e-6)
        likelihood = n * np.log(result.chisqr / n)
        assert fit.aicc == pytest.approx(likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1), rel=1e-8)
        assert fit.bic == pytest.approx(likelihood + k * np.log(n), rel=1e-8)
        peak = DATES[0] + np.timedelta64(round(model.time_of_peak(result.params) * 365.25 * 86400), "s")
        assert abs(fit.time_of_peak.values - peak) < np.timedelta64(6, "h")


def test_weights_are_lmfits():
    series, _ = weibulls(4, seed=4)
    rng = np.random.default_rng(4)
    std = rng.uniform(0.001, 0.006, (85, 4))
    std[0] = 0.0  # the reference epoch, at which a series is zero by construction
    series["displacement"] = series.displacement.where(std > 0, 0.0)
    series["displacement_std"] = ("time", "point"), std
    by_name = fit_map(Weibull(), series, weights="displacement_std")
    weights = xr.DataArray(np.where(std > 0, 1 / np.where(std > 0, std, 1), 0.0), dims=("time", "point"))
    xr.testing.assert_equal(by_name, fit_map(Weibull(), series, weights=weights))
    for point in range(4):
        model = Weibull()
        result = model.fit(series.displacement.values[1:, point], t=T[1:], weights=1 / std[1:, point])
        fit = by_name.isel(point=point)
        best = np.array([result.params[name].value for name in model.param_names])
        errors = np.array([result.params[name].stderr or 0.0 for name in model.param_names])
        assert (np.abs(fit.optimum.values - best) <= 1e-3 * errors + 1e-12).all()
        np.testing.assert_allclose(fit.estimate_std, errors, rtol=5e-3)
        assert fit.noise_std == pytest.approx(np.sqrt(result.redchi), rel=1e-6)
        assert fit.epoch_count == 84
    shared = fit_map(Weibull(), series, weights=weights[:, 0])
    np.testing.assert_array_equal(shared.optimum[0], by_name.optimum[0])


def test_the_reference_epoch_is_no_observation_only_when_its_std_is_zero():
    series, _ = weibulls(1, seed=5)
    series["displacement_std"] = ("time", "point"), np.full((85, 1), 0.002)
    assert fit_map(Weibull(), series, weights="displacement_std").epoch_count == 85
    series["displacement_std"][0] = 0.0
    fits = fit_map(Weibull(), series, weights="displacement_std")
    assert fits.epoch_count == 84
    assert fits.record_start == DATES[1]


# Missing data


def test_nan_epochs_are_left_out_place_by_place():
    series, _ = weibulls(5, seed=6)
    whole = fit_map(Weibull(), series)
    rng = np.random.default_rng(6)
    gone = rng.random((85, 5)) < 0.3
    gone[:, 0] = False
    fits = fit_map(Weibull(), series.where(~gone))
    np.testing.assert_array_equal(fits.optimum[0], whole.optimum[0])
    np.testing.assert_array_equal(fits.epoch_count, (~gone).sum(axis=0))
    for point in range(1, 5):
        kept = ~gone[:, point]
        alone = fit_map(Weibull(), series.isel(time=kept, point=[point]), origin=DATES[0])
        np.testing.assert_allclose(
            fits.optimum[point], alone.optimum[0], atol=1e-3 * float(alone.estimate_std[0].max())
        )
        assert fits.rmse[point] == pytest.approx(alone.rmse.item(), rel=1e-7)
        assert fits.record_start[point] == DATES[kept][0]
        assert fits.record_end[point] == DATES[kept][-1]


def test_too_little_data_is_said():
    values = np.full((85, 4), np.nan)
    values[:4, 1] = [0.0, 0.1, 0.2, 0.25]  # as many as parameters
    values[:5, 2] = [0.0, 0.1, 0.2, 0.25, 0.26]
    values[:, 3] = weibulls(1)[0].displacement.values[:, 0]
    series = xr.Dataset({"displacement": (("time", "point"), values)}, {"time": DATES})
    fits = fit_map(Weibull(), series)
    assert fits.status.values[0] == Status.NO_DATA
    assert fits.status.values[1] == Status.TOO_FEW_EPOCHS
    assert fits.status.values[2] not in {Status.NO_DATA, Status.TOO_FEW_EPOCHS}
    assert fits.status.values[3] == Status.OK
    assert fits.epoch_count.values.tolist() == [0, 4, 5, 85]
    assert fits.optimum[:2].isnull().all()
    assert fits.covariance[:2].isnull().all()
    assert np.isnat(fits.record_start.values[0])
    assert fits.record_end.values[1] == DATES[3]
    assert np.isnan(fits.aicc.values[2])


# Flags


@pytest.mark.parametrize("offset", [True, False], ids=["offset", "no offset"])
@pytest.mark.parametrize("family", [Logistic, Weibull])
def test_a_settlement_that_cannot_be_known_is_not_quoted(family, offset):
    make = logistics if family is Logistic else weibulls
    late, _ = make(300, seed=8, peak=(3.5, 6.0))
    early, _ = make(600, seed=9)
    model = family() if offset else held(family(), offset=0.0)
    unknown, known = fit_map(model, late), fit_map(model, early)
    flagged = unknown.status.values == Status.NOT_IDENTIFIABLE
    assert flagged.mean() >= 0.95
    assert (known.status.values == Status.NOT_IDENTIFIABLE).mean() <= 0.02
    final = model.final
    assert np.isnan(column(unknown, final, "estimate")[flagged]).all()
    assert np.isposinf(column(unknown, final, "estimate_std")[flagged]).all()
    assert np.isfinite(unknown.optimum).all()
    np.testing.assert_allclose(unknown.rmse, 0.002, rtol=0.3)


def test_a_record_that_ends_before_the_peak_is_flagged_however_good_it_is():
    series, _ = weibulls(30, seed=8, peak=(3.5, 6.0), noise_std=1e-6)
    fits = fit_map(Weibull(), series)
    assert (np.sqrt(fits.covariance.values[:, 0, 0]) < 0.1 * np.abs(column(fits, "w_m"))).any()
    assert (fits.status == Status.NOT_IDENTIFIABLE).all()


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_robust_fits_are_flagged_alike(loss):
    late, _ = weibulls(100, seed=8, peak=(3.5, 6.0))
    early, _ = weibulls(200, seed=9)
    assert (fit_map(Weibull(), late, loss=loss).status == Status.NOT_IDENTIFIABLE).mean() >= 0.95
    assert (fit_map(Weibull(), early, loss=loss).status == Status.NOT_IDENTIFIABLE).mean() <= 0.03


def test_a_parameter_at_its_bound_has_no_error():
    series, _ = weibulls(3, seed=10)
    model = Weibull()
    model.set_param_hint("lam", min=0.3, max=1.2)
    fits = fit_map(model, series)
    assert (fits.status == Status.AT_BOUND).all()
    np.testing.assert_allclose(column(fits, "lam"), 1.2)
    assert np.isnan(column(fits, "lam", "estimate_std")).all()
    np.testing.assert_array_equal(fits.covariance.sel(parameter="lam"), 0.0)
    at_value = fit_map(held(Weibull(), lam=1.2), series)
    np.testing.assert_allclose(column(fits, "w_m"), column(at_value, "w_m"), rtol=1e-5)
    np.testing.assert_allclose(column(fits, "w_m", "estimate_std"), column(at_value, "w_m", "estimate_std"), rtol=1e-3)


def test_an_amplitude_at_its_bound():
    series, _ = weibulls(2, seed=11)
    model = Weibull()
    model.set_param_hint("w_m", min=-0.01, max=0.0)
    fits = fit_map(model, series)
    assert (fits.status == Status.AT_BOUND).all()
    np.testing.assert_allclose(column(fits, "w_m"), -0.01)


def test_mixed_signs_are_said_and_fitted():
    rng = np.random.default_rng(12)
    down = -0.1 * (1 - np.exp(-((T / 0.8) ** 3)))
    up = 0.06 * np.clip(T - 1.6, 0, 1)
    series = xr.Dataset(
        {"displacement": (("time", "point"), np.stack([down + up, down], axis=1) + rng.normal(0, 0.002, (85, 2)))},
        {"time": DATES},
    )
    for sign in (1, -1):
        fits = fit_map(Weibull(), series * sign)
        assert fits.status.values.tolist() == [Status.MIXED_SIGNS, Status.OK]
        assert np.isfinite(fits.estimate).all()
    assert (fit_map(Weibull() + Seasonal(), series).status != Status.MIXED_SIGNS).all()


def test_noise_alone_is_not_called_mixed():
    rng = np.random.default_rng(13)
    values = rng.normal(0, 0.002, (85, 500))
    fits = fit_map(Weibull(), xr.Dataset({"displacement": (("time", "point"), values)}, {"time": DATES}))
    assert (fits.status == Status.MIXED_SIGNS).mean() < 0.01
    assert (fits.status == Status.OK).mean() < 0.15
    little, _ = settlement_series(Weibull(), {"w_m": -0.006, "eta": 3.0, "lam": 2.5}, points=300, seed=13)
    assert (fit_map(Weibull(), little).status == Status.MIXED_SIGNS).mean() < 0.03


def test_a_small_wave_is_not_called_mixed():
    series, _ = weibulls(20, seed=13, noise_std=0.0005)
    wave = xr.DataArray(0.005 * np.sin(2 * np.pi * T), dims="time")
    assert (fit_map(Weibull(), series + wave).status != Status.MIXED_SIGNS).all()


# Robust losses


def spoiled(points, seed):
    series, truth = weibulls(points, seed=seed)
    rng = np.random.default_rng(seed)
    values = series.displacement.values.copy()
    hit = rng.random(values.shape) < 0.08
    values[hit] += rng.choice([-0.028, 0.028], hit.sum())
    return series.assign(displacement=(("time", "point"), values)), truth


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_robust_optimum_is_scipys(loss):
    series, truth = spoiled(6, 14)
    scale = 0.003
    fits = fit_map(Weibull(), series, loss=loss, loss_scale=scale)
    assert (fits.status == Status.OK).all()
    for point in range(6):
        data = series.displacement.values[:, point]

        def residual(p, data=data):
            return p[3] + p[0] * (1 - np.exp(-np.exp(p[1]) * T ** np.exp(p[2]))) - data

        w_m, eta, lam = truth.optimum.values[:3, point]
        expected = optimize.least_squares(
            residual, [w_m, np.log(eta), np.log(lam), 0.0], loss=loss, f_scale=scale, x_scale=[0.1, 1, 1, 0.01],
            xtol=1e-14, ftol=1e-14, gtol=1e-14,
        )  # fmt: skip
        found = fits.optimum.values[point]
        found = np.array([found[0], np.log(found[1]), np.log(found[2]), found[4]])
        std = fits.estimate_std.values[point] / np.array([1, found[1] * 0 + np.exp(found[1]), np.exp(found[2]), 1, 1])
        np.testing.assert_allclose(found, expected.x, atol=1e-3 * std[[0, 1, 2, 4]].max())
        z = (residual(found) / scale) ** 2
        rho = np.log1p(z) if loss == "cauchy" else np.where(z <= 1, z, 2 * np.sqrt(z) - 1)
        assert 0.5 * scale**2 * rho.sum() == pytest.approx(expected.cost, rel=1e-6)


@pytest.mark.parametrize("loss", ["huber", "cauchy"])
def test_robust_fits_are_nearer_the_truth_and_say_how_near(loss):
    series, truth = spoiled(300, 15)
    plain, robust = fit_map(Weibull(), series), fit_map(Weibull(), series, loss=loss)
    misses = [np.abs(column(fits, "lam") - truth.optimum.values[2]) for fits in (plain, robust)]
    assert np.median(misses[1]) < 0.5 * np.median(misses[0])
    good = robust.status.values == Status.OK
    assert good.mean() > 0.95
    within = (misses[1] < column(robust, "lam", "estimate_std"))[good].mean()
    assert within == pytest.approx(0.683, abs=0.1)
    assert np.median(robust.noise_std) == pytest.approx(0.002, rel=0.15)
    assert robust.attrs["loss"] == loss


def test_robust_without_outliers_is_nearly_least_squares():
    series, _ = weibulls(20, seed=16)
    plain, robust = fit_map(Weibull(), series), fit_map(Weibull(), series, loss="huber", loss_scale=1.0)
    np.testing.assert_allclose(robust.optimum, plain.optimum, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(robust.covariance, plain.covariance, rtol=1e-2, atol=1e-9)


# Sums


def test_a_seasonal_term_is_found_beside_the_settlement():
    model = Weibull() + Seasonal()
    rng = np.random.default_rng(17)
    truth = {"w_m": -rng.uniform(0.05, 0.3, 40), "eta": 1.5, "lam": 2.4, "sine": 0.006, "cosine": -0.004}
    series, known = settlement_series(model, {**truth, "period": 1.0}, seed=17)
    fits = fit_map(model, series)
    assert (fits.status == Status.OK).mean() > 0.9
    miss = (fits.optimum.values - known.optimum.values.T) / np.sqrt(
        np.einsum("bpp->bp", fits.covariance.values + 1e-30)
    )
    for name in ("w_m", "eta", "lam", "sine", "cosine"):
        values = miss[:, list(fits.parameter.values).index(name)]
        assert (np.abs(values) < 1).mean() == pytest.approx(0.683, abs=0.2), name


def test_two_settlements_in_one_series():
    model = held(Weibull(prefix="early_") + Weibull(prefix="late_"), offset=0.0, late_t0=1.4)
    truth = {"early_w_m": -0.1, "early_eta": 12.0, "early_lam": 2.0, "late_w_m": -0.2, "late_eta": 6.0, "late_lam": 2.5}
    series, _ = settlement_series(model, {**truth, "late_t0": 1.4}, points=4, noise_std=0.001, seed=18)
    fits = fit_map(model, series)
    np.testing.assert_allclose(fits.rmse, 0.001, rtol=0.3)
    for name, value in truth.items():
        miss = (column(fits, name) - value) / np.sqrt(np.einsum("bpp->pb", fits.covariance.values))[
            list(fits.parameter.values).index(name)
        ]
        assert (np.abs(miss) < 4).all(), name
    peaks = fits.time_of_peak.values  # of the first that settles
    expected = DATES[0] + np.timedelta64(round(365.25 * (1 / 24) ** 0.5), "D")
    assert (np.abs(peaks - expected) < np.timedelta64(8, "D")).all()


def test_a_model_without_a_shape_is_linear_least_squares():
    series, _ = weibulls(5, seed=19)
    fits = fit_map(Linear(), series)
    expected = np.polyfit(T, series.displacement.values, 1)
    np.testing.assert_allclose(fits.optimum.values[:, [0, -1]], expected.T, rtol=1e-9)
    assert (fits.status == Status.OK).all()
    assert np.isnat(fits.time_of_peak.values).all()


# Layouts, threads, dask


def test_raster_points_and_one_place_are_the_same():
    series, _ = weibulls(12, seed=20)
    points = fit_map(Weibull(), series)
    raster = series.assign_coords(point=np.arange(12)).coarsen(point=4).construct(point=("y", "x"))
    grid = fit_map(Weibull(), raster.transpose("x", "time", "y"))
    assert grid.optimum.dims == ("y", "x", "parameter")
    np.testing.assert_array_equal(grid.optimum.values.reshape(12, -1), points.optimum.values)
    np.testing.assert_array_equal(grid.covariance.values.reshape(12, 5, 5), points.covariance.values)
    alone = fit_map(Weibull(), series.isel(point=7))
    assert alone.optimum.dims == ("parameter",)
    assert alone.status.dims == ()
    schema.FITS.check(alone)
    for name, variable in alone.data_vars.items():
        np.testing.assert_array_equal(variable.values, points[name].values[7])


@pytest.mark.parametrize("loss", ["linear", "huber"])
def test_order_and_company_of_points_do_not_matter(loss):
    series, _ = weibulls(2061, seed=21)  # the last block has a few series only
    series["displacement"][{"time": slice(0, 3), "point": slice(0, 2061, 7)}] = np.nan
    fits = fit_map(Weibull(), series, loss=loss)
    order = np.random.default_rng(0).permutation(2061)
    xr.testing.assert_equal(fit_map(Weibull(), series.isel(point=order), loss=loss), fits.isel(point=order))
    for point in (0, 5, 2060):
        xr.testing.assert_equal(fit_map(Weibull(), series.isel(point=[point]), loss=loss), fits.isel(point=[point]))


def test_threads_give_the_same_bits(monkeypatch):
    monkeypatch.setattr("subsidence._blocks._BLOCK", 64)
    series, _ = weibulls(300, seed=22)
    told = []
    several = fit_map(Weibull(), series, threads=2, progress=lambda done, total: told.append((done, total)))
    xr.testing.assert_identical(several, fit_map(Weibull(), series, threads=1))
    assert told[-1] == (300, 300)


def test_dask_is_numpy():
    pytest.importorskip("dask")
    series, _ = weibulls(40, seed=23)
    series["displacement_std"] = ("time", "point"), np.full((85, 40), 0.002)
    expected = fit_map(Weibull(), series, weights="displacement_std")
    lazy = fit_map(Weibull(), series.chunk(point=13, time=30), weights="displacement_std")
    assert lazy.optimum.chunks is not None
    xr.testing.assert_equal(lazy.compute(scheduler="single-threaded"), expected)


def test_a_block_survives_pickling():
    problem = pose(Weibull() + Seasonal(), T)
    again = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(again.values, problem.values)
    assert again.model.param_names == problem.model.param_names


def test_nothing_is_changed():
    series, _ = weibulls(4, seed=24)
    before = series.copy(deep=True)
    model = Weibull()
    hints = {name: dict(hint) for name, hint in model.param_hints.items()}
    fit_map(model, series, weights=xr.DataArray(np.ones(85), dims="time"), loss="huber")
    xr.testing.assert_identical(series, before)
    assert model.param_hints == hints


# Invariances


@pytest.mark.parametrize("unit", ["month", "day", np.timedelta64(12, "D")])
@pytest.mark.parametrize("hints", [{}, {"eta": 1.2}, {"t0": None}], ids=["free", "eta held", "onset"])
def test_the_unit_of_time_changes_the_parameters_not_the_curves(unit, hints):
    series, _ = weibulls(8, seed=25)
    years, other = Weibull(), Weibull(time_unit=unit)
    if "t0" in hints:
        for model in (years, other):
            model.set_param_hint("t0", vary=True)
    elif hints:
        held(years, **hints, lam=2.0)
        held(other, **{k: v for k, v in other_unit(years, unit).items() if k in {"eta", "lam"}})
    a, b = fit_map(years, series), fit_map(other, series)
    np.testing.assert_allclose(b.rmse, a.rmse, rtol=2e-4 if "t0" in hints else 1e-8)
    if "t0" in hints:
        return
    np.testing.assert_array_equal(a.status, b.status)
    for point in range(8):
        converted = years.convert(dict(zip(years.param_names, a.optimum.values[point], strict=True)), unit)
        np.testing.assert_allclose(b.optimum[point], list(converted.values()), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(column(b, "w_m", "estimate_std"), column(a, "w_m", "estimate_std"), rtol=1e-4)
    assert (np.abs(a.time_of_peak.values - b.time_of_peak.values) < np.timedelta64(1, "h")).all()


def other_unit(model, unit):
    return model.convert({"w_m": 1.0, "eta": 1.2, "lam": 2.0, "t0": 0.0, "offset": 0.0}, unit)


@settings(max_examples=6, deadline=None)
@given(scale=st.floats(1e-4, 1e4), sign=st.sampled_from([-1.0, 1.0]), seed=st.integers(0, 50))
def test_scale_and_sign_of_the_data_carry_over(scale, sign, seed):
    series, _ = weibulls(3, seed=seed)
    plain, changed = fit_map(Weibull(), series), fit_map(Weibull(), series * (sign * scale))
    np.testing.assert_array_equal(plain.status, changed.status)
    good = plain.status.values == Status.OK
    for name in ("eta", "lam"):
        np.testing.assert_allclose(column(changed, name)[good], column(plain, name)[good], rtol=1e-4)
    np.testing.assert_allclose(column(changed, "w_m")[good], sign * scale * column(plain, "w_m")[good], rtol=1e-4)
    np.testing.assert_allclose(changed.rmse, scale * plain.rmse, rtol=1e-6)
    np.testing.assert_allclose(changed.r_squared, plain.r_squared, rtol=1e-6)


@settings(max_examples=6, deadline=None)
@given(level=st.floats(-10, 10), days=st.integers(-400, 400))
def test_level_and_origin_carry_over(level, days):
    series, _ = weibulls(2, seed=26)
    model = Logistic()
    plain = fit_map(model, series)
    moved = fit_map(model, series + level, origin=DATES[0] + np.timedelta64(days, "D"))
    np.testing.assert_allclose(moved.rmse, plain.rmse, rtol=1e-6)
    np.testing.assert_allclose(column(moved, "offset"), column(plain, "offset") + level, atol=1e-5)
    np.testing.assert_allclose(column(moved, "c"), column(plain, "c"), rtol=1e-3)
    assert moved.attrs["origin"].startswith(str((DATES[0] + np.timedelta64(days, "D")).astype("M8[D]")))


def test_more_starts_are_never_worse():
    series, _ = weibulls(100, seed=27)
    model = Weibull()
    model.set_param_hint("t0", vary=True)
    one_start, several = fit_map(model, series, starts=1), fit_map(model, series, starts=6)
    assert (several.rmse <= one_start.rmse * (1 + 1e-9)).all()


def test_float32_in_float64_out():
    series, _ = weibulls(3, seed=28)
    fits = fit_map(Weibull(), series.astype(np.float32))
    assert fits.optimum.dtype == np.float64
    np.testing.assert_allclose(fits.optimum, fit_map(Weibull(), series).optimum, rtol=1e-3, atol=1e-6)


# Bad input


def test_bad_options_are_refused():
    series, _ = weibulls(1)
    with pytest.raises(InputError, match="model must be a time function"):
        fit_map("weibull", series)
    with pytest.raises(InputError, match="loss must be"):
        fit_map(Weibull(), series, loss="tukey")
    with pytest.raises(InputError, match="noise must be"):
        fit_map(Weibull(), series, noise="pink")
    with pytest.raises(InputError, match="needs noise='white'"):
        fit_map(Weibull(), series, loss="huber", noise="autocorrelated")
    with pytest.raises(InputError, match="needs a robust loss"):
        fit_map(Weibull(), series, loss_scale=0.01)
    with pytest.raises(InputError, match="loss_scale must be a positive number"):
        fit_map(Weibull(), series, loss="huber", loss_scale=-1.0)
    with pytest.raises(InputError, match="starts must be"):
        fit_map(Weibull(), series, starts=0)
    with pytest.raises(InputError, match="threads"):
        fit_map(Weibull(), series, threads=0)
    with pytest.raises(InputError, match="origin must be a date"):
        fit_map(Weibull(), series, origin="yesterday")


def test_bad_series_are_refused():
    series, _ = weibulls(1)
    with pytest.raises(SubsidenceError, match="displacement"):
        fit_map(Weibull(), series.drop_vars("displacement"))
    with pytest.raises(InputError, match="out of order"):
        fit_map(Weibull(), series.isel(time=[0, 2, 1, 3]))
    with pytest.raises(InputError, match="twice"):
        fit_map(Weibull(), series.isel(time=[0, 1, 1, 3]))


def test_bad_weights_are_refused():
    series, _ = weibulls(2)
    with pytest.raises(InputError, match="must name a variable"):
        fit_map(Weibull(), series, weights="sigma")
    with pytest.raises(InputError, match="must be a DataArray or the name"):
        fit_map(Weibull(), series, weights=np.ones(85))
    with pytest.raises(InputError, match="must have dims"):
        fit_map(Weibull(), series, weights=xr.DataArray(np.ones(2), dims="point"))
    with pytest.raises(InputError, match="sizes of series"):
        fit_map(Weibull(), series, weights=xr.DataArray(np.ones(84), dims="time"))
    moved = {"time": DATES + np.timedelta64(1, "D")}
    with pytest.raises(InputError, match="time of series"):
        fit_map(Weibull(), series, weights=xr.DataArray(np.ones(85), moved, dims="time"))
    for wrong in (-1.0, np.inf):
        with pytest.raises(InputError, match="finite and not negative"):
            fit_map(Weibull(), series, weights=xr.DataArray(np.full(85, wrong), dims="time"))


def test_ties_are_refused():
    series, _ = weibulls(1)
    model = Weibull()
    model.set_param_hint("offset", expr="w_m / 2")
    with pytest.raises(InputError, match="fit each series by"):
        fit_map(model, series)
