"""Best breaks of one series for a given number, with the correlation of its noise.

Arrays in, arrays out: time scaled to -1..1, values of about unit size, the noise of each epoch relative to the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize

from subsidence._kernels.breaks import search_breaks, tail_sums
from subsidence.typing import FloatArray

__all__ = ["ANGLES", "EXACT", "Fit", "Record", "Search", "fewest_epochs", "fit_number", "restricted_likelihood"]

#: arcsin of the correlations that a likelihood is laid over, -0.84 to 0.98: its width in them is that of
#: 1 / sqrt(epochs) whatever the correlation.
ANGLES: FloatArray = np.linspace(-1.0, 1.35, 24)
#: Breaks and correlation are estimated in turn until the breaks stay.
_TURNS = 8
#: More breaks than are tried together: epochs that a pair of them is tried at, and starts by chance.
_PAIR_EPOCHS = 90
_STARTS = 6
#: Residuals this small, in units of the data's spread, are rounding: there is no noise.
EXACT = 1e-12
_NONE = -1


@dataclass(frozen=True)
class Record:
    """A series: time scaled to -1..1, values, one over the relative noise of each epoch, gaps in revisits."""

    t: FloatArray
    y: FloatArray
    weight: FloatArray
    gaps: FloatArray
    #: fewest epochs in a window, those at its ends counted
    least: int
    autocorrelated: bool

    def lag(self, rho: float) -> FloatArray:
        """Correlation of each epoch's noise with that before it."""
        size = np.abs(rho) ** self.gaps
        # A negative correlation alternates with the whole number of revisits in the gap.
        lag: FloatArray = np.where((np.rint(self.gaps) % 2 == 1) & (rho < 0), -size, size)
        return lag

    def whitened(self, rho: float, columns: FloatArray) -> FloatArray:
        """`columns` (epochs, ...) in units in which the noise is white and of one size."""
        lag = self.lag(rho)
        scale = 1.0 / np.sqrt(np.maximum(1.0 - lag**2, 1e-12))
        rows = (columns.T * self.weight).T
        result = rows.copy()
        result[1:] = ((rows[1:] - (lag * rows[:-1].T).T).T * scale).T
        return result

    def log_scale(self, rho: float) -> float:
        """Half the logarithm of the determinant of the noise's precision, but for a constant."""
        return float(-0.5 * np.log(np.maximum(1.0 - self.lag(rho) ** 2, 1e-12)).sum())

    def design(self, breaks: FloatArray) -> FloatArray:
        """1, t and the hinges."""
        hinges = np.maximum(self.t[:, None] - breaks, 0.0)
        return np.column_stack([np.ones_like(self.t), self.t, hinges])

    def tangent(self, breaks: FloatArray) -> FloatArray:
        """Columns of `design`, and steps at the breaks: all that the curve can become when its breaks move a little."""
        return np.column_stack([self.design(breaks), self.t[:, None] > breaks])


@dataclass(frozen=True)
class Fit:
    """The best curve with some number of breaks."""

    slots: npt.NDArray[np.int64]
    breaks: FloatArray
    #: of `Record.design`
    coefficients: FloatArray
    rho: float
    #: whitened
    rss: float
    #: -2 log likelihood + p log n, of breaks, coefficients, variance and correlation
    bic: float


def fit_number(record: Record, number: int, fewer: Fit | None = None) -> Fit | None:
    """
    Best curve with `number` breaks, None when the epochs do not hold so many windows.

    White noise: the global optimum for one and two breaks; for more, the best that a search from several starts
    (one of them `fewer`, the fit with one break less, and a break more) finds.
    """
    if record.t.size < fewest_epochs(number, record.least):
        return None
    rho = 0.0
    slots, breaks = _best(record, rho, number, partial(_starts, number, fewer))
    if record.autocorrelated and (breaks.size == 0 or _solved(record, rho, breaks)[1] > EXACT**2 * record.t.size):
        seen: list[tuple[int, ...]] = []
        while tuple(slots) not in seen and len(seen) < _TURNS:
            seen.append(tuple(slots))
            rho = _most_likely(partial(restricted_likelihood, record, record.tangent(breaks)))
            slots, breaks = _best(record, rho, number, partial(_again, slots))
    coefficients, rss = _solved(record, rho, breaks)
    return Fit(slots, breaks, coefficients, rho, rss, _bic(record, breaks))


def fewest_epochs(number: int, least: int) -> int:
    """Epochs that `number` breaks need, with `least` in each window and some more than there are parameters."""
    return max((least - 1) * (number + 1) + 1, 2 * number + 5)


def _solved(record: Record, rho: float, breaks: FloatArray) -> tuple[FloatArray, float]:
    matrix, right = record.whitened(rho, record.design(breaks)), record.whitened(rho, record.y)
    coefficients = linalg.lstsq(matrix, right)[0]
    return coefficients, float(((right - matrix @ coefficients) ** 2).sum())


def restricted_likelihood(record: Record, design: FloatArray, rho: float) -> float:
    """Logarithm of the restricted likelihood (REML) of the correlation, but for a constant."""
    basis, triangle = np.linalg.qr(record.whitened(rho, design))
    right = record.whitened(rho, record.y)
    rest = right - basis @ (basis.T @ right)
    n, p = design.shape
    free = -0.5 * (n - p) * np.log(max(float(rest @ rest), np.finfo(np.float64).tiny))
    return float(record.log_scale(rho) + free - np.log(np.abs(np.diagonal(triangle))).sum())


