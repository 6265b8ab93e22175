"""Whether one break more, or two, are more than noise: their likelihood ratio against that of simulated noise.

A break that is not there has no date, so that the usual distribution of a likelihood ratio does not hold (Davies
1987): the ratio's distribution under the curve with fewer breaks is simulated at the epochs of the series, with the
correlation of the noise estimated anew in every draw, as it is from the data.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subsidence._kernels.breaks import extra_breaks
from subsidence.fitting._break_search import ANGLES, EXACT, Fit, Record, restricted_likelihood
from subsidence.typing import FloatArray

__all__ = ["p_value"]

#: Epochs at which a further break is tried, at most.
_CANDIDATES = 80


def p_value(record: Record, fit: Fit, larger: Fit, *, draws: int, seed: int) -> float:
    """
    Probability that noise alone makes one or two breaks more than `fit` has look as good as in the data.

    `larger` is the best curve with two breaks more, or as many as the epochs hold. Two are tried beside one because a
    velocity that changes and changes back hides from a single break. What is compared is the smaller of the two's
    ranks among the draws. 1 where no window is long enough for another break.
    """
    places = _candidates(record, fit)
    if places.size == 0 or fit.rss <= EXACT**2 * record.t.size:
        return 1.0
    rhos = np.sin(ANGLES) if record.autocorrelated else np.zeros(1)
    y = np.column_stack([record.y, _noise(record, larger, rhos, draws, seed) / record.weight[:, None]])
    ratios = _ratios(record, fit, places, y, rhos)
    share = [1.0 - np.searchsorted(np.sort(ratio), ratio) / ratio.size for ratio in ratios]
    smaller = np.min(share, axis=0)
    return float(np.mean(smaller <= smaller[0]))


def _candidates(record: Record, fit: Fit) -> npt.NDArray[np.int64]:
    """Epochs where a further break leaves enough of them in each window, thinned."""
    n, t = record.t.size, record.t
    edges = np.concatenate([t[:1], fit.breaks, t[-1:]])
    before = np.searchsorted(t, edges[:-1], side="left")
    upto = np.searchsorted(t, edges[1:], side="right")
    found = [
        np.arange(first + record.least - 1, last - record.least + 1) for first, last in zip(before, upto, strict=True)
    ]
    places = np.unique(np.concatenate(found))
    step = -(-n // _CANDIDATES)
    return places[:: max(step, 1)].astype(np.int64)


def _pairs(record: Record, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    first, second = np.triu_indices(places.size, 1)
    apart = places[second] - places[first] + 1 >= record.least
    return np.column_stack([first[apart], second[apart]])


def _noise(record: Record, larger: Fit, rhos: FloatArray, draws: int, seed: int) -> FloatArray:
    """
    Noise of unit size, (epochs, draws), each of a correlation drawn from its likelihood.

    That is the likelihood beside the larger curve: motion that the smaller one lacks would pass for a correlation
    near one, and hide itself. Where there is no such motion the correlation comes out a little low, which matters
    little, as the ratio is nearly the same whatever the correlation.
    """
    random = np.random.default_rng(seed)
    noise = random.standard_normal((record.t.size, draws))
    if not record.autocorrelated:
        return noise
    tangent = record.tangent(larger.breaks)
    likelihood = np.array([restricted_likelihood(record, tangent, float(rho)) for rho in rhos])
    weight = np.exp(likelihood - likelihood.max())
    chosen = random.choice(rhos, size=draws, p=weight / weight.sum())
    lags = np.stack([record.lag(float(rho)) for rho in chosen], axis=1)
    for i, lag in enumerate(lags, start=1):
        noise[i] = lag * noise[i - 1] + np.sqrt(1.0 - lag**2) * noise[i]
    return noise


def _ratios(
    record: Record,
    fit: Fit,
    places: npt.NDArray[np.int64],
    y: FloatArray,
    rhos: FloatArray,
) -> FloatArray:
    """Log likelihood ratios (2, draws) of one break more and of two, each at its own best correlation."""
    tangent = record.tangent(fit.breaks)
    hinges = np.maximum(record.t[:, None] - record.t[places], 0.0)
    pairs = _pairs(record, places)
    n, p = tangent.shape
    best = np.full((3, y.shape[1]), -np.inf)
    for rho in rhos:
        basis, triangle = np.linalg.qr(record.whitened(float(rho), tangent))
        rest = record.whitened(float(rho), y)
        rest -= basis @ (basis.T @ rest)
        bent = record.whitened(float(rho), hinges)
        bent -= basis @ (basis.T @ bent)
        bent /= np.sqrt((bent**2).sum(0))
        total = (rest**2).sum(0)
        single, double = np.empty_like(total), np.empty_like(total)
        extra_breaks(bent.T @ rest, bent.T @ bent, pairs, total, single, double)
        base = record.log_scale(float(rho)) - np.log(np.abs(np.diagonal(triangle))).sum()
        for row, left in enumerate((total, single, double)):
            best[row] = np.maximum(best[row], base - 0.5 * (n - p) * np.log(np.maximum(left, 1e-14 * total)))
    ratios: FloatArray = 2.0 * (best[1:] - best[0])
    return ratios
