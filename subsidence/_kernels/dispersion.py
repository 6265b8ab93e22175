"""Amplitude dispersion: how much the amplitude of a pixel varies over its images."""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["disperse"]

_ZERO = np.float32(0.0)
_HUGE = np.float32(3e38)
#: Pixels whose sums stay in a core's first-level cache.
_TILE = 512


@jit
def disperse(
    least: int, scale: AnyArray, start: int, stop: int, images: AnyArray, dispersion: AnyArray, mean: AnyArray
) -> None:
    """Dispersion and mean amplitude of ``images[:, start:stop]`` (epoch, pixel), complex64, times ``scale[epoch]``.

    A sample that is NaN, infinite or exactly zero, or of an epoch whose scale is NaN, holds no data; with fewer
    than `least` samples both are NaN.
    """
    first, second, count = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    amplitude = np.empty(_TILE, np.float32)
    for base in range(start, stop, _TILE):
        size = min(_TILE, stop - base)
        first[:size] = 0.0
        second[:size] = 0.0
        count[:size] = 0.0
        for epoch in range(images.shape[0]):
            row, factor = images[epoch, base : base + size], scale[epoch]
            # apart from the sums in float64: in one loop neither becomes vector instructions
            for k in range(size):
                re, im = row[k].real, row[k].imag
                value = np.sqrt(re * re + im * im) * factor
                amplitude[k] = value if _ZERO < value < _HUGE else _ZERO
            for k in range(size):
                held = float(amplitude[k])
                first[k] += held
                second[k] += held * held
                count[k] += 1.0 if held > 0.0 else 0.0
        for k in range(size):
            n = count[k]
            if n < least or n < 2:
                dispersion[base + k] = np.nan
                mean[base + k] = np.nan
                continue
            average = first[k] / n
            variance = max(second[k] - n * average * average, 0.0) / (n - 1)
            dispersion[base + k] = np.sqrt(variance) / average
            mean[base + k] = average
