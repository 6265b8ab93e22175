"""The segmented Weibull model against its formula, the published numbers and simulated curves."""

from __future__ import annotations

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
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence.errors import InputError
from subsidence.models import SegmentedWeibull, SumModel, Weibull

#: Eq. 9 of Wei et al. (2024).
PAPER = {"w_m": 1.0, "eta": 0.068, "lam": 2.5, "eta_2": 0.048, "lam_2": 2.3}
PEAK = 2.3892244
FORMS = ("conditional", "equivalent_age", "printed")
CONTINUOUS = FORMS[:2]
#: Times on both sides of the breakpoint, which is left of none of them by less than 0.01.
T = np.array([-1.0, 0.0, 0.3, 0.9, 1.5, 2.0, 2.3, 2.6, 3.0, 3.7, 5.0, 8.0])


def formula(form, *, tied):
    """The curve as formulas.md has it, in plain numpy."""

    def curve(t, eta, lam, eta_2, lam_2, t0, eps=None):
        after = t - t0
        since = np.where(after > 0, after, 1.0)
        end = ((lam - 1) / (eta * lam)) ** (1 / lam) if tied else eps - t0
        first = 1 - np.exp(-eta * since**lam)
        if form == "printed":
            second = 1 - np.exp(-eta_2 * since**lam_2)
        elif form == "conditional":
            # w_1(e) + (w_m - w_1(e)) (F_2(s) - F_2(e)) / (1 - F_2(e)), without the differences
            second = 1 - np.exp(-eta * end**lam) * np.exp(-eta_2 * since**lam_2) / np.exp(-eta_2 * end**lam_2)
        else:
            age = (eta * end**lam / eta_2) ** (1 / lam_2)
            moved = since - end + age
            second = 1 - np.exp(-eta_2 * np.where(moved > 0, moved, 1.0) ** lam_2)
        return np.where(after > 0, np.where(after <= end, first, second), 0.0 * first)

    return curve


def pair(rng):
    """A first segment and a second that is not far from it."""
    lam, peak = rng.uniform(1.3, 4.0), rng.uniform(0.5, 2.0)
    eta = (lam - 1) / (lam * peak**lam)
    lam_2 = lam * rng.uniform(0.5, 1.4)
    return {"eta": eta, "lam": lam, "eta_2": (eta ** (-1 / lam) * rng.uniform(0.6, 2.0)) ** -lam_2, "lam_2": lam_2}


def test_the_printed_curve_jumps_as_computed_by_hand():
    model = SegmentedWeibull(continuity="printed")
    eps = model.breakpoint_time(PAPER)
    assert eps == pytest.approx(2.3892244, abs=5e-8)
    before, after = model.eval(t=np.array([eps, eps * (1 + 1e-12)]), **PAPER)
    assert before == pytest.approx(0.451188, abs=5e-7)
    assert after == pytest.approx(0.299402, abs=5e-7)
    assert after - before == pytest.approx(-0.151786, abs=5e-7)
    assert before == pytest.approx(1 - np.exp(-1.5 / 2.5))  # eq. 7
    velocity = model.velocity(np.array([eps, eps * (1 + 1e-12)]), PAPER)
    np.testing.assert_allclose(velocity, [0.344554, 0.239978], atol=5e-7)
    # It is back at its level at 2.99859, and not before.
    assert (model.eval(t=np.linspace(eps * (1 + 1e-12), 2.998585, 50), **PAPER) < before).all()
    assert model.eval(t=2.998595, **PAPER) > before


@pytest.mark.parametrize(("form", "velocity"), [("conditional", 0.187986), ("equivalent_age", 0.252572)])
def test_the_continuous_curves_change_their_velocity_as_computed_by_hand(form, velocity):
    model = SegmentedWeibull(continuity=form)
    eps = model.breakpoint_time(PAPER)
    sides = eps * np.array([1, 1 + 1e-12])
    np.testing.assert_allclose(model.eval(t=sides, **PAPER), 0.451188, atol=5e-7)
    np.testing.assert_allclose(model.velocity(sides, PAPER), [0.344554, velocity], atol=5e-7)
    assert model.time_of_peak(PAPER) == pytest.approx(2.3892244, abs=5e-8)
    assert model.peak_velocity(PAPER) == pytest.approx(0.34455427, abs=5e-9)
    assert model.eval(t=50.0, **PAPER) == pytest.approx(1.0)
    assert model.final_settlement(PAPER) == 1.0


