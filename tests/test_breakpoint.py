"""Breakpoints estimated from simulated series, their confidence sets, and the test for a second segment."""

from __future__ import annotations

import dataclasses
import pickle
import time

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares

from subsidence.errors import InputError
from subsidence.fitting._breakpoint import BreakpointFit, fit_breakpoint
from subsidence.fitting._profile import Problem, misfits, solve
from subsidence.fitting._segment_test import SegmentTest, segment_test
from subsidence.models import Linear, Seasonal, SegmentedWeibull, Weibull

T = np.arange(85) * 12 / 365.25
#: A breakpoint after which the settlement slows down clearly, and the same first segment without one.
CLEAR = {"w_m": -0.2, "eta": 0.9, "lam": 2.5, "eta_2": 0.3, "lam_2": 1.6, "eps": 1.2}
ONE = {**CLEAR, "eta_2": 0.9, "lam_2": 2.5}
CONTINUOUS = ("conditional", "equivalent_age")


def series(seed=0, truth=CLEAR, *, t=T, noise=0.002, form="conditional"):
    model = SegmentedWeibull(continuity=form, breakpoint="free")
    return model, model.eval(t=t, **truth) + np.random.default_rng(seed).normal(0, noise, t.size)


def conditional(t, eta, lam, eta_2, lam_2, eps):
    """Share settled, by the formula."""
    second = 1 - np.exp(-eta * eps**lam - np.maximum(eta_2 * t**lam_2 - eta_2 * eps**lam_2, 0))
    return np.where(t <= eps, 1 - np.exp(-eta * t**lam), second)


def rss_by_scipy(w, t, eps, start):
    """Smallest sum of squares with the breakpoint held, by an independent minimiser over all parameters."""

    def residual(x):
        return w - x[0] - x[1] * conditional(t, np.exp(x[2]), x[3], np.exp(x[4]), x[5], eps)

    low, high = np.full(6, -np.inf), np.full(6, np.inf)
    low[[3, 5]], high[[3, 5]] = 0.3, 8.0
    low[[2, 4]], high[[2, 4]] = -30.0, 30.0
    return 2 * least_squares(residual, start, bounds=(low, high), x_scale="jac", ftol=1e-12, xtol=1e-12).cost


@pytest.mark.parametrize("form", CONTINUOUS)
def test_a_clear_breakpoint_is_found(form):
    for seed in range(4):
        model, w = series(seed, form=form)
        found = fit_breakpoint(model, w, t=T)
        assert isinstance(found, BreakpointFit)
        assert abs(found.breakpoint - 1.2) < 0.1
        assert found.lower <= found.breakpoint <= found.upper
        assert found.bounded
        result = found.result
        assert result.params["eps"].value == found.breakpoint
        assert not result.params["eps"].vary
        # lmfit's own minimiser finds nothing better, nor is the truth.
        assert result.chisqr <= found.profile.min() * (1 + 1e-9)
        assert result.chisqr < np.sum((w - model.eval(t=T, **CLEAR)) ** 2)
        assert result.params["w_m"].value == pytest.approx(-0.2, abs=4 * result.params["w_m"].stderr)


def test_the_profile_is_the_smallest_misfit_at_each_epoch():
    _, w = series(1)
    found = fit_breakpoint(SegmentedWeibull(breakpoint="free"), w, t=T)
    epochs = found.profile["breakpoint"].values
    # t = 0 is the onset: the third epoch after it is the first that leaves three to either segment.
    np.testing.assert_array_equal(epochs, T[3:-3])
    starts = [[0.0, -0.2, np.log(0.9), 2.5, np.log(rate), lam] for rate, lam in ((0.3, 1.6), (0.9, 2.5), (0.1, 3.0))]
    for eps in epochs[::11]:
        expected = min(rss_by_scipy(w, T, eps, start) for start in starts)
        assert float(found.profile.sel(breakpoint=eps)) <= expected * (1 + 1e-4)
        assert float(found.profile.sel(breakpoint=eps)) >= expected * (1 - 1e-2)


