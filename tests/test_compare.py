"""Comparing time functions: criteria, weights and the choice, against formulas written here and against truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import models, schema, simulate
from subsidence.errors import InputError
from subsidence.fitting._compare import best_model, compare
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import assemble
from subsidence.fitting._forecast import forecast_error
from subsidence.schema import Status

WEIBULL = models.Weibull()
WAVY = WEIBULL + models.Seasonal()
TIME = np.datetime64("2018-01-06", "ns") + np.arange(60) * np.timedelta64(12, "D")
PARAMS = {"w_m": -0.2, "eta": 2.0, "lam": 2.5}


def fits_of(rmse, *, n=60, model=WEIBULL, status=Status.OK, free=4, **attrs):
    """FITS of points whose residuals have the given root mean squares; criteria from statsmodels' closed form."""
    rmse = np.atleast_1d(np.asarray(rmse, float))
    n = np.broadcast_to(n, rmse.shape)
    k = free + 1
    # As statsmodels gives them, without the terms that all models share: -2 llf = n log(rss / n) + n (1 + log 2 pi)
    minus_two_llf = n * np.log(rmse**2) + n * (1 + np.log(2 * np.pi))
    shared = n * (1 + np.log(2 * np.pi))
    aicc = minus_two_llf + 2 * k + 2 * k * (k + 1) / (n - k - 1) - shared
    bic = minus_two_llf + k * np.log(n) - shared
    names = len(model.param_names)
    table = np.ones((names, rmse.size))
    variables = {
        **{name: xr.Variable(("parameter", "point"), table) for name in ("estimate", "estimate_std", "optimum")},
        "covariance": xr.Variable(("parameter", "parameter_2", "point"), np.ones((names, names, rmse.size))),
        "rmse": xr.Variable("point", rmse),
        "noise_std": xr.Variable("point", rmse * np.sqrt(n / (n - free))),
        "epoch_count": xr.Variable("point", n.astype(np.int64)),
        "status": xr.Variable("point", np.broadcast_to(np.asarray(status, np.int8), rmse.shape).copy()),
        "r_squared": xr.Variable("point", 1 - rmse**2 / 0.05**2),
        "aicc": xr.Variable("point", aicc),
        "bic": xr.Variable("point", bic),
        "record_start": xr.Variable("point", np.full(rmse.shape, TIME[0])),
        "record_end": xr.Variable("point", np.full(rmse.shape, TIME[-1])),
    }
    series = xr.Dataset(coords={"point": np.arange(rmse.size)}, attrs={"component": "up"})
    found = assemble(model, series, variables, origin=TIME[0])
    found.attrs |= attrs
    return found


def two(one=(0.003, 0.003), other=(0.0029, 0.0015), **kwargs):
    return {"plain": fits_of(one, **kwargs), "wavy": fits_of(other, model=WAVY, free=6, **kwargs)}


@pytest.fixture(scope="module")
def fitted():
    series, _ = simulate.settlement_series(WEIBULL, PARAMS, points=3, seed=3, time=TIME)
    return series, {"plain": fit_map(WEIBULL, series), "wavy": fit_map(WAVY, series)}


# Criteria


def test_criteria_are_those_of_lmfit_with_the_variance_counted(fitted):
    series, fits = fitted
    table = compare(fits)
    t = (series.time.values - series.time.values[0]) / np.timedelta64(1, "D") / 365.25
    n = t.size
    for name, model in (("plain", WEIBULL), ("wavy", WAVY)):
        result = model.fit(series.displacement.values[:, 1], t=t)
        k = result.nvarys + 1
        # lmfit's aic is n log(chisqr / n) + 2 p and its bic n log(chisqr / n) + p log n, p without the variance
        found = table.sel(model=name).isel(point=1)
        np.testing.assert_allclose(found.aicc, result.aic + 2 + 2 * k * (k + 1) / (n - k - 1), atol=1e-4)
        np.testing.assert_allclose(found.bic, result.bic + np.log(n), atol=1e-4)
        np.testing.assert_allclose(found.r_squared, result.rsquared, atol=1e-7)
        assert found.parameter_count == result.nvarys


def test_weights_are_relative_likelihoods():
    table = compare(two())
    rmse = np.array([[0.003, 0.003], [0.0029, 0.0015]])
    k = np.array([[5], [7]])
    aicc = 60 * np.log(rmse**2) + 2 * k + 2 * k * (k + 1) / (60 - k - 1)
    odds = np.exp(-(aicc[1] - aicc[0]) / 2)
    np.testing.assert_allclose(table.akaike_weight.values, np.stack([1 / (1 + odds), odds / (1 + odds)]))
    assert table.akaike_weight.dims == ("model", "point")


