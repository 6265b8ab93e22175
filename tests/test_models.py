"""The Weibull model against closed forms, numerical derivatives and simulated curves."""

from __future__ import annotations

import pickle
import subprocess
import sys

import lmfit
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, minimize_scalar

from subsidence.errors import InputError
from subsidence.models import TimeModel, Weibull

PAPER = {"w_m": 1.0, "eta": 0.068, "lam": 2.5, "t0": 0.0, "offset": 0.0}


def curves(n: int, *, sigma: float = 2.0, seed: int = 7):
    """Settlement curves of 85 epochs of 12 days: t (85,), w (n, 85) in mm, and (w_m, eta, lam) (n, 3)."""
    rng = np.random.default_rng(seed)
    t = np.arange(85) * 12 / 365.25
    size, lam, peak = rng.uniform(50, 400, n), rng.uniform(1.5, 3.5, n), rng.uniform(0.5, 1.8, n)
    truth = np.stack([size, (lam - 1) / (lam * peak**lam), lam], -1)
    clean = size[:, None] * (1 - np.exp(-truth[:, 1:2] * t ** truth[:, 2:]))
    return t, clean + rng.normal(0, sigma, clean.shape), truth


def test_published_peak():
    model = Weibull()
    assert model.time_of_peak(PAPER) == pytest.approx(2.3892244, abs=5e-8)
    assert model.peak_velocity(PAPER) == pytest.approx(0.34455427, abs=5e-9)
    later = {**PAPER, "eta": 0.048, "lam": 2.3}
    assert model.time_of_peak(later) == pytest.approx(2.9217361, abs=5e-8)
    assert model.peak_velocity(later) == pytest.approx(0.25283172, abs=5e-9)


@settings(max_examples=60, deadline=None)
@given(
    w_m=st.floats(-5, 5).filter(lambda value: abs(value) > 1e-3),
    eta=st.floats(0.01, 5),
    lam=st.floats(1.2, 5),
    t0=st.floats(-3, 3),
)
def test_velocity_is_the_derivative_and_peaks_where_said(w_m, eta, lam, t0):
    model = Weibull()
    params = {"w_m": w_m, "eta": eta, "lam": lam, "t0": t0, "offset": 0.3}
    scale = eta ** (-1 / lam)
    t = t0 + scale * np.linspace(0.05, 2.5, 40)
    step = 1e-5 * scale
    numeric = (model.eval(t=t + step, **params) - model.eval(t=t - step, **params)) / (2 * step)
    np.testing.assert_allclose(model.velocity(t, params), numeric, atol=1e-7 * abs(w_m) / scale, rtol=1e-6)
    found = minimize_scalar(
        lambda time: -abs(model.velocity(time, params)),
        bounds=(t0, t0 + 3 * scale),
        method="bounded",
        options={"xatol": 1e-9 * scale},
    )
    assert model.time_of_peak(params) == pytest.approx(found.x, abs=1e-4 * scale)
    assert abs(model.peak_velocity(params)) == pytest.approx(-found.fun, rel=1e-7)
    assert np.sign(model.peak_velocity(params)) == np.sign(w_m)


@pytest.mark.parametrize("name", list(PAPER))
def test_every_parameter_may_be_zero(name):
    model = Weibull()
    params = {**PAPER, "offset": 0.5, name: 0.0}
    t = np.array([-1.0, 0.0, 0.5, 3.0, 1e4])
    assert np.isfinite(model.eval(t=t, **params)).all()
    assert np.isfinite(model.velocity(t, params)).all()


def test_before_the_onset_nothing_moves():
    model = Weibull()
    params = {**PAPER, "t0": 2.0, "offset": -0.01}
    t = np.array([-5.0, 0.0, 1.99])
    np.testing.assert_array_equal(model.eval(t=t, **params), -0.01)
    np.testing.assert_array_equal(model.velocity(t, params), 0.0)


def test_no_inflection_below_one():
    model = Weibull()
    assert model.time_of_peak({**PAPER, "lam": 0.8, "t0": 1.5}) == 1.5
    assert model.peak_velocity({**PAPER, "lam": 0.8, "w_m": -2.0}) == -np.inf
    assert model.peak_velocity({**PAPER, "lam": 1.0, "w_m": -2.0}) == pytest.approx(-2.0 * 0.068)
    assert np.isnan(model.time_of_peak({**PAPER, "eta": 0.0}))
    assert model.peak_velocity({**PAPER, "eta": 0.0}) == 0.0


@pytest.mark.parametrize("sign", [1.0, -1e-3], ids=["settlement in mm", "displacement in m"])
def test_fits_converge_from_their_own_start(sign):
    t, w, truth = curves(500)
    model = Weibull()
    reached, within = 0, 0
    for series, (w_m, eta, lam) in zip(w * sign, truth, strict=True):
        result = model.fit(series, t=t)
        at_truth = np.sum((series - model.eval(t=t, w_m=sign * w_m, eta=eta, lam=lam, t0=0.0, offset=0.0)) ** 2)
        estimate = result.params["lam"]
        reached += result.success and result.chisqr <= at_truth and result.errorbars
        within += estimate.stderr is not None and abs(estimate.value - lam) < estimate.stderr
    assert reached >= 495
    assert within / 500 == pytest.approx(0.68, abs=0.07)


