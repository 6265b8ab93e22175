"""Tables that the search reads: how likely a peak is, and the variance of wrapped least squares."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from scipy.special import i0e, i1e

from subsidence._kernels.phase_refine import TAPER
from subsidence.typing import FloatArray, IntArray

__all__ = ["LARGEST_SQUARE", "log_likelihood", "variance_factor"]

#: Mean square residual up to which the variance is tabulated, rad^2; of phases that say nothing it is pi^2 / 3.
LARGEST_SQUARE = 3.0
_NODES = 256
#: Phase noise that an arc may have, rad: where a wrong peak is in question every value alike, and below every octave.
_NOISE = np.concatenate([np.geomspace(0.1, 1.0, 90, endpoint=False), np.linspace(1.0, 1.7, 60)])
#: Share of arcs with less noise than 1 rad. Without them few epochs could never be sure; with more of them, those
#: above would be said to be right more often than they are.
_QUIET = 0.3
_SHARE = np.repeat([_QUIET / 90, (1 - _QUIET) / 60], [90, 60])
#: Share of arcs that hold no signal at all.
_EMPTY = 0.1
_TURNS = np.arange(-3, 4)


def log_likelihood(effective: FloatArray, *, offset_known: bool) -> FloatArray:
    r"""
    Log likelihood of a peak over its squared coherence 0..1, ``(row, 257)``, one row for each number of epochs.

    Notes
    -----
    Phases with von Mises noise of concentration :math:`\kappa` and coherence :math:`\gamma` with the model have the
    likelihood :math:`I_0(\kappa n \gamma) / I_0(\kappa)^n`, their common constant integrated out (where it is known:
    :math:`e^{\kappa n \gamma} / I_0(\kappa)^n`). Of the data nothing else enters. :math:`\kappa` is integrated out too:
    a share of 0.1 for no signal at all (:math:`\kappa = 0`); of the others 0.7 with the noise spread evenly over 1
    to 1.7 rad, and 0.3 over 0.1 to 1 rad, every octave alike.
    """
    rows = np.maximum(np.asarray(effective, np.float64), 1.0)
    few = np.unique(np.geomspace(rows.min(), rows.max(), 24)) if rows.size > 24 else np.unique(rows)
    tables = np.empty((few.size, _NODES + 1))
    for row, n in enumerate(few):
        tables[row] = _of_count(float(n), offset_known=offset_known)
    above = np.clip(np.searchsorted(few, rows), 1, max(few.size - 1, 1)) if few.size > 1 else np.zeros(rows.size, int)
    below = np.maximum(above - 1, 0)
    gap = np.where(above > below, few[above] - few[below], 1.0)
    share = ((rows - few[below]) / gap)[:, None]
    return np.asarray(tables[below] + share * (tables[above] - tables[below]))


def variance_factor(counts: IntArray, unknowns: int) -> FloatArray:
    r"""
    Variance of an estimate, for a unit of the inverse normal matrix, over the mean square residual.

    ``(row, node)`` for mean squares of 0..`LARGEST_SQUARE`, one row for each number of epochs.

    Notes
    -----
    Tapered wrapped least squares is an M-estimator with the influence function :math:`\psi(r)`: r up to the taper, then
    falling to zero at half a turn. Its variance is :math:`E[\psi^2] / E[\psi']^2`. The mean square of the wrapped
    residual itself, of n epochs and p unknowns, is that of the noise less
    :math:`(p / n) (2 E[r \psi] / E[\psi'] - E[r'] E[\psi^2] / E[\psi']^2)`. All expectations follow from the
    standard deviation of normal noise before wrapping.
    """
    square, less, variance = _moments()
    wanted = np.linspace(0.0, LARGEST_SQUARE, _NODES + 1)
    table = np.empty((len(counts), wanted.size))
    for row, n in enumerate(counts):
        seen = square - unknowns / max(n, unknowns + 1) * less
        rising = np.maximum.accumulate(seen) == seen
        rising &= (seen > 0) & (np.cumsum(~rising) == 0)
        table[row] = np.interp(wanted, seen[rising], (variance[rising] / seen[rising]))
    return table


@lru_cache(maxsize=256)
def _of_count(n: float, *, offset_known: bool) -> FloatArray:
    concentration = _concentration(np.exp(-(_NOISE**2) / 2))
    normaliser = np.log(i0e(concentration)) + concentration
    x = n * concentration[:, None] * np.sqrt(np.linspace(0.0, 1.0, _NODES + 1))
    grown = x if offset_known else np.log(i0e(x)) + x
    likelihood = grown - n * normaliser[:, None]
    most = likelihood.max(axis=0)
    with_signal = most + np.log(_SHARE @ np.exp(likelihood - most))
    return np.asarray(np.logaddexp(with_signal + np.log(1 - _EMPTY), np.log(_EMPTY)))


@cache
def _moments() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean square residual over the noise, what each unknown of one epoch takes off it, and the variance."""
    noise = np.linspace(0.02, 1.9, 150)
    r = np.linspace(-np.pi, np.pi, 1441)
    density = sum(np.exp(-0.5 * ((r + 2 * np.pi * k) / noise[:, None]) ** 2) for k in _TURNS)
    density /= noise[:, None] * np.sqrt(2 * np.pi)
    psi = r - np.pi / (np.pi - TAPER) * (r - np.clip(r, -TAPER, TAPER))
    inside = np.abs(r) < TAPER

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(np.trapezoid(density * values, r, axis=1))

    square = mean(r**2)
    slope = mean(np.where(inside, 1.0, 1 - np.pi / (np.pi - TAPER)))
    variance = mean(psi**2) / slope**2
    less = 2 * mean(r * psi) / slope - (1 - 2 * np.pi * density[:, -1]) * variance
    return square, less, variance


def _concentration(length: FloatArray) -> FloatArray:
    """Von Mises concentration of a mean resultant length, by bisection."""
    low, high = np.zeros_like(length), np.full_like(length, 1e4)
    for _ in range(80):
        middle = 0.5 * (low + high)
        above = i1e(middle) / i0e(middle) > length
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return np.asarray(0.5 * (low + high))