def test_all_places_together_are_sums_over_places():
    table = compare(two(n=np.array([60, 30])))
    np.testing.assert_allclose(table.aicc_all, table.aicc.sum("point"))
    np.testing.assert_allclose(table.bic_all, table.bic.sum("point"))
    np.testing.assert_allclose(table.rmse_all[0], 0.003)
    np.testing.assert_allclose(table.rmse_all[1], np.sqrt((60 * 0.0029**2 + 30 * 0.0015**2) / 90))
    odds = np.exp(-float(table.aicc_all[1] - table.aicc_all[0]) / 2)
    np.testing.assert_allclose(table.akaike_weight_all, [1 / (1 + odds), odds / (1 + odds)])


def test_a_place_without_a_fit_has_no_weight_and_no_part_in_the_sums():
    fits = two([0.003, 0.003, np.nan], [0.0029, np.nan, np.nan])
    fits["plain"]["status"][2] = Status.NO_DATA
    fits["wavy"]["status"][1:] = [Status.TOO_FEW_EPOCHS, Status.NO_DATA]
    table = compare(fits)
    np.testing.assert_array_equal(table.akaike_weight.values[:, 1:], [[1, np.nan], [0, np.nan]])
    np.testing.assert_allclose(table.aicc_all, table.aicc[:, 0])
    np.testing.assert_allclose(table.rmse_all, [0.003, 0.0029])
    assert table.best_model.values.tolist() == ["plain", "plain", ""]


@pytest.mark.parametrize(
    ("status", "weighs"),
    [
        (Status.OK, True),
        (Status.AT_BOUND, True),
        (Status.NOT_IDENTIFIABLE, True),
        (Status.NOT_CONVERGED, False),
        (Status.TOO_FEW_EPOCHS, False),
    ],
)
def test_only_fits_with_the_least_residuals_weigh(status, weighs):
    fits = two()
    fits["wavy"]["status"][:] = status
    table = compare(fits)
    assert (table.akaike_weight.sel(model="wavy") > 0).values.all() == weighs
    assert (table.best_model == "wavy").values.tolist() == [False, weighs]
    assert table.status.sel(model="wavy").values.tolist() == [status, status]


def test_a_model_fitted_nowhere_leaves_the_others_together():
    fits = two()
    fits["never"] = fits_of([np.nan, np.nan], status=Status.NOT_CONVERGED)
    table = compare(fits)
    np.testing.assert_allclose(table.aicc_all[:2], compare(two()).aicc_all)
    assert np.isnan(table.aicc_all[2])
    assert table.akaike_weight_all[2] == 0
    assert best_model(table, together=True).item() == "wavy"


def test_the_result_is_a_comparison_that_says_what_it_is():
    table = compare(two())
    schema.COMPARISON.check(table)
    assert table.attrs["kind"] == "COMPARISON"
    assert table.attrs["loss"] == "linear"
    assert "1 - RSS / TSS" in table.r_squared.attrs["comment"]
    assert table.rmse.attrs["units"] == "m"
    assert table.rmse_all.attrs["units"] == "m"
    assert table.best_model.attrs["criterion"] == "aicc"
    assert "parameter_units" not in table.coords
    assert table.parameter_count.values.tolist() == [4, 6]


@pytest.mark.parametrize("place", ["raster", "none"])
def test_rasters_and_single_places(place, fitted):
    series, fits = fitted
    whole = compare(fits)
    if place == "none":
        table = compare({name: one.isel(point=1) for name, one in fits.items()})
        assert table.best_model.dims == ()
        assert table.aicc_all.values.tolist() == table.aicc.values.tolist() == whole.aicc.values[:, 1].tolist()
        assert best_model(table, together=True).item() == best_model(table).item()
        return
    values = series.displacement.values[:, [0, 1, 2, 0]].reshape(-1, 2, 2)
    grid = xr.Dataset({"displacement": (("time", "y", "x"), values)}, {"time": TIME, "y": [1.0, 0.0], "x": [0.0, 1.0]})
    table = compare({"plain": fit_map(WEIBULL, grid), "wavy": fit_map(WAVY, grid)}, series=grid, origins=[0.7])
    assert table.forecast_rmse.dims == ("model", "y", "x")
    np.testing.assert_allclose(table.aicc.values.reshape(2, 4)[:, :3], whole.aicc.values, atol=1e-5)
    np.testing.assert_array_equal(table.y.values, [1.0, 0.0])


# The choice