def test_the_equivalent_age_is_the_printed_curve_moved_to_where_it_has_settled_as_much():
    model = SegmentedWeibull(continuity="equivalent_age")
    t = np.array([2.5, 3.0, 4.0])
    second = Weibull().eval(t=t - 2.3892244 + 2.99859, w_m=1.0, eta=0.048, lam=2.3)
    np.testing.assert_allclose(model.eval(t=t, **PAPER), second, atol=3e-6)


def test_what_is_left_of_the_conditional_curve_shrinks_as_that_of_the_printed_one():
    t = np.array([2.5, 3.0, 4.0, 6.0])
    left, printed = (1 - SegmentedWeibull(continuity=form).eval(t=t, **PAPER) for form in ("conditional", "printed"))
    np.testing.assert_allclose(left / printed, (1 - 0.451188) / (1 - 0.299402), rtol=2e-6)
    assert SegmentedWeibull().continuity == "conditional"


def test_a_series_determines_the_conditional_form_best():
    # What the docstring gives as a reason for the default: 85 epochs until t = 7, the breakpoint free.
    t = np.linspace(0, 7, 85)
    std = {}
    for form in CONTINUOUS:
        curve = formula(form, tied=False)
        at = {**PAPER, "eps": PEAK, "t0": 0.0}
        del at["w_m"]
        names = ("eta", "lam", "eta_2", "lam_2", "eps")
        slopes = [np.subtract(*(curve(t, **{**at, n: at[n] + step}) for step in (1e-6, -1e-6))) / 2e-6 for n in names]
        design = np.stack([np.ones(t.size), curve(t, **at), *slopes], -1)
        std[form] = np.sqrt(np.diag(np.linalg.inv(design.T @ design)))[-2:]
    np.testing.assert_allclose(std["equivalent_age"] / std["conditional"], [2.6, 1.7], atol=0.06)
    later = np.linspace(PEAK, 8, 1000)
    printed = SegmentedWeibull(continuity="printed").eval(t=later, **PAPER)
    for form, share in zip(CONTINUOUS, (0.06, 0.09), strict=True):
        distance = SegmentedWeibull(continuity=form).eval(t=later, **PAPER) - printed
        assert np.sqrt(np.mean(distance**2)) == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("tied", [True, False], ids=["peak", "free"])
@pytest.mark.parametrize("form", FORMS)
def test_curve_and_derivatives_are_those_of_the_formula(form, tied):
    model = SegmentedWeibull(continuity=form, breakpoint="peak" if tied else "free")
    written = formula(form, tied=tied)
    rng = np.random.default_rng(3)
    for _ in range(60):
        params = {**pair(rng), "t0": rng.uniform(-0.4, 0.4), "eps": rng.uniform(0.8, 3.0)}
        params = {name: params[name] for name in model.nonlinear}
        eps = model.breakpoint_time({"w_m": 1.0, **params})
        times = T[(np.abs(T - eps) > 0.01) & (np.abs(T - params["t0"]) > 0.01)]
        check_gradient(model, written, params, times)
        check_rates(model, written, params, times)


@pytest.mark.parametrize("place", ["peak", "free"])
@pytest.mark.parametrize("form", FORMS)
def test_no_value_of_a_parameter_breaks_the_curve(form, place):
    model = SegmentedWeibull(continuity=form, breakpoint=place)
    check_zero_and_huge(model, {**PAPER, "t0": 0.2, "eps": 1.5})


@pytest.mark.parametrize("sign", [1.0, -0.2])
@pytest.mark.parametrize("place", ["peak", "free"])
@pytest.mark.parametrize("form", FORMS)
def test_the_peak_is_that_of_the_faster_segment(form, place, sign):
    rng = np.random.default_rng(8)
    model = SegmentedWeibull(continuity=form, breakpoint=place)
    later = 0
    for _ in range(60):
        params = {"w_m": sign, **pair(rng), "t0": rng.uniform(-0.5, 0.5), "eps": rng.uniform(0.3, 2.0)}
        params["lam_2"] = max(params["lam_2"], 1.1)
        params["eta_2"] *= rng.uniform(1, 8)
        params = {name: value for name, value in params.items() if name in model.units}
        eps = model.breakpoint_time(params)
        if model.time_of_peak(params) == eps and not np.isclose(
            model.velocity(eps, params), model.peak_velocity(params)
        ):
            continue  # greatest just after a jump, where a search cannot stop: see the next test
        check_peak(model, params, (params["t0"] + 1e-9, 5.0))
        later += model.time_of_peak(params) > eps + 1e-6
    if place == "free":
        assert 5 < later < 55  # peaks of either segment were among them


