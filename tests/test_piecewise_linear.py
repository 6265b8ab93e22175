"""Piecewise linear curves: closed forms, recovery, order of breaks, uncertainty of velocities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence.errors import InputError
from subsidence.models import PiecewiseLinear, Weibull
from subsidence.models._spec import from_spec, to_spec

T = np.arange(85) * 12 / 365.25


def polyline(t, velocities, breaks, offset=0.0):
    """The curve from its corners, drawn by interpolation."""
    corners = np.concatenate([[min(t.min(), breaks[0]) - 1.0], breaks, [max(t.max(), breaks[-1]) + 1.0]])
    level = np.concatenate([[0.0], np.cumsum(np.diff(corners) * velocities)])
    return offset + np.interp(t, corners, level) - np.interp(0.0, corners, level)


@pytest.mark.parametrize("breaks", [[1.0], [0.7, 2.1], [0.5, 1.1, 1.9]])
def test_the_curve_is_a_polyline_through_its_corners(breaks):
    velocities = np.array([0.01, -0.03, 0.004, -0.02])[: len(breaks) + 1]
    expected = polyline(T, velocities, breaks, offset=0.3)
    changes = {f"change_{j + 1}": change for j, change in enumerate(np.diff(velocities))}
    linear = {"velocity_1": velocities[0], **changes, "offset": 0.3}
    free = {f"break_{j + 1}": time for j, time in enumerate(breaks)}
    np.testing.assert_allclose(PiecewiseLinear(breaks=len(breaks)).eval(t=T, **linear, **free), expected, atol=1e-14)
    known = PiecewiseLinear(breaks=breaks)
    assert known.param_names == ["velocity_1", *changes, "t0", "offset"]
    np.testing.assert_allclose(known.eval(t=T, **linear), expected, atol=1e-14)
    middles = np.convolve([0.0, *breaks, T[-1]], [0.5, 0.5], "valid")
    np.testing.assert_allclose(known.velocity(middles, linear), velocities, atol=1e-15)
    np.testing.assert_array_equal(known.acceleration(middles, linear), 0.0)


def test_at_a_break_the_velocity_is_the_one_after_it():
    model = PiecewiseLinear(breaks=[1.0])
    assert model.velocity(1.0, {"velocity_1": 1.0, "change_1": 2.0}) == 3.0


@settings(max_examples=50, deadline=None)
@given(breaks=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=2), t0=st.floats(-10, 10))
def test_the_gradient_is_the_derivative_of_the_hinge(breaks, t0):
    model = PiecewiseLinear(breaks=2)
    t = np.array([-2e3, -1.0, 0.1, 5.0, 2e3])
    t = t[np.all(np.abs(t[:, None] - breaks) > 1e-3, axis=1)]
    values = {"break_1": breaks[0], "break_2": breaks[1], "t0": t0}
    columns, gradient = model.basis(t, values)
    np.testing.assert_array_equal(columns[0, :, 0], t - t0)
    for row, name in enumerate(("break_1", "break_2")):
        column = model.owner[row]
        up, down = (model.basis(t, {**values, name: values[name] + step})[0][column] for step in (1e-4, -1e-4))
        np.testing.assert_allclose(gradient[row], (up - down) / 2e-4, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, -5.0, 1e300, -1e300])
def test_any_break_gives_finite_numbers(value):
    columns, gradient = PiecewiseLinear(breaks=1).basis(T, {"break_1": value, "t0": 0.0})
    velocity, acceleration = PiecewiseLinear(breaks=1).basis_rates(T, {"break_1": value, "t0": 0.0})
    for array in (columns, gradient[:1], velocity, acceleration):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("breaks", [[1.3], [0.96, 2.3], [0.6, 1.2, 2.1], [0.4, 0.9, 1.6, 2.2]])
def test_recovery(breaks):
    velocities = np.array([0.0, -0.06, 0.01, -0.05, 0.02])[: len(breaks) + 1]
    random = np.random.default_rng(3)
    displacement = polyline(T, velocities, breaks, 0.01) + random.normal(0, 0.001, T.size)
    displacement[[4, 30]] = np.nan
    model = PiecewiseLinear(breaks=len(breaks))
    result = model.fit(displacement, t=T)
    for found, true in zip(model.break_times(result), breaks, strict=True):
        assert abs(found.value - true) < 4 * found.std < 0.3
    for found, true in zip(model.velocities(result), velocities, strict=True):
        assert abs(found.value - true) < 4 * found.std < 0.03


def test_a_start_of_many_breaks_is_as_good_as_the_truth():
    """Fourteen candidates for each of four breaks are coarse: moving single breaks must close the gap."""
    breaks, velocities = [0.33, 0.52, 1.71, 1.93], np.array([0.0, -0.3, 0.0, -0.3, 0.0])
    displacement = polyline(T, velocities, breaks)
    model = PiecewiseLinear(breaks=4)
    start = model.eval(model.guess(displacement, T), t=T)
    assert np.sqrt(np.mean((start - displacement) ** 2)) < 0.02 * np.ptp(displacement)


def test_swapped_breaks_are_put_in_order():
    model = PiecewiseLinear(breaks=2)
    params = {"velocity_1": 1.0, "change_1": 10.0, "change_2": 100.0, "break_1": 2.0, "break_2": 1.0, "offset": 0.0}
    assert [velocity.value for velocity in model.velocities(params)] == [1.0, 101.0, 111.0]
    assert [time.value for time in model.break_times(params)] == [1.0, 2.0]
    assert np.isnan([velocity.std for velocity in model.velocities(params)]).all()
    dates = model.break_dates(params, origin="2015-01-01")
    assert dates.astype("M8[D]").tolist() == np.array(["2016-01-01", "2016-12-31"], "M8[D]").tolist()


def test_std_of_velocities_is_that_of_repeated_noise():
    model = PiecewiseLinear(breaks=1)
    random = np.random.default_rng(8)
    clean = polyline(T, np.array([0.0, -0.05]), [1.2])
    found, std = [], []
    for _ in range(150):
        result = model.fit(clean + random.normal(0, 0.002, T.size), t=T)
        found.append([*(each.value for each in model.velocities(result)), model.break_times(result)[0].value])
        std.append([*(each.std for each in model.velocities(result)), model.break_times(result)[0].std])
    np.testing.assert_allclose(np.std(found, axis=0), np.mean(std, axis=0), rtol=0.2)


def test_known_breaks_are_exact_and_have_no_error():
    model = PiecewiseLinear(breaks=[1.0, 2.0])
    random = np.random.default_rng(0)
    w = polyline(T, np.array([0.0, -0.03, 0.01]), [1.0, 2.0], 0.02) + random.normal(0, 1e-3, T.size)
    result = model.fit(w, t=T)
    matrix = np.column_stack([T, np.clip(T - 1, 0, None), np.clip(T - 2, 0, None), np.ones_like(T)])
    solved, rss = np.linalg.lstsq(matrix, w, rcond=None)[:2]
    expected = np.cumsum(solved[:3])
    cofactor = np.linalg.inv(matrix.T @ matrix)[:3, :3] * rss / (T.size - 4)
    windows = np.tril(np.ones((3, 3)))
    velocity = model.velocities(result)
    np.testing.assert_allclose([each.value for each in velocity], expected, rtol=1e-5)
    np.testing.assert_allclose(
        [each.std for each in velocity], np.sqrt(np.diag(windows @ cofactor @ windows.T)), rtol=1e-4
    )
    assert model.break_times(result) == ((1.0, 0.0), (2.0, 0.0))


def test_held_break_has_no_error_and_stays():
    model = PiecewiseLinear(breaks=2)
    model.set_param_hint("break_2", value=2.0, vary=False)
    w = polyline(T, np.array([0.0, -0.03, 0.01]), [1.0, 2.0]) + np.random.default_rng(0).normal(0, 1e-3, T.size)
    times = model.break_times(model.fit(w, t=T))
    assert times[1] == (2.0, 0.0)
    assert abs(times[0].value - 1.0) < 4 * times[0].std


@pytest.mark.parametrize("breaks", [1, 2, 3, 5, 10])
def test_candidates_are_few_in_order_and_inside(breaks):
    model = PiecewiseLinear(breaks=breaks)
    grid = model.candidates(T, model.held())
    rows = np.stack([grid[f"break_{j + 1}"] for j in range(breaks)])
    assert 50 <= rows.shape[1] <= 2000
    assert (np.diff(rows, axis=0) > 0).all()
    assert rows.min() > T[0]
    assert rows.max() < T[-1]


def test_another_unit_of_time_gives_the_same_curve():
    years, known = PiecewiseLinear(breaks=1), PiecewiseLinear(breaks=[1.0, 2.0], prefix="p_")
    params = {"velocity_1": -0.01, "change_1": 0.03, "break_1": 1.2, "offset": 0.1}
    days = years.with_unit("day")
    moved = years.convert(params, "day")
    np.testing.assert_allclose(days.eval(t=T * 365.25, **moved), years.eval(t=T, **params), atol=1e-14)
    assert known.with_unit("day").breaks == (365.25, 730.5)
    assert known.with_unit("day").prefix == "p_"


@pytest.mark.parametrize("breaks", [2, [0.5, 1.5]])
def test_a_sum_and_a_spec_keep_the_breaks(breaks):
    model = PiecewiseLinear(breaks=breaks)
    assert from_spec(to_spec(model)).breaks == model.breaks
    values = {"velocity_1": 0.1, "change_1": 0.2, "change_2": -0.4, "break_1": 0.5, "break_2": 1.5}
    own = {name: value for name, value in values.items() if name in model.param_names}
    settling = {"w_m": -1.0, "eta": 0.5, "lam": 2.0}
    total = (Weibull() + model).eval(t=T, **own, **settling)
    np.testing.assert_allclose(total, model.eval(t=T, **own) + Weibull().eval(t=T, **settling), atol=1e-14)


@pytest.mark.parametrize("breaks", [-1, True, 1.5, "2016", [], [2.0, 1.0], [1.0, np.nan], [1.0, "x"]])
def test_breaks_that_are_none(breaks):
    with pytest.raises(InputError, match="breaks must be how many to estimate"):
        PiecewiseLinear(breaks=breaks)
