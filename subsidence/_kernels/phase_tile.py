"""Tiles of arcs: wrapped phases of neighbouring arcs side by side, and the trigonometry on them.

A tile holds ``LANES`` arcs, the innermost axis of every working array, so that the compiler turns each loop
over lanes into vector instructions and an arc goes through the same operations wherever it lies. Working arrays
are flat, with constant offsets between the rows that one loop touches: only then can the compiler prove that
they do not overlap, which it otherwise tests anew at every loop.

``observed`` has three rows of lanes for each epoch: phase, weight, and the design of the second parameter, which
may differ from arc to arc. ``phasor`` has two: the real and imaginary parts of weight times exp(j phase). Epochs are
padded to a multiple of ``UNROLL`` with weight zero.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["LANES", "UNROLL", "cosine", "load", "sine", "wrap"]

#: Arcs side by side: as many as keep the phasors of a hundred epochs in a core's nearest caches.
LANES = 64
#: Epochs that one loop takes at a time.
UNROLL = 8

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_INFINITE = np.float32(np.inf)
_TURN = np.float32(2 * np.pi)
_PER_TURN = np.float32(1 / (2 * np.pi))
#: Adding and taking off rounds a float32 below 2^22 to a whole number.
_ROUND = np.float32(1.5 * 2**23)
# Chebyshev fits over one turn, to 1e-6
_S0, _S1, _S2 = np.float32(0.999999936), np.float32(-0.166666202), np.float32(0.00833278309)
_S3, _S4, _S5 = np.float32(-0.000198173587), np.float32(2.70847715e-06), np.float32(-2.06822248e-08)
_C0, _C1, _C2 = np.float32(0.999999192), np.float32(-0.499994101), np.float32(0.0416596714)
_C3, _C4, _C5 = np.float32(-0.00138584458), np.float32(2.4198467e-05), np.float32(-2.19528554e-07)


@jit
def wrap(phase: np.float32) -> np.float32:
    """Float32 phase within half a turn of zero."""
    turns = (phase * _PER_TURN + _ROUND) - _ROUND
    return phase - turns * _TURN


@jit
def sine(phase: np.float32) -> np.float32:
    """Of a wrapped float32 phase."""
    u = phase * phase
    return phase * (_S0 + u * (_S1 + u * (_S2 + u * (_S3 + u * (_S4 + u * _S5)))))


@jit
def cosine(phase: np.float32) -> np.float32:
    """Of a wrapped float32 phase."""
    u = phase * phase
    return _C0 + u * (_C1 + u * (_C2 + u * (_C3 + u * (_C4 + u * _C5))))


@jit
def load(
    table: AnyArray,
    heights: AnyArray,
    second_design: AnyArray,
    first: AnyArray,
    second: AnyArray,
    weight: AnyArray,
    start: int,
    filled: int,
    observed: AnyArray,
    phasor: AnyArray,
    count: AnyArray,
) -> None:
    """Copy a tile in: the phases ``table[second] - table[first]`` of arcs ``start..start + filled``.

    A `first` below zero stands for phase zero. `heights` (point, epoch) is the second parameter's design by point,
    of which an arc takes its ends' mean, or is empty: then `second_design` serves all. `count` becomes
    the number of usable epochs. Lanes beyond `filled` repeat the last arc.
    """
    epochs = weight.size
    by_point = heights.shape[0] > 0
    for lane in range(LANES):
        arc = start + min(lane, filled - 1)
        a, b = first[arc], second[arc]
        if a >= 0:
            for i in range(epochs):
                observed[3 * i * LANES + lane] = table[b, i] - table[a, i]
        else:
            for i in range(epochs):
                observed[3 * i * LANES + lane] = table[b, i]
        if by_point:
            if a >= 0:
                for i in range(epochs):
                    observed[(3 * i + 2) * LANES + lane] = _HALF * (heights[b, i] + heights[a, i])
            else:
                for i in range(epochs):
                    observed[(3 * i + 2) * LANES + lane] = heights[b, i]
    for lane in range(LANES):
        count[lane] = _ZERO
    for i in range(epochs):
        row = observed[3 * i * LANES : (3 * i + 3) * LANES]
        turned = phasor[2 * i * LANES : (2 * i + 2) * LANES]
        given = weight[i]
        if not by_point:
            shared = second_design[i]
            for lane in range(LANES):
                row[2 * LANES + lane] = shared
        for lane in range(LANES):
            column = row[2 * LANES + lane]
            value = row[lane] + _ZERO * column  # NaN where the design is not known either
            usable = abs(value) < _INFINITE
            phase = wrap(row[lane]) if usable else _ZERO
            w = given if usable else _ZERO
            row[lane] = phase
            row[LANES + lane] = w
            row[2 * LANES + lane] = column if usable else _ZERO
            turned[lane] = w * cosine(phase)
            turned[LANES + lane] = w * sine(phase)
        for lane in range(LANES):
            count[lane] += _ONE if row[LANES + lane] > _ZERO else _ZERO
