"""Interferograms of a block of images: flattened, multiplied, multilooked, with their coherence.

A block is cut from images aligned to whole cells of looks. A sample that is NaN, infinite or exactly zero holds no
data. Each cell's sums have the same order wherever its block begins, so results do not depend on how a scene is
cut. Working arrays hold real and imaginary parts apart: only then does the compiler make vector instructions of the
loops over columns.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.phase_tile import cosine, sine
from subsidence.typing import AnyArray

__all__ = ["form", "turn"]

_TURN = 2 * np.pi
_PER_TURN = 1 / (2 * np.pi)
#: Adding and taking off rounds a float64 below 2^51 to a whole number.
_ROUND = 1.5 * 2.0**52
_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_NAN = np.float32(np.nan)
_HUGE = np.float32(3e38)
_PI = np.float32(np.pi)
_HALF_PI = np.float32(np.pi / 2)
_QUARTER_PI = np.float32(np.pi / 4)
_BEND = np.float32(0.41421356)  # tan(pi / 8)
_A0, _A1 = np.float32(-3.33329491539e-1), np.float32(1.99777106478e-1)
_A2, _A3 = np.float32(-1.38776856032e-1), np.float32(8.05374449538e-2)


@jit
def _angle(y: np.float32, x: np.float32) -> np.float32:
    """arctan2 to 3e-7 without branches; NaN where both are zero."""
    across, along = abs(y), abs(x)
    steep = across > along
    ratio = (along if steep else across) / (across if steep else along)
    bent = ratio > _BEND
    tangent = (ratio - _ONE) / (ratio + _ONE) if bent else ratio
    square = tangent * tangent
    angle = (((_A3 * square + _A2) * square + _A1) * square + _A0) * square * tangent + tangent
    angle = angle + _QUARTER_PI if bent else angle
    angle = _HALF_PI - angle if steep else angle
    angle = _PI - angle if x < _ZERO else angle
    return -angle if y < _ZERO else angle


@jit
def _wrapped(phase: float) -> np.float32:
    """Float64 phase within half a turn of zero, float32."""
    turns = phase * _PER_TURN
    whole = (turns + _ROUND) - _ROUND
    return np.float32((turns - whole) * _TURN)


@jit
def turn(images: AnyArray, phase: AnyArray, turned: AnyArray) -> None:
    """Complex64 samples times exp(j phase), phase in float64."""
    for i in range(images.size):
        angle = _wrapped(phase[i])
        c, s = cosine(angle), sine(angle)
        re, im = images[i].real, images[i].imag
        turned[i] = complex(re * c - im * s, re * s + im * c)


@jit
def form(
    images: AnyArray,
    across: AnyArray,
    along: AnyArray,
    per_across: AnyArray,
    per_along: AnyArray,
    first: AnyArray,
    second: AnyArray,
    looks: tuple[int, int],
    window: tuple[int, int],
    fringe: bool,
    block: tuple[int, int, int, int],
    inner: tuple[int, int, int, int],
    place: tuple[int, int],
    row_of_count: AnyArray,
    least: AnyArray,
    squares: AnyArray,
    phase: AnyArray,
    coherence: AnyArray,
) -> None:
    """Phase and coherence of every pair in one block.

    ``images`` (epoch, row, col) holds rows ``block[0]..block[1]`` and columns ``block[2]..block[3]`` of it, of
    which the cells ``inner[0]..inner[1]``, ``inner[2]..inner[3]`` (the rest is halo) are written to `phase` and
    `coherence` (pair, row, col) from `place` on. Either output may be empty. The phase that flat earth and topography
    make is ``across * per_across + along * per_along``, with `across` (epoch, 1, 1) or (epoch, row, col); no
    phase is taken off where `per_across` is empty. Coherence is over `window` cells, less a linear `fringe` where
    asked. What its expected value exceeds it by is taken off by the tables `least` and `squares` (row, step), of
    which ``row_of_count`` names the row that a number of looks has; nothing is where that is empty.
    """
    epochs = images.shape[0]
    height, width = block[1] - block[0], block[3] - block[2]
    rows, cols = height // looks[0], width // looks[1]
    real = np.empty((epochs, height, width), np.float32)
    imag = np.empty((epochs, height, width), np.float32)
    lacking = np.zeros(epochs, np.int64)
    _load(images, across, along, per_across, per_along, block, real, imag, lacking)
    own = window[0] == 1 and window[1] == 1
    measured = epochs if coherence.size > 0 else 0
    line = np.empty((2, width), np.float32)
    power = np.empty((measured, rows, cols), np.float32)
    around = np.empty((0 if own else measured, rows, cols), np.float32)
    for epoch in range(measured):
        _sum_power(real[epoch], imag[epoch], looks, line[0], power[epoch])
        if not own:
            _box(power[epoch], window, line[0], around[epoch])
    whole = np.full((rows, cols), np.float32(looks[0] * looks[1]), np.float32)
    whole_around = np.empty((0 if own else rows, cols), np.float32)
    if not own and measured > 0:
        _box(whole, window, line[0], whole_around)
    re, im = np.empty((rows, cols), np.float32), np.empty((rows, cols), np.float32)
    # power of the first, of the second, number of samples that both have: of cells, and over the window
    joint = np.empty((3, rows if measured > 0 else 0, cols), np.float32)
    summed = np.empty((5, whole_around.shape[0], cols), np.float32)
    steps = np.empty((4, whole_around.shape[0] if fringe else 0, cols), np.float32)
    for pair in range(first.size):
        a, b = first[pair], second[pair]
        _sum_products(real[a], imag[a], real[b], imag[b], looks, line, re, im)
        if phase.size > 0:
            for i in range(inner[0], inner[1]):
                to = phase[pair, place[0] + i - inner[0], place[1] : place[1] + inner[3] - inner[2]]
                from_re, from_im = re[i, inner[2] : inner[3]], im[i, inner[2] : inner[3]]
                for j in range(to.size):
                    to[j] = _angle(from_im[j], from_re[j])
        if measured == 0:
            continue
        out = coherence[pair]
        complete = lacking[a] == 0 and lacking[b] == 0
        if not complete:
            _sum_joint(real[a], imag[a], real[b], imag[b], looks, joint)
        if own:
            if complete:
                _ratio(re, im, power[a], power[b], whole, inner, place, row_of_count, least, squares, out)
            else:
                _ratio(re, im, joint[0], joint[1], joint[2], inner, place, row_of_count, least, squares, out)
            continue
        if fringe:
            _steps(re, im, window, line[0], steps)
            _demodulated(re, im, window, inner, steps, summed[0], summed[1])
        else:
            _box(re, window, line[0], summed[0])
            _box(im, window, line[0], summed[1])
        if complete:
            _ratio(
                summed[0], summed[1], around[a], around[b], whole_around,
                inner, place, row_of_count, least, squares, out,
            )  # fmt: skip
        else:
            for k in range(3):
                _box(joint[k], window, line[0], summed[2 + k])
            _ratio(
                summed[0], summed[1], summed[2], summed[3], summed[4],
                inner, place, row_of_count, least, squares, out,
            )  # fmt: skip
            for i in range(inner[0], inner[1]):
                for j in range(inner[2], inner[3]):
                    if joint[2, i, j] == _ZERO:  # the cell itself has no phase
                        out[place[0] + i - inner[0], place[1] + j - inner[2]] = _NAN


@jit
def _load(
    images: AnyArray,
    across: AnyArray,
    along: AnyArray,
    per_across: AnyArray,
    per_along: AnyArray,
    block: tuple[int, int, int, int],
    real: AnyArray,
    imag: AnyArray,
    lacking: AnyArray,
) -> None:
    """Flattened samples of a block, zero where there is no data, and how many of each epoch have none."""
    epochs, height, width = real.shape
    flattened = per_across.size > 0
    parallel = per_along.size > 0
    by_pixel = across.shape[1] > 1 or across.shape[2] > 1
    angle = np.zeros(width, np.float32)
    for epoch in range(epochs):
        absent = 0
        for i in range(height):
            row = images[epoch, block[0] + i, block[2] : block[3]]
            re, im = real[epoch, i], imag[epoch, i]
            if flattened:
                one = per_across[block[0] + i, block[2] : block[3]]
                if by_pixel:
                    scale = across[epoch, block[0] + i, block[2] : block[3]]
                    for j in range(width):
                        angle[j] = _wrapped(scale[j] * one[j])
                elif parallel:
                    other = per_along[block[0] + i, block[2] : block[3]]
                    x, y = across[epoch, 0, 0], along[epoch]
                    for j in range(width):
                        angle[j] = _wrapped(x * one[j] + y * other[j])
                else:
                    x = across[epoch, 0, 0]
                    for j in range(width):
                        angle[j] = _wrapped(x * one[j])
                for j in range(width):
                    c, s = cosine(angle[j]), sine(angle[j])
                    u, v = row[j].real, row[j].imag
                    re[j] = u * c - v * s
                    im[j] = u * s + v * c
            else:
                for j in range(width):
                    re[j] = row[j].real
                    im[j] = row[j].imag
            none = _ZERO
            for j in range(width):
                size = abs(re[j]) + abs(im[j])
                held = size > _ZERO and size < _HUGE
                re[j] = re[j] if held else _ZERO
                im[j] = im[j] if held else _ZERO
                none += _ZERO if held else _ONE
            absent += int(none)
        lacking[epoch] = absent


@jit
def _gather(line: AnyArray, looks: int, cells: AnyArray) -> None:
    """Sums of `looks` neighbours."""
    if looks == 1:
        for j in range(cells.size):
            cells[j] = line[j]
        return
    for j in range(cells.size):
        total = line[j * looks]
        for k in range(1, looks):
            total += line[j * looks + k]
        cells[j] = total


@jit
def _sum_power(re: AnyArray, im: AnyArray, looks: tuple[int, int], line: AnyArray, power: AnyArray) -> None:
    for i in range(power.shape[0]):
        line[:] = _ZERO
        for r in range(i * looks[0], (i + 1) * looks[0]):
            for j in range(re.shape[1]):
                line[j] += re[r, j] * re[r, j] + im[r, j] * im[r, j]
        _gather(line, looks[1], power[i])


@jit
def _sum_products(
    re_a: AnyArray,
    im_a: AnyArray,
    re_b: AnyArray,
    im_b: AnyArray,
    looks: tuple[int, int],
    line: AnyArray,
    re: AnyArray,
    im: AnyArray,
) -> None:
    """Sums over cells of the first times the conjugate of the second."""
    x, y = line[0], line[1]
    for i in range(re.shape[0]):
        x[:] = _ZERO
        y[:] = _ZERO
        for r in range(i * looks[0], (i + 1) * looks[0]):
            p, q, u, v = re_a[r], im_a[r], re_b[r], im_b[r]
            for j in range(x.size):
                x[j] += p[j] * u[j] + q[j] * v[j]
                y[j] += q[j] * u[j] - p[j] * v[j]
        _gather(x, looks[1], re[i])
        _gather(y, looks[1], im[i])


@jit
def _sum_joint(
    re_a: AnyArray, im_a: AnyArray, re_b: AnyArray, im_b: AnyArray, looks: tuple[int, int], joint: AnyArray
) -> None:
    """Powers and number of the samples of each cell that both images have, added up as :func:`_sum_power` does."""
    line = np.empty((3, re_a.shape[1]), np.float32)
    for i in range(joint.shape[1]):
        line[:] = _ZERO
        for r in range(i * looks[0], (i + 1) * looks[0]):
            for j in range(line.shape[1]):
                first = re_a[r, j] * re_a[r, j] + im_a[r, j] * im_a[r, j]
                second = re_b[r, j] * re_b[r, j] + im_b[r, j] * im_b[r, j]
                both = first > _ZERO and second > _ZERO
                line[0, j] += first if both else _ZERO
                line[1, j] += second if both else _ZERO
                line[2, j] += _ONE if both else _ZERO
        for k in range(3):
            _gather(line[k], looks[1], joint[k, i])


@jit
def _box(values: AnyArray, window: tuple[int, int], line: AnyArray, sums: AnyArray) -> None:
    """Sums over a window around each cell, less of it at the edges of the block."""
    rows, cols = values.shape
    half_rows, half_cols = window[0] // 2, window[1] // 2
    column = line[:cols]
    for i in range(rows):
        column[:] = _ZERO
        for k in range(max(0, i - half_rows), min(rows, i + half_rows + 1)):
            for j in range(cols):
                column[j] += values[k, j]
        to = sums[i]
        to[:] = _ZERO
        for k in range(-half_cols, half_cols + 1):
            for j in range(max(0, -k), cols - max(0, k)):
                to[j] += column[j + k]


@jit
def _steps(re: AnyArray, im: AnyArray, window: tuple[int, int], line: AnyArray, steps: AnyArray) -> None:
    """Directions of the mean phase step to the next row and column, over three windows around each cell."""
    rows, cols = re.shape
    lag = np.zeros((4, rows, cols), np.float32)
    for i in range(rows):
        for j in range(cols):
            x, y = re[i, j], im[i, j]
            # Divided by its root, a step counts by its cells' amplitudes: no bright one outweighs all others.
            if i + 1 < rows:
                p, q = re[i + 1, j], im[i + 1, j]
                size = np.sqrt(np.sqrt((x * x + y * y) * (p * p + q * q)))
                if size > _ZERO:
                    lag[0, i, j], lag[1, i, j] = (p * x + q * y) / size, (q * x - p * y) / size
            if j + 1 < cols:
                p, q = re[i, j + 1], im[i, j + 1]
                size = np.sqrt(np.sqrt((x * x + y * y) * (p * p + q * q)))
                if size > _ZERO:
                    lag[2, i, j], lag[3, i, j] = (p * x + q * y) / size, (q * x - p * y) / size
    for k in range(4):
        _box(lag[k], (3 * window[0], 3 * window[1]), line, steps[k])
    for k in (0, 2):
        for i in range(rows):
            for j in range(cols):
                size = np.sqrt(steps[k, i, j] ** 2 + steps[k + 1, i, j] ** 2)
                steps[k, i, j] = steps[k, i, j] / size if size > _ZERO else _ONE
                steps[k + 1, i, j] = steps[k + 1, i, j] / size if size > _ZERO else _ZERO


@jit
def _demodulated(
    re: AnyArray,
    im: AnyArray,
    window: tuple[int, int],
    inner: tuple[int, int, int, int],
    steps: AnyArray,
    real: AnyArray,
    imag: AnyArray,
) -> None:
    """Sums over a window around each cell, less the linear phase that the steps around it make."""
    rows, cols = re.shape
    half_rows, half_cols = window[0] // 2, window[1] // 2
    for i in range(inner[0], inner[1]):
        for j in range(inner[2], inner[3]):
            down, over = complex(steps[0, i, j], -steps[1, i, j]), complex(steps[2, i, j], -steps[3, i, j])
            total, at_row = complex(0.0, 0.0), complex(1.0, 0.0)
            for k in range(max(0, i - half_rows), min(rows, i + half_rows + 1)):
                at = at_row
                for m in range(max(0, j - half_cols), min(cols, j + half_cols + 1)):
                    total += complex(re[k, m], im[k, m]) * at
                    at *= over
                at_row *= down
            real[i, j], imag[i, j] = total.real, total.imag


@jit
def _ratio(
    re: AnyArray,
    im: AnyArray,
    power_a: AnyArray,
    power_b: AnyArray,
    count: AnyArray,
    inner: tuple[int, int, int, int],
    place: tuple[int, int],
    row_of_count: AnyArray,
    least: AnyArray,
    squares: AnyArray,
    coherence: AnyArray,
) -> None:
    """Sample coherence, less its bias; NaN from fewer than two samples, whose coherence is 1 whatever they are."""
    corrected = row_of_count.size > 0
    steps = squares.shape[1] - 1
    for i in range(inner[0], inner[1]):
        to = coherence[place[0] + i - inner[0], place[1] : place[1] + inner[3] - inner[2]]
        for j in range(to.size):
            m = inner[2] + j
            x, y = np.float64(re[i, m]), np.float64(im[i, m])
            ratio = np.sqrt((x * x + y * y) / (np.float64(power_a[i, m]) * np.float64(power_b[i, m])))
            value = min(np.float32(ratio), _ONE)
            to[j] = value if count[i, m] > _ONE and not np.isnan(ratio) else _NAN
        if not corrected:
            continue
        for j in range(to.size):
            value = to[j]
            if not np.isnan(value):
                row = row_of_count[int(count[i, inner[2] + j])]
                at = (value - least[row]) / (_ONE - least[row]) * steps
                if at <= 0:
                    to[j] = _ZERO
                else:
                    k = min(int(at), steps - 1)
                    part = at - k
                    to[j] = np.sqrt((1 - part) * squares[row, k] + part * squares[row, k + 1])