def test_no_better_curve_is_missed():
    # The first law ends early; the best curve of one segment has no end, and leads to none that has.
    early = {"w_m": -0.084, "eta": 0.443, "lam": 2.176, "eta_2": 0.06, "lam_2": 2.73, "eps": 0.502}
    truths = [(early, 0.002)] * 4
    rng = np.random.default_rng(11)
    for _ in range(12):
        lam, peak = rng.uniform(1.5, 3.5), rng.uniform(0.5, 1.8)
        eta, lam_2 = (lam - 1) / (lam * peak**lam), lam * rng.uniform(0.6, 1.3)
        eta_2 = (eta ** (-1 / lam) * rng.uniform(0.6, 2.0)) ** -lam_2
        eps = rng.uniform(0.4, 2.2)
        truths.append(({"w_m": -0.2, "eta": eta, "lam": lam, "eta_2": eta_2, "lam_2": lam_2, "eps": eps}, 0.001))
    for seed, (truth, noise) in enumerate(truths):
        model, w = series(seed, truth, noise=noise)
        found = fit_breakpoint(model, w, t=T)
        start = [0.0, truth["w_m"], np.log(truth["eta"]), truth["lam"], np.log(truth["eta_2"]), truth["lam_2"]]
        # At epochs beside the true breakpoint a minimiser that begins at the truth has no advantage.
        near = np.abs(found.profile["breakpoint"].values - truth["eps"]).argsort()[:3]
        for eps, value in zip(found.profile["breakpoint"].values[near], found.profile.values[near], strict=True):
            assert value <= rss_by_scipy(w, T, eps, start) * 1.002


def test_the_set_ends_where_the_likelihood_ratio_says():
    _, w = series(2)
    best = fit_breakpoint(SegmentedWeibull(breakpoint="free"), w, t=T)
    start = [best.result.params[name].value for name in ("offset", "w_m", "eta", "lam", "eta_2", "lam_2")]
    start[2], start[4] = np.log(start[2]), np.log(start[4])
    least = rss_by_scipy(w, T, best.breakpoint, start)
    assert best.result.chisqr == pytest.approx(least, rel=1e-6)
    for level in (0.5, 0.95, 0.99):
        found = fit_breakpoint(SegmentedWeibull(breakpoint="free"), w, t=T, level=level)
        assert found.level == level
        limit = least * (1 + stats.f.ppf(level, 1, 85 - 7) / (85 - 7))
        for edge in (found.lower, found.upper):
            assert rss_by_scipy(w, T, edge, start) == pytest.approx(limit, rel=1e-3)
    # The best breakpoint is nowhere beaten near by.
    for eps in best.breakpoint + np.array([-0.02, -0.005, 0.005, 0.02]):
        assert rss_by_scipy(w, T, eps, start) > least


def test_the_set_holds_the_breakpoint_as_often_as_it_says():
    held = 0
    t = T[::2] * 1.02
    rng = np.random.default_rng(5)
    for seed in range(120):
        eps = rng.uniform(0.9, 1.5)
        model, w = series(1000 + seed, {**CLEAR, "eps": eps}, t=t)
        found = fit_breakpoint(model, w, t=t)
        held += any(low <= eps <= high for low, high in found.intervals)
    assert 120 * 0.89 <= held <= 120  # three standard deviations of 95 % below it


def test_a_breakpoint_that_hardly_shows_has_a_wide_set():
    for seed in range(3):
        model, w = series(seed, {**CLEAR, "w_m": -0.006})
        found = fit_breakpoint(model, w, t=T)
        assert found.intervals == ((T[3], T[-4]),)
        assert not found.bounded


