"""Breaks of a series: the optimum against brute force, dates and number against truth, honest probabilities."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats

from subsidence import models, simulate
from subsidence.errors import InputError
from subsidence.fitting import fit_breaks, predict
from subsidence.fitting._break_search import ANGLES, Record, Search, fit_number, restricted_likelihood
from subsidence.fitting._break_test import _noise
from subsidence.schema import FITS

START = np.datetime64("2015-06-15", "ns")
DAY = np.timedelta64(1, "D")
#: The Foshan study: still, 30 mm/year from 2016-06 on, slight rebound from 2018-02 on.
ONSET = {"velocity_1": 0.0, "change_1": -0.03, "change_2": 0.033, "break_1": 0.96, "break_2": 2.63}


def epochs(seed: int) -> np.ndarray:
    """85 dates of 100, 12 days apart: 2015-06-15 to 2018-09-15."""
    inner = np.sort(np.random.default_rng(seed).choice(np.arange(1, 99), 83, replace=False))
    return START + np.concatenate([[0], inner, [99]]) * 12 * DAY


def foshan(seed: int, *, noise_std: float = 0.0025, autocorrelation: float = 0.3) -> xr.Dataset:
    series, _ = simulate.settlement_series(
        models.PiecewiseLinear(breaks=2),
        ONSET,
        time=epochs(seed),
        noise_std=noise_std,
        autocorrelation=autocorrelation,
        seed=seed,
    )
    return series.isel(point=0)


def of(values, time=None) -> xr.Dataset:
    time = START + np.arange(len(values)) * 12 * DAY if time is None else time
    return xr.Dataset({"displacement": ("time", np.asarray(values, float))}, {"time": time})


def years(dates) -> np.ndarray:
    return (np.asarray(dates) - START) / DAY / 365.25


# The optimum


def precision(t, rho, std):
    """Inverse of the covariance of autoregressive noise, from the covariance itself."""
    gaps = np.abs(t[:, None] - t) / np.median(np.diff(t))
    # A negative correlation alternates with the whole number of revisits in the gap; here all gaps are whole.
    correlation = np.abs(rho) ** gaps * np.where((rho < 0) & (np.rint(gaps) % 2 == 1), -1.0, 1.0)
    return np.linalg.inv(correlation * np.outer(std, std))


def misfit(t, y, weight, breaks):
    design = np.column_stack([np.ones_like(t), t, *(np.clip(t - b, 0, None) for b in breaks)])
    normal = design.T @ weight @ design
    rest = y - design @ np.linalg.solve(normal, design.T @ weight @ y)
    return rest @ weight @ rest


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("seed", "rho"), [(0, 0.0), (1, 0.0), (2, 0.5), (3, -0.4)])
def test_no_breaks_on_a_fine_grid_are_better(number, seed, rho):
    random = np.random.default_rng(seed)
    t = np.linspace(-1, 1, 26)
    y = np.interp(t, [-1, -0.3, 0.4, 1], [0, 0, -2, -1.7]) + random.normal(0, 0.3, t.size)
    std = random.uniform(0.5, 2, t.size)
    record = Record(t, y, 1 / std, np.ones(t.size - 1), 4, autocorrelated=False)
    rss, _, found = Search(record, rho)([0] * number, [2 * t.size] * number)
    weight = precision(t, rho, std)
    grid = np.unique(np.concatenate([np.linspace(t[3], t[-4], 200 if number == 1 else 90), t[3:-3]]))
    inside = [
        breaks
        for breaks in combinations(grid, number)
        if all(((t >= low - 1e-9) & (t <= high + 1e-9)).sum() >= 4 for low, high in pairwise(breaks))
    ]
    assert rss <= min(misfit(t, y, weight, breaks) for breaks in inside) + 1e-12
    assert rss == pytest.approx(misfit(t, y, weight, found), rel=1e-9)


@pytest.mark.parametrize("number", [3, 4])
def test_many_breaks_are_those_of_a_search_over_everything(number):
    """On few epochs: every combination of epochs, each then improved by a simplex."""
    random = np.random.default_rng(5)
    t = np.linspace(-1, 1, 24)
    y = np.interp(t, [-1, -0.6, -0.2, 0.3, 0.6, 1], [0, 1, 0, 1.5, 0, 1]) + random.normal(0, 0.1, t.size)
    fit = fit_number(Record(t, y, np.ones(24), np.ones(23), 3, autocorrelated=False), number)
    weight = np.eye(24)
    inside = [index for index in combinations(range(2, 22), number) if min(b - a for a, b in pairwise(index)) >= 2]
    ranked = sorted(inside, key=lambda index: misfit(t, y, weight, t[list(index)]))[:5]
    improved = [
        optimize.minimize(lambda b: misfit(t, y, weight, b), t[list(index)], method="Nelder-Mead").fun
        for index in ranked
    ]
    assert fit.rss <= min(improved) + 1e-6


def test_three_breaks_are_mostly_the_best_of_all_places():
    """In mere noise, where minima are many and alike: the search from a few starts against the whole of it."""
    random = np.random.default_rng(6)
    t = np.linspace(-1, 1, 36)
    worse = []
    for _ in range(25):
        record = Record(t, random.normal(size=36), np.ones(36), np.ones(35), 4, autocorrelated=False)
        best = Search(record, 0.0)([0] * 3, [72] * 3)[0]
        worse.append(fit_number(record, 3, fit_number(record, 2)).rss / best - 1)
    assert min(worse) > -1e-9
    assert np.count_nonzero(np.array(worse) > 1e-9) <= 2
    assert max(worse) < 0.05


def test_simulated_noise_is_as_correlated_as_the_data():
    t = np.linspace(-1, 1, 300)
    random = np.random.default_rng(0)
    y = random.normal(size=300)
    for i in range(1, 300):
        y[i] += 0.7 * y[i - 1]
    record = Record(t, y, np.ones(300), np.ones(299), 5, autocorrelated=True)
    noise = _noise(record, fit_number(record, 0), np.sin(ANGLES), 200, 0)
    assert np.mean(noise[1:] * noise[:-1]) / np.mean(noise**2) == pytest.approx(0.7, abs=0.08)
    assert np.mean(noise**2) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.6])
def test_whitening_is_that_of_the_covariance(rho):
    random = np.random.default_rng(2)
    revisits = np.sort(random.choice(40, 30, replace=False)).astype(float)
    t = revisits / 20 - 1
    std, y = random.uniform(0.5, 2, 30), random.normal(size=30)
    gaps = np.diff(revisits)
    record = Record(t, y, 1 / std, gaps / np.median(gaps), 5, autocorrelated=True)
    if rho < 0:  # whole gaps only: their median is 1 here
        assert np.median(gaps) == 1
    white = record.whitened(rho, y)
    weight = precision(t, rho, std) if np.median(gaps) == 1 else None
    assert white @ white == pytest.approx(y @ weight @ y, rel=1e-9)
    design = record.design(np.array([0.1]))
    normal = design.T @ weight @ design
    rest = y - design @ np.linalg.solve(normal, design.T @ weight @ y)

    def expected(weight, normal, rest):
        logdet = np.linalg.slogdet(weight)[1] - np.linalg.slogdet(normal)[1]
        return 0.5 * (logdet - (30 - 3) * np.log(rest @ weight @ rest))

    flat = np.diag(std**-2.0)
    normal_flat = design.T @ flat @ design
    rest_flat = y - design @ np.linalg.solve(normal_flat, design.T @ flat @ y)
    difference = restricted_likelihood(record, design, rho) - restricted_likelihood(record, design, 0.0)
    assert difference == pytest.approx(
        expected(weight, normal, rest) - expected(flat, normal_flat, rest_flat), abs=1e-8
    )


# What it says of a series


def test_foshan():
    """The study's change points, within the confidence sets, and their number, in the share of series stated."""
    count = 12
    right, inside, first = 0, np.zeros(2), np.zeros(2)
    for seed in range(count):
        found = fit_breaks(foshan(seed), draws=99)
        if found.breaks.size != 2:
            continue
        right += 1
        truth = START + (np.array([0.96, 2.63]) * 365.25 * 86400e9).astype("m8[ns]")
        inside += (found.breaks_lower <= truth) & (truth <= found.breaks_upper)
        first += np.abs(found.velocity - [0.0, -0.03, 0.003])[:2] < 3 * found.velocity_std[:2]
    assert right >= 0.9 * count
    assert (inside >= right - 2).all()
    assert (first >= right - 1).all()


