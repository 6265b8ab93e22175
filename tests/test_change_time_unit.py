"""Fits in another unit of time: the same curves, and errors that a fit in that unit has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence import models, schema, simulate
from subsidence.errors import InputError
from subsidence.fitting._fit_map import fit_map
from subsidence.fitting._fits import assemble, model_of
from subsidence.fitting._predict import predict
from subsidence.fitting._units import change_time_unit
from subsidence.models import TimeModel, Weibull
from subsidence.schema import Status
from subsidence.timescale import unit_days

UNITS = ["month", "day", np.timedelta64(152, "D"), "year"]


def fits_of(model: TimeModel, results: list[Any], series: xr.Dataset) -> xr.Dataset:
    """FITS of lmfit's results, one for each point."""
    names = list(model.param_names)
    count, size = len(results), len(names)
    optimum, covariance = np.zeros((count, size)), np.zeros((count, size, size))
    for point, result in enumerate(results):
        optimum[point] = [result.params[name].value for name in names]
        rows = [names.index(name) for name in result.var_names]
        covariance[point][np.ix_(rows, rows)] = result.covar
    std = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    along = ("point", "parameter")
    variables = {
        "optimum": xr.Variable(along, optimum),
        "estimate": xr.Variable(along, optimum),
        "estimate_std": xr.Variable(along, std),
        "covariance": xr.Variable((*along, "parameter_2"), covariance),
        "rmse": xr.Variable("point", [np.sqrt(result.chisqr / result.ndata) for result in results]),
        "noise_std": xr.Variable("point", [np.sqrt(result.redchi) for result in results]),
        "epoch_count": xr.Variable("point", [result.ndata for result in results]),
        "status": xr.Variable("point", np.full(count, Status.OK)),
    }
    return assemble(model, series, variables, origin=series.time.values[0])


def years(series: xr.Dataset) -> np.ndarray:
    return (series.time - series.time[0]).values / np.timedelta64(1, "D") / 365.25


@pytest.fixture(scope="module")
def series() -> xr.Dataset:
    rng = np.random.default_rng(1)
    params = {"w_m": rng.uniform(-0.3, -0.1, 5), "eta": rng.uniform(0.8, 2, 5), "lam": rng.uniform(2, 3, 5)}
    return simulate.settlement_series(Weibull(), params, seed=1)[0].assign_coords(x=("point", np.arange(5.0)))


@pytest.fixture(scope="module")
def results(series) -> list[Any]:
    return [Weibull().fit(series.displacement.values[:, point], t=years(series)) for point in range(5)]


@pytest.fixture(scope="module")
def fits(series, results) -> xr.Dataset:
    return fits_of(Weibull(), results, series)


def values(fits: xr.Dataset, point: int, variable: str = "optimum") -> dict[str, float]:
    return dict(zip(fits.parameter.values, fits[variable].isel(point=point).values.tolist(), strict=True))


