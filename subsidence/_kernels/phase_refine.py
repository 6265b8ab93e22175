"""Wrapped least squares of the phase model, for a tile of arcs side by side.

From a node of the grid, the residual phase is wrapped and its least-squares solution added, some times over: within the
main lobe that unwraps the phase along the arc, and needs no trigonometry. The phase constant is free, unless
`offset_known`. In the last passes a residual beyond ``TAPER`` counts the less the nearer it is to half a turn, where
its sign is anybody's guess: nearly as precise as maximum likelihood, and less bound to where it began.

``state`` is flat, rows of lanes: the parameters, the constant, the weighted sum of the residuals, and of the residuals
times the design of each parameter.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, invert
from subsidence._kernels.phase_tile import LANES, cosine, sine, wrap
from subsidence.typing import AnyArray

__all__ = ["TAPER", "fit", "normal_inverse", "quality", "residuals"]

#: Residual phase, rad, from which it counts less.
TAPER = 2.5

_ZERO = np.float32(0.0)
_TAPER = np.float32(TAPER)
_STEEP = np.float32(np.pi / (np.pi - TAPER))
#: Pivot, relative to the column's own sum of squares, below which the epochs do not tell the parameters apart.
_PIVOT = 1e-7


@jit
def normal_inverse(
    observed: AnyArray,
    design: AnyArray,
    offset_known: bool,
    sums: AnyArray,
    mean: AnyArray,
    inverse: AnyArray,
    determinant: AnyArray,
    solvable: AnyArray,
    matrix: AnyArray,
    dense: AnyArray,
    column: AnyArray,
) -> None:
    """Inverse normal matrix of each arc, the weighted mean of its design, and the total weight (first of ``sums``).

    ``determinant`` is that of the mean square of the centred design. Where it cannot be solved the inverse is zero.
    """
    parameters, rows = design.shape
    width = parameters + 1  # a constant first
    for a in range(width * width * LANES):
        sums[a] = _ZERO
    if parameters == 2:
        for i in range(0, rows, 4):
            tile = observed[3 * i * LANES : (3 * i + 12) * LANES]
            _normal_of_four(tile, sums, design[0, i], design[0, i + 1], design[0, i + 2], design[0, i + 3])
    for i in range(rows if parameters != 2 else 0):
        row = observed[3 * i * LANES : (3 * i + 3) * LANES]
        for lane in range(LANES):
            sums[lane] += row[LANES + lane]
        for a in range(parameters):
            into = sums[(a + 1) * width * LANES : (a + 2) * width * LANES]
            if a == 1:
                for lane in range(LANES):
                    into[lane] += row[LANES + lane] * row[2 * LANES + lane]
            else:
                x = design[a, i]
                for lane in range(LANES):
                    into[lane] += row[LANES + lane] * x
            for b in range(a + 1):
                target = into[(b + 1) * LANES : (b + 2) * LANES]
                scale = (np.float32(1.0) if a == 1 else design[a, i]) * (np.float32(1.0) if b == 1 else design[b, i])
                if a == 1 and b == 1:
                    for lane in range(LANES):
                        target[lane] += row[LANES + lane] * row[2 * LANES + lane] * row[2 * LANES + lane]
                elif a == 1 or b == 1:
                    for lane in range(LANES):
                        target[lane] += scale * row[LANES + lane] * row[2 * LANES + lane]
                else:
                    for lane in range(LANES):
                        target[lane] += scale * row[LANES + lane]
    for lane in range(LANES):
        weight = np.float64(sums[lane])
        solvable[lane] = weight > 0.0
        for a in range(parameters):
            mean[a * LANES + lane] = (
                sums[(a + 1) * width * LANES + lane] / np.float32(weight)
                if weight > 0.0 and not offset_known
                else _ZERO
            )
        least = np.inf
        for a in range(parameters):
            for b in range(a + 1):
                centre = np.float64(mean[a * LANES + lane]) * np.float64(mean[b * LANES + lane]) * weight
                matrix[a, b] = np.float64(sums[((a + 1) * width + b + 1) * LANES + lane]) - centre
            least = min(least, matrix[a, a])
        solvable[lane] &= least > _PIVOT * weight and cholesky(matrix, _PIVOT * least)
        product = 1.0
        for a in range(parameters):
            product *= matrix[a, a] * matrix[a, a] / weight
        determinant[lane] = np.float32(product)
        if solvable[lane]:
            invert(matrix, dense, column)
        for a in range(parameters):
            for b in range(parameters):
                inverse[(a * parameters + b) * LANES + lane] = np.float32(dense[a, b] if solvable[lane] else 0.0)


@jit
def fit(
    observed: AnyArray,
    design: AnyArray,
    offset_known: bool,
    passes: int,
    tapered: int,
    weight: AnyArray,
    mean: AnyArray,
    inverse: AnyArray,
    state: AnyArray,
    residual: AnyArray,
    sums: AnyArray,
) -> None:
    """Refine the parameters in ``state``, by `passes` and as many `tapered` more; ``weight`` is each arc's total."""
    parameters = design.shape[0]
    constant = state[parameters * LANES : (parameters + 1) * LANES]
    for lane in range(LANES):
        constant[lane] = _ZERO
    if not offset_known:
        quality(observed, design, state, residual, sums)
        for lane in range(LANES):
            constant[lane] = np.float32(np.arctan2(sums[2 * LANES + lane], sums[LANES + lane]))
    for number in range(passes + tapered):
        _sums(observed, design, _STEEP if number >= passes else _ZERO, state, residual)
        total = state[(parameters + 1) * LANES : (parameters + 2) * LANES]
        for q in range(parameters):
            right = state[(parameters + 2 + q) * LANES : (parameters + 3 + q) * LANES]
            centre = mean[q * LANES : (q + 1) * LANES]
            for lane in range(LANES):
                right[lane] -= centre[lane] * total[lane]
        for lane in range(LANES):
            total[lane] = total[lane] / weight[lane] if weight[lane] > _ZERO else _ZERO
        for a in range(parameters):
            centre = mean[a * LANES : (a + 1) * LANES]
            value = state[a * LANES : (a + 1) * LANES]
            for lane in range(LANES):
                residual[lane] = _ZERO
            for b in range(parameters):
                row = inverse[(a * parameters + b) * LANES : (a * parameters + b + 1) * LANES]
                right = state[(parameters + 2 + b) * LANES : (parameters + 3 + b) * LANES]
                for lane in range(LANES):
                    residual[lane] += row[lane] * right[lane]
            for lane in range(LANES):
                value[lane] += residual[lane]
                total[lane] -= centre[lane] * residual[lane]
        if not offset_known:
            for lane in range(LANES):
                constant[lane] += total[lane]