def test_a_set_may_fall_into_intervals():
    # The best of several minima of the misfit is little better than the others.
    found = [fit_breakpoint(*series(seed, {**CLEAR, "eps": T[-8]}), t=T) for seed in range(3)]
    assert any(len(one.intervals) > 1 for one in found)
    for one in found:
        assert all(low < high for low, high in one.intervals)
        assert all(a[1] < b[0] for a, b in zip(one.intervals, one.intervals[1:], strict=False))
        assert (one.lower, one.upper) == (one.intervals[0][0], one.intervals[-1][1])
        limit = one.result.chisqr * (1 + stats.f.ppf(0.95, 1, 85 - 7) / (85 - 7))
        inside = [any(low <= eps <= high for low, high in one.intervals) for eps in one.profile["breakpoint"].values]
        np.testing.assert_array_equal(inside, one.profile.values <= limit)


def test_the_printed_form_has_no_breakpoint_between_epochs():
    model, w = series(1, {**CLEAR, "eps": 1.3}, form="printed")
    found = fit_breakpoint(model, w, t=T)
    ((low, high),) = found.intervals
    before = T[T <= 1.3].max()
    assert low == pytest.approx(before, abs=1e-4)
    assert high == pytest.approx(T[T > 1.3].min(), abs=1e-4)
    assert low <= found.breakpoint <= high


def test_sign_and_unit_of_data_order_of_time_and_missing_epochs_change_nothing():
    model, w = series(4)
    expected = fit_breakpoint(model, w, t=T)
    found = fit_breakpoint(model, -1000 * w, t=T)
    assert found.breakpoint == pytest.approx(expected.breakpoint, abs=1e-6)
    np.testing.assert_allclose(found.intervals, expected.intervals, atol=1e-4)
    assert found.result.params["w_m"].value == pytest.approx(-1000 * expected.result.params["w_m"].value, rel=1e-5)
    order = np.random.default_rng(0).permutation(T.size)
    mixed, times = w[order], T[order]
    mixed, times = np.append(mixed, np.nan), np.append(times, 0.7)
    found = fit_breakpoint(model, mixed, t=times)
    assert found.breakpoint == pytest.approx(expected.breakpoint, abs=1e-6)
    assert found.result.chisqr == pytest.approx(expected.result.chisqr, rel=1e-6)
    days = SegmentedWeibull("day", breakpoint="free")
    found = fit_breakpoint(days, w, t=T * 365.25)
    assert found.breakpoint == pytest.approx(expected.breakpoint * 365.25, rel=1e-4)
    np.testing.assert_allclose(found.intervals, np.array(expected.intervals) * 365.25, rtol=1e-3)


def test_weights_count():
    model, w = series(4)
    bad = w.copy()
    bad[::5] += np.random.default_rng(1).normal(0, 0.03, bad[::5].size)
    std = np.full(T.size, 0.002)
    std[::5] = 0.03
    weighted, plain = fit_breakpoint(model, bad, t=T, weights=1 / std), fit_breakpoint(model, bad, t=T)
    assert weighted.upper - weighted.lower < 0.5 * (plain.upper - plain.lower)
    assert weighted.result.redchi == pytest.approx(1, abs=0.4)
    # Epochs without weight are as if they were not there.
    left_out = np.where(std > 0.01, np.nan, bad)
    without = fit_breakpoint(model, bad, t=T, weights=np.where(std > 0.01, 0.0, 1.0))
    expected = fit_breakpoint(model, left_out, t=T)
    np.testing.assert_allclose(without.profile["breakpoint"], expected.profile["breakpoint"])
    assert without.breakpoint == pytest.approx(expected.breakpoint, abs=1e-6)
    np.testing.assert_allclose(without.intervals, expected.intervals, atol=1e-3)


