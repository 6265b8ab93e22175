"""Grounded graph Laplacians of many places side by side: build, factorise, solve, invert within the band.

The normal matrix of a network of interferograms is a weighted graph Laplacian. With the epochs in time
order (or in reverse Cuthill-McKee order where there are long links) it is banded, its bandwidth being
the longest lag in epochs, so that a banded L D L' factorisation costs ``epochs x lag^2`` instead of
``epochs^3``.

Every loop runs innermost over the last axis, ``lane``: neighbouring places. The compiler turns it into
vector instructions, and each place goes through the same operations in the same order wherever it lies
in a block, so results do not depend on how the places were cut.

``band[i, b]`` is row ``i``, column ``i - b``. ``lower`` and ``upper`` hold each pair's two unknowns, -1
standing for the epoch whose phase is zero, with ``lower < upper``; ``sign`` is +1 where the secondary is
the upper one.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["factor", "normal_matrix", "right_hand_side", "selected_inverse", "solve"]


@jit
def normal_matrix(weight: AnyArray, lower: AnyArray, upper: AnyArray, band: AnyArray) -> None:
    """Weighted Laplacian of the network, grounded at the reference epoch."""
    pairs, lanes = weight.shape
    unknowns, width, _ = band.shape
    for i in range(unknowns):
        for b in range(width):
            for lane in range(lanes):
                band[i, b, lane] = 0.0
    for k in range(pairs):
        i, j = lower[k], upper[k]
        for lane in range(lanes):
            band[j, 0, lane] += weight[k, lane]
        if i >= 0:
            b = j - i
            for lane in range(lanes):
                band[i, 0, lane] += weight[k, lane]
                band[j, b, lane] -= weight[k, lane]


@jit
def factor(band: AnyArray, scaled: AnyArray, lost: AnyArray) -> None:
    """L D L' in place: ``band[i, 0]`` becomes 1 / D, the rest L. The pivot of a ``lost`` unknown gets 1 / D = 0."""
    unknowns, width, lanes = band.shape
    for i in range(unknowns):
        reach = min(i, width - 1)
        for b in range(reach, 0, -1):
            j = i - b
            # scaled[c] is L[i, i - c] * D, for the columns c > b that are done
            for c in range(b + 1, min(reach, b + width - 1) + 1):
                for lane in range(lanes):
                    band[i, b, lane] -= scaled[c, lane] * band[j, c - b, lane]
            for lane in range(lanes):
                scaled[b, lane] = band[i, b, lane]
                band[i, b, lane] *= band[j, 0, lane]
                band[i, 0, lane] -= scaled[b, lane] * band[i, b, lane]
        for lane in range(lanes):
            # beyond the reach of float64 the pivot of a joined epoch may vanish too: NaN, not a number
            pivot = band[i, 0, lane] if band[i, 0, lane] > 0.0 else np.nan
            band[i, 0, lane] = 0.0 if lost[i, lane] > 0.0 else 1.0 / pivot


@jit
def right_hand_side(
    phi: AnyArray, weight: AnyArray, lower: AnyArray, upper: AnyArray, sign: AnyArray, x: AnyArray
) -> None:
    pairs, lanes = phi.shape
    for i in range(x.shape[0]):
        for lane in range(lanes):
            x[i, lane] = 0.0
    for k in range(pairs):
        i, j, s = lower[k], upper[k], sign[k]
        for lane in range(lanes):
            x[j, lane] += s * weight[k, lane] * phi[k, lane]
        if i >= 0:
            for lane in range(lanes):
                x[i, lane] -= s * weight[k, lane] * phi[k, lane]


@jit
def solve(band: AnyArray, x: AnyArray) -> None:
    """Forward and backward substitution in place. An epoch without a pivot stays at zero."""
    unknowns, width, lanes = band.shape
    for i in range(unknowns):
        for b in range(1, min(i, width - 1) + 1):
            for lane in range(lanes):
                x[i, lane] -= band[i, b, lane] * x[i - b, lane]
    for i in range(unknowns):
        for lane in range(lanes):
            x[i, lane] *= band[i, 0, lane]
    for i in range(unknowns - 1, -1, -1):
        for b in range(1, min(i, width - 1) + 1):
            for lane in range(lanes):
                x[i - b, lane] -= band[i, b, lane] * x[i, lane]


@jit
def selected_inverse(band: AnyArray, inverse: AnyArray) -> None:
    """Elements of the inverse of L D L' within its band (Takahashi's recursion).

    ``inverse[i, b]`` is row ``i``, column ``i - b``.
    """
    unknowns, width, lanes = band.shape
    for j in range(unknowns - 1, -1, -1):
        reach = min(unknowns - 1 - j, width - 1)
        for b in range(reach, -1, -1):
            i = j + b
            for lane in range(lanes):
                inverse[i, b, lane] = band[j, 0, lane] if b == 0 else 0.0
            for c in range(1, reach + 1):
                k = j + c
                if k >= i:
                    for lane in range(lanes):
                        inverse[i, b, lane] -= band[k, c, lane] * inverse[k, k - i, lane]
                else:
                    for lane in range(lanes):
                        inverse[i, b, lane] -= band[k, c, lane] * inverse[i, i - k, lane]