def _most_likely(likelihood: Callable[[float], float]) -> float:
    """Correlation of the greatest likelihood."""
    values = [likelihood(float(np.sin(angle))) for angle in ANGLES]
    top = int(np.argmax(values))
    low, high = ANGLES[max(top - 1, 0)], ANGLES[min(top + 1, ANGLES.size - 1)]
    found = optimize.minimize_scalar(
        lambda angle: -likelihood(float(np.sin(angle))), bounds=(low, high), method="bounded"
    )
    return float(np.sin(found.x))


def _bic(record: Record, breaks: FloatArray) -> float:
    n = record.t.size

    def likelihood(rho: float) -> float:
        rss = _solved(record, rho, breaks)[1]
        return float(record.log_scale(rho) - 0.5 * n * np.log(max(rss / n, np.finfo(np.float64).tiny)))

    best = likelihood(_most_likely(likelihood) if record.autocorrelated else 0.0)
    parameters = 2 + 2 * breaks.size + 1 + record.autocorrelated
    return float(-2.0 * best + parameters * np.log(n))


class Search:
    """The search of :func:`search_breaks` in one series at one correlation."""

    def __init__(self, record: Record, rho: float) -> None:
        self.record = record
        columns = np.column_stack([np.ones_like(record.t), record.t, record.y])
        self.rows = np.ascontiguousarray(record.whitened(rho, columns))
        scale = 1.0 / np.sqrt(np.maximum(1.0 - record.lag(rho) ** 2, 1e-12))
        fresh = columns[:, :2] * record.weight[:, None]
        fresh[1:] *= scale[:, None]
        self.fresh = np.ascontiguousarray(fresh)
        self.sums = np.empty((record.t.size + 1, 6))
        tail_sums(self.rows, self.sums)

    def __call__(
        self,
        lowest: npt.ArrayLike,
        highest: npt.ArrayLike,
        *,
        stride: int = 1,
        held: int = _NONE,
        position: float = 0.0,
    ) -> tuple[float, npt.NDArray[np.int64], FloatArray]:
        low, high = np.array(lowest, np.int64), np.array(highest, np.int64)
        slots, breaks = np.zeros(low.size, np.int64), np.zeros(low.size)
        record = self.record
        misfit = search_breaks(
            record.t, self.rows, self.fresh, self.sums, low, high, stride, record.least, held, position, slots, breaks
        )
        return misfit, slots, breaks


def _best(
    record: Record, rho: float, number: int, starts: Callable[[Search], list[npt.NDArray[np.int64]]]
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    search = Search(record, rho)
    top = 2 * record.t.size
    if number <= 2:
        _, slots, breaks = search([0] * number, [top] * number)
        return slots, breaks
    found = [_improved(search, start) for start in starts(search)]
    _, slots, breaks = min(found, key=_misfit)
    return slots, breaks


def _starts(number: int, fewer: Fit | None, search: Search) -> list[npt.NDArray[np.int64]]:
    """Slots to begin from: evenly, the fit with one break less and the best of one more, by chance."""
    n, least = search.record.t.size, search.record.least
    spare = n - 1 - (least - 1) * (number + 1)
    shares = [np.arange(1, number + 1) / (number + 1)]
    random = np.random.default_rng(0)
    shares += [np.sort(random.uniform(size=number)) for _ in range(_STARTS)]
    starts = [
        2 * (np.arange(1, number + 1) * (least - 1) + np.floor(share * (spare + 1)).astype(np.int64))
        for share in shares
    ]
    if fewer is not None:
        for place in range(number):
            lowest = np.insert(fewer.slots, place, 0)
            highest = np.insert(fewer.slots, place, 2 * n)
            misfit, slots, _ = search(lowest, highest)
            if np.isfinite(misfit):
                starts.append(slots)
    return starts


def _again(slots: npt.NDArray[np.int64], _search: Search) -> list[npt.NDArray[np.int64]]:
    return [slots]


def _misfit(found: tuple[float, npt.NDArray[np.int64], FloatArray]) -> float:
    return found[0]


def _improved(search: Search, start: npt.NDArray[np.int64]) -> tuple[float, npt.NDArray[np.int64], FloatArray]:
    """Move two breaks at a time, then all by one slot, as long as that helps."""
    top = 2 * search.record.t.size
    stride = 2 * max(1, -(-search.record.t.size // _PAIR_EPOCHS))
    best = search(start, start)
    while True:
        before = best[0]
        for pair in combinations(range(start.size), 2):
            lowest, highest = best[1].copy(), best[1].copy()
            for j in pair:
                lowest[j] = 0
                highest[j] = top
            moved = search(lowest, highest, stride=stride)
            best = min(best, moved, key=_misfit)
        for j in range(start.size):
            lowest, highest = best[1].copy(), best[1].copy()
            lowest[j], highest[j] = 0, top
            best = min(best, search(lowest, highest), key=_misfit)
        best = min(best, search(best[1] - 1, best[1] + 1), key=_misfit)
        if not best[0] < before:
            return best
