"""Sums of plane waves on a small raster: random fields that can be evaluated anywhere, in any order.

The innermost loop adds one wave to a row, so every pixel adds its waves in the same order whatever the
raster's size: a field does not depend on how it was cut.
"""

from __future__ import annotations

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["add_waves"]


@jit
def add_waves(
    cosine: AnyArray,
    sine: AnyArray,
    cosine_x: AnyArray,
    sine_x: AnyArray,
    cosine_y: AnyArray,
    sine_y: AnyArray,
    out: AnyArray,
) -> None:
    """Add ``cosine cos(kx x + ky y) + sine sin(kx x + ky y)`` of every wave to ``out``.

    ``cosine`` and ``sine`` are ``(field, wave)``; ``cosine_x`` and ``sine_x`` hold cos and sin of ``kx x``,
    ``(wave, column)``; ``cosine_y`` and ``sine_y`` those of ``ky y``, ``(wave, row)``; ``out`` is
    ``(field, row, column)``. All float32.
    """
    fields, waves = cosine.shape
    rows, columns = cosine_y.shape[1], cosine_x.shape[1]
    for field in range(fields):
        for row in range(rows):
            for wave in range(waves):
                # Addition theorem: the row's share of the angle goes into the two coefficients.
                even = cosine[field, wave] * cosine_y[wave, row] + sine[field, wave] * sine_y[wave, row]
                odd = sine[field, wave] * cosine_y[wave, row] - cosine[field, wave] * sine_y[wave, row]
                for column in range(columns):
                    out[field, row, column] += even * cosine_x[wave, column] + odd * sine_x[wave, column]