WHOLE = st.integers(-300, 300).map(float)


@st.composite
def tables(draw):
    """Criteria of some models at three places, no two alike, some missing; and the models' parameters."""
    count = draw(st.integers(1, 5))
    values = draw(st.lists(WHOLE, min_size=3 * count, max_size=3 * count, unique=True))
    missing = draw(st.lists(st.booleans(), min_size=3 * count, max_size=3 * count))
    aicc = np.where(missing, np.nan, values).reshape(count, 3)
    return aicc, np.array(draw(st.lists(st.integers(1, 9), min_size=count, max_size=count)))


def table_of(aicc, counts):
    names = [f"model {i}" for i in range(len(counts))]
    return xr.Dataset(
        {"aicc": (("model", "point"), aicc), "parameter_count": ("model", counts)},
        {"model": names},
    )


def fits_with(aicc):
    """FITS whose criteria are the given ones."""
    found = fits_of(np.ones(3))
    return found.assign(aicc=("point", aicc))


@settings(max_examples=10, deadline=None)
@given(tables())
def test_weights_sum_to_one_whatever_the_order_and_a_constant_changes_nothing(case):
    aicc, _ = case
    fits = {f"model {i}": fits_with(row) for i, row in enumerate(aicc)}
    weights = compare(fits).akaike_weight
    known = np.isfinite(aicc).any(0)
    np.testing.assert_allclose(weights.sum("model").values[known], 1.0)
    assert np.isnan(weights.values[:, ~known]).all()
    assert (weights.values[np.isnan(aicc) & known] == 0).all()
    turned = compare(dict(reversed(fits.items()))).akaike_weight
    np.testing.assert_allclose(turned.values[::-1], weights.values)
    moved = compare({name: one.assign(aicc=one.aicc + 1000.0) for name, one in fits.items()}).akaike_weight
    np.testing.assert_allclose(moved.values, weights.values, atol=1e-10)


@settings(deadline=None)
@given(tables(), st.integers(0, 200).map(lambda margin: margin + 0.5))
def test_the_choice_is_the_smallest_of_the_good_ones_whatever_the_order(case, margin):
    aicc, counts = case
    table = table_of(aicc, counts)
    chosen = best_model(table, margin=margin).values
    assert (best_model(table.isel(model=slice(None, None, -1)), margin=margin).values == chosen).all()
    assert (best_model(table.assign(aicc=table.aicc + 1e4), margin=margin).values == chosen).all()
    for column, name in zip(aicc.T, chosen, strict=True):
        good = [row for row, value in enumerate(column) if value <= np.nanmin([*column, np.inf]) + margin]
        # by parameters, then by the criterion
        expected = min(good, key=lambda row: (counts[row], column[row]), default=None)
        assert name == ("" if expected is None else f"model {expected}")


def test_a_larger_model_must_win_by_more_than_the_margin():
    table = table_of([[-100.0, -100.0, -100.0], [-101.9, -102.1, np.nan]], [4, 6])
    assert best_model(table).values.tolist() == ["model 0", "model 1", "model 0"]
    assert best_model(table, margin=0.0).values.tolist() == ["model 1", "model 1", "model 0"]
    assert best_model(table, margin=5.0).values.tolist() == ["model 0", "model 0", "model 0"]


def test_of_models_alike_in_size_the_lower_is_taken():
    table = table_of([[-100.0, -100.0, -90.0], [-101.0, -99.0, -100.0]], [4, 4])
    assert best_model(table).values.tolist() == ["model 1", "model 0", "model 1"]


def test_the_margin_halves_the_share_of_superfluous_parameters():
    # Plain truth, linear models with two superfluous columns: n log(RSS) falls by a chi-squared of 2 degrees.
    rng = np.random.default_rng(5)
    n, draws = 100, 4000
    noise = rng.standard_normal((n, draws))
    basis = np.linalg.qr(rng.standard_normal((n, 5)))[0]
    small = (noise**2).sum(0) - ((basis[:, :3].T @ noise) ** 2).sum(0)
    large = small - ((basis[:, 3:].T @ noise) ** 2).sum(0)
    aicc = [n * np.log(rss / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1) for rss, k in ((small, 4), (large, 6))]
    table = table_of(np.array(aicc), [3, 5])
    share = float((best_model(table) == "model 0").mean())
    lowest = float((best_model(table, margin=0.0) == "model 0").mean())
    assert 0.84 < lowest < 0.90  # chi2.sf(4, 2) = 0.135, less what the correction for few epochs adds
    assert 0.94 < share < 0.97


# Forecasts


