"""The phase that several solved points nearby would show at a place: a reference to tie another point to."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray, FloatArray

__all__ = ["virtual_reference"]


@jit
def virtual_reference(
    start: int,
    stop: int,
    near: AnyArray,
    weight: FloatArray,
    cosine: FloatArray,
    sine: FloatArray,
    residual: FloatArray,
    phase: FloatArray,
    mean: FloatArray,
) -> None:
    """
    Weighted circular mean of the phases that the model leaves at neighbours, and plain mean of them unwrapped.

    Parameters
    ----------
    start, stop
        Places to fill.
    near
        Numbers of the neighbours of each place, (neighbour, place); -1 for none.
    weight
        Of each, (neighbour, place).
    cosine, sine
        Of the phase that the model leaves at every solved point, (point, epoch); NaN where there is none.
    residual
        The same unwrapped relative to the reference, (point, epoch).
    phase, mean
        Filled, (epoch, place); NaN where no neighbour has data.
    """
    epochs = cosine.shape[1]
    real, imaginary, sums = np.empty(epochs), np.empty(epochs), np.empty(epochs)
    along, across = np.empty(epochs), np.empty(epochs)
    for place in range(start, stop):
        real[:] = 0.0
        imaginary[:] = 0.0
        sums[:] = 0.0
        along[:] = 0.0
        across[:] = 0.0
        for k in range(near.shape[0]):
            point = near[k, place]
            if point < 0:
                continue
            w = weight[k, place]
            for i in range(epochs):
                c, s, r = cosine[point, i], sine[point, i], residual[point, i]
                if np.isfinite(c):
                    real[i] += w * c
                    imaginary[i] += w * s
                    sums[i] += w
                if np.isfinite(r):
                    along[i] += w * r
                    across[i] += w
        for i in range(epochs):
            phase[i, place] = np.arctan2(imaginary[i], real[i]) if sums[i] > 0.0 else np.nan
            mean[i, place] = along[i] / across[i] if across[i] > 0.0 else np.nan
