"""How well breaks and velocities are known: sets of confidence by the profile of the misfit, and a covariance.

The correlation of the noise is known from the same few epochs as the breaks. What follows from one correlation is
therefore averaged over correlations, each with the weight of its restricted likelihood, flat in arcsin(correlation).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import linalg, stats

from subsidence.fitting._break_search import ANGLES, EXACT, Fit, Record, Search, restricted_likelihood
from subsidence.typing import FloatArray

__all__ = ["confidence_set", "correlations", "covariance"]

#: Correlations of a smaller share of the likelihood are left out.
_SHARE = 0.01
#: Change of velocity, in units of the data's spread over half the record, that counts as none.
_NO_CHANGE = 1e-9


def correlations(record: Record, fit: Fit) -> tuple[FloatArray, FloatArray]:
    """Correlations that the data allow, and their weights."""
    if not record.autocorrelated or fit.rss <= EXACT**2 * record.t.size:
        return np.zeros(1), np.ones(1)
    rhos, tangent = np.sin(ANGLES), record.tangent(fit.breaks)
    likelihood = np.array([restricted_likelihood(record, tangent, float(rho)) for rho in rhos])
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    kept = weights > _SHARE
    return rhos[kept], weights[kept] / weights[kept].sum()


def confidence_set(
    record: Record, fit: Fit, number: int, rhos: FloatArray, weights: FloatArray, *, level: float
) -> tuple[float, float]:
    """First and last time at which break `number` may be: an F test of each time, the other breaks free."""
    free = record.t.size - 2 - 2 * fit.breaks.size
    total, grid = 0.0, fit.breaks
    for rho, weight in zip(rhos, weights, strict=True):
        grid, rss = _profile(record, fit, number, float(rho))
        least = max(float(rss.min()), EXACT**2 * record.t.size)
        total = total + weight * stats.f.sf(free * (rss / least - 1.0), 1, free)
    probability: FloatArray = np.asarray(total)
    inside = np.flatnonzero(probability >= 1.0 - level)
    if inside.size == 0:
        return float(fit.breaks[number]), float(fit.breaks[number])
    first, last = int(inside[0]), int(inside[-1])
    return (
        _crossing(grid, probability, first, first - 1, 1.0 - level),
        _crossing(grid, probability, last, last + 1, 1.0 - level),
    )


def _crossing(grid: FloatArray, probability: FloatArray, inside: int, outside: int, target: float) -> float:
    """Where the probability falls to the target between a time inside and the next outside."""
    if not 0 <= outside < grid.size:
        return float(grid[inside])
    share = (probability[inside] - target) / (probability[inside] - probability[outside])
    return float(grid[inside] + share * (grid[outside] - grid[inside]))


def covariance(record: Record, fit: Fit, rhos: FloatArray, weights: FloatArray) -> FloatArray:
    """
    Covariance of the coefficients of `Record.design` and, after them, of the breaks; to first order.

    The break of a velocity that does not change there has a variance that is beyond any record.
    """
    tangent = record.tangent(fit.breaks)
    n, p = tangent.shape
    rest = record.y - record.design(fit.breaks) @ fit.coefficients
    total = np.zeros((p, p))
    for rho, weight in zip(rhos, weights, strict=True):
        basis, triangle = np.linalg.qr(record.whitened(float(rho), tangent))
        right = record.whitened(float(rho), rest)
        inverse = linalg.solve_triangular(triangle, np.eye(p))
        moved = inverse @ (basis.T @ right)
        left = right - basis @ (basis.T @ right)
        total += weight * (inverse @ inverse.T * float(left @ left) / (n - p) + np.outer(moved, moved))
    # A break that moves by b is a step of -change * b.
    changes = fit.coefficients[2:]
    scale = np.ones(p)
    scale[p - changes.size :] = -1.0 / np.where(np.abs(changes) < _NO_CHANGE, _NO_CHANGE, changes)
    return np.asarray(total * scale * scale[:, None])


def _profile(record: Record, fit: Fit, number: int, rho: float) -> tuple[FloatArray, FloatArray]:
    """Least sum of squares, over all other breaks, with one at each epoch, half-way between epochs and where it is."""
    search = Search(record, rho)
    t = record.t
    grid = np.unique(np.concatenate([t, 0.5 * (t[1:] + t[:-1]), fit.breaks[number : number + 1]]))
    rss = np.full(grid.size, np.inf)
    middle = int(np.searchsorted(grid, fit.breaks[number]))
    for outward in (range(middle, grid.size), range(middle, -1, -1)):
        slots = fit.slots
        for place in outward:
            rss[place], slots = _with_one_held(search, slots, number, float(grid[place]))
    return grid, rss


def _with_one_held(
    search: Search, start: npt.NDArray[np.int64], number: int, position: float
) -> tuple[float, npt.NDArray[np.int64]]:
    """Best other breaks with one at `position`: all there are for two breaks, from `start` for more."""
    t = search.record.t
    after = int(np.searchsorted(t, position, side="right"))
    slot = 2 * (after - 1) + int(position > t[after - 1])
    top = 2 * t.size
    others = [j for j in range(start.size) if j != number]
    around = np.array([j != number for j in range(start.size)], np.int64)
    if start.size <= 2:
        lowest, highest = np.where(around, 0, slot), np.where(around, top, slot)
        return search(lowest, highest, held=number, position=position)[0], start
    start = np.where(around, start, slot)
    best = search(start, start, held=number, position=position)[0], start
    while True:
        before = best[0]
        for j in others:
            lowest, highest = best[1].copy(), best[1].copy()
            lowest[j], highest[j] = 0, top
            best = min(best, search(lowest, highest, held=number, position=position)[:2], key=_first)
        best = min(best, search(best[1] - around, best[1] + around, held=number, position=position)[:2], key=_first)
        if not best[0] < before:
            return best


def _first(found: tuple[float, npt.NDArray[np.int64]]) -> float:
    return found[0]