def test_a_seasonal_wave_is_fitted_beside_the_breakpoint():
    model, w = series(2)
    wave = 0.012 * np.sin(2 * np.pi * (T - 0.1))
    both = SegmentedWeibull(breakpoint="free") + Seasonal()
    found = fit_breakpoint(both, w + wave, t=T)
    alone = fit_breakpoint(model, w + wave, t=T)
    assert abs(found.breakpoint - 1.2) < 0.1
    assert found.result.chisqr < 0.2 * alone.result.chisqr
    assert any(low <= 1.2 <= high for low, high in found.intervals)
    named = SegmentedWeibull(breakpoint="free", prefix="thaw_") + Seasonal()
    other = fit_breakpoint(named, w + wave, t=T)
    assert other.breakpoint == pytest.approx(found.breakpoint, abs=1e-9)
    assert other.result.params["thaw_eps"].value == other.breakpoint
    prefixed = fit_breakpoint(SegmentedWeibull(breakpoint="free", prefix="thaw_"), w, t=T)
    assert prefixed.breakpoint == pytest.approx(fit_breakpoint(model, w, t=T).breakpoint, abs=1e-9)


def test_what_the_model_holds_is_held():
    _, w = series(0)
    model = SegmentedWeibull(breakpoint="free")
    model.set_param_hint("lam", value=2.5, vary=False)
    model.set_param_hint("offset", value=0.0, vary=False)
    found = fit_breakpoint(model, w, t=T)
    assert found.result.params["lam"].value == 2.5
    assert found.result.params["offset"].value == 0.0
    assert abs(found.breakpoint - 1.2) < 0.1
    shifted = SegmentedWeibull(breakpoint="free")
    shifted.set_param_hint("t0", vary=True)
    found = fit_breakpoint(shifted, w, t=T + 0.5)
    assert abs(found.breakpoint - 1.7) < 0.1
    assert found.result.params["t0"].value == pytest.approx(0.5, abs=0.15)
    # A t0 that is held sets where epochs with motion begin.
    later = SegmentedWeibull(breakpoint="free")
    later.set_param_hint("t0", value=0.5)
    quiet = np.concatenate([np.zeros(15), w])
    found = fit_breakpoint(later, quiet, t=np.concatenate([0.5 - np.arange(15, 0, -1) * 12 / 365.25, T + 0.5]))
    assert found.profile["breakpoint"].values[0] == pytest.approx(0.5 + T[3])


def test_results_pickle_and_stay_as_they_are():
    model, w = series(0)
    before = w.copy()
    found = fit_breakpoint(model, w, t=T)
    np.testing.assert_array_equal(w, before)
    copied = pickle.loads(pickle.dumps(found))
    assert copied.intervals == found.intervals
    assert copied.result.chisqr == found.result.chisqr
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.breakpoint = 1.0


@pytest.mark.parametrize("form", [*CONTINUOUS, "printed"])
def test_a_clear_second_segment_is_needed(form):
    model, w = series(1, form=form)
    found = segment_test(model, w, t=T, bootstrap=39)
    assert isinstance(found, SegmentTest)
    assert found.needed
    assert found.p_value == 1 / 40
    assert found.aicc_difference > 50
    # F from the misfits at the best breakpoint and of one segment, by lmfit: the breakpoints tried are some only.
    one = Weibull().fit(w, t=T).chisqr
    two = fit_breakpoint(model, w, t=T).result.chisqr
    best = (one - two) / 3 / (two / (85 - 7))
    assert (0.6 if form in CONTINUOUS else 0.01) * best < found.statistic <= best * (1 + 1e-6)


def test_size_and_power_of_the_test():
    t = np.linspace(0, 2.8, 40)
    none, some = [], []
    for seed in range(40):
        model, w = series(seed, ONE, t=t)
        none.append(segment_test(model, w, t=t, bootstrap=19, seed=seed))
    for seed in range(10):
        model, w = series(seed, {**CLEAR, "w_m": -0.08}, t=t)
        some.append(segment_test(model, w, t=t, bootstrap=19, seed=seed))
    # Of 40 series 5 % are 2; 7 or more have a probability of 0.3 %.
    assert sum(one.needed for one in none) <= 6
    p_values = np.array([one.p_value for one in none])
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert sum(one.needed for one in some) >= 9
    # A table of F finds a second segment far too often: that is why there is a bootstrap.
    by_table = stats.f.sf([one.statistic for one in none], 3, 40 - 7) < 0.05
    assert by_table.sum() > sum(one.needed for one in none)