@jit
def quality(observed: AnyArray, design: AnyArray, state: AnyArray, residual: AnyArray, sums: AnyArray) -> None:
    """Rows of ``sums``: weighted sums of the squared residual, its cosine and its sine."""
    for lane in range(3 * LANES):
        sums[lane] = _ZERO
    if design.shape[0] == 2:
        for lane in range(LANES):  # next to each other, so that one loop reads one working array
            sums[3 * LANES + lane], sums[4 * LANES + lane] = state[lane], state[LANES + lane]
            sums[5 * LANES + lane] = state[2 * LANES + lane]
        for i in range(0, design.shape[1], 4):
            tile = observed[3 * i * LANES : (3 * i + 12) * LANES]
            _quality_of_four(tile, sums, design[0, i], design[0, i + 1], design[0, i + 2], design[0, i + 3])
        return
    for i in range(design.shape[1]):
        row = observed[3 * i * LANES : (3 * i + 3) * LANES]
        residuals(row, design[:, i], state, residual)
        for lane in range(LANES):
            r, w = residual[lane], row[LANES + lane]
            sums[lane] += w * r * r
            sums[LANES + lane] += w * cosine(r)
            sums[2 * LANES + lane] += w * sine(r)


@jit
def residuals(row: AnyArray, design: AnyArray, state: AnyArray, residual: AnyArray) -> None:
    """Wrapped residual phase of one epoch."""
    parameters = design.size
    x = design[0]
    if parameters == 2:
        for lane in range(LANES):
            r = row[lane] - state[2 * LANES + lane] - x * state[lane] - row[2 * LANES + lane] * state[LANES + lane]
            residual[lane] = wrap(r)
        return
    constant = state[parameters * LANES : (parameters + 1) * LANES]
    for lane in range(LANES):
        residual[lane] = row[lane] - constant[lane] - x * state[lane]
    for q in range(1, parameters):
        value = state[q * LANES : (q + 1) * LANES]
        if q == 1:
            for lane in range(LANES):
                residual[lane] -= row[2 * LANES + lane] * value[lane]
        else:
            x = design[q]
            for lane in range(LANES):
                residual[lane] -= x * value[lane]
    for lane in range(LANES):
        residual[lane] = wrap(residual[lane])