def test_noise_has_no_breaks():
    """At most the stated level (5 % of 40 is 2; above 6 in one of a hundred times), also when noise is correlated."""
    false = 0
    for seed in range(40):
        series, _ = simulate.settlement_series(
            models.Linear(), {"velocity": -0.02}, time=epochs(seed), autocorrelation=0.5, noise_std=0.003, seed=seed
        )
        false += fit_breaks(series, draws=99, seed=seed).breaks.size > 0
    assert false <= stats.binom.ppf(0.99, 40, 0.05)


def test_correlated_noise_is_not_white():
    """What the correlation is for: white noise with the same test finds breaks in most of these series."""
    false = np.zeros(2)
    for seed in range(12):
        series, _ = simulate.settlement_series(
            models.Linear(), {"velocity": 0.0}, time=epochs(seed), autocorrelation=0.7, noise_std=0.003, seed=seed
        )
        false += [fit_breaks(series, draws=99, noise=noise).breaks.size > 0 for noise in ("white", "autocorrelated")]
    assert false[0] >= 7
    assert false[1] <= 3


def test_confidence_of_a_lone_break_is_hinkleys_f_test():
    """White noise, one break: {b : RSS(b) <= RSS (1 + F / (n - 4))}, computed here on a fine grid."""
    t = np.arange(60) * 12 / 365.25
    y = -0.03 * np.clip(t - 0.9, 0, None) + np.random.default_rng(4).normal(0, 0.003, 60)
    found = fit_breaks(of(y), breaks=1, noise="white", level=0.9)
    grid = np.linspace(t[4], t[-5], 4001)
    rss = np.array([misfit(t, y, np.eye(60), [b]) for b in grid])
    least = rss.min()
    inside = grid[rss <= least * (1 + stats.f.ppf(0.9, 1, 56) / 56)]
    assert years(found.breaks[0]) == pytest.approx(grid[rss.argmin()], abs=1e-3)
    assert years(found.breaks_lower[0]) == pytest.approx(inside[0], abs=0.01)
    assert years(found.breaks_upper[0]) == pytest.approx(inside[-1], abs=0.01)
    assert found.noise_std == pytest.approx(np.sqrt(least / 56), rel=1e-4)
    assert found.noise_autocorrelation == 0
    np.testing.assert_allclose(found.rmse[1], np.sqrt(least / 60), rtol=1e-4)
    expected = 60 * np.log(least / 60) + 5 * np.log(60)
    assert found.bic[1] == pytest.approx(expected, abs=1e-3)
    assert found.fits.bic.item() == pytest.approx(expected, abs=1e-3)


