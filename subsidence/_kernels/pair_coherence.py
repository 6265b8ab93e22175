"""Temporal coherence of multilooked pairs, and the phases of chosen points, in a block of images.

Real and imaginary parts are held apart: only then does the compiler make vector instructions of the loops over
columns. A sample that is zero holds no data. Sums have the same order wherever a block begins, so results do not
depend on how a scene is cut.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.phase_tile import cosine, sine
from subsidence.typing import AnyArray

__all__ = ["coherence", "load", "point_phase"]

_TURN = 2 * np.pi
_PER_TURN = 1 / (2 * np.pi)
#: Adding and taking off rounds a float64 below 2^51 to a whole number.
_ROUND = 1.5 * 2.0**52
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_TINY = np.float32(1e-37)
_HUGE = np.float32(3e38)


@jit
def load(
    images: AnyArray,
    across: AnyArray,
    along: AnyArray,
    per_across: AnyArray,
    per_along: AnyArray,
    real: AnyArray,
    imag: AnyArray,
) -> None:
    """Images (epoch, row, col) times exp(j phase), zero where there is no data.

    The phase is ``across * per_across + along * per_along``, `across` being (epoch, 1, 1) or (epoch, row, col); there
    is none where `per_across` is empty, and no second term where `per_along` is.
    """
    epochs, rows, cols = images.shape
    turns = per_across.size > 0
    by_pixel = across.shape[1] * across.shape[2] > 1
    for epoch in range(epochs):
        second = along[epoch]
        for i in range(rows):
            sample, re, im = images[epoch, i], real[epoch, i], imag[epoch, i]
            for j in range(cols):
                a, b = sample[j].real, sample[j].imag
                power = a * a + b * b
                held = power > _TINY and power < _HUGE
                re[j] = a if held else _ZERO
                im[j] = b if held else _ZERO
            if not turns:
                continue
            unit = per_across[i]
            first = across[epoch, i if by_pixel else 0]
            for j in range(cols):
                phase = unit[j] * first[j if by_pixel else 0]
                if per_along.size > 0:
                    phase += second * per_along[i, j]
                cycles = phase * _PER_TURN
                whole = (cycles + _ROUND) - _ROUND
                angle = np.float32((cycles - whole) * _TURN)
                known = angle == angle  # noqa: PLR0124 - NaN where geometry or height is
                c = cosine(angle) if known else _ZERO
                s = sine(angle) if known else _ZERO
                a, b = re[j], im[j]
                re[j] = a * c - b * s
                im[j] = a * s + b * c


@jit
def coherence(
    real: AnyArray,
    imag: AnyArray,
    first: AnyArray,
    second: AnyArray,
    looks: tuple[int, int],
    half: tuple[int, int],
    least: int,
    result: AnyArray,
) -> None:
    """Length of the mean over pairs of exp j(phase - low-pass phase), in each cell of `looks`.

    The low-pass is the sum over ``2 half + 1`` cells less the cell itself, each weighted by the square root of its
    amplitude; there is none where `half` is negative. NaN with fewer than `least` pairs.
    """
    rows, cols = result.shape
    low = half[0] >= 0
    up, left = max(half[0], 0), max(half[1], 0)
    width = cols * looks[1]
    line_re, line_im = np.empty(width, np.float32), np.empty(width, np.float32)
    re, im = np.empty((rows, cols), np.float32), np.empty((rows, cols), np.float32)
    # framed by zeros, so that windows over the edge need no test
    weighted_re = np.zeros((rows + 2 * up, cols + 2 * left), np.float32)
    weighted_im = np.zeros((rows + 2 * up, cols + 2 * left), np.float32)
    wide_re, wide_im = np.zeros((rows + 2 * up, cols), np.float32), np.zeros((rows + 2 * up, cols), np.float32)
    sum_re, sum_im = np.empty(cols, np.float32), np.empty(cols, np.float32)
    total_re, total_im = np.zeros((rows, cols), np.float32), np.zeros((rows, cols), np.float32)
    count = np.zeros((rows, cols), np.float32)
    for pair in range(first.size):
        a, b = first[pair], second[pair]
        for i in range(rows):
            for j in range(cols):
                re[i, j] = _ZERO
                im[i, j] = _ZERO
            for look in range(looks[0]):
                row = i * looks[0] + look
                _multiply(real[a, row], imag[a, row], real[b, row], imag[b, row], line_re, line_im)
                _add_cells(line_re, looks[1], re[i])
                _add_cells(line_im, looks[1], im[i])
            _to_unit(re[i], im[i], weighted_re[up + i, left:], weighted_im[up + i, left:])
        if not low:
            for i in range(rows):
                for j in range(cols):
                    total_re[i, j] += re[i, j]
                    total_im[i, j] += im[i, j]
                    count[i, j] += _ONE if re[i, j] * re[i, j] + im[i, j] * im[i, j] > _ZERO else _ZERO
            continue
        for i in range(rows):
            _slide(weighted_re[up + i], 2 * left + 1, wide_re[up + i])
            _slide(weighted_im[up + i], 2 * left + 1, wide_im[up + i])
        for i in range(rows):
            for j in range(cols):
                sum_re[j] = -weighted_re[up + i, left + j]
                sum_im[j] = -weighted_im[up + i, left + j]
            for k in range(2 * up + 1):
                above_re, above_im = wide_re[i + k], wide_im[i + k]
                for j in range(cols):
                    sum_re[j] += above_re[j]
                    sum_im[j] += above_im[j]
            _compare(re[i], im[i], sum_re, sum_im, total_re[i], total_im[i], count[i])
    for i in range(rows):
        for j in range(cols):
            n = count[i, j]
            length = np.sqrt(total_re[i, j] * total_re[i, j] + total_im[i, j] * total_im[i, j])
            result[i, j] = min(length / n, _ONE) if n >= least and n > _ZERO else np.float32(np.nan)


@jit
def point_phase(
    real: AnyArray,
    imag: AnyArray,
    row: AnyArray,
    col: AnyArray,
    multilooked: AnyArray,
    looks: tuple[int, int],
    first: AnyArray,
    second: AnyArray,
    phase: AnyArray,
) -> None:
    """Phase (pair, point) of the sum over a point's `looks` pixels, or of its own pixel alone.

    Exactly zero where both images are the same, NaN where no pixel has data in both.
    """
    for pair in range(first.size):
        a, b = first[pair], second[pair]
        for k in range(row.size):
            height = looks[0] if multilooked[k] else 1
            width = looks[1] if multilooked[k] else 1
            re, im = _ZERO, _ZERO
            for i in range(row[k], row[k] + height):
                for j in range(col[k], col[k] + width):
                    re += real[a, i, j] * real[b, i, j] + imag[a, i, j] * imag[b, i, j]
                    im += imag[a, i, j] * real[b, i, j] - real[a, i, j] * imag[b, i, j]
            if re == _ZERO and im == _ZERO:
                phase[pair, k] = np.float32(np.nan)
            elif a == b:  # rounding would leave a trace of an imaginary part
                phase[pair, k] = _ZERO
            else:
                phase[pair, k] = np.arctan2(im, re)


@jit
def _multiply(
    real_a: AnyArray, imag_a: AnyArray, real_b: AnyArray, imag_b: AnyArray, re: AnyArray, im: AnyArray
) -> None:
    """First times the conjugate of the second, pixel by pixel."""
    for j in range(re.size):
        re[j] = real_a[j] * real_b[j] + imag_a[j] * imag_b[j]
        im[j] = imag_a[j] * real_b[j] - real_a[j] * imag_b[j]


@jit
def _add_cells(line: AnyArray, look: int, cells: AnyArray) -> None:
    for j in range(cells.size):
        total = _ZERO
        for k in range(j * look, (j + 1) * look):
            total += line[k]
        cells[j] += total


@jit
def _to_unit(re: AnyArray, im: AnyArray, weighted_re: AnyArray, weighted_im: AnyArray) -> None:
    """Phasors of length one in place, and of the square root of their length beside."""
    for j in range(re.size):
        power = re[j] * re[j] + im[j] * im[j]
        length = np.sqrt(power)
        held = power > _TINY
        inverse = _ONE / length if held else _ZERO
        re[j] *= inverse
        im[j] *= inverse
        weight = np.sqrt(length)
        weighted_re[j] = re[j] * weight
        weighted_im[j] = im[j] * weight


@jit
def _slide(values: AnyArray, window: int, sums: AnyArray) -> None:
    """Sums over a window that begins at each place."""
    for j in range(sums.size):
        sums[j] = values[j]
    for k in range(1, window):
        for j in range(sums.size):
            sums[j] += values[j + k]


@jit
def _compare(
    re: AnyArray,
    im: AnyArray,
    low_re: AnyArray,
    low_im: AnyArray,
    total_re: AnyArray,
    total_im: AnyArray,
    count: AnyArray,
) -> None:
    """Add each phasor, turned back by its neighbours' phase."""
    for j in range(re.size):
        power = low_re[j] * low_re[j] + low_im[j] * low_im[j]
        inverse = _ONE / np.sqrt(power) if power > _TINY else _ZERO
        a = (re[j] * low_re[j] + im[j] * low_im[j]) * inverse
        b = (im[j] * low_re[j] - re[j] * low_im[j]) * inverse
        total_re[j] += a
        total_im[j] += b
        count[j] += _ONE if a * a + b * b > _ZERO else _ZERO
