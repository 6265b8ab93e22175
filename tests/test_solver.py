"""What fits of many series are made of: elementary functions, the projection, starts, peaks, robust weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from subsidence._kernels.accelerate import jit
from subsidence._kernels.elementary import exponential, logarithm
from subsidence._kernels.fit_results import reversal, steepest
from subsidence._kernels.robust_fit import CAUCHY, HUBER, robust_scale, robust_variance, robust_weights
from subsidence._kernels.starts import fill_gaps
from subsidence.errors import InputError
from subsidence.fitting._peak import peak_times
from subsidence.fitting._problem import pose
from subsidence.fitting._solver import solve
from subsidence.fitting._starts import prepare
from subsidence.models import Gompertz, Knothe, Linear, Logistic, Seasonal, Weibull

T = np.arange(85) * 12 / 365.25


@jit
def _exponentials(x, out):
    for i in range(x.size):
        out[i] = exponential(x[i])


@jit
def _logarithms(x, out):
    for i in range(x.size):
        out[i] = logarithm(x[i])


def weibull(t, w_m, eta, lam, t0=0.0):
    return w_m * (1 - np.exp(-eta * np.maximum(t - t0, 0) ** lam))


def held(model, **values):
    for name, value in values.items():
        model.set_param_hint(name, value=value, vary=False)
    return model


def fitted(model, y, *, t=T, starts=1, weight=None):
    """Solution and problem of series (times, series)."""
    problem = pose(model, t)
    root = np.ones_like(y) if weight is None else weight
    start = prepare(problem, count=starts).choose(y, (root > 0).astype(float), starts)
    return problem, solve(problem, y * root, root, start, weighted=weight is not None)


# Elementary functions


def test_exponential_is_good_to_the_last_bits():
    x = np.concatenate([np.linspace(-708, 709, 200_001), np.linspace(-1e-8, 1e-8, 101)])
    out = np.empty_like(x)
    _exponentials(x, out)
    np.testing.assert_allclose(out, np.exp(x), rtol=5e-16)


def test_exponential_stays_finite():
    x = np.array([-np.inf, -1e300, -750.0, 750.0, 1e300, np.inf])
    out = np.empty_like(x)
    _exponentials(x, out)
    assert (out[:3] < 1e-300).all()
    assert np.isfinite(out).all()
    assert (out[3:] > 1e300).all()


def test_logarithm_is_good_to_the_last_bits():
    x = np.concatenate([np.geomspace(1e-300, 1e300, 200_001), 1 + np.linspace(-0.4, 0.6, 200_001)])
    out = np.empty_like(x)
    _logarithms(x, out)
    np.testing.assert_allclose(out, np.log(x), rtol=5e-16, atol=1e-300)


# The curve of the family whose kernel is written for speed


@pytest.mark.parametrize("onset", [[0.0, 0.0, 0.0], [-0.3, 0.0, 0.7]], ids=["shared", "own"])
def test_weibull_kernel_equals_its_formula_and_its_derivatives(onset):
    eta, lam, t0 = np.array([0.4, 1.5, 12.0]), np.array([0.6, 2.5, 5.0]), np.array(onset)
    columns, gradient = Weibull().basis(T, {"eta": eta, "lam": lam, "t0": t0})
    for k in range(3):
        expected = weibull(T, 1.0, eta[k], lam[k], t0[k])
        np.testing.assert_allclose(columns[0, :, k], expected, rtol=1e-13, atol=1e-15)
    away = np.abs(T[:, None] - t0) > 1e-3  # the derivative by the onset has a pole there when lam < 1
    for row, (name, step) in enumerate([("eta", 1e-6), ("lam", 1e-6), ("t0", 1e-6)]):
        values = {"eta": eta, "lam": lam, "t0": t0}
        sides = [Weibull().basis(T, {**values, name: values[name] + sign * step})[0][0] for sign in (-1, 1)]
        numeric = (sides[1] - sides[0]) / (2 * step)
        np.testing.assert_allclose(gradient[row][away], numeric[away], rtol=2e-4, atol=2e-8)


@pytest.mark.parametrize("eta", [-1.0, 0.0, 1e-300, 1e300])
@pytest.mark.parametrize("lam", [-1e6, 0.0, 1e-9, 1e6])
def test_weibull_kernel_is_finite_for_every_parameter(eta, lam):
    columns, gradient = Weibull().basis(T, {"eta": eta, "lam": lam, "t0": np.array([-1e9, 0.0, 1e9])})
    assert np.isfinite(columns).all()
    assert np.isfinite(gradient).all()


# Least squares


@pytest.mark.parametrize("free", [[], ["offset"], ["offset", "t0"]], ids=["shape", "offset", "onset"])
def test_cost_is_that_of_scipy_from_the_truth(free):
    rng = np.random.default_rng(5)
    truth = np.stack([rng.uniform(50, 400, 60), rng.uniform(0.8, 3, 60), rng.uniform(1.6, 3.4, 60)])
    y = weibull(T[:, None], *truth) + rng.normal(0, 2, (85, 60))
    model = Weibull()
    if "offset" not in free:
        held(model, offset=0.0)
    if "t0" in free:
        model.set_param_hint("t0", vary=True)
    _, solution = fitted(model, y, starts=3)
    assert (solution.flag == 1).all()
    for k in range(60):

        def residual(p, k=k):
            offset = p[3] if "offset" in free else 0.0
            onset = p[4] if "t0" in free else 0.0
            return offset + weibull(T, p[0], np.exp(p[1]), np.exp(p[2]), onset) - y[:, k]

        start = [truth[0, k], np.log(truth[1, k]), np.log(truth[2, k]), 0.0, 0.0][: 3 + len(free)]
        expected = 2 * optimize.least_squares(residual, start, x_scale=[100, 1, 1, 1, 1][: len(start)]).cost
        assert solution.cost[k] < expected * (1 + 1e-6)


def test_exact_data_are_fitted_exactly():
    truth = np.array([[80.0, 1.3, 2.2], [300.0, 2.0, 1.4]]).T
    problem, solution = fitted(held(Weibull(), offset=0.0), weibull(T[:, None], *truth))
    found = problem.outside({"eta": np.exp(solution.theta[0]), "lam": np.exp(solution.theta[1])})
    np.testing.assert_allclose(solution.amplitude[1], truth[0], rtol=1e-6)
    np.testing.assert_allclose(found["eta"], truth[1], rtol=1e-6)
    np.testing.assert_allclose(found["lam"], truth[2], rtol=1e-6)


def test_amplitudes_alone_are_linear_least_squares():
    rng = np.random.default_rng(0)
    model = held(Weibull() + Seasonal(), eta=1.2, lam=2.0)
    y = rng.normal(0, 1, (85, 7))
    _, solution = fitted(model, y)
    p = {"eta": 1.2, "lam": 2.0, "t0": 0.0, "period": 1.0}
    columns = model.basis(T, {name: p[name] for name in model.nonlinear})[0][:, :, 0]
    design = np.stack([np.ones(85), *columns], axis=1)
    expected = np.linalg.lstsq(design, y)[0]
    np.testing.assert_allclose(solution.amplitude, expected, rtol=1e-10)


def test_bounds_of_amplitudes_are_those_of_scipy():
    rng = np.random.default_rng(2)
    model = Linear() + Seasonal()
    model.set_param_hint("sine", min=0.5)
    model.set_param_hint("cosine", max=-0.2)
    y = rng.normal(0, 1, (85, 20))
    problem, solution = fitted(model, y)
    columns = model.basis(problem.t, {name: problem.values[k] for k, name in enumerate(model.nonlinear)})[0][:, :, 0]
    design = np.stack([np.ones(85), *columns], axis=1)
    low, high = problem.amplitude_bounds
    for k in range(20):
        expected = optimize.lsq_linear(design, y[:, k], (low, high), tol=1e-12)
        assert solution.cost[k] == pytest.approx(2 * expected.cost, rel=1e-9)


def test_a_bound_holds_a_shape_and_the_others_do_without():
    rng = np.random.default_rng(3)
    y = weibull(T, 100.0, 1.5, 3.0)[:, None] + rng.normal(0, 1, (85, 5))
    bounded = held(Weibull(), offset=0.0)
    bounded.set_param_hint("lam", min=0.3, max=2.0)
    _, inside = fitted(bounded, y)
    _, at_value = fitted(held(Weibull(), offset=0.0, lam=2.0), y)
    np.testing.assert_allclose(np.exp(inside.theta[1]), 2.0, rtol=1e-12)
    np.testing.assert_allclose(inside.cost, at_value.cost, rtol=1e-9)


def test_weights_of_zero_leave_epochs_out():
    rng = np.random.default_rng(4)
    y = weibull(T, 100.0, 1.5, 2.0)[:, None] + rng.normal(0, 1, (85, 3))
    out = [3, 40, 41, 84]
    weight = np.ones_like(y)
    weight[out] = 0.0
    spoiled = y.copy()
    spoiled[out] = 0.0
    kept = np.delete(np.arange(85), out)
    # The unit of time inside follows from the epochs: the curves are compared, not the inner parameters.
    whole, left = (
        fitted(held(Weibull(), offset=0.0), spoiled, weight=weight),
        fitted(held(Weibull(), offset=0.0), y[kept], t=T[kept]),
    )
    np.testing.assert_allclose(whole[1].cost, left[1].cost, rtol=1e-9)
    np.testing.assert_allclose(whole[1].amplitude, left[1].amplitude, rtol=1e-4)


def test_starts_are_of_different_neighbourhoods_and_the_best_comes_first():
    y = weibull(T, 100.0, 1.5, 2.0)[:, None]
    problem = pose(Weibull(), T)
    start = prepare(problem, count=4).choose(y, np.ones_like(y), 4)[:, :, 0]
    curves = Weibull().basis(problem.t, {"eta": np.exp(start[0]), "lam": np.exp(start[1]), "t0": 0.0})[0][0]
    curves = curves - curves.mean(axis=0)
    curves /= np.sqrt((curves**2).sum(axis=0))
    cosine = curves.T @ curves
    assert (np.abs(cosine[~np.eye(4, dtype=bool)]) < 0.9999).all()
    explained = np.abs(curves.T @ (y[:, 0] - y.mean()))
    assert explained[0] == pytest.approx(explained.max(), rel=1e-3)


def test_gaps_are_filled_by_straight_lines():
    t = np.array([0.0, 1.0, 3.0, 4.0, 5.0])
    y = np.array([0.0, 2.0, 0.0, 8.0, 0.0])[:, None]
    weight = np.array([0.0, 1.0, 0.0, 2.0, 0.0])[:, None]
    out = np.empty((5, 1), np.float32)
    fill_gaps(t, y, weight, np.zeros(5), out)
    np.testing.assert_allclose(out[:, 0], [2, 2, 6, 8, 8])


# Hints


def test_unknown_hints_and_ties_are_refused():
    model = Weibull()
    model.set_param_hint("lambda", value=2.0)
    with pytest.raises(InputError, match=r"'lambda'.*no parameter"):
        pose(model, T)
    model = Weibull()
    model.set_param_hint("offset", expr="w_m / 2")
    with pytest.raises(InputError, match="'offset' ties"):
        pose(model, T)
    model = Weibull()
    model.set_param_hint("eta", vary=False)
    with pytest.raises(InputError, match="'eta' must have a value"):
        pose(model, T)
    model = Weibull()
    model.set_param_hint("lam", min=3.0, max=2.0)
    with pytest.raises(InputError, match="'lam' must have min below max"):
        pose(model, T)
    model = Weibull()
    model.set_param_hint("eta", max=-1.0)
    with pytest.raises(InputError, match="'eta' must have max above zero"):
        pose(model, T)


def test_a_held_power_of_time_keeps_its_value():
    problem = pose(held(Weibull("day"), eta=1e-5), T * 365.25)
    assert problem.factor == 1.0
    assert problem.values[0] == 1e-5
    assert pose(Weibull("day"), T * 365.25).factor == pytest.approx(pose(Weibull(), T).factor / 365.25)


# Peaks


@pytest.mark.parametrize("family", [Logistic, Weibull, Gompertz])
@settings(max_examples=25, deadline=None)
@given(peak=st.floats(0.3, 9.0), sharpness=st.floats(1.3, 6.0), sign=st.sampled_from([-1.0, 1.0]))
def test_peaks_are_where_the_closed_form_has_them(family, peak, sharpness, sign):
    if family is Weibull:
        params = {"eta": (sharpness - 1) / (sharpness * peak**sharpness), "lam": sharpness, "t0": 0.0}
    elif family is Logistic:
        params = {"a": np.exp(sharpness), "c": sharpness / peak, "t0": 0.0}
    else:
        params = {"b": np.exp(sharpness), "c": sharpness / peak, "t0": 0.0}
    model = family()
    params = {**dict.fromkeys(model.linear, sign * 0.1), **params}
    assert model.time_of_peak(params) == pytest.approx(peak, rel=1e-9)
    found = peak_times(model, *_seen(model, params))
    assert found[0] == pytest.approx(peak, abs=2e-5)


def _seen(model, params):
    columns = model.basis(T, params)[0]
    seen = np.empty((4, 1))
    amplitude = np.array([[params[name]] for name in model.linear])
    steepest(columns, amplitude, T, seen)
    return {name: np.array([value]) for name, value in params.items()}, T, seen


def test_a_peak_at_the_onset_or_nowhere():
    model = Weibull()
    early = {"w_m": -1.0, "eta": 1.0, "lam": 0.8, "t0": 0.53}
    assert peak_times(model, *_seen(model, early))[0] == pytest.approx(0.53, abs=1e-4)
    knothe = Knothe()
    values = {**dict.fromkeys(knothe.linear, 1.0), **dict.fromkeys(knothe.nonlinear, 1.0), "t0": 0.0}
    assert peak_times(knothe, *_seen(knothe, values))[0] == pytest.approx(0.0, abs=1e-3)
    still = {"w_m": 0.0, "eta": 1.0, "lam": 2.0, "t0": 0.0}
    assert np.isnan(peak_times(model, *_seen(model, still))[0])
    never = {"w_m": 1.0, "eta": 1e-9, "lam": 2.0, "t0": 0.0}
    assert np.isnan(peak_times(model, *_seen(model, never))[0])
    line = Linear()
    assert np.isnan(peak_times(line, *_seen(line, {**dict.fromkeys(line.linear, 1.0), **line.held()}))[0])


# Robust losses and turning back


def test_robust_weights_and_scale():
    residual = np.array([-3.0, 0.5, 1.0, -1.0, 4.0])[:, None]
    weight = np.array([1.0, 1.0, 0.5, 1.0, 0.0])[:, None]
    scale = np.empty(1)
    robust_scale(residual, weight, scale)
    assert scale[0] == pytest.approx(1.4826022 * 0.75)  # of 3, 0.5, 0.5, 1
    out = np.empty_like(residual)
    robust_weights(residual, weight, np.array([1.5]), HUBER, out)
    np.testing.assert_allclose(out[:, 0] ** 2, [0.5, 1, 0.25, 1, 0])
    robust_weights(residual, weight, np.array([1.5]), CAUCHY, out)
    np.testing.assert_allclose(out[0, 0] ** 2, 1 / (1 + 4))


def test_robust_variance_is_hubers_formula():
    rng = np.random.default_rng(0)
    u = rng.standard_t(3, 50)
    c, p = 1.4, 3
    for loss in (HUBER, CAUCHY):
        psi = np.clip(u, -c, c) if loss == HUBER else u / (1 + (u / c) ** 2)
        step = 1e-6
        sides = [np.clip(u + d, -c, c) if loss == HUBER else (u + d) / (1 + ((u + d) / c) ** 2) for d in (-step, step)]
        slope = (sides[1] - sides[0]) / (2 * step)
        k = 1 + p / 50 * slope.var() / slope.mean() ** 2
        expected = k**2 * (psi**2).sum() / (50 - p) / slope.mean() ** 2
        out = np.empty(1)
        robust_variance(u[:, None], np.ones((50, 1)), np.array([c]), loss, np.array([float(p)]), out)
        assert out[0] == pytest.approx(expected, rel=1e-6)


def test_reversal_is_the_fall_of_a_running_mean():
    rng = np.random.default_rng(1)
    y = rng.normal(0, 1, (85, 3)) + 20 * np.sin(2 * np.pi * T)[:, None]
    weight = np.ones_like(y)
    weight[10:13, 1] = 0.0
    out = np.empty((3, 3))
    reversal(np.where(weight > 0, y, 0.0), weight, np.array([1.0, 1.0, -1.0]), 5, out)
    for k, sign in enumerate([1, 1, -1]):
        valid = weight[:, k] > 0
        means = []
        for i in range(4, 85):
            inside = valid[i - 4 : i + 1]
            if inside.sum() > 3:
                means.append(sign * y[i - 4 : i + 1, k][inside].mean())
        means = np.array(means)
        assert out[0, k] == pytest.approx((np.maximum.accumulate(means) - means).max())
        assert out[1, k] == pytest.approx(np.ptp(means))
    assert out[2] * np.sqrt(5) == pytest.approx(1.0, abs=0.25)


def test_valleys_are_followed_to_their_end():
    # Records that end early: the amplitude runs away, and the shape has to follow it.
    rng = np.random.default_rng(6)
    lam, peak = rng.uniform(1.5, 3.5, 600), rng.uniform(3.5, 6.0, 600)
    truth = np.stack([rng.uniform(50, 400, 600), (lam - 1) / (lam * peak**lam), lam])
    y = weibull(T[:, None], *truth) + rng.normal(0, 2, (85, 600))
    model = held(Weibull(), offset=0.0)
    problem, single = fitted(model, y)
    _, several = fitted(model, y, starts=8)
    assert (single.flag == 1).all()
    assert (single.cost <= 1.001 * np.minimum(single.cost, several.cost)).mean() > 0.995
    assert (single.cost <= 1.001 * ((y - weibull(T[:, None], *truth)) ** 2).sum(axis=0)).all()
    root = np.ones_like(y)
    start = prepare(problem, count=1).choose(y, root, 1)
    assert (solve(problem, y, root, start, weighted=False, iterations=15).flag == 1).mean() > 0.98
