"""Least squares of the amplitudes of given curves: how well each curve fits each series.

Every curve has rows, its columns of the design and a row of ones first, and amplitudes of which some are known
and the others sought. The sought rows are made orthogonal one after the other (modified Gram-Schmidt) and the
series last, which is as stable as a QR factorisation and needs no normal equations.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import FloatArray, IntArray

__all__ = ["project_cells"]

#: A row of which the rows before it leave less than this share cannot be told apart from them.
_RANK = 1e-10


@jit
def project_cells(
    start: int,
    stop: int,
    series: FloatArray,
    weight: FloatArray,
    rows: FloatArray,
    known: FloatArray,
    sought: IntArray,
    out: FloatArray,
) -> None:
    """
    Fit every curve to the series ``start..stop``.

    Parameters
    ----------
    start, stop
        Places of this block.
    series
        (times, places), NaN where there is no data.
    weight
        One over the standard deviation, (times, places) or (times, 1) for all places; epochs where it is not
        above zero and finite are left out.
    rows
        (curves, rows, times).
    known
        Amplitudes, (curves, rows); those of sought rows are not looked at.
    sought
        Numbers of the rows whose amplitude is sought, the row of ones before the others.
    out
        (3 + sought, curves, places): 1 - RSS / TSS, squared correlation of series and curve, root mean square
        residual, amplitudes. NaN where epochs do not exceed the amplitudes sought; an amplitude is NaN where
        its row is zero or a combination of those before it.
    """
    times, cells, free = series.shape[0], rows.shape[0], sought.size
    epochs = np.empty(times, np.int64)
    w, y, rest = np.empty(times), np.empty(times), np.empty(times)
    q = np.empty((free, times))
    triangle = np.zeros((free, free))
    right = np.empty(free)
    amplitude = np.empty(free)
    is_sought = np.zeros(rows.shape[1], np.bool_)
    for k in sought:
        is_sought[k] = True
    for place in range(start, stop):
        column = 0 if weight.shape[1] == 1 else place
        n = 0
        for i in range(times):
            value, one = series[i, place], weight[i, column]
            if np.isfinite(value) and np.isfinite(one) and one > 0.0:
                epochs[n], w[n], y[n] = i, one, value
                n += 1
        if n <= free or n < 2:
            out[:, :, place] = np.nan
            continue
        total, middle = 0.0, 0.0
        for i in range(n):
            total += w[i] * w[i]
            middle += w[i] * w[i] * y[i]
        middle /= total
        spread = 0.0
        for i in range(n):
            spread += (w[i] * (y[i] - middle)) ** 2
        for cell in range(cells):
            for i in range(n):
                value = y[i]
                for k in range(rows.shape[1]):
                    if not is_sought[k]:
                        value -= known[cell, k] * rows[cell, k, epochs[i]]
                rest[i] = w[i] * value
            for k in range(free):
                size = 0.0
                for i in range(n):
                    q[k, i] = w[i] * rows[cell, sought[k], epochs[i]]
                    size += q[k, i] ** 2
                for j in range(k):
                    product = 0.0
                    for i in range(n):
                        product += q[j, i] * q[k, i]
                    for i in range(n):
                        q[k, i] -= product * q[j, i]
                    triangle[j, k] = product
                left = 0.0
                for i in range(n):
                    left += q[k, i] ** 2
                if left <= _RANK**2 * size:
                    triangle[k, k] = 0.0
                    right[k] = 0.0
                    for i in range(n):
                        q[k, i] = 0.0
                    continue
                left = np.sqrt(left)
                triangle[k, k] = left
                product = 0.0
                for i in range(n):
                    q[k, i] /= left
                    product += q[k, i] * rest[i]
                for i in range(n):
                    rest[i] -= product * q[k, i]
                right[k] = product
            for back in range(free):
                k = free - 1 - back
                if triangle[k, k] == 0.0:
                    amplitude[k] = 0.0
                    continue
                value = right[k]
                for j in range(k + 1, free):
                    value -= triangle[k, j] * amplitude[j]
                amplitude[k] = value / triangle[k, k]
            for k in range(free):
                out[3 + k, cell, place] = np.nan if triangle[k, k] == 0.0 else amplitude[k]
            misfit, centre = 0.0, 0.0
            for i in range(n):
                misfit += rest[i] * rest[i]
                centre += w[i] * (w[i] * y[i] - rest[i])
            centre /= total
            own, common = 0.0, 0.0
            for i in range(n):
                modelled = w[i] * (y[i] - centre) - rest[i]
                own += modelled * modelled
                common += modelled * w[i] * (y[i] - middle)
            out[0, cell, place] = 1.0 - misfit / spread if spread > 0.0 else np.nan
            varies = spread > 0.0 and own > _RANK**2 * total * (centre * centre + middle * middle)
            out[1, cell, place] = min(common * common / (own * spread), 1.0) if varies else np.nan
            out[2, cell, place] = np.sqrt(misfit / total)
