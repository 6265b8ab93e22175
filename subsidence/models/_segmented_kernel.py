"""Kernels of a Weibull curve in two segments.

Either segment is 1 - exp(-base - eta x**lam); of the first, base is 0 and x the time since the onset. All three
ways to join the second to it differ in its base, and in how far its x is shifted.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import FloatArray

__all__ = ["TINY", "fill_curve", "fill_rates", "hazard_of", "joins"]

_CONDITIONAL, _EQUIVALENT_AGE, _PRINTED = range(3)
#: Powers stay below exp(300), slopes below 1e100: they and what they are multiplied by are then finite.
_HIGHEST = 300.0
_STEEPEST = 1e100
#: Rates below this are none.
TINY = 1e-200
#: Of eta x**lam: a second segment that would have come so far is at its end as soon as it begins.
_OVER = 1e15


@jit
def _slope(value: float) -> float:
    """A derivative, kept finite."""
    return min(max(value, -_STEEPEST), _STEEPEST)


@jit
def _power(x: float, lam: float) -> float:
    """x**lam for x above zero, kept finite."""
    return float(np.exp(min(max(lam, 0.0) * np.log(x), _HIGHEST)))


@jit
def hazard_of(x: float, eta: float, lam: float) -> float:
    """Cumulative rate eta x**lam, minus the logarithm of what a Weibull curve leaves to settle; kept finite."""
    if x <= 0.0 or eta <= TINY:
        return 0.0
    return float(np.exp(min(np.log(eta) + max(lam, 0.0) * np.log(x), _HIGHEST)))


@jit
def joins(p: FloatArray, form: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """
    Where each curve's second segment begins, and how: 1 - exp(-base - eta_2 (s + shift)**lam_2), s = t - t0.

    Returns the breakpoint after the onset, then `base` and `shift` and the derivatives of both by the rows of
    `p`: eta, lam, eta_2, lam_2, t0, eps. Without eps the breakpoint is the peak of the first segment.
    """
    tied = p.shape[0] == 5
    count = p.shape[1]
    ends, places = np.empty(count), np.zeros((2, count))
    by_base, by_shift = np.zeros((6, count)), np.zeros((6, count))
    for k in range(count):
        eta, lam, eta_2, lam_2 = p[0, k], p[1, k], p[2, k], p[3, k]
        # The breakpoint after the onset, and its derivatives by eta, lam and t0 (by eps: one).
        by_eta = by_lam = by_t0 = 0.0
        if not tied:
            end = max(p[5, k] - p[4, k], 0.0)
            by_t0 = -1.0
        elif eta <= TINY:
            end = np.inf
        elif lam <= 1.0:
            end = 0.0
        else:
            logarithm = (np.log((lam - 1.0) / lam) - np.log(eta)) / lam
            end = np.exp(logarithm) if logarithm < _HIGHEST else np.inf
            by_eta = _slope(-end / (lam * eta))
            by_lam = _slope(end * (1.0 / (lam * lam * (lam - 1.0)) - logarithm / lam))
        ends[k] = end
        if end <= 0.0 or end == np.inf or form == _PRINTED:
            continue
        logarithm = np.log(end)
        reached = hazard_of(end, eta, lam)
        # Derivatives of the logarithm of `reached` by eta, lam, t0 and eps.
        relative_end = _slope(lam / end)
        relative_eta = _slope((1.0 / eta if eta > TINY else 0.0) + relative_end * by_eta)
        relative_lam = _slope(logarithm + relative_end * by_lam)
        if form == _EQUIVALENT_AGE and eta_2 > TINY and lam_2 > 1e-3:
            age, log_age = 0.0, 0.0
            if reached > TINY:
                log_age = (np.log(reached) - np.log(eta_2)) / lam_2
                age = np.exp(min(log_age, _HIGHEST))
            if log_age < _HIGHEST:
                places[1, k] = age - end
                slope = _slope(age / lam_2)
                by_shift[0, k] = _slope(slope * relative_eta - by_eta)
                by_shift[1, k] = _slope(slope * relative_lam - by_lam)
                by_shift[2, k] = _slope(-slope / eta_2)
                by_shift[3, k] = _slope(-slope * log_age)
                by_shift[4, k] = _slope((slope * relative_end - 1.0) * by_t0)
                by_shift[5, k] = _slope(slope * relative_end - 1.0)
                continue
        places[0, k] = reached
        by_base[0, k] = reached * relative_eta if eta > TINY else _power(end, lam)
        by_base[1, k] = reached * relative_lam
        by_base[4, k] = reached * relative_end * by_t0
        by_base[5, k] = reached * relative_end
        if form == _EQUIVALENT_AGE:  # a second segment without motion: nothing is added to what was reached
            places[1, k] = -np.inf
            continue
        other = hazard_of(end, eta_2, lam_2)
        slope = _slope(lam_2 * other / end)
        places[0, k] -= other
        by_base[0, k] -= slope * by_eta
        by_base[1, k] -= slope * by_lam
        by_base[2, k] = -_power(end, lam_2)
        by_base[3, k] = -other * logarithm
        by_base[4, k] -= slope * by_t0
        by_base[5, k] -= slope
    return ends, places, by_base, by_shift


@jit
def fill_curve(t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray, form: int) -> None:
    """1 - exp(-H) of either segment; rows of `p` are eta, lam, eta_2, lam_2, t0 and, unless it is tied, eps."""
    ends, places, by_base, by_shift = joins(p, form)
    rows = p.shape[0]
    logs = np.log(np.maximum(p[:4], TINY))
    for i in range(t.size):
        for k in range(p.shape[1]):
            x = t[i] - p[4, k]
            for row in range(rows):
                gradient[row, i, k] = 0.0
            columns[0, i, k] = 0.0
            if x <= 0.0:
                continue
            own, base = 0, 0.0
            if x > ends[k]:
                own, x, base = 2, x + places[1, k], places[0, k]
            hazard, logarithm, power, slope = 0.0, 0.0, 0.0, 0.0
            if x > 0.0:
                logarithm = np.log(x)
                if p[own, k] > TINY:
                    hazard = np.exp(min(logs[own, k] + max(p[own + 1, k], 0.0) * logarithm, _HIGHEST))
                    power = hazard / p[own, k]
                else:
                    power = _power(x, p[own + 1, k])
                slope = _slope(p[own + 1, k] * hazard / x)
            if hazard > _OVER:
                columns[0, i, k] = 1.0
                continue
            total = base + hazard
            if total < 0.7:  # either way has all digits, both of what has settled and of what is left
                happened = -np.expm1(-total)
                left = 1.0 - happened
            else:
                left = np.exp(-total)
                happened = 1.0 - left
            columns[0, i, k] = happened
            gradient[own, i, k] = power * left
            gradient[own + 1, i, k] = hazard * logarithm * left
            gradient[4, i, k] = -slope * left
            if own == 2:
                for row in range(rows):
                    gradient[row, i, k] += (by_base[row, k] + slope * by_shift[row, k]) * left


@jit
def fill_rates(t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray, form: int) -> None:
    ends, places, _, _ = joins(p, form)
    for i in range(t.size):
        for k in range(p.shape[1]):
            x, eta, lam, base = t[i] - p[4, k], p[0, k], p[1, k], 0.0
            velocity[0, i, k] = 0.0
            acceleration[0, i, k] = 0.0
            if x < 0.0:
                continue
            if x > ends[k]:
                x, eta, lam, base = x + places[1, k], p[2, k], p[3, k], places[0, k]
            if x < 0.0 or eta <= TINY or lam <= 0.0:
                continue
            hazard = hazard_of(x, eta, lam)
            left = np.exp(-base - hazard)
            if left == 0.0 or hazard > _OVER:
                continue
            if x == 0.0:
                velocity[0, i, k] = 0.0 if lam > 1.0 else eta * left if lam == 1.0 else np.inf
                acceleration[0, i, k] = 0.0 if lam > 2.0 else 2.0 * eta * left if lam == 2.0 else np.inf
                if lam <= 1.0:
                    acceleration[0, i, k] = -((eta * left) ** 2) if lam == 1.0 else -np.inf
                continue
            velocity[0, i, k] = lam * hazard / x * left
            bend = (lam - 1.0) - lam * hazard
            if bend != 0.0:
                acceleration[0, i, k] = lam * hazard / x * left / x * bend