@pytest.mark.parametrize("unit", ["month", "day", np.timedelta64(12, "D")])
@pytest.mark.parametrize("free_onset", [False, True])
def test_the_unit_of_time_changes_the_parameters_not_the_curve(unit, free_onset):
    t, w, _ = curves(8)
    per_year = {"month": 12.0, "day": 365.25}.get(unit, 365.25 / 12) if isinstance(unit, str) else 365.25 / 12
    years, other = Weibull(), Weibull(time_unit=unit)
    for model in (years, other):
        model.set_param_hint("t0", vary=free_onset)
    for series in w:
        a, b = years.fit(series, t=t), other.fit(series, t=t * per_year)
        assert b.chisqr == pytest.approx(a.chisqr, rel=1e-3)
        assert b.params["lam"].value == pytest.approx(a.params["lam"].value, rel=0.05 if free_onset else 1e-3)
        peaks = years.time_of_peak(a.params), other.time_of_peak(b.params) / per_year
        assert peaks[1] == pytest.approx(peaks[0], rel=1e-2)


def test_same_optimum_and_errors_as_scipy():
    t, w, truth = curves(1)

    def curve(t, w_m, eta, lam, offset):
        return offset + w_m * (1 - np.exp(-eta * t**lam))

    expected, covariance = curve_fit(curve, t, w[0], p0=[*truth[0], 0.0])
    result = Weibull().fit(w[0], t=t)
    names = ["w_m", "eta", "lam", "offset"]
    np.testing.assert_allclose([result.params[name].value for name in names], expected, rtol=1e-4)
    np.testing.assert_allclose([result.params[name].stderr for name in names], np.sqrt(np.diag(covariance)), rtol=1e-2)


def test_it_is_a_plain_lmfit_result():
    t, w, _ = curves(1)
    model = Weibull()
    assert isinstance(model, TimeModel)
    assert isinstance(model, lmfit.Model)
    result = model.fit(w[0], t=t, weights=1 / 2.0)
    assert "time in year" in result.fit_report()
    assert result.redchi == pytest.approx(1.0, abs=0.5)
    interval = result.conf_interval(p_names=["w_m"], sigmas=[1])["w_m"]
    assert interval[0][1] < result.params["w_m"].value < interval[-1][1]
    assert result.eval_uncertainty(t=np.array([3.0])).shape == (1,)
    params = model.guess(w[0], t)
    params["lam"].set(value=2.0, vary=False)
    held = model.fit(w[0], params, t=t)
    assert held.params["lam"].value == 2.0
    assert held.chisqr > model.fit(w[0], t=t).chisqr


def test_uncertainty_without_standard_errors_is_nan():
    t, w, _ = curves(1)
    model = Weibull()
    result = model.fit(np.zeros(85), t=t)  # nothing moves: the shape could be anything
    assert not result.errorbars
    np.testing.assert_array_equal(result.eval_uncertainty(t=np.array([1.0, 2.0])), [np.nan, np.nan])
    np.testing.assert_array_equal(result.eval_uncertainty(), np.full(85, np.nan))
    good = model.fit(w[0], t=t)
    assert np.isfinite(good.eval_uncertainty()).all()
    assert np.isnan(good.eval_uncertainty(good.init_params, sigma=2, t=3.0)).all()


def test_a_result_is_lmfits_and_survives_pickling():
    t, w, _ = curves(1)
    result = Weibull().fit(w[0], t=t)
    expected = lmfit.Model.fit(Weibull(), w[0], Weibull().guess(w[0], t), t=t)
    assert isinstance(result, lmfit.model.ModelResult)
    assert result.fit_report() == expected.fit_report()
    np.testing.assert_array_equal(result.eval_uncertainty(sigma=2), expected.eval_uncertainty(sigma=2))
    copied = pickle.loads(pickle.dumps(result))
    assert copied.best_values == result.best_values
    assert copied.ci_report(p_names=["w_m"], sigmas=[1]) == expected.ci_report(p_names=["w_m"], sigmas=[1])
    flat = pickle.loads(pickle.dumps(Weibull().fit(np.zeros(85), t=t)))
    assert np.isnan(flat.eval_uncertainty()).all()


def test_weights_count_only_where_there_are_data():
    t, w, _ = curves(1)
    displacement_std = np.full(85, 2.0)
    displacement_std[[0, 5]] = 0.0, np.nan
    with np.errstate(divide="ignore"):
        weights = 1 / displacement_std
    known = np.where(displacement_std > 0, w[0], np.nan)
    result = Weibull().fit(known, t=t, weights=weights)
    kept = displacement_std > 0
    assert result.best_values == Weibull().fit(w[0][kept], t=t[kept], weights=0.5).best_values
    assert Weibull().guess(known, t, weights=weights)["w_m"].value == pytest.approx(result.params["w_m"].value, rel=0.5)
    with pytest.raises(InputError, match=r"got inf at 1 of 84 .* deviation of 0, .*where\(displacement_std > 0"):
        Weibull().fit(np.where(np.isnan(displacement_std), np.nan, w[0]), t=t, weights=weights)
    with pytest.raises(InputError, match=r"got nan at 1 of 84 .* set data to NaN there"):
        Weibull().guess(np.where(displacement_std == 0, np.nan, w[0]), t, weights=weights)


