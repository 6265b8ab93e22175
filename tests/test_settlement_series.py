"""Simulated settlement series: the curve, the noise and its correlation."""

from __future__ import annotations

import numpy as np
import pytest

from subsidence import models, schema, simulate
from subsidence.errors import InputError

PARAMS = {"w_m": -0.2, "eta": 1.5, "lam": 2.5}


def test_truth_is_the_formula():
    eta = np.array([0.5, 1.5])
    series, truth = simulate.settlement_series(models.Weibull(), {**PARAMS, "eta": eta, "offset": 0.01}, noise_std=0.0)
    t = np.arange(85) * 12 / 365.25
    expected = 0.01 - 0.2 * (1 - np.exp(-eta * t[:, None] ** 2.5))
    np.testing.assert_allclose(truth.displacement.values, expected, rtol=1e-12)
    np.testing.assert_array_equal(series.displacement.values, truth.displacement.values)
    np.testing.assert_array_equal(truth.optimum.sel(parameter="eta"), eta)
    schema.SERIES.check(series)
    assert series.displacement.attrs["comment"].startswith("positive up")


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.6])
def test_noise_has_the_stated_std_and_correlation(rho):
    time = np.datetime64("2018-01-01", "ns") + np.array([0, 12, 24, 48, 60, 72]) * np.timedelta64(1, "D")
    series, truth = simulate.settlement_series(
        models.Weibull(), PARAMS, time=time, points=40_000, noise_std=0.003, autocorrelation=rho
    )
    noise = (series.displacement - truth.displacement).values / 0.003
    expected = rho ** np.abs(np.subtract.outer([0, 1, 2, 4, 5, 6], [0, 1, 2, 4, 5, 6]))
    np.testing.assert_allclose(np.cov(noise), expected, atol=0.03)


def test_origin_is_where_time_begins():
    time = np.datetime64("2019-01-06", "ns") + np.arange(10) * np.timedelta64(12, "D")
    params = {**PARAMS, "eta": 0.5}
    _, truth = simulate.settlement_series(models.Weibull(), params, time=time, origin="2018-01-06", noise_std=0.0)
    t = (365 + np.arange(10) * 12) / 365.25
    np.testing.assert_allclose(truth.displacement[:, 0], -0.2 * (1 - np.exp(-0.5 * t**2.5)), rtol=1e-12)


def test_seed_decides():
    first, again, other = (
        simulate.settlement_series(models.Weibull(), PARAMS, seed=seed)[0].displacement.values for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        ({"w_m": 1.0}, {}, "eta, lam missing"),
        ({**PARAMS, "wm": 1.0}, {}, "got 'wm'"),
        ({**PARAMS, "eta": [1.0, 2.0], "lam": [1.0, 2.0, 3.0]}, {}, r"one length, got lengths \[2, 3\]"),
        (PARAMS, {"autocorrelation": 1.0}, "between -1 and 1, got 1.0"),
        (PARAMS, {"noise_std": -1.0}, "noise_std must not be negative"),
        (PARAMS, {"time": np.array(["2018-01-02", "2018-01-01"], "M8[D]")}, "increasing dates"),
    ],
)
def test_bad_input(params, options, message):
    with pytest.raises(InputError, match=message):
        simulate.settlement_series(models.Weibull(), params, **options)
