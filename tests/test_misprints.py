"""Where the paper on the Weibull curve (Wei et al. 2024) is misprinted: the printed numbers, and ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from subsidence.models import Weibull

EARLY = {"w_m": 1.0, "eta": 0.068, "lam": 2.5}
LATE = {"w_m": 1.0, "eta": 0.048, "lam": 2.3}


def eq_6(eta, lam, power):
    """Greatest velocity over w_m with the given power on lam - 1."""
    return (eta * lam) ** (1 / lam) * (lam - 1) ** power * np.exp((1 - lam) / lam)


def eq_3(t, eta, lam, prefactor):
    """Acceleration over w_m with the right bracket and the given factor before it."""
    return prefactor * ((lam - 1) * t ** (lam - 2) - eta * lam * t ** (2 * lam - 2))


@pytest.mark.parametrize(
    ("params", "printed", "right", "peak"),
    [(EARLY, 0.21181081, 0.34455427, 2.3892244), (LATE, 0.18794295, 0.25283172, 2.9217361)],
)
def test_power_of_eq_6(params, printed, right, peak):
    _, eta, lam = params.values()
    model = Weibull()
    assert eq_6(eta, lam, (1 - lam) / lam) == pytest.approx(printed, abs=6e-9)
    assert eq_6(eta, lam, (lam - 1) / lam) == pytest.approx(right, abs=6e-9)
    assert model.peak_velocity(params) == pytest.approx(right, abs=6e-9)
    assert model.time_of_peak(params) == pytest.approx(peak, abs=6e-8)
    # neither formula: the steepest place of eq. 1 itself
    step = 1e-4

    def slower(t):
        return (np.exp(-eta * (t + step) ** lam) - np.exp(-eta * (t - step) ** lam)) / (2 * step)

    found = minimize_scalar(slower, bounds=(1.0, 4.0), method="bounded", options={"xatol": 1e-9})
    assert -found.fun == pytest.approx(right, abs=2e-8)
    assert found.x == pytest.approx(peak, abs=1e-4)
    # printed over right is (lam - 1)^(-2 (lam - 1) / lam)
    assert printed / right == pytest.approx((lam - 1) ** (-2 * (lam - 1) / lam), rel=1e-7)


@pytest.mark.parametrize(
    ("params", "printed", "right"),
    [(EARLY, (0.212883, -0.186058), (0.211236, -0.117318)), (LATE, (0.126304, -0.00858771), (0.125177, -0.00686049))],
)
def test_exponential_of_eq_3(params, printed, right):
    """It is printed as a power of lam, instead of a factor."""
    _, eta, lam = params.values()
    t = np.array([1.0, 3.0])
    left = np.exp(-eta * t**lam)
    digits = 1e-6 * np.abs(right)
    assert (np.abs(eq_3(t, eta, lam, eta * lam**left) - printed) < 1e-5 * np.abs(printed)).all()
    assert (np.abs(eq_3(t, eta, lam, eta * lam * left) - right) < 5 * digits).all()
    assert (np.abs(Weibull().acceleration(t, params) - right) < 5 * digits).all()
    # w_m is missing in print as well
    doubled = Weibull().acceleration(t, {**params, "w_m": -2.0})
    np.testing.assert_allclose(doubled, -2 * Weibull().acceleration(t, params), rtol=1e-14)
    # from eq. 1 alone, by differences
    step = 1e-3
    w = [1 - np.exp(-eta * (t + k * step) ** lam) for k in (-1, 0, 1)]
    np.testing.assert_allclose((w[0] - 2 * w[1] + w[2]) / step**2, right, atol=2e-6)


def test_share_at_the_peak_is_right_in_eq_7():
    for params in (EARLY, LATE):
        lam = params["lam"]
        share = Weibull().eval(t=Weibull().time_of_peak(params), **params)
        assert share == pytest.approx(1 - np.exp((1 - lam) / lam), rel=1e-12)


def test_eq_9_jumps():
    """The two laws as printed do not meet where the second takes over."""
    model = Weibull()
    where = model.time_of_peak(EARLY)
    levels = [float(model.eval(t=where, **law)) for law in (EARLY, LATE)]
    assert levels == pytest.approx([0.451188, 0.299402], abs=6e-7)
    assert levels[1] - levels[0] == pytest.approx(-0.151786, abs=6e-7)
    rates = [float(model.velocity(where, law)) for law in (EARLY, LATE)]
    assert rates == pytest.approx([0.344554, 0.239978], abs=6e-7)
    assert model.eval(t=2.99859, **LATE) == pytest.approx(levels[0], abs=2e-6)
