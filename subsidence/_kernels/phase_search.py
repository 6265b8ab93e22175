"""Search of the phase model along arcs: grid, refinement, errors, and how sure the highest peak is.

Parameters are scaled so that every column of ``design`` spans two radians per unit; the first is the velocity,
the second may have a design of its own on every arc.
"""

from __future__ import annotations

import math

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.phase_grid import highest, log_likelihood, mark, remainder, scan, turns
from subsidence._kernels.phase_refine import fit, normal_inverse, quality
from subsidence._kernels.phase_tile import LANES, load
from subsidence.typing import AnyArray, FloatArray

__all__ = ["search"]

# Outcomes; they equal schema.Status.
OK, NO_DATA, TOO_FEW = 0, 1, 2
#: Peaks that are refined.
_PEAKS = 2
#: Nodes are left out of the sum over the box that even all together would be less likely than this.
_NEGLIGIBLE = 1e-5
#: Standard deviations from a peak beyond which its likelihood counts no more.
_REACH = 4.0
_INFINITE = np.float32(np.inf)


def _gauss(points: int) -> FloatArray:
    """Nodes and weights of Gauss's rule on 0..1."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return np.stack([0.5 * (1 + nodes), 0.5 * weights])


_RULE = _gauss(10)


@jit
def search(
    start: int,
    stop: int,
    table: AnyArray,
    heights: AnyArray,
    first: AnyArray,
    second: AnyArray,
    weight: AnyArray,
    design: AnyArray,
    lowest: AnyArray,
    spacing: AnyArray,
    lobe: AnyArray,
    steps: int,
    outer: AnyArray,
    velocities: AnyArray,
    fine: AnyArray,
    index: AnyArray,
    reach: AnyArray,
    offset_known: bool,
    passes: int,
    tapered: int,
    fewest: int,
    likelihood: AnyArray,
    spread: AnyArray,
    largest_square: float,
    value: AnyArray,
    std: AnyArray,
    coherence: AnyArray,
    ratio: AnyArray,
    probability: AnyArray,
    count: AnyArray,
    status: AnyArray,
) -> None:
    """Fill the outputs for arcs ``start..stop``.

    Parameters
    ----------
    start, stop
        Numbers of arcs.
    table, heights, first, second, weight
        See :func:`subsidence._kernels.phase_tile.load`.
    design
        ``(parameter, epoch)``, padded with zeros.
    lowest, spacing, lobe
        Of each parameter: the grid's first node, the step between nodes, and half the width of a resolution cell.
    steps, outer, velocities, fine
        See :func:`subsidence._kernels.phase_grid.scan`.
    index, reach
        See :func:`subsidence._kernels.phase_grid.mark`.
    offset_known
        True for pairs, which have no phase constant of their own.
    passes, tapered, fewest
        Of wrapped least squares, and of tapered ones after them; epochs that an arc must have.
    likelihood
        ``(epochs, node)``: log likelihood over the squared coherence, for each number of epochs.
    spread, largest_square
        ``(epochs, node)``: variance of a unit of the inverse normal matrix over the mean square residual, at mean
        squares up to `largest_square`.
    value, std, coherence, ratio, probability, count, status
        Outputs.
    """
    parameters, rows = design.shape
    inner = (2 if fine.shape[0] == 0 else 8) * velocities.shape[0]
    cells = index.shape[0] * inner
    observed = np.zeros(3 * rows * LANES, np.float32)
    phasor = np.zeros(2 * rows * LANES, np.float32)
    turn = np.zeros(2 * rows * LANES if heights.shape[0] > 0 else 0, np.float32)
    work = np.zeros(2 * rows * LANES, np.float32)
    groups = np.zeros(4 * fine.shape[2] * LANES, np.float32)
    total = np.empty(8 * LANES, np.float32)
    power = np.empty(cells * LANES, np.float32)
    usable = np.empty(LANES, np.float32)
    best, node = np.empty(LANES, np.float32), np.empty(LANES, np.int32)
    sums = np.empty((parameters + 1) * (parameters + 1) * LANES, np.float32)
    whole = np.empty(LANES, np.float32)
    mean = np.empty(parameters * LANES, np.float32)
    inverse = np.empty(parameters * parameters * LANES, np.float32)
    determinant, solvable = np.empty(LANES, np.float32), np.empty(LANES, np.bool_)
    matrix, dense, column = np.empty((parameters, parameters)), np.empty((parameters, parameters)), np.empty(parameters)
    residual = np.empty(LANES, np.float32)
    state = np.empty((2 * parameters + 2) * LANES, np.float32)
    peak = np.empty((_PEAKS, parameters, LANES), np.float32)
    square = np.empty((_PEAKS, LANES), np.float32)  # of coherence at each peak
    misfit = np.empty((_PEAKS, LANES), np.float32)
    found = np.empty((_PEAKS, LANES), np.float32)  # squared coherence at the peak's node
    row, winner, least = np.empty(LANES, np.int64), np.zeros(LANES, np.int64), np.empty(LANES, np.float32)
    precision, interval, edges = np.empty(parameters), np.empty((2, parameters)), np.empty((2, parameters))
    inside, core, cell = np.zeros(LANES), np.empty(parameters), 1.0
    highest_node = np.empty(parameters)
    highest_node[0] = lowest[0] + spacing[0] * (inner - 1)
    for q in range(1, parameters):
        highest_node[q] = lowest[q] + spacing[q] * index[index.shape[0] - 1, q - 1]
    for q in range(parameters):
        core[q] = (reach[q] // 2 + 0.5) * spacing[q]
        cell *= spacing[q]
    lost, top, mass, rest = np.zeros(LANES), np.zeros(LANES), np.ones(LANES), np.zeros(LANES)

    for arc in range(start, stop, LANES):
        filled = min(LANES, stop - arc)
        load(
            table, heights, design[min(1, parameters - 1)], first, second, weight, arc, filled, observed, phasor, usable
        )
        normal_inverse(
            observed, design, offset_known, sums, mean, inverse, determinant, solvable, matrix, dense, column
        )
        for lane in range(LANES):
            whole[lane] = sums[lane]
        if heights.shape[0] > 0:
            turns(observed, phasor, np.float32(lowest[1]), np.float32(spacing[1]), turn)
        scan(phasor, turn, steps, outer, velocities, fine, offset_known, work, groups, total, power)
        for c in range(_PEAKS):
            highest(power, best, node)
            for lane in range(LANES):
                found[c, lane] = best[lane] / (whole[lane] * whole[lane])
                place = max(int(node[lane]), 0)
                state[lane] = lowest[0] + spacing[0] * (place % inner)
                for q in range(1, parameters):
                    state[q * LANES + lane] = lowest[q] + spacing[q] * index[place // inner, q - 1]
                if node[lane] >= 0:
                    mark(power, index, reach, inner, place, lane)
            fit(observed, design, offset_known, passes, tapered, whole, mean, inverse, state, residual, sums)
            quality(observed, design, state, residual, sums)
            for lane in range(LANES):
                misfit[c, lane] = sums[lane] / whole[lane]
                re, im = sums[LANES + lane] / whole[lane], sums[2 * LANES + lane] / whole[lane]
                square[c, lane] = max(re, np.float32(0.0)) ** 2 if offset_known else re * re + im * im
                if node[lane] < 0:
                    square[c, lane] = np.float32(0.0)
                for q in range(parameters):
                    peak[c, q, lane] = state[q * LANES + lane]
        for lane in range(LANES):
            n = int(usable[lane])
            row[lane] = n
            least[lane] = _INFINITE
            rest[lane] = 0.0
            if n < fewest or not solvable[lane]:
                continue
            winner[lane] = 1 if square[1, lane] > square[0, lane] else 0
            won = square[winner[lane], lane]
            lost[lane] = _second(peak, square, found, lobe, winner[lane], lane)
            top[lane] = log_likelihood(likelihood[n], won)
            wide = False
            curvature = _curvature(likelihood[n], won)
            for q in range(parameters):
                precision[q] = 1.0 / (inverse[(q * parameters + q) * LANES + lane] * whole[lane])
                edges[0, q] = lowest[q] - 0.5 * spacing[q] - peak[winner[lane], q, lane]
                edges[1, q] = highest_node[q] + 0.5 * spacing[q] - peak[winner[lane], q, lane]
                wide |= _REACH / math.sqrt(curvature * precision[q]) > min(lobe[q], core[q], edges[1, q], -edges[0, q])
            det = max(np.float64(determinant[lane]), 1e-30)
            if wide:
                mass[lane] = (
                    _integral(likelihood[n], won, top[lane], det, edges, core, _RULE, precision, interval) / cell
                )
                inside[lane] = (
                    _integral(likelihood[n], won, top[lane], det, edges, lobe, _RULE, precision, interval) / cell
                )
            else:
                mass[lane] = _volume(likelihood[n], won, determinant[lane], spacing)
                inside[lane] = mass[lane]
            if lost[lane] > 0.0:
                relative = math.exp(log_likelihood(likelihood[n], lost[lane]) - top[lane])
                rest[lane] = relative * _volume(likelihood[n], lost[lane], determinant[lane], spacing)
            floor = _square_at(likelihood[n], top[lane] + math.log(_NEGLIGIBLE * mass[lane] / cells))
            least[lane] = floor * whole[lane] * whole[lane]
        remainder(power, least, whole, likelihood, row, top, rest)
        for lane in range(filled):
            place = arc + lane
            n = row[lane]
            count[place] = n
            status[place] = NO_DATA if n == 0 else OK if n >= fewest and solvable[lane] else TOO_FEW
            if status[place] != OK:
                for q in range(parameters):
                    value[q, place] = np.nan
                    std[q, place] = np.nan
                coherence[place] = np.nan
                ratio[place] = np.nan
                probability[place] = np.nan
                continue
            c = winner[lane]
            at = min(misfit[c, lane] / largest_square, 1.0) * (spread.shape[1] - 1)
            low = min(int(at), spread.shape[1] - 2)
            scale = spread[n, low] + (at - low) * (spread[n, low + 1] - spread[n, low])
            variance = scale * misfit[c, lane] * whole[lane] / n
            for q in range(parameters):
                value[q, place] = peak[c, q, lane]
                std[q, place] = np.sqrt(variance * inverse[(q * parameters + q) * LANES + lane])
            coherence[place] = np.sqrt(square[c, lane])
            ratio[place] = np.sqrt(lost[lane] / square[c, lane])
            probability[place] = min(inside[lane], mass[lane]) / (mass[lane] + rest[lane])


@jit
def _second(peak: AnyArray, square: AnyArray, found: AnyArray, lobe: AnyArray, winner: int, lane: int) -> float:
    """Squared coherence of the peak that lost.

    That of its node where refinement led it to the winner, or down: among noise wrapped least squares need not climb.
    """
    other = 1 - winner
    same = True
    for q in range(peak.shape[1]):
        same &= abs(peak[other, q, lane] - peak[winner, q, lane]) < lobe[q]
    higher = found[1, lane] if same else max(square[other, lane], found[other, lane])
    return float(min(higher, square[winner, lane]))


@jit
def _integral(
    likelihood: AnyArray,
    square: float,
    top: float,
    determinant: float,
    edges: AnyArray,
    width: AnyArray,
    rule: AnyArray,
    precision: AnyArray,
    interval: AnyArray,
) -> float:
    """Likelihood relative to `top` over a peak, within `width` to either side and in the box, by Gauss's rule.

    The squared coherence of the peak falls as a Gaussian does, the shape of a main lobe, with
    ``precision`` for each parameter; ``edges`` are those of the box, from the peak. Where two parameters
    act alike, the lobe is slant and narrower.
    """
    parameters, points = width.size, rule.shape[1]
    curvature = _curvature(likelihood, square)
    slant = determinant
    for q in range(parameters):
        slant /= precision[q]
        reach = min(width[q], _REACH / math.sqrt(curvature * precision[q]))
        interval[0, q] = min(max(edges[0, q], -reach), 0.0)
        interval[1, q] = max(min(edges[1, q], reach), 0.0) - interval[0, q]
    volume = 1.0 / math.sqrt(slant)
    if parameters == 2:
        total = 0.0
        for k in range(points * points):
            a = precision[0] * (interval[0, 0] + interval[1, 0] * rule[0, k % points]) ** 2
            b = precision[1] * (interval[0, 1] + interval[1, 1] * rule[0, k // points]) ** 2
            height = math.exp(log_likelihood(likelihood, square * math.exp(-a - b)) - top)
            total += rule[1, k % points] * rule[1, k // points] * height
        return float(volume * total * interval[1, 0] * interval[1, 1])
    for q in range(parameters):  # one at a time: of more, the points would be too many
        total = 0.0
        for k in range(points):
            a = precision[q] * (interval[0, q] + interval[1, q] * rule[0, k]) ** 2
            total += rule[1, k] * math.exp(log_likelihood(likelihood, square * math.exp(-a)) - top)
        volume *= total * interval[1, q]
    return float(volume)


@jit
def _square_at(likelihood: AnyArray, level: float) -> float:
    """Squared coherence whose log likelihood is `level`, up to the step of the table below it."""
    low, high = 0, likelihood.size
    while high - low > 1:
        middle = (low + high) // 2
        if likelihood[middle] < level:
            low = middle
        else:
            high = middle
    return low / (likelihood.size - 1)


@jit
def _volume(likelihood: AnyArray, square: float, determinant: float, spacing: AnyArray) -> float:
    """Of a peak's Gaussian, in cells of the grid; near it, coherence falls with the mean square of the design."""
    curvature = _curvature(likelihood, square)
    volume = 1.0 / np.sqrt(max(np.float64(determinant), 1e-30))
    for q in range(spacing.size):
        volume *= np.sqrt(2 * np.pi / curvature) / spacing[q]
    return float(volume)


@jit
def _curvature(likelihood: AnyArray, square: float) -> float:
    """Of the log likelihood at a peak, along a parameter whose design has a mean square of one."""
    at = min(max(square, 0.0), 1.0) * (likelihood.size - 1)
    low = min(int(at), likelihood.size - 2)
    slope = (likelihood[low + 1] - likelihood[low]) * (likelihood.size - 1)
    return float(max(2.0 * square * slope, 1.0))