@pytest.mark.parametrize("unit", UNITS, ids=str)
def test_the_curves_stay(fits, series, unit):
    changed = change_time_unit(fits, unit)
    schema.FITS.check(changed)
    t = np.linspace(0, 6, 50)
    model = model_of(changed)
    assert unit_days(model.time_unit) == unit_days(unit)
    for point in range(5):
        other = t * 365.25 / unit_days(unit)
        before = Weibull().eval(t=t, **values(fits, point))
        np.testing.assert_allclose(model.eval(t=other, **values(changed, point)), before, rtol=1e-10, atol=1e-12)
        # and through a model made by hand
        np.testing.assert_allclose(
            Weibull(unit).eval(t=other, **values(changed, point)), before, rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("unit", ["month", np.timedelta64(152, "D"), "day"], ids=str)
def test_errors_are_those_of_a_fit_in_that_unit(fits, series, results, unit):
    changed = change_time_unit(fits, unit)
    model = Weibull(unit)
    factor = 365.25 / unit_days(unit)
    for point, first in enumerate(results):
        start = model.make_params(**model.convert(dict(values(changed, point)), unit))
        again = model.fit(series.displacement.values[:, point], start, t=years(series) * factor)
        rows = [model.param_names.index(name) for name in again.var_names]
        # lmfit's covariance is from differences: good to a percent
        std = changed.estimate_std.values[point][rows]
        np.testing.assert_allclose(std, np.sqrt(np.diag(again.covar)), rtol=0.05)
        found = [again.params[name].value for name in again.var_names]
        np.testing.assert_allclose(changed.optimum.values[point][rows], found, rtol=0.02, atol=1e-4)
        assert again.chisqr == pytest.approx(first.chisqr, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(
    eta=st.floats(0.01, 5),
    lam=st.floats(0.5, 5),
    t0=st.floats(-1, 1),
    days=st.floats(0.5, 1000),
    seed=st.integers(0, 999),
)
def test_the_covariance_follows_the_jacobian(eta, lam, t0, days, seed):
    """By differences of `TimeModel.convert`, for a full covariance."""
    root = np.random.default_rng(seed).normal(size=(5, 5))
    params = {"w_m": -0.2, "eta": eta, "lam": lam, "t0": t0, "offset": 0.01}
    model = Weibull()
    model.set_param_hint("t0", vary=True)
    fits = scalar_fits(model, params, root @ root.T)
    unit = np.timedelta64(round(days * 86_400_000), "ms")
    changed = change_time_unit(fits, unit)
    jacobian = np.empty((5, 5))
    for column, name in enumerate(model.param_names):
        step = 1e-6
        sides = [model.convert(params | {name: params[name] + sign * step}, unit) for sign in (1, -1)]
        jacobian[:, column] = [(sides[0][row] - sides[1][row]) / (2 * step) for row in model.param_names]
    expected = jacobian @ root @ root.T @ jacobian.T
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(changed.covariance / scale, expected / scale, atol=1e-6)
    np.testing.assert_allclose(changed.estimate_std**2, np.diag(changed.covariance), rtol=1e-12)
    back = change_time_unit(changed, "year")
    np.testing.assert_allclose(back.optimum, fits.optimum, rtol=1e-9)
    spread = np.sqrt(np.outer(np.diag(root @ root.T), np.diag(root @ root.T)))
    np.testing.assert_allclose(back.covariance / spread, root @ root.T / spread, atol=1e-6 * (1 + np.log(days) ** 2))


FAMILIES = {
    "Weibull": Weibull(),
    **{name: getattr(models, name)() for name in ("Logistic", "Gompertz", "Richards", "MMF", "Normal", "Arctan")},
    **{name: getattr(models, name)() for name in ("Knothe", "PowerKnothe", "SegmentedKnothe", "SrokaSchober")},
    **{name: getattr(models, name)() for name in ("Bertalanffy", "Hyperbolic", "Logarithmic", "Linear", "Polynomial")},
    "SegmentedWeibull": models.SegmentedWeibull(),
    "PiecewiseLinear": models.PiecewiseLinear(breaks=[0.7, 1.4]),
    "Weibull + Seasonal": Weibull() + models.Seasonal(),
    "Linear + Step": models.Linear() + models.Step(at=1.1),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_and_their_bands_stay(series, family):
    fits = fit_map(FAMILIES[family], series)
    dates = np.array(["2018-02-01", "2019-01-20", "2020-07-01", "2022-01-01"], "M8[ns]")
    before = predict(fits, dates)
    for unit in ("month", np.timedelta64(152, "D")):
        changed = change_time_unit(fits, unit)
        after = predict(changed, dates)
        np.testing.assert_allclose(after.displacement, before.displacement, rtol=1e-8, atol=1e-10)
        for name in ("displacement_std", "lower", "upper"):
            np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=1e-7, err_msg=name)
        assert model_of(changed).held().keys() == FAMILIES[family].held().keys()
        np.testing.assert_allclose(change_time_unit(changed, "year").optimum, fits.optimum, rtol=1e-9)


def scalar_fits(model: TimeModel, params: dict[str, float], covariance: np.ndarray) -> xr.Dataset:
    """FITS of one place."""
    optimum = [params[name] for name in model.param_names]
    variables = {
        "optimum": xr.Variable("parameter", optimum),
        "estimate": xr.Variable("parameter", optimum),
        "estimate_std": xr.Variable("parameter", np.sqrt(np.diag(covariance))),
        "covariance": xr.Variable(("parameter", "parameter_2"), covariance),
        "rmse": xr.Variable((), 0.002),
        "noise_std": xr.Variable((), 0.002),
        "epoch_count": xr.Variable((), 85),
        "status": xr.Variable((), np.int64(Status.OK)),
    }
    return assemble(model, xr.Dataset(), variables, origin=np.datetime64("2018-01-06", "ns"))


def test_published_numbers_in_another_unit():
    """The peak of eq. 8 is at 2.3892 units (formulas.md); of 152 days it is that many times 152."""
    unit = np.timedelta64(152, "D")
    params = {"w_m": 1.0, "eta": 0.068, "lam": 2.5, "t0": 0.0, "offset": 0.0}
    changed = change_time_unit(scalar_fits(Weibull(unit), params, np.zeros((5, 5))), "day")
    found = dict(zip(changed.parameter.values, changed.optimum.values, strict=True))
    assert found["eta"] == pytest.approx(0.068 * 152**-2.5, rel=1e-12)
    assert model_of(changed).time_of_peak(found) == pytest.approx(2.3892244 * 152, rel=1e-7)
    assert changed.parameter_units.values.tolist() == ["m", "day**-lam", "1", "day", "m"]


def test_labels(fits):
    copy = fits.copy(deep=True)
    changed = change_time_unit(fits.assign(note=("point", np.arange(5))), "month")
    xr.testing.assert_identical(fits, copy)
    assert changed.attrs["time_unit"] == "month"
    assert changed.attrs["model"] == "Weibull, time in month"
    assert changed.attrs["origin"] == fits.attrs["origin"]
    assert changed.x.values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert "note" in changed
    for name in ("rmse", "noise_std", "epoch_count", "status"):
        xr.testing.assert_identical(changed[name].drop_vars("parameter_units", errors="ignore"), fits[name])
    assert all(changed[name].dims == fits[name].dims for name in fits)
    xr.testing.assert_identical(schema.FITS.stamp(changed), changed)
    turned = change_time_unit(fits.transpose("parameter_2", "parameter", "point"), "month")
    xr.testing.assert_allclose(turned.transpose(*changed.dims), changed.drop_vars("note").transpose(*changed.dims))


def test_the_same_unit_changes_nothing(fits):
    same = change_time_unit(fits, "year")
    xr.testing.assert_allclose(same, fits, rtol=1e-14)
    assert same.attrs == fits.attrs


def test_what_may_not_be_quoted_stays_so(fits):
    doubtful = fits.copy(deep=True)
    rows = {name: k for k, name in enumerate(fits.parameter.values)}
    doubtful["estimate"][0, rows["w_m"]] = np.nan
    doubtful["estimate_std"][0, rows["w_m"]] = np.inf
    doubtful["estimate"][1, rows["lam"]] = np.nan
    doubtful["estimate_std"][1, rows["lam"]] = np.inf
    for name in ("estimate", "estimate_std", "optimum"):
        doubtful[name][2] = np.nan
    doubtful["covariance"][2] = np.nan
    doubtful["estimate_std"][4, rows["lam"]] = np.nan  # at its bound
    doubtful["covariance"][3, rows["w_m"]] = doubtful["covariance"][3, :, rows["w_m"]] = np.nan
    changed = change_time_unit(doubtful, "month")
    unknown = {point: {n for n, v in values(changed, point, "estimate").items() if np.isnan(v)} for point in range(5)}
    # eta is in month**-lam: without lam it is not known either, as with it in another unit of time
    everything = set(rows)
    assert unknown == {0: {"w_m"}, 1: {"lam", "eta"}, 2: everything, 3: set(), 4: set()}
    infinite = {
        point: {n for n, v in values(changed, point, "estimate_std").items() if np.isinf(v)} for point in range(5)
    }
    assert infinite == {0: {"w_m"}, 1: {"lam", "eta"}, 2: set(), 3: set(), 4: set()}
    assert np.isnan(changed.estimate_std[2]).all()
    clean = change_time_unit(fits, "month")
    assert np.isnan(values(changed, 4, "estimate_std")["lam"])
    assert values(changed, 4, "estimate_std")["eta"] == values(clean, 4, "estimate_std")["eta"]
    np.testing.assert_array_equal(changed.optimum[[0, 1, 3, 4]], clean.optimum[[0, 1, 3, 4]])
    # a covariance that is not known does not spread to the other parameters
    others = [k for name, k in rows.items() if name != "w_m"]
    np.testing.assert_array_equal(changed.covariance[3][others, others], clean.covariance[3][others, others])


def test_held_values_and_bounds_go_with_the_unit():
    model = Weibull()
    model.set_param_hint("lam", value=2.0, vary=False)
    model.set_param_hint("eta", min=0.1, max=3.0)
    model.set_param_hint("t0", value=0.5, vary=False)
    model.set_param_hint("offset", value=0.01, vary=False)
    params = {"w_m": -0.2, "eta": 1.0, "lam": 2.0, "t0": 0.5, "offset": 0.01}
    changed = change_time_unit(scalar_fits(model, params, np.diag([1e-4, 1e-2, 0, 0, 0])), "month")
    found = model_of(changed)
    assert found.held() == {"lam": 2.0, "t0": 6.0, "offset": 0.01}
    assert found.param_hints["eta"]["min"] == pytest.approx(0.1 / 144)
    assert found.param_hints["eta"]["max"] == pytest.approx(3.0 / 144)
    np.testing.assert_allclose(changed.estimate_std, [0.01, 0.1 / 144, 0, 0, 0], rtol=1e-12)


def test_bounds_that_hold_for_one_curve_only_are_left_out():
    model = Weibull()
    model.set_param_hint("eta", value=1.0, vary=False)
    params = {"w_m": -0.2, "eta": 1.0, "lam": 2.0, "t0": 0.0, "offset": 0.01}
    changed = change_time_unit(scalar_fits(model, params, np.diag([1e-4, 0, 1e-2, 0, 1e-6])), "month")
    found = model_of(changed)
    assert found.held() == {"t0": 0.0}
    assert found.param_hints["lam"] == model.param_hints["lam"]
    eta_std = float(changed.estimate_std.sel(parameter="eta"))
    assert eta_std == pytest.approx(np.log(12) / 144 * 0.1), "held in years, it follows lam in months"
    assert model.held() == {"t0": 0.0, "eta": 1.0}


def test_sums_with_prefixes(series):
    model = Weibull(prefix="early_") + Weibull(prefix="late_")
    model.set_param_hint("late_lam", value=4.0, vary=False)
    params = {
        "early_w_m": -0.1, "late_w_m": -0.2, "early_eta": 3.0, "early_lam": 2.0, "early_t0": 0.0,
        "late_eta": 0.05, "late_lam": 4.0, "late_t0": 0.0, "offset": 0.0,
    }  # fmt: skip
    root = np.random.default_rng(2).normal(size=(9, 9))
    changed = change_time_unit(scalar_fits(model, params, root @ root.T), "month")
    found = dict(zip(changed.parameter.values, changed.optimum.values.tolist(), strict=True))
    assert found["early_eta"] == pytest.approx(3.0 / 144)
    assert found["late_eta"] == pytest.approx(0.05 / 12**4)
    t = np.linspace(0, 4, 20)
    again = model_of(changed)
    np.testing.assert_allclose(again.eval(t=12 * t, **found), model.eval(t=t, **params), rtol=1e-10, atol=1e-15)
    assert again.held() == model.held()
    units = dict(zip(changed.parameter.values, changed.parameter_units.values, strict=True))
    assert (units["early_eta"], units["late_eta"]) == ("month**-early_lam", "month**-late_lam")
    # one prefix' power belongs to its own rate
    rows = {name: k for k, name in enumerate(model.param_names)}
    cross = root @ root.T
    expected = (
        cross[rows["early_eta"], rows["late_lam"]] - 3.0 * np.log(12) * cross[rows["early_lam"], rows["late_lam"]]
    )
    got = float(changed.covariance[rows["early_eta"], rows["late_lam"]])
    assert got == pytest.approx(expected / 144)


def test_a_prefix_and_a_family_of_ones_own(fits):
    class Own(Weibull):
        pass

    params = {"a_w_m": -0.2, "a_eta": 1.0, "a_lam": 2.0, "a_t0": 0.0, "a_offset": 0.0}
    model = Own(prefix="a_")
    own = scalar_fits(model, params, np.zeros((5, 5)))
    changed = change_time_unit(own, "month", model=model)
    assert float(changed.optimum.sel(parameter="a_eta")) == pytest.approx(1 / 144)
    with pytest.raises(InputError, match="none of subsidence"):
        change_time_unit(own, "month")
    with pytest.raises(InputError, match="model must have the parameters of fits"):
        change_time_unit(fits, "month", model=model)


def test_lazy_fits_stay_lazy(fits):
    changed = change_time_unit(fits.chunk(point=2), "month")
    assert changed.optimum.chunks is not None
    assert changed.covariance.chunks is not None
    xr.testing.assert_allclose(changed.compute(), change_time_unit(fits, "month"))


def test_bad_input(fits):
    with pytest.raises(InputError, match="unit must be one of 'year'"):
        change_time_unit(fits, "decade")
    with pytest.raises(InputError, match="bare number has no unit"):
        change_time_unit(fits, 152)
    with pytest.raises(InputError, match="'optimum' is missing"):
        change_time_unit(fits.drop_vars("optimum"), "month")
    nameless = fits.copy()
    del nameless.attrs["model_spec"]
    with pytest.raises(InputError, match="give the time function, model="):
        change_time_unit(nameless, "month")