def test_a_peak_just_after_the_breakpoint():
    # The second law is the faster one, and is past its own peak at the breakpoint.
    params = {"w_m": -1.0, "eta": 0.1, "lam": 2.5, "eta_2": 2.0, "lam_2": 1.5, "eps": 1.5, "t0": 0.0}
    model = SegmentedWeibull(breakpoint="free")
    after = model.velocity(1.5 * (1 + 1e-12), params)
    assert model.time_of_peak(params) == 1.5
    assert model.peak_velocity(params) == pytest.approx(after, rel=1e-9)
    assert abs(after) > 2 * abs(model.velocity(1.5, params))


def test_nothing_moves():
    model = SegmentedWeibull()
    still = {**PAPER, "eta": 0.0}
    assert model.breakpoint_time(still) == np.inf
    assert np.isnan(model.time_of_peak(still))
    assert model.peak_velocity(still) == 0.0
    np.testing.assert_array_equal(model.eval(t=T, **still), 0.0)
    halted = SegmentedWeibull(breakpoint=1.5)
    level = halted.eval(t=1.5, **{**PAPER, "eta_2": 0.0})
    np.testing.assert_allclose(halted.eval(t=np.array([1.6, 9.0]), **{**PAPER, "eta_2": 0.0}), level)


@settings(max_examples=80, deadline=None)
@given(
    form=st.sampled_from(CONTINUOUS),
    eta=st.floats(0.02, 5),
    lam=st.floats(1.05, 7),
    eta_2=st.floats(0.02, 5),
    lam_2=st.floats(1.0, 7),
    t0=st.floats(-2, 2),
    later=st.floats(0.01, 4),
)
def test_both_forms_are_continuous_and_only_rise(form, eta, lam, eta_2, lam_2, t0, later):
    for place in ("peak", "free"):
        model = SegmentedWeibull(continuity=form, breakpoint=place)
        params = {"w_m": 1.0, "eta": eta, "lam": lam, "eta_2": eta_2, "lam_2": lam_2, "t0": t0}
        params |= {"eps": t0 + later} if place == "free" else {}
        eps = model.breakpoint_time(params)
        sides = model.eval(t=np.array([eps, np.nextafter(eps, np.inf)]), **params)
        assert sides[1] == pytest.approx(sides[0], abs=1e-9)
        curve = model.eval(t=np.sort(np.append(np.linspace(t0 - 1, t0 + 6, 80), eps)), **params)
        assert np.diff(curve).min() > -1e-12
        assert curve.max() <= 1 + 1e-12


@settings(max_examples=40, deadline=None)
@given(form=st.sampled_from(FORMS), eta=st.floats(0.02, 3), lam=st.floats(1.1, 5), eps=st.floats(0.2, 4))
def test_two_segments_alike_are_one(form, eta, lam, eps):
    same = {"w_m": -0.3, "eta": eta, "lam": lam, "eta_2": eta, "lam_2": lam, "offset": 0.01}
    expected = Weibull().eval(t=T, w_m=-0.3, eta=eta, lam=lam, offset=0.01)
    for place in ("peak", eps):
        model = SegmentedWeibull(continuity=form, breakpoint=place)
        np.testing.assert_allclose(model.eval(t=T, **same), expected, atol=1e-13)
        assert model.time_of_peak(same) == pytest.approx(Weibull().time_of_peak({"w_m": 1, "eta": eta, "lam": lam}))


def test_little_settlement_has_all_its_digits():
    # 1 - exp(-x) loses them, and a fit then follows the noise by the rounding errors of a vanishing rate.
    params = {"w_m": 1.0, "eta": 1e-14, "lam": 2.0, "eta_2": 1e-14, "lam_2": 2.0}
    model = SegmentedWeibull(breakpoint=1.0)
    np.testing.assert_allclose(model.eval(t=np.array([0.5, 3.0]), **params), [0.25e-14, 9e-14], rtol=1e-12)


def test_the_breakpoint_is_a_parameter_where_it_is_free():
    assert "eps" not in SegmentedWeibull().param_names
    assert "eps" not in SegmentedWeibull().values(PAPER)
    free, held = SegmentedWeibull(breakpoint="free"), SegmentedWeibull(breakpoint=1.5)
    assert "eps" in free.param_names
    assert free.make_params()["eps"].vary
    assert held.make_params()["eps"].value == 1.5
    assert not held.make_params()["eps"].vary
    assert held.held() == {"t0": 0.0, "eps": 1.5}
    assert held.breakpoint_time(PAPER) == 1.5
    assert free.breakpoint_time({**PAPER, "eps": -1.0, "t0": 0.5}) == 0.5
    assert SegmentedWeibull().make_params()["lam"].min == 1.0
    assert free.parameter_units["eta_2"] == "year**-lam_2"
    assert SegmentedWeibull("month", breakpoint="free").parameter_units["eps"] == "month"
    months = held.with_unit("month")
    assert months.breakpoint == pytest.approx(18.0)
    assert months.held()["eps"] == months.breakpoint