def test_one_segment_is_enough():
    model, w = series(3, ONE)
    found = segment_test(model, w, t=T, bootstrap=39)
    assert not found.needed
    assert found.p_value > 0.05
    assert found.aicc_difference < 0
    again = segment_test(model, w, t=T, bootstrap=39)
    assert again == found
    assert segment_test(model, w, t=T, bootstrap=39, seed=1).statistic == found.statistic


@pytest.mark.parametrize("place", ["peak", 1.2])
def test_breakpoints_that_are_not_free_can_be_tested(place):
    model = SegmentedWeibull(breakpoint=place)
    truth = {name: value for name, value in CLEAR.items() if name != "eps"}
    noise = np.random.default_rng(0).normal(0, 0.002, T.size)
    assert segment_test(model, model.eval(t=T, **truth) + noise, t=T, bootstrap=39).needed
    none = [
        segment_test(model, series(seed, ONE)[1], t=T, bootstrap=39, seed=seed).p_value for seed in range(20)
    ]  # fmt: skip
    assert np.mean(np.array(none) <= 0.05) <= 0.2
    # With the breakpoint known F has nearly its own distribution: two parameters more.
    if place != "peak":
        statistic = [segment_test(model, series(seed, ONE)[1], t=T, bootstrap=19).statistic for seed in range(20)]
        by_table = stats.f.sf(statistic, 2, 85 - 6)
        np.testing.assert_allclose(by_table, none, atol=0.3)


def test_a_seasonal_wave_is_no_second_segment():
    # Three waves of 5 mm, which two segments follow better than one does.
    t = np.linspace(0, 3, 60)
    w = series(1, ONE, t=t)[1] + 0.005 * np.sin(2 * np.pi * t)
    assert segment_test(SegmentedWeibull(breakpoint="free"), w, t=t, bootstrap=39).needed
    both = SegmentedWeibull(breakpoint="free") + Seasonal()
    assert not segment_test(both, w, t=t, bootstrap=39).needed


def test_199_bootstraps_take_seconds():
    model, w = series(0)
    segment_test(model, w, t=T, bootstrap=19)
    start = time.process_time()
    segment_test(model, w, t=T)
    assert time.process_time() - start < 8  # one on a quiet machine