@jit
def _sums(observed: AnyArray, design: AnyArray, steep: np.float32, state: AnyArray, residual: AnyArray) -> None:
    """Weighted sums of the residuals, and of residuals times design, into ``state``."""
    parameters, rows = design.shape
    for lane in range((parameters + 1) * LANES, (2 * parameters + 2) * LANES):
        state[lane] = _ZERO
    if parameters == 2:
        for i in range(0, rows, 4):
            tile = observed[3 * i * LANES : (3 * i + 12) * LANES]
            _four(tile, state, steep, design[0, i], design[0, i + 1], design[0, i + 2], design[0, i + 3])
        return
    for i in range(rows):
        row = observed[3 * i * LANES : (3 * i + 3) * LANES]
        residuals(row, design[:, i], state, residual)
        for lane in range(LANES):
            residual[lane] = _tapered(residual[lane], steep) * row[LANES + lane]
        total = state[(parameters + 1) * LANES : (parameters + 2) * LANES]
        for lane in range(LANES):
            total[lane] += residual[lane]
        for q in range(parameters):
            right = state[(parameters + 2 + q) * LANES : (parameters + 3 + q) * LANES]
            if q == 1:
                for lane in range(LANES):
                    right[lane] += row[2 * LANES + lane] * residual[lane]
            else:
                x = design[q, i]
                for lane in range(LANES):
                    right[lane] += x * residual[lane]


@jit
def _tapered(residual: np.float32, steep: np.float32) -> np.float32:
    """The residual up to the taper, from there falling to zero at half a turn; `steep` 0 leaves it as it is."""
    return residual - steep * (residual - min(max(residual, -_TAPER), _TAPER))


@jit
def _four(
    tile: AnyArray,
    state: AnyArray,
    steep: np.float32,
    x0: np.float32,
    x1: np.float32,
    x2: np.float32,
    x3: np.float32,
) -> None:
    """Two parameters, four epochs: written out, so that sums stay in registers."""
    for lane in range(LANES):
        velocity, height, constant = state[lane], state[LANES + lane], state[2 * LANES + lane]
        total, by_velocity, by_height = state[3 * LANES + lane], state[4 * LANES + lane], state[5 * LANES + lane]
        z = tile[2 * LANES + lane]
        r = _tapered(wrap(tile[lane] - constant - x0 * velocity - z * height), steep) * tile[LANES + lane]
        total, by_velocity, by_height = total + r, by_velocity + x0 * r, by_height + z * r
        z = tile[5 * LANES + lane]
        r = (
            _tapered(wrap(tile[3 * LANES + lane] - constant - x1 * velocity - z * height), steep)
            * tile[4 * LANES + lane]
        )
        total, by_velocity, by_height = total + r, by_velocity + x1 * r, by_height + z * r
        z = tile[8 * LANES + lane]
        r = (
            _tapered(wrap(tile[6 * LANES + lane] - constant - x2 * velocity - z * height), steep)
            * tile[7 * LANES + lane]
        )
        total, by_velocity, by_height = total + r, by_velocity + x2 * r, by_height + z * r
        z = tile[11 * LANES + lane]
        r = (
            _tapered(wrap(tile[9 * LANES + lane] - constant - x3 * velocity - z * height), steep)
            * tile[10 * LANES + lane]
        )
        total, by_velocity, by_height = total + r, by_velocity + x3 * r, by_height + z * r
        state[3 * LANES + lane], state[4 * LANES + lane], state[5 * LANES + lane] = total, by_velocity, by_height


