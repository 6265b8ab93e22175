"""Ordinary kriging of the smooth part of noisy values, from the nearest neighbours of each place.

The noise (nugget) stands in the matrix of the data but not in their covariance with what is predicted, so that a
place with data of its own gets the smooth part there, not its datum back (factorial kriging; Wackernagel 2003,
chapter 15). Covariances are in units of the sill.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.cholesky import cholesky, solve
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["EXPONENTIAL", "GAUSSIAN", "SPHERICAL", "correlation", "krige", "weights"]

EXPONENTIAL, SPHERICAL, GAUSSIAN = 0, 1, 2
#: Noise added, in units of the sill, where places coincide and the matrix would be singular.
_RIDGE = 1e-6


@jit
def correlation(model: int, distance: float, reach: float) -> float:
    """Correlation at a distance; at `reach` 0.05, and 0 for the spherical model."""
    q = distance / reach
    if model == EXPONENTIAL:
        return float(np.exp(-3.0 * q))
    if model == SPHERICAL:
        return 1.0 - 1.5 * q + 0.5 * q * q * q if q < 1.0 else 0.0
    return float(np.exp(-3.0 * q * q))


@jit
def weights(
    between: FloatArray,
    towards: FloatArray,
    chosen: IntArray,
    count: int,
    noise: FloatArray,
    ratio: float,
    matrix: FloatArray,
    one: FloatArray,
    out: FloatArray,
) -> bool:
    """
    Weights of the first `count` of the `chosen` neighbours in ``out``; they sum to 1. False when it fails.

    ``between`` holds the correlations of all neighbours with each other (lower triangle), ``towards`` those with
    the place; the noise of neighbour a is ``ratio * noise[a]`` in units of the sill.
    """
    part = matrix[:count, :count]
    ridge = 0.0
    for _ in range(4):
        for a in range(count):
            for b in range(a):
                part[a, b] = between[chosen[a], chosen[b]]
            part[a, a] = 1.0 + ratio * noise[chosen[a]] + ridge
            out[a] = towards[chosen[a]]
            one[a] = 1.0
        if cholesky(part, 1e-12):
            solve(part, out[:count])
            solve(part, one[:count])
            first, second = 0.0, 0.0
            for a in range(count):
                first += out[a]
                second += one[a]
            step = (1.0 - first) / second
            for a in range(count):
                out[a] += step * one[a]
            return True
        ridge = _RIDGE if ridge == 0.0 else 30.0 * ridge
    return False


@jit
def krige(
    start: int,
    stop: int,
    x: FloatArray,
    y: FloatArray,
    neighbours: IntArray,
    node_x: FloatArray,
    node_y: FloatArray,
    values: AnyArray,
    complete: BoolArray,
    noise: FloatArray,
    model: int,
    reach: float,
    ratios: FloatArray,
    kind: IntArray,
    out: FloatArray,
) -> None:
    """
    Predict the smooth part at places ``start .. stop`` for every epoch: ``out`` (epochs, places).

    ``neighbours[i]`` are the nodes nearest to place ``start + i``; ``values`` (nodes, epochs) may be NaN, unless
    ``complete``. The noise of node i at epoch t is ``noise[i] * ratios[kind[t]]``, in units of the sill. NaN where no
    neighbour has data.
    """
    epochs, size = values.shape[1], neighbours.shape[1]
    between, towards = np.empty((size, size)), np.empty(size)
    matrix, one = np.empty((size, size)), np.empty(size)
    shared, single = np.empty((ratios.size, size)), np.empty(size)
    solved = np.empty(ratios.size, np.bool_)
    every, chosen, own = np.arange(size), np.empty(size, np.int64), np.empty(size)
    total = np.empty(epochs)
    for place in range(start, stop):
        near = neighbours[place - start]
        whole = True
        for a in range(size):
            i = near[a]
            whole = whole and complete[i]
            own[a] = noise[i]
            towards[a] = correlation(model, np.hypot(node_x[i] - x[place], node_y[i] - y[place]), reach)
            for b in range(a):
                j = near[b]
                between[a, b] = correlation(model, np.hypot(node_x[i] - node_x[j], node_y[i] - node_y[j]), reach)
        for c in range(ratios.size):
            solved[c] = weights(between, towards, every, size, own, ratios[c], matrix, one, shared[c])
        total[:] = 0.0
        if whole:
            for a in range(size):
                i = near[a]
                for t in range(epochs):
                    total[t] += shared[kind[t], a] * values[i, t]
            for t in range(epochs):
                out[t, place] = total[t] if solved[kind[t]] else np.nan
            continue
        for t in range(epochs):
            count = 0
            for a in range(size):
                if not np.isnan(values[near[a], t]):
                    chosen[count] = a
                    count += 1
            c = kind[t]
            if count == 0:
                out[t, place] = np.nan
                continue
            good = solved[c]
            if count < size:
                good = weights(between, towards, chosen, count, own, ratios[c], matrix, one, single)
            result = 0.0
            for a in range(count):
                weight = shared[c, a] if count == size else single[a]
                result += weight * values[near[chosen[a]], t]
            out[t, place] = result if good else np.nan