def test_the_solver_finds_what_scipy_finds():
    rng = np.random.default_rng(0)
    model = Weibull()
    w = np.stack([model.eval(t=T, w_m=-0.2, eta=rng.uniform(0.2, 1), lam=rng.uniform(1.5, 3)) for _ in range(8)])
    w += rng.normal(0, 0.003, w.shape)
    weight = rng.uniform(0.5, 2, T.size)
    problem = Problem(model, T, weight)
    start = np.repeat([[0.5], [2.0], [0.0]], 8, 1)
    p, misfit, coefficients = solve(problem, w, start)
    for row in range(8):

        def residual(x, data=w[row]):
            return weight * (data - x[0] - x[1] * (1 - np.exp(-np.exp(x[2]) * T ** x[3])))

        found = least_squares(residual, [0.0, -0.2, np.log(0.5), 2.0], x_scale="jac", xtol=1e-12, ftol=1e-12)
        assert misfit[row] == pytest.approx(2 * found.cost, rel=1e-7)
        np.testing.assert_allclose(coefficients[row], found.x[[1, 0]], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(p[:2, row], [np.exp(found.x[2]), found.x[3]], rtol=1e-3)
    again, _ = misfits(problem, w, p)
    np.testing.assert_allclose(again, misfit, rtol=1e-12)
    held = solve(problem, w, start, without="lam")
    np.testing.assert_array_equal(held[0][1], 2.0)
    assert (held[1] >= misfit * (1 - 1e-9)).all()


def test_columns_that_are_alike_share_no_amplitude():
    # All has settled before the first epoch: the column is the offset's.
    w = np.random.default_rng(0).normal(0.1, 0.002, (1, 84))
    weight = np.random.default_rng(1).uniform(0.5, 2, 84)
    for rate in (1e9, 83.0):
        problem = Problem(Weibull(), T[1:], weight)
        misfit, amplitudes = misfits(problem, w, np.array([[rate], [0.3], [0.0]]))
        mean = np.average(w[0], weights=weight**2)
        assert misfit[0] == pytest.approx(np.sum((weight * (w[0] - mean)) ** 2), rel=1e-9)
        assert amplitudes[0].sum() == pytest.approx(mean, rel=1e-9)
        assert np.abs(amplitudes).max() < 1


def test_the_solver_keeps_within_bounds():
    model = Weibull()
    model.set_param_hint("lam", min=2.8)
    w = model.eval(t=T, w_m=-0.2, eta=0.6, lam=2.0)[None]
    p, misfit, _ = solve(Problem(model, T, np.ones(T.size)), w, np.array([[0.5], [3.0], [0.0]]))
    assert p[1, 0] == pytest.approx(2.8, rel=1e-12)
    free = least_squares(lambda x: w[0] - x[0] - x[1] * (1 - np.exp(-np.exp(x[2]) * T**2.8)), [0, -0.2, np.log(0.5)])
    assert misfit[0] == pytest.approx(2 * free.cost, rel=1e-6)


def test_what_is_no_segmented_curve_is_refused():
    _, w = series()
    for model in (Weibull(), Weibull() + Seasonal()):
        with pytest.raises(InputError, match="model must be a SegmentedWeibull, or a sum with one of them, got 0"):
            fit_breakpoint(model, w, t=T)
    two = SegmentedWeibull(prefix="a_") + SegmentedWeibull(prefix="b_")
    with pytest.raises(InputError, match="got 2 of them"):
        segment_test(two, w, t=T)
    held = SegmentedWeibull(breakpoint="free")
    held.set_param_hint("eps", value=1.0, vary=False)
    for model in (SegmentedWeibull(), SegmentedWeibull(breakpoint=1.0), held):
        with pytest.raises(InputError, match=r"model must have a free breakpoint, got .*breakpoint='free'"):
            fit_breakpoint(model, w, t=T)


def test_bad_input_is_refused():
    model, w = series()
    for level in (0.0, 1.0, np.nan, "95"):
        with pytest.raises(InputError, match="level must lie between 0 and 1, got"):
            fit_breakpoint(model, w, t=T, level=level)
        with pytest.raises(InputError, match="level must lie between 0 and 1, got"):
            segment_test(model, w, t=T, level=level)
    with pytest.raises(InputError, match=r"bootstrap must be 19 or more for level=0\.05, got 10"):
        segment_test(model, w, t=T, bootstrap=10)
    with pytest.raises(InputError, match=r"w must hold at least 6 values after the onset, 3 for each segment, got 5"):
        fit_breakpoint(model, w[:8], t=T[:8] - T[2])
    with pytest.raises(InputError, match="data must hold more than 7 finite values"):
        fit_breakpoint(model, w[:7], t=T[:7])
    with pytest.raises(InputError, match="got dates"):
        fit_breakpoint(model, w, t=np.datetime64("2018-01-01") + np.arange(85))
    fixed = SegmentedWeibull(breakpoint="free")
    fixed.set_param_hint("lam_2", value=2.0, vary=False)
    with pytest.raises(InputError, match="model must leave the second segment free, got one that holds lam_2"):
        segment_test(fixed, w, t=T)
    bounded = SegmentedWeibull(breakpoint="free")
    bounded.set_param_hint("w_m", max=0.0)
    with pytest.raises(InputError, match=r"model must not bound an amplitude .* does so to w_m"):
        fit_breakpoint(bounded, w, t=T)
    tied = SegmentedWeibull(breakpoint="free") + Linear()
    tied.set_param_hint("lam_2", expr="lam")
    with pytest.raises(InputError, match="tie a parameter by an expression, it does so to lam_2"):
        fit_breakpoint(tied, w, t=T)