def test_std_is_lmfits():
    series = foshan(3, autocorrelation=0.0)
    found = fit_breaks(series, breaks=2, noise="white")
    model = models.PiecewiseLinear(breaks=2)
    t = years(series.time.values)
    params = model.make_params(**dict(zip(model.param_names, found.fits.optimum.values, strict=True)))
    result = model.fit(series.displacement.values, params, t=t)
    np.testing.assert_allclose([each.value for each in model.velocities(result)], found.velocity, atol=1e-5)
    np.testing.assert_allclose([each.std for each in model.velocities(result)], found.velocity_std, rtol=0.03)
    np.testing.assert_allclose([each.std for each in model.break_times(result)], found.breaks_std, rtol=0.03)
    assert result.chisqr >= series.time.size * found.rmse[2] ** 2 * (1 - 1e-6)


def test_a_velocity_that_returns_is_found():
    """Two breaks that undo each other: one alone explains little of them."""
    found = []
    for seed in range(5):
        truth = {"velocity_1": 0.0, "change_1": -0.04, "change_2": 0.04, "break_1": 1.2, "break_2": 1.8}
        series, _ = simulate.settlement_series(
            models.PiecewiseLinear(breaks=2), truth, noise_std=0.002, autocorrelation=0.3, seed=seed
        )
        found.append(fit_breaks(series, draws=99).breaks.size)
    assert found.count(2) >= 4


def test_the_curve_is_that_of_predict():
    series = foshan(1)
    found = fit_breaks(series)
    FITS.check(found.fits)
    curve = predict(found.fits, series.time.values).displacement
    np.testing.assert_allclose(np.sqrt(np.mean((curve - series.displacement) ** 2)), found.rmse[2], rtol=1e-6)
    slopes = np.diff(predict(found.fits, np.sort(np.append(found.window_start, found.window_end))).displacement)[::2]
    np.testing.assert_allclose(
        slopes, found.velocity * ((found.window_end - found.window_start) / DAY / 365.25), rtol=1e-5
    )