@jit
def _quality_of_four(
    tile: AnyArray, sums: AnyArray, x0: np.float32, x1: np.float32, x2: np.float32, x3: np.float32
) -> None:
    """The same of :func:`quality`; rows 3 to 5 of ``sums`` hold the parameters and the constant."""
    for lane in range(LANES):
        square, re, im = sums[lane], sums[LANES + lane], sums[2 * LANES + lane]
        velocity, height, constant = sums[3 * LANES + lane], sums[4 * LANES + lane], sums[5 * LANES + lane]
        r = wrap(tile[lane] - constant - x0 * velocity - tile[2 * LANES + lane] * height)
        w = tile[LANES + lane]
        square, re, im = square + w * r * r, re + w * cosine(r), im + w * sine(r)
        r = wrap(tile[3 * LANES + lane] - constant - x1 * velocity - tile[5 * LANES + lane] * height)
        w = tile[4 * LANES + lane]
        square, re, im = square + w * r * r, re + w * cosine(r), im + w * sine(r)
        r = wrap(tile[6 * LANES + lane] - constant - x2 * velocity - tile[8 * LANES + lane] * height)
        w = tile[7 * LANES + lane]
        square, re, im = square + w * r * r, re + w * cosine(r), im + w * sine(r)
        r = wrap(tile[9 * LANES + lane] - constant - x3 * velocity - tile[11 * LANES + lane] * height)
        w = tile[10 * LANES + lane]
        square, re, im = square + w * r * r, re + w * cosine(r), im + w * sine(r)
        sums[lane], sums[LANES + lane], sums[2 * LANES + lane] = square, re, im


@jit
def _normal_of_four(
    tile: AnyArray, sums: AnyArray, x0: np.float32, x1: np.float32, x2: np.float32, x3: np.float32
) -> None:
    """Four epochs of the sums of :func:`normal_inverse`, of two parameters."""
    for lane in range(LANES):
        one, first, second = sums[lane], sums[3 * LANES + lane], sums[6 * LANES + lane]
        square, product, other = sums[4 * LANES + lane], sums[7 * LANES + lane], sums[8 * LANES + lane]
        w, z = tile[LANES + lane], tile[2 * LANES + lane]
        one, first, square = one + w, first + w * x0, square + w * x0 * x0
        second, product, other = second + w * z, product + w * z * x0, other + w * z * z
        w, z = tile[4 * LANES + lane], tile[5 * LANES + lane]
        one, first, square = one + w, first + w * x1, square + w * x1 * x1
        second, product, other = second + w * z, product + w * z * x1, other + w * z * z
        w, z = tile[7 * LANES + lane], tile[8 * LANES + lane]
        one, first, square = one + w, first + w * x2, square + w * x2 * x2
        second, product, other = second + w * z, product + w * z * x2, other + w * z * z
        w, z = tile[10 * LANES + lane], tile[11 * LANES + lane]
        one, first, square = one + w, first + w * x3, square + w * x3 * x3
        second, product, other = second + w * z, product + w * z * x3, other + w * z * z
        sums[lane], sums[3 * LANES + lane], sums[6 * LANES + lane] = one, first, second
        sums[4 * LANES + lane], sums[7 * LANES + lane], sums[8 * LANES + lane] = square, product, other