@pytest.mark.parametrize("place", ["peak", "free", 1.5])
@pytest.mark.parametrize("form", FORMS)
def test_the_unit_of_time_changes_the_parameters_not_the_curve(form, place):
    model = SegmentedWeibull(continuity=form, breakpoint=place)
    params = {**PAPER, "t0": 0.2, "offset": 0.01} | ({} if place == "peak" else {"eps": 1.5})
    # Converted numbers move the breakpoint by a rounding error: no time may be at it.
    check_unit_conversion(model, params, np.array([-1.0, 0.5, 1.4, 1.6, 2.2, 3.0, 5.0]))
    check_spec_round_trip(model, params, T)


def test_a_sum_has_its_parameters():
    model = SumModel(SegmentedWeibull(breakpoint="free", prefix="a_"), SegmentedWeibull(breakpoint=2.0, prefix="b_"))
    params = {f"{prefix}{name}": value for prefix in ("a_", "b_") for name, value in PAPER.items()} | {"a_eps": 1.0}
    expected = SegmentedWeibull(breakpoint=1.0).eval(t=T, **PAPER) + SegmentedWeibull(breakpoint=2.0).eval(t=T, **PAPER)
    np.testing.assert_allclose(model.eval(t=T, **params), expected)
    assert model.parameter_units["a_eta_2"] == "year**-a_lam_2"
    assert model.held() == {"a_t0": 0.0, "b_t0": 0.0, "b_eps": 2.0}
    check_spec_round_trip(model, params, T)


@pytest.mark.parametrize("form", CONTINUOUS)
def test_fits_from_their_own_start_err_as_they_say(form):
    truth = {"w_m": -0.25, "eta": 0.6, "lam": 2.6, "eta_2": 0.22, "lam_2": 2.2}
    check_recovery(SegmentedWeibull(continuity=form), truth, np.arange(85) * 18 / 365.25, 0.001, seeds=25)


def test_fits_start_well_whatever_the_breakpoint():
    t = np.arange(85) * 18 / 365.25
    truth = {"w_m": -0.25, "eta": 0.6, "lam": 2.6, "eta_2": 0.22, "lam_2": 2.0}
    for place in (1.4, "free"):
        model = SegmentedWeibull(breakpoint=place)
        given = truth | ({"eps": 1.4} if place == "free" else {})
        data = model.eval(t=t, **given) + np.random.default_rng(1).normal(0, 0.001, t.size)
        result = model.fit(data, t=t)
        assert result.rsquared > 0.9995
        assert result.params["eta"].value == pytest.approx(0.6, rel=0.1)


@pytest.mark.parametrize("place", ["peak", "free", 1.5])
@pytest.mark.parametrize("onset", [True, False], ids=["onset held", "onset free"])
def test_candidates_are_few_and_fewer_where_values_are_held(place, onset):
    model = SegmentedWeibull(breakpoint=place)
    model.set_param_hint("t0", vary=not onset)
    t, held = np.linspace(0, 3, 85), model.held()
    before = None
    for more in ({}, {"lam": 2.5}, {"eta": 0.5}, {"eta_2": 0.2}, {"lam_2": 2.0}):
        held |= more
        grid = model.candidates(t, held)
        assert set(grid) == set(model.nonlinear)
        count = np.broadcast_shapes(*(values.shape for values in grid.values()))[0]
        assert count < 20_000
        assert before is None or count <= before
        assert all((grid[name] == value).all() for name, value in held.items() if name in grid)
        before = count
    assert before <= 48


@pytest.mark.parametrize("bad", ["smooth", None, 1])
def test_an_unknown_continuity_is_refused(bad):
    with pytest.raises(InputError, match=r"continuity must be one of 'conditional', 'equivalent_age', 'printed', got"):
        SegmentedWeibull(continuity=bad)


@pytest.mark.parametrize("bad", ["first", None, True, np.nan, np.inf, [1.0]])
def test_an_unknown_breakpoint_is_refused(bad):
    with pytest.raises(InputError, match=r"breakpoint must be 'peak', 'free' or a time in the model's unit, got"):
        SegmentedWeibull(breakpoint=bad)