def test_weights_missing_epochs_and_units():
    series = foshan(2)
    std = np.where(np.arange(85) % 5 == 0, 0.02, 0.002)
    noisy = series.displacement.values + np.where(std > 0.01, 0.02 * np.random.default_rng(0).normal(size=85), 0.0)
    weighted = series.assign(displacement=("time", noisy), displacement_std=("time", std))
    found = fit_breaks(weighted, breaks=2, weights="displacement_std")
    equal = fit_breaks(weighted, breaks=2)
    assert (found.breaks_std < 0.7 * equal.breaks_std).all()
    kept = weighted.where(std < 0.01)
    without = fit_breaks(kept, breaks=2)
    assert np.abs(found.breaks - without.breaks).max() < 30 * DAY
    std[:40:7] = 0  # standard deviation zero: no observation
    left_out = fit_breaks(weighted.assign(displacement_std=("time", std)), breaks=2, weights="displacement_std")
    assert left_out.fits.epoch_count == 85 - 6
    # The same, subsidence for heave, in another unit of length, and far from zero.
    turned = fit_breaks(series.assign(displacement=5.0 - 1e-3 * series.displacement), breaks=2)
    plain = fit_breaks(series, breaks=2)
    np.testing.assert_allclose(turned.velocity, -1e-3 * plain.velocity, atol=1e-9)
    assert np.abs(turned.breaks - plain.breaks).max() < np.timedelta64(1, "m")
    np.testing.assert_allclose(turned.breaks_std, plain.breaks_std, rtol=1e-4)


def test_without_noise():
    t = np.arange(60) * 12 / 365.25
    line = fit_breaks(of(0.1 - 0.02 * t))
    assert line.breaks.size == 0
    assert line.velocity == pytest.approx([-0.02])
    still = fit_breaks(of(np.zeros(60)))
    assert still.breaks.size == 0
    assert still.velocity == pytest.approx([0.0])
    bent = fit_breaks(of(-0.02 * np.clip(t - 1, 0, None)))
    assert bent.velocity == pytest.approx([0.0, -0.02], abs=1e-8)
    assert years(bent.breaks) == pytest.approx([1.0], abs=1e-4)
    np.testing.assert_array_equal(bent.window_start, np.append(START, bent.breaks))


def test_seeds_and_one_place():
    series, _ = simulate.settlement_series(models.PiecewiseLinear(breaks=2), ONSET, points=1, seed=5)
    first, second = fit_breaks(series, seed=1), fit_breaks(series.isel(point=0), seed=1)
    np.testing.assert_array_equal(first.p_value, second.p_value)
    with pytest.raises(InputError, match="series must be of one place"):
        fit_breaks(xr.concat([series, series], "point"))


@pytest.mark.parametrize("noise", ["white", "autocorrelated"])
def test_short_series(noise):
    """As many breaks as fit in, none when none does; windows are never shorter than asked."""
    random = np.random.default_rng(1)
    for n in (5, 9, 14, 20):
        found = fit_breaks(of(random.normal(0, 1e-3, n)), max_breaks=9, noise=noise, draws=19)
        assert np.isfinite(found.velocity).all()
    zigzag = of(np.abs((np.arange(26) % 8) - 4) * 0.01)
    bent = fit_breaks(zigzag, breaks=5, min_epochs=5, noise="white")
    edges = np.concatenate([zigzag.time.values[:1], bent.breaks, zigzag.time.values[-1:]])
    counts = [((zigzag.time >= a) & (zigzag.time <= b)).sum() for a, b in pairwise(edges)]
    assert min(counts) >= 5
    with pytest.raises(InputError, match="26 valid epochs, but 6 breaks with min_epochs=5 need 29"):
        fit_breaks(zigzag, breaks=6)
    with pytest.raises(InputError, match="valid epochs"):
        fit_breaks(zigzag.where(zigzag.time < zigzag.time[1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"breaks": -1}, "breaks must be a whole number from 0, or None"),
        ({"breaks": 1.0}, "breaks must be a whole number"),
        ({"max_breaks": True}, "max_breaks must be a whole number"),
        ({"min_epochs": 2}, "min_epochs must be a whole number from 3"),
        ({"draws": 5}, "draws must be a whole number from 19"),
        ({"noise": "pink"}, "noise must be 'white' or 'autocorrelated', got 'pink'"),
        ({"level": 95}, "level must lie between 0 and 1, got 95"),
        ({"significance": 0}, "significance must lie between 0 and 1"),
        ({"weights": "nothing"}, "weights='nothing' must name a variable"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(InputError, match=message):
        fit_breaks(foshan(0), **options)