def test_forecasts_are_those_of_forecast_error(fitted):
    series, fits = fitted
    table = compare(fits, series=series, origins=(0.6, 0.8), criterion="forecast_rmse")
    for name, model in (("plain", WEIBULL), ("wavy", WAVY)):
        errors = forecast_error(model, series, origins=(0.6, 0.8))
        square = errors.forecast_rmse.sel(forecaster="model") ** 2
        # 60 epochs: the forecasts are of 24 and of 12 of them
        expected = np.sqrt((24 * square.isel(origin=0) + 12 * square.isel(origin=1)) / 36)
        np.testing.assert_allclose(table.forecast_rmse.sel(model=name), expected)
        np.testing.assert_allclose(table.forecast_rmse_all.sel(model=name), np.sqrt((expected**2).mean()))
        share = (24 * errors.forecast_coverage.isel(origin=0) + 12 * errors.forecast_coverage.isel(origin=1)) / 36
        np.testing.assert_allclose(table.forecast_coverage.sel(model=name), share)
    lowest = table.model.values[table.forecast_rmse.argmin("model")]
    assert table.best_model.values.tolist() == lowest.tolist()
    assert table.best_model.attrs["criterion"] == "forecast_rmse"
    assert "forecast_count" not in table


def test_forecasts_count_time_from_where_the_fits_do(fitted):
    series, _ = fitted
    onset = np.datetime64("2017-09-01")  # t0 is held at zero: another origin is another curve
    table = compare({"plain": fit_map(WEIBULL, series, origin=onset)}, series=series, origins=[0.5])
    expected = forecast_error(WEIBULL, series, origins=[0.5], origin=onset).forecast_rmse.sel(forecaster="model")
    np.testing.assert_allclose(table.forecast_rmse.values, expected.values)


def test_a_model_that_skips_an_origin_is_not_judged_by_the_others():
    series, _ = simulate.settlement_series(WEIBULL, PARAMS, points=2, seed=3, time=TIME)
    series.displacement[:25, 0] = np.nan  # six epochs before the first origin are too few for the sum
    fits = {"plain": fit_map(WEIBULL, series), "wavy": fit_map(WAVY, series)}
    table = compare(fits, series=series, origins=[31, 48] / np.float64(60))
    assert np.isfinite(table.forecast_rmse.sel(model="plain")).all()
    assert np.isnan(table.forecast_rmse.sel(model="wavy")).values.tolist() == [True, False]
    assert best_model(table, criterion="forecast_rmse")[0] == "plain"
    # together: over the place where both foretell
    np.testing.assert_allclose(table.forecast_rmse_all, table.forecast_rmse.isel(point=1))


def test_lazy_fits_stay_lazy_and_give_the_same(fitted):
    pytest.importorskip("dask")
    series, fits = fitted
    lazy = {name: one.chunk({"point": 2}) for name, one in fits.items()}
    table = compare(lazy, series=series.chunk({"point": 2}), origins=[0.7])
    assert table.best_model.chunks
    xr.testing.assert_allclose(table.compute(), compare(fits, series=series, origins=[0.7]))


# The mine of Wei et al. (2024); benchmarks/freeze_thaw.py does this at length

UNIT = np.timedelta64(152, "D")
MINE = np.arange(np.datetime64("2018-05-06", "ns"), np.datetime64("2021-09-30", "ns"), np.timedelta64(12, "D"))
JANUARY = float((np.datetime64("2019-01-15", "ns") - MINE[0]) / UNIT)


def mine_functions():
    heave = models.FrostHeave(UNIT)
    heave.set_param_hint("peak", value=JANUARY, vary=False)
    return {
        "plain": models.Weibull(UNIT),
        "segmented": models.SegmentedWeibull(UNIT, continuity="conditional"),
        "heave": models.Weibull(UNIT) + heave,
    }


@pytest.mark.parametrize(
    ("truth", "more"),
    [
        ("plain", {}),
        ("segmented", {"eta_2": 0.048, "lam_2": 2.3}),
        ("heave", {"heave": 0.0125, "peak": JANUARY}),
    ],
)
def test_dry_and_water_bearing_points_of_a_mine_are_told_apart(truth, more):
    functions = mine_functions()
    params = {"w_m": -0.25, "eta": 0.068, "lam": 2.5, **more}
    series, _ = simulate.settlement_series(functions[truth], params, time=MINE, points=40, noise_std=0.0075, seed=4)
    fits = {name: fit_map(model, series) for name, model in functions.items()}
    fives = [{name: one.isel(point=slice(k, k + 5)) for name, one in fits.items()} for k in range(0, 40, 5)]
    assert [best_model(compare(five), together=True).item() for five in fives].count(truth) >= 7
    # The noise is 3 % of the settlement: R2 = 1 - 0.03**2 / variance of the curve's share, some 0.15
    assert 0.985 < float(fits[truth].r_squared.median()) < 0.998