def test_given_values_are_held_by_the_guess():
    t, w, _ = curves(1)
    shifted = np.concatenate([np.zeros(20), w[0]])
    time = np.arange(105) * 12 / 365.25
    model = Weibull()
    onset = 20 * 12 / 365.25
    guess = model.guess(shifted, time, t0=onset, lam=2.2)
    assert (guess["t0"].value, guess["lam"].value) == (onset, 2.2)
    assert model.fit(shifted, t=time, t0=onset).chisqr < 0.5 * model.fit(shifted, t=time).chisqr
    model.set_param_hint("t0", vary=True)
    free = model.fit(shifted, t=time)
    assert abs(free.params["t0"].value - onset) < 4 * free.params["t0"].stderr
    given_eta = Weibull().guess(w[0], t, eta=0.4, w_m=100.0, offset=1.0)
    assert [given_eta[name].value for name in ("eta", "w_m", "offset")] == [0.4, 100.0, 1.0]


def test_amplitude_and_offset_of_the_guess_are_weighted_least_squares():
    t, w, truth = curves(1)
    weights = np.linspace(0.1, 3.0, 85)
    _, eta, lam = truth[0]
    guess = Weibull().guess(w[0], t, weights=weights, eta=eta, lam=lam)
    design = np.stack([1 - np.exp(-eta * t**lam), np.ones(85)], -1)
    expected = np.linalg.lstsq(design * weights[:, None], w[0] * weights, rcond=None)[0]
    np.testing.assert_allclose([guess["w_m"].value, guess["offset"].value], expected, rtol=1e-9)


def test_missing_epochs_are_left_out():
    t, w, _ = curves(1)
    gaps = w[0].copy()
    gaps[10:30] = np.nan
    weights = np.where(np.arange(85) < 40, 0.5, 1.0)
    kept = np.isfinite(gaps)
    a = Weibull().fit(gaps, t=t, weights=weights)
    b = Weibull().fit(gaps[kept], t=t[kept], weights=weights[kept])
    assert a.best_values == b.best_values
    assert a.ndata == 65


def test_inputs_stay_as_they_were():
    t, w, _ = curves(1)
    for array in (t, w):
        array.flags.writeable = False
    model = Weibull()
    params = model.guess(w[0], t)
    before = params.valuesdict()
    model.fit(w[0], params, t=t)
    assert params.valuesdict() == before


def test_prefix_and_pickle():
    t, w, _ = curves(1)
    model = pickle.loads(pickle.dumps(Weibull(time_unit="month", prefix="bowl_")))
    result = model.fit(w[0], t=t * 12)
    assert set(result.params) == {f"bowl_{name}" for name in PAPER}
    peak = model.time_of_peak(result.params)
    assert model.velocity(peak, result.params) == pytest.approx(model.peak_velocity(result.params))
    assert model.parameter_units["bowl_eta"] == "month**-lam"
    assert Weibull(np.timedelta64(12, "D")).parameter_units["t0"] == "(12 day)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Weibull(time_unit="fortnight"), "unit must be one of"),
        (lambda: Weibull().fit(np.zeros(9)), "fit needs t"),
        (lambda: Weibull().fit(np.zeros(9), t=np.zeros(8)), r"got shapes \(9,\) and \(8,\)"),
        (lambda: Weibull().fit(np.zeros(9), t=np.arange(9).astype("M8[D]")), "use to_elapsed"),
        (lambda: Weibull().fit(np.zeros(9), t=np.full(9, np.nan)), "t must be finite"),
        (lambda: Weibull().fit(np.full(9, np.nan), t=np.arange(9.0)), "more than 4 finite values .* got 0"),
        (lambda: Weibull().fit(np.zeros(9), t=np.arange(9.0), weights=np.ones(3)), r"weights must .* got \(3,\)"),
        (lambda: Weibull().fit(np.zeros(9), t=np.arange(9.0), weights=-1.0), "weights must be finite and not negative"),
        (lambda: Weibull().velocity(0.0, {"w_m": 1.0}), "eta, lam missing"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        TimeModel()


def test_import_is_light():
    code = (
        "import sys, subsidence.models, subsidence.validation\n"
        "assert 'Weibull' in dir(subsidence.models)\n"
        "assert not hasattr(subsidence.models, 'Nonsense')\n"
        "heavy = {'lmfit', 'matplotlib', 'dask', 'rasterio', 'pandas.plotting._matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "subsidence.models.Weibull\n"
        "assert 'lmfit' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
