"""S-shaped and decaying time functions: independent formulas, exact derivatives, limits, published numbers."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from family_checks import (
    check_gradient,
    check_peak,
    check_rates,
    check_recovery,
    check_spec_round_trip,
    check_unit_conversion,
    check_zero_and_huge,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special

from subsidence.errors import InputError
from subsidence.models import (
    MMF,
    Arctan,
    Bertalanffy,
    Gompertz,
    Hyperbolic,
    Logarithmic,
    Logistic,
    Normal,
    Richards,
    TimeModel,
    Weibull,
)

T = np.arange(85) * 12 / 365.25
FINE = np.linspace(-1.3, 6.1, 150)


def logistic(t, a, c, t0):
    return 1 / (1 + a * np.exp(-c * (t - t0)))


def gompertz(t, b, c, t0):
    return np.exp(-b * np.exp(-c * (t - t0)))


def richards(t, m, k, tau, t0):
    return (1 + m * np.exp(-k * (t - t0 - tau))) ** (-1 / m)


def bertalanffy(t, a, k, t0):
    begun = a * np.exp(-k * (t - t0)) < 1
    return np.where(begun, (1 - a * np.exp(-k * (t - t0))) ** 3.0, 0.0)


def mmf(t, d, kap, t0):
    since = np.where(t > t0, t - t0, 1.0)
    return np.where(t > t0, since**d / (kap + since**d), 0.0)


def normal(t, tau, sig, t0):
    return special.ndtr((t - t0 - tau) / sig)


def arctan(t, k, tau, t0):
    return 0.5 + np.arctan(k * (t - t0 - tau)) / np.pi


def hyperbolic(t, t50, t0):
    return np.where(t > t0, (t - t0) / (t50 + (t - t0)), 0.0)


def logarithmic(t, tau, t0):
    return np.where(t > t0, np.log(1 + (t - t0) / tau), 0.0)


#: Model, formula, parameters of a settlement that a record of 2.8 years shows whole.
FAMILIES = {
    "logistic": (Logistic, logistic, {"b": -0.2, "a": 30.0, "c": 3.5}),
    "gompertz": (Gompertz, gompertz, {"w_m": -0.2, "b": 8.0, "c": 2.5}),
    "richards": (Richards, richards, {"w_m": -0.2, "m": 0.6, "k": 3.5, "tau": 1.1}),
    "bertalanffy": (Bertalanffy, bertalanffy, {"w_m": -0.2, "a": 2.0, "k": 2.2}),
    "mmf": (MMF, mmf, {"w_m": -0.2, "d": 3.0, "kap": 0.6}),
    "normal": (Normal, normal, {"w_m": -0.2, "tau": 1.2, "sig": 0.5}),
    "arctan": (Arctan, arctan, {"w_m": -0.2, "k": 5.0, "tau": 1.2}),
    "hyperbolic": (Hyperbolic, hyperbolic, {"w_m": -0.2, "t50": 0.7}),
    "logarithmic": (Logarithmic, logarithmic, {"amplitude": -0.05, "tau": 0.2}),
}
every_family = pytest.mark.parametrize("family", list(FAMILIES))

RANGES = {
    "logistic": {"a": (0.05, 3e3), "c": (0.1, 12)},
    "gompertz": {"b": (0.05, 1e3), "c": (0.1, 8)},
    "richards": {"m": (0.02, 15), "k": (0.1, 12), "tau": (-2, 6)},
    "bertalanffy": {"a": (0.05, 20), "k": (0.1, 8)},
    "mmf": {"d": (1.2, 8), "kap": (0.01, 50)},
    "normal": {"tau": (-2, 6), "sig": (0.05, 4)},
    "arctan": {"k": (0.2, 30), "tau": (-2, 6)},
    "hyperbolic": {"t50": (0.05, 10)},
    "logarithmic": {"tau": (0.05, 10)},
}


def drawn(data, family):
    """Model, formula and parameters of a settlement of either sign; `t0` anywhere."""
    model, formula, example = FAMILIES[family]
    size = data.draw(st.floats(0.01, 300), "size") * data.draw(st.sampled_from([-1, 1]), "sign")
    params = {name: data.draw(st.floats(*limits), name) for name, limits in RANGES[family].items()}
    return model(), formula, {next(iter(example)): size, **params, "t0": data.draw(st.floats(-1, 1), "t0")}


@every_family
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_derivatives_are_those_of_the_formula(family, data):
    model, formula, params = drawn(data, family)
    # Not the onset itself, where a curve that starts with a velocity has a kink.
    t = params["t0"] + FINE
    # The plain formula's derivative by m is a difference of two terms of size 1 / m**2.
    rounding = 8 * np.finfo(float).eps / params["m"] ** 2 if family == "richards" else 0.0
    check_gradient(model, formula, params, t, rounding=rounding)
    check_rates(model, formula, params, t)


@every_family
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_peak_is_where_it_is_said(family, data):
    model, _, params = drawn(data, family)
    if family == "logarithmic":
        assert model.time_of_peak(params) == params["t0"]
        assert model.velocity(params["t0"], params) == pytest.approx(model.peak_velocity(params))
        assert abs(model.velocity(params["t0"] + 0.01, params)) < abs(model.peak_velocity(params))
        return
    peak = model.time_of_peak(params)
    width = abs(model.final_settlement(params) / model.peak_velocity(params))
    first = peak if family == "hyperbolic" else peak - width
    if family in ("mmf", "bertalanffy"):
        first = max(first, params["t0"] + (np.log(params["a"]) / params["k"] if family == "bertalanffy" else 0.0))
    check_peak(model, params, (first, peak + width))


@every_family
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_another_unit_of_time_is_the_same_curve(family, data):
    model, _, params = drawn(data, family)
    check_unit_conversion(model, params, params["t0"] + FINE)


@every_family
def test_whatever_the_parameters_the_curve_is_finite(family):
    model, _, params = FAMILIES[family]
    check_zero_and_huge(model(), {**params, "t0": 0.0})
    if family == "richards":
        check_zero_and_huge(model(), {**params, "t0": 0.0, "m": -0.5})


@every_family
def test_recovery(family):
    model, _, params = FAMILIES[family]
    check_recovery(model(), params, T, 0.001, seeds=40)


@pytest.mark.parametrize("family", ["mmf", "hyperbolic", "logarithmic"])
def test_recovery_of_an_onset(family):
    model, _, params = FAMILIES[family]
    check_recovery(model(), {**params, "t0": 0.41}, T, 0.0005, seeds=30, free=["t0"])


@every_family
def test_files_bring_the_model_back(family):
    model, _, params = FAMILIES[family]
    check_spec_round_trip(model(time_unit="month", prefix="x_"), {f"x_{k}": v for k, v in params.items()}, T)
    again = pickle.loads(pickle.dumps(model()))
    np.testing.assert_array_equal(again.eval(t=T, **params), model().eval(t=T, **params))


@every_family
@pytest.mark.parametrize("unit", ["year", "day"])
@pytest.mark.parametrize("part", [0.25, 1.0], ids=["a quarter of the record", "whole"])
def test_a_start_is_found_in_every_record(family, unit, part):
    """From the start, a fit of data without noise reaches them; time from another origin, in another unit."""
    model, _, params = FAMILIES[family]
    years = model()
    t = T[: int(part * T.size)]
    per = 1.0 if unit == "year" else 365.25
    data = years.eval(t=t, **params)
    result = model(time_unit=unit).fit(data, t=t * per)
    assert np.sqrt(result.chisqr / t.size) < 1e-5
    # shifted zero: constant origins and onsets take it up
    later = model(time_unit=unit)
    later.set_param_hint("t0", value=7.0 * per, vary=False)
    shifted = later.fit(data, t=(t + 7.0) * per)
    assert np.sqrt(shifted.chisqr / t.size) < 1e-5


@every_family
def test_candidates_are_few_and_keep_what_is_held(family):
    model, _, params = FAMILIES[family]
    free = model()
    for name in free.nonlinear:
        if name != "t0":
            held = {**free.held(), name: params[name]}
            grid = np.broadcast_arrays(*free.candidates(T, held).values())
            assert grid[0].size <= 300
            assert (grid[list(free.candidates(T, held)).index(name)] == params[name]).all()
    for t in (T, T * 365.25, T + 1970.0, np.array([2.0, 2.0])):
        grid = free.candidates(t, free.held())
        assert set(grid) == set(free.nonlinear)
        assert all(np.isfinite(values).all() for values in grid.values())
        assert np.isfinite(free.basis(t, grid)[0]).all()


@pytest.mark.parametrize("family", ["logistic", "gompertz", "richards", "bertalanffy", "normal", "arctan"])
def test_one_candidate_is_close_wherever_the_record_lies(family):
    """What is left of the variance about the best candidate, for sigmoids of every place and width."""
    model, _, params = FAMILIES[family]
    one = model()
    reference = one.time_of_peak(params), abs(one.final_settlement(params) / one.peak_velocity(params))
    t = np.linspace(0, 1, 85)
    for place in (-0.3, 0.1, 0.33, 0.5, 0.77, 0.95, 1.4, 2.5):
        for width, most in {0.02: 0.3, 0.1: 0.15, 0.3: 0.05, 1.0: 0.005, 2.0: 0.001}.items():
            if not -0.4 * width < place < 1 + 0.4 * width:  # little of it is in the record
                continue
            data = one.eval(t=reference[0] + (t - place) * reference[1] / width, **params)
            guess = one.guess(data, t)
            left = np.var(data - one.eval(guess, t=t)) / np.var(data)
            assert left < most, (place, width)


@every_family
def test_onset_or_origin(family):
    model = FAMILIES[family][0]()
    onset = family in ("mmf", "hyperbolic", "logarithmic")
    assert ("t0" in model.constants) is not onset
    params = {**FAMILIES[family][2], "t0": 0.8, "offset": 0.01}
    before = model.eval(t=np.array([-3.0, 0.0, 0.8]), **params)
    # A cubed curve begins too, but where its shape says and not at t0.
    assert (before == 0.01).all() == (onset or family == "bertalanffy")
    if not onset:  # a shift of the origin and nothing else
        np.testing.assert_allclose(
            model.eval(t=T, **params), model.eval(t=T - 0.8, **{**params, "t0": 0.0}), rtol=1e-13
        )


def test_shares_of_the_settlement_at_the_peak():
    """Table of published closed forms: w(t*) / w_m."""
    shares = {
        "logistic": 1 / 2,
        "gompertz": 0.36787944117144233,
        "bertalanffy": 8 / 27,
        "normal": 1 / 2,
        "arctan": 1 / 2,
    }
    for family, share in shares.items():
        model, _, params = FAMILIES[family]
        peak = model().time_of_peak(params)
        assert model().eval(t=peak, **params) == pytest.approx(share * -0.2, rel=1e-12)
    for d in (1.5, 2.0, 4.0):
        params = {"w_m": 3.0, "d": d, "kap": 0.7}
        assert MMF().eval(t=MMF().time_of_peak(params), **params) == pytest.approx(3.0 * (d - 1) / (2 * d), rel=1e-12)
    for m in (0.1, 1.0, 4.0, -0.5):
        params = {"w_m": 3.0, "m": m, "k": 2.0, "tau": 0.7}
        assert Richards().eval(t=0.7, **params) == pytest.approx(3.0 * (1 + m) ** (-1 / m), rel=1e-12)
    assert Gompertz().eval(t=0.0, w_m=2.0, b=3.0, c=1.0) == pytest.approx(2 * np.exp(-3.0), rel=1e-14)


def test_logistic_at_its_origin():
    model = Logistic()
    assert model.eval(t=0.0, b=-0.3, a=9.0, c=2.0) == pytest.approx(-0.03, rel=1e-14)
    assert model.final == "b"
    assert model.final_settlement({"b": -0.3, "a": 9.0, "c": 2.0}) == -0.3
    assert model.peak_velocity({"b": -0.3, "a": 9.0, "c": 2.0}) == pytest.approx(-0.15)
    # 10 to 90 % takes 4.4 / c
    times = [model.stabilisation_time({"b": -0.3, "a": 9.0, "c": 2.0}, fraction=share).value for share in (0.1, 0.9)]
    assert times[1] - times[0] == pytest.approx(2 * np.log(9) / 2.0, rel=1e-9)


def test_logistic_far_from_its_middle():
    t = np.array([-1e5, -300.0, 0.0, 300.0, 1e5])
    columns, gradient = Logistic().basis(t, {"a": 1e200, "c": 3.0, "t0": 0.0})
    assert columns[0, 0, 0] < 1e-300
    assert columns[0, :, 0].tolist()[3:] == [1.0, 1.0]
    # a exp(-c t) of 1e200 times 1e-391: neither factor alone is near the sum
    middle = np.log(1e200) / 3.0
    assert Logistic().eval(t=middle, b=1.0, a=1e200, c=3.0) == pytest.approx(0.5, rel=1e-12)
    assert np.isfinite(gradient[:2]).all()


@settings(max_examples=40, deadline=None)
@given(k=st.floats(0.2, 10), tau=st.floats(-1, 4), t0=st.floats(-1, 1))
def test_richards_has_the_others_as_limits(k, tau, t0):
    t = np.linspace(-2, 8, 101)
    shape = {"w_m": -2.0, "k": k, "tau": tau, "t0": t0}
    model = Richards()

    def same(m, other, params, tolerance):
        values = model.eval(t=t, m=m, **shape)
        np.testing.assert_allclose(values, other.eval(t=t, offset=0.0, **params), rtol=0, atol=tolerance)
        velocity = model.velocity(t, {"m": m, **shape})
        np.testing.assert_allclose(velocity, other.velocity(t, params), rtol=0, atol=tolerance * k)
        bend = model.acceleration(t, {"m": m, **shape})
        np.testing.assert_allclose(bend, other.acceleration(t, params), rtol=0, atol=tolerance * k * k)

    late = np.exp(k * tau)
    same(1.0, Logistic(), {"b": -2.0, "a": late, "c": k, "t0": t0}, 1e-12)
    # The curves differ by up to 0.14 m; one ulp of m's own scale is all that is allowed besides.
    for m in (0.0, 1e-300, 1e-12, -1e-12, 1e-9, -1e-9):
        same(m, Gompertz(), {"w_m": -2.0, "b": late, "c": k, "t0": t0}, 1e-12 + 4 * abs(m))
    same(-1 / 3, Bertalanffy(), {"w_m": -2.0, "a": late / 3, "k": k, "t0": t0}, 1e-12)
    knothe = np.where(t > t0 + tau, 1 - np.exp(-k * (t - t0 - tau)), 0.0)
    np.testing.assert_allclose(model.eval(t=t, m=-1.0, **shape), -2.0 * knothe, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(k=st.floats(0.2, 10), tau=st.floats(-1, 4), m=st.floats(-0.9, -0.05))
def test_richards_of_a_negative_m(k, tau, m):
    begin = tau + np.log(-m) / k
    t = begin + np.linspace(0.05, 6, 60) / k
    params = {"w_m": -2.0, "m": m, "k": k, "tau": tau, "t0": 0.0}
    check_gradient(Richards(), richards, params, t, tolerance=1e-8)
    check_rates(Richards(), richards, params, t, tolerance=1e-8)
    before = Richards().eval(t=begin - np.array([1e-3, 1.0, 1e3]) / k, **params)
    np.testing.assert_array_equal(before, 0.0)
    assert Richards().velocity(tau, params) == pytest.approx(Richards().peak_velocity(params), rel=1e-10)


def test_derivative_of_richards_by_m_is_smooth_where_its_series_ends():
    """The closed form cancels for small m E and a series takes over: against 30 digits."""
    from decimal import Decimal, localcontext

    def by_m(m, power):
        with localcontext() as context:
            context.prec = 60
            m, power = Decimal(m), Decimal(power)
            z = m * power
            column = (-(1 + z).ln() / m).exp()
            return float(column * ((1 + z).ln() - z / (1 + z)) / m**2)

    for m in (1e-12, 1e-9, 1e-6, 1e-3, 0.00999, 0.01001, 0.02, 0.3, -1e-9, -1e-3, -0.00999, -0.01001):
        for since in (-1.0, 0.0, 0.7):
            found = Richards().basis([since], {"m": m, "k": 1.0, "tau": 0.0, "t0": 0.0})[1][0, 0, 0]
            assert found == pytest.approx(by_m(m, np.exp(-since)), rel=1e-13, abs=0)


@pytest.mark.parametrize("family", ["logistic", "gompertz", "richards", "bertalanffy", "normal"])
def test_long_before_it_begins_nothing_moves(family):
    model, _, params = FAMILIES[family]
    one = model()
    times = one.time_of_peak(params) - np.array([60.0, 250.0, 1e4, 1e9])
    columns, gradient = one.basis(times, {**params, "t0": 0.0})
    free = [row for row, name in enumerate(one.nonlinear) if name not in one.constants]
    assert max(np.abs(columns).max(), np.abs(gradient[free]).max()) < 1e-60
    assert max(np.abs(rate).max() for rate in one.basis_rates(times, {**params, "t0": 0.0})) < 1e-60


def test_richards_long_before_it_begins():
    """Where m exp(-k s) is no number any more, nothing moves."""
    shape = {"m": 20.0, "k": 1.0, "tau": 0.0, "t0": 0.0}
    columns, gradient = Richards().basis([-705.0], shape)
    velocity, acceleration = Richards().basis_rates([-705.0], shape)
    assert max(abs(columns.item()), *np.abs(gradient[1:3].ravel() / [705.0, 1.0])) < 1e-14
    assert max(abs(velocity.item()), abs(acceleration.item())) < 1e-14


def test_richards_beyond_its_bounds():
    model = Richards()
    params = {"w_m": -2.0, "k": 2.0, "tau": 1.0}
    knothe = {**params, "m": -1.0}
    assert model.time_of_peak(knothe) == 1.0
    assert model.peak_velocity(knothe) == pytest.approx(-4.0)
    assert model.velocity(1.0 + 1e-9, knothe) == pytest.approx(-4.0, rel=1e-7)
    jump = {**params, "m": -2.0}
    assert model.peak_velocity(jump) == -np.inf
    assert model.time_of_peak(jump) == pytest.approx(1.0 + np.log(2.0) / 2.0)
    assert model.peak_velocity({**params, "m": 0.0}) == pytest.approx(-4.0 / np.e)
    assert model.peak_velocity({**params, "m": 1e-9}) == pytest.approx(-4.0 / np.e)
    opened = Richards()
    opened.set_param_hint("m", min=-1.0)
    data = model.eval(t=T, w_m=-0.2, m=-0.4, k=2.0, tau=1.0)
    assert opened.fit(data, t=T).params["m"].value == pytest.approx(-0.4, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(t50=st.floats(0.05, 10), t0=st.floats(-2, 2))
@example(t50=1.0, t0=-1e-308)  # an epoch so close after the onset that its power of time is no number
def test_mmf_of_shape_one_is_hyperbolic(t50, t0):
    t = np.linspace(-3, 8, 78)
    a, b = {"w_m": 2.0, "d": 1.0, "kap": t50, "t0": t0}, {"w_m": 2.0, "t50": t50, "t0": t0}
    np.testing.assert_allclose(MMF().eval(t=t, **a), Hyperbolic().eval(t=t, **b), atol=1e-14)
    for rate in ("velocity", "acceleration"):
        np.testing.assert_allclose(
            getattr(MMF(), rate)(t, a), getattr(Hyperbolic(), rate)(t, b), rtol=1e-11, atol=1e-14
        )
    onset = np.array([t0])
    assert MMF().velocity(onset, a) == pytest.approx(Hyperbolic().velocity(onset, b), rel=1e-14)
    assert MMF().acceleration(onset, a) == pytest.approx(Hyperbolic().acceleration(onset, b), rel=1e-14)
    assert MMF().peak_velocity(a) == pytest.approx(Hyperbolic().peak_velocity(b), rel=1e-14)
    assert MMF().time_of_peak(a) == Hyperbolic().time_of_peak(b) == t0


def test_mmf_at_its_onset():
    model = MMF()
    assert model.acceleration(0.0, {"w_m": 1.0, "d": 2.0, "kap": 4.0}) == pytest.approx(0.5)
    assert model.velocity(0.0, {"w_m": 1.0, "d": 2.0, "kap": 4.0}) == 0.0
    assert model.peak_velocity({"w_m": -1.0, "d": 0.8, "kap": 4.0}) == -np.inf
    assert model.time_of_peak({"w_m": -1.0, "d": 0.8, "kap": 4.0, "t0": 1.5}) == 1.5
    assert model.eval(t=4.0**0.4, w_m=1.0, d=2.5, kap=4.0) == pytest.approx(0.5)  # after kap^(1/d)
    assert model.parameter_units["kap"] == "year**d"


def test_kondners_line():
    """In (s, s / w) the curve is a line: one over the first velocity, one over the final settlement."""
    t = np.linspace(0.5, 9, 12)
    w = Hyperbolic().eval(t=t, w_m=80.0, t50=1.6)
    slope, intercept = np.polyfit(t, t / w, 1)
    assert slope == pytest.approx(1 / 80.0, rel=1e-9)
    assert intercept == pytest.approx(1.6 / 80.0, rel=1e-9)
    assert Hyperbolic().peak_velocity({"w_m": 80.0, "t50": 1.6}) == pytest.approx(1 / intercept, rel=1e-9)


def test_bertalanffy_without_inflection():
    t = np.linspace(1e-3, 9, 200)
    slow, fast = {"w_m": 1.0, "a": 0.3, "k": 2.0}, {"w_m": 1.0, "a": 0.4, "k": 2.0}
    assert (Bertalanffy().acceleration(t, slow) < 0).all()
    assert Bertalanffy().time_of_peak(slow) < 0
    assert Bertalanffy().acceleration(t, fast).max() > 0
    assert Bertalanffy().time_of_peak(fast) == pytest.approx(np.log(1.2) / 2)
    # it begins, smoothly, where the cube would change its sign
    late = {"w_m": 1.0, "a": np.exp(2.0), "k": 2.0}
    np.testing.assert_array_equal(Bertalanffy().eval(t=np.array([-5.0, 0.0, 0.999]), **late), 0.0)
    np.testing.assert_array_equal(Bertalanffy().velocity(np.array([-5.0, 0.0, 0.999]), late), 0.0)
    assert Bertalanffy().eval(t=1.01, **late) == pytest.approx((1 - np.exp(-0.02)) ** 3)


def test_logarithmic_never_ends():
    model = Logarithmic()
    params = {"amplitude": -0.05, "tau": 0.2, "t0": 1.0}
    assert model.final is None
    assert np.isnan(model.final_settlement(params))
    stable = model.stabilisation_time(params, velocity=0.01)
    assert stable.value == pytest.approx(1.0 + 0.05 / 0.01 - 0.2, rel=1e-9)
    with pytest.raises(InputError, match="Logarithmic has no final settlement"):
        model.stabilisation_time(params, fraction=0.9)
    assert np.isnan(model.peak_velocity({**params, "tau": 0.0}))
    assert np.isnan(model.time_of_peak({**params, "tau": 0.0}))


@every_family
def test_nothing_moves_without_a_rate(family):
    model, _, params = FAMILIES[family]
    if family == "logarithmic":
        return
    for name in model().positive - {"d"}:
        still = {**params, name: 0.0}
        assert np.isnan(model().time_of_peak(still))
        assert model().peak_velocity(still) == 0.0


@every_family
def test_in_a_sum_a_constant_origin_is_left_out(family):
    model, formula, params = FAMILIES[family]
    total = model() + Weibull(prefix="late_")
    constant = "t0" in model.constants
    assert ("t0" in total.nonlinear) is not constant
    amplitude, *shape = params
    other = {"late_w_m": 0.1, "late_eta": 0.5, "late_lam": 2.0, "late_t0": 0.5}
    given = {**params, **other} if constant else {**params, **other, "t0": 0.0}
    expected = params[amplitude] * formula(T, **{name: params[name] for name in shape}, t0=0.0)
    expected = expected + 0.1 * (1 - np.exp(-0.5 * np.maximum(T - 0.5, 0) ** 2))
    np.testing.assert_allclose(total.eval(t=T, **given), expected, atol=1e-14)
    columns, gradient = total.basis(T, {name: given[name] for name in total.nonlinear})
    single = model().basis(T, {**params, "t0": 0.0})[1]
    rows = len(shape) if constant else len(shape) + 1
    np.testing.assert_array_equal(gradient[:rows], single[:rows])
    assert columns.shape == (2, T.size, 1)


@every_family
def test_it_is_a_time_model(family):
    model, _, params = FAMILIES[family]
    one = model(time_unit="month", prefix="p_")
    assert isinstance(one, TimeModel)
    assert [name.removeprefix("p_") for name in one.param_names] == [*params, "t0", "offset"]
    with pytest.raises(InputError, match="unit must be one of"):
        model(time_unit="fortnight")
    with pytest.raises(InputError, match="more than"):
        model().fit(np.zeros(3), t=np.arange(3.0))