def test_the_next_epoch_tells_winter_heave_from_none():
    functions = mine_functions()
    params = {"w_m": -0.25, "eta": 0.068, "lam": 2.5, "heave": 0.0125, "peak": JANUARY}
    series, _ = simulate.settlement_series(functions["heave"], params, time=MINE, points=5, noise_std=0.0075, seed=1)
    fits = {name: fit_map(functions[name], series) for name in ("plain", "heave")}
    table = compare(fits, series=series, origins=MINE[47::5], horizon=np.timedelta64(12, "D"))
    assert best_model(table, criterion="forecast_rmse", together=True) == "heave"
    assert 0.0075 * 0.8 < float(table.forecast_rmse_all.sel(model="heave")) < 0.0075 * 1.2
    assert 0.85 < float(table.forecast_coverage.sel(model="heave").mean()) <= 1


# Refusals


def test_fits_of_other_places_are_refused():
    with pytest.raises(InputError, match=r"same places, got sizes \{'point': 2\} and \{'point': 3\}"):
        compare({"a": fits_of([0.003, 0.003]), "b": fits_of([0.003, 0.003, 0.003])})
    other = fits_of([0.003, 0.003]).assign_coords(point=[0, 7])
    with pytest.raises(InputError, match="other values of 'point'"):
        compare({"a": fits_of([0.003, 0.003]), "b": other})


def test_fits_of_other_epochs_are_refused():
    with pytest.raises(InputError, match=r"same epochs at every place, got epoch_count 60 in fits\['a'\] and 59"):
        compare({"a": fits_of([0.003, 0.003]), "b": fits_of([0.003, 0.003], n=np.array([60, 59]))})
    later = fits_of([0.003]).assign(record_end=("point", TIME[-2:-1]))
    with pytest.raises(InputError, match="record_end"):
        compare({"a": fits_of([0.003]), "b": later})


@pytest.mark.parametrize(("key", "value"), [("loss", "huber"), ("noise", "autocorrelated"), ("component", "los")])
def test_fits_made_otherwise_are_refused(key, value):
    with pytest.raises(InputError, match=f"fits must agree in {key}, got '.*' in .* and '{value}'"):
        compare({"a": fits_of([0.003]), "b": fits_of([0.003], **{key: value})})


def test_what_is_no_mapping_of_fits_is_refused(fitted):
    with pytest.raises(InputError, match=r"fits must be a mapping .* got Dataset"):
        compare(fits_of([0.003]))
    with pytest.raises(InputError, match=r"fits must be a mapping .* got an empty one"):
        compare({})
    with pytest.raises(InputError, match=r"fits\['series'\]: not a valid FITS"):
        compare({"series": fitted[0]})


def test_a_criterion_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="needs the series that were fitted"):
        compare(two(), criterion="forecast_rmse")
    with pytest.raises(InputError, match="criterion must be one of 'aicc', 'bic', 'forecast_rmse', got 'aic'"):
        compare(two(), criterion="aic")
    with pytest.raises(InputError, match="'forecast_rmse' is missing"):
        best_model(compare(two()), criterion="forecast_rmse")
    with pytest.raises(InputError, match="margin must not be negative, got -1"):
        best_model(compare(two()), margin=-1)


def test_series_of_other_places_are_refused(fitted):
    series, fits = fitted
    with pytest.raises(InputError, match="series must be of the same places"):
        compare(fits, series=series.isel(point=[0]))


def test_a_family_of_ones_own_is_given_by_name():
    fits = two()
    fits["wavy"].attrs["model_spec"] = fits["wavy"].attrs["model_spec"].replace("Seasonal", "Mine")
    with pytest.raises(InputError, match="'Mine' is none of"):
        compare(fits)
    assert compare(fits, models={"wavy": WAVY}).parameter_count.values.tolist() == [4, 6]
    with pytest.raises(InputError, match="model must have the parameters of fits"):
        compare(fits, models={"wavy": WEIBULL})


def test_nothing_given_is_changed(fitted):
    series, fits = fitted
    copies = {name: one.copy(deep=True) for name, one in fits.items()}
    before = series.copy(deep=True)
    compare(fits, series=series, origins=[0.7])
    xr.testing.assert_identical(series, before)
    for name, one in fits.items():
        xr.testing.assert_identical(one, copies[name])
