"""Coherence of pairs of images, and what its estimate exceeds it by."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from subsidence.typing import FloatArray, IntArray

__all__ = ["bias_tables", "expected_coherence"]

#: Coherences that the tables are made for.
_GRID = np.concatenate([0.98 * np.sqrt(np.linspace(0, 1, 97)), [0.985, 0.99, 0.995, 0.998, 1.0]])
#: Steps of a table from the least expected coherence to 1.
_STEPS = 512
#: Numbers of looks up to this have a table each, larger ones share those of a geometric series.
_EXACT = 32
#: Terms of the series for one coherence, thinned where there are more.
_TERMS = 600


def expected_coherence(coherence: npt.ArrayLike, looks: float) -> npt.NDArray[np.float64]:
    r"""
    Expected value of the sample coherence of two circular Gaussian images.

    Parameters
    ----------
    coherence
        True coherence, 0..1.
    looks
        Independent samples averaged, above 1.

    Returns
    -------
    numpy.ndarray
        float64, of the shape of `coherence`.

    Notes
    -----
    Touzi et al. (1999), doi:10.1109/36.739146, eq. 8: the hypergeometric function written out is a mean over the
    negative binomial distribution,

    .. math::

        E|\hat\gamma| = \sum_k \frac{\Gamma(L + k)}{\Gamma(L)\, k!} \gamma^{2k} (1 - \gamma^2)^L\;
        \frac{\Gamma(k + 3/2)\, \Gamma(k + L)}{\Gamma(k + 1)\, \Gamma(k + L + 1/2)}

    whose terms are all positive. Without coherence it is :math:`\Gamma(L) \Gamma(3/2) / \Gamma(L + 1/2)`, 0.406
    for 5 looks.

    Examples
    --------
    >>> expected_coherence(0.0, 5).round(3).item()
    0.406
    """
    values = np.asarray(coherence, np.float64)
    flat = np.atleast_1d(values).ravel()
    result = np.ones_like(flat)
    for number, value in enumerate(flat):
        if value < 1:
            result[number] = _mean(value * value, looks)
    return result.reshape(values.shape)


def _mean(square: float, looks: float) -> float:
    middle = looks * square / (1 - square)
    spread = np.sqrt(middle / (1 - square)) if square > 0 else 0.0
    low, high = max(0.0, np.floor(middle - 10 * spread)), np.ceil(middle + 12 * spread + 40)
    # A smooth bump summed at every n-th term is as exact as the sum of all.
    k = np.arange(low, high + 1, max(1.0, np.floor((high - low) / _TERMS)))
    weight = special.gammaln(looks + k) - special.gammaln(looks) - special.gammaln(k + 1) + special.xlogy(k, square)
    weight = np.exp(weight - weight.max())
    term = special.gammaln(k + 1.5) + special.gammaln(k + looks) - special.gammaln(k + 1)
    term -= special.gammaln(k + looks + 0.5)
    return float(weight @ np.exp(term) / weight.sum())


@lru_cache(maxsize=8)
def bias_tables(most: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Tables that invert :func:`expected_coherence` for 2 to `most` looks.

    Returns
    -------
    row : numpy.ndarray
        Table of each number of looks, ``(most + 1,)``.
    least : numpy.ndarray
        Expected sample coherence where there is none, ``(tables,)``, float32.
    squares : numpy.ndarray
        Squared coherence where the sample coherence is ``least + k / steps * (1 - least)``, ``(tables, steps + 1)``,
        float32: linear near its lower end, where the coherence itself has an infinite slope.
    """
    several = np.geomspace(_EXACT, max(_EXACT, most), 1 + int(np.ceil(np.log(max(1.0, most / _EXACT)) / 0.1)))
    looks = np.unique(np.concatenate([np.arange(2, min(_EXACT, most) + 1), several[several <= most]]))
    least, squares = np.empty(looks.size, np.float32), np.empty((looks.size, _STEPS + 1), np.float32)
    for number, count in enumerate(looks):
        expected = expected_coherence(_GRID, float(count))
        least[number] = expected[0]
        squares[number] = np.interp(np.linspace(expected[0], 1, _STEPS + 1), expected, _GRID**2)
    row = np.abs(np.arange(most + 1)[:, np.newaxis] - looks).argmin(axis=1)
    for array in (row, least, squares):
        array.setflags(write=False)
    return row, least, squares
