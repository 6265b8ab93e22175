"""Which epochs the valid pairs of a place join to the reference epoch, for places side by side.

Decided by the pairs alone, never by the size of a pivot: with weights of very different size a pivot that
ought to vanish is lost in rounding errors.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence.typing import AnyArray

__all__ = ["connect"]


@jit
def connect(
    weight: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    reached: AnyArray,
    component: AnyArray,
    lost: AnyArray,
    parts: AnyArray,
) -> bool:
    """Number the parts of each place's network; False where every epoch of every place is reached.

    ``component[i]`` is 0 for an unknown that valid pairs join to the reference epoch, else the number of
    its part; ``lost[i]`` is 1 where it is the last eliminated unknown of such a part, which then stands
    for the part's missing constant; ``parts`` is their number. ``reached`` is a working array of bytes,
    ``(unknown + 1, lane)``, whose last row stands for the reference epoch.
    """
    unknowns, lanes = component.shape
    pairs = weight.shape[0]
    for i in range(unknowns + 1):
        for lane in range(lanes):
            reached[i, lane] = i == unknowns
    for i in range(unknowns):
        for lane in range(lanes):
            component[i, lane] = 0.0
            lost[i, lane] = 0.0
    for lane in range(lanes):
        parts[lane] = 0.0
    total = 0
    while True:
        before = total
        for k in range(pairs):
            i = lower[k] if lower[k] >= 0 else unknowns
            j = upper[k]
            for lane in range(lanes):
                joined = (reached[i, lane] | reached[j, lane]) & np.uint8(weight[k, lane] > 0.0)
                reached[i, lane] |= joined
                reached[j, lane] |= joined
        total = 0
        for i in range(unknowns + 1):
            for lane in range(lanes):
                total += reached[i, lane]
        if total == (unknowns + 1) * lanes:
            return False
        if total == before:
            break
    for lane in range(lanes):
        for last in range(unknowns - 1, -1, -1):
            if reached[last, lane] == 0:
                parts[lane] += 1.0
                lost[last, lane] = 1.0
                component[last, lane] = parts[lane]
                _flood(weight, lower, upper, reached, component, last, lane)
    return True


@jit
def _flood(
    weight: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    reached: AnyArray,
    component: AnyArray,
    last: int,
    lane: int,
) -> None:
    """Give the part of unknown ``last`` its number."""
    number = component[last, lane]
    reached[last, lane] = 1
    growing = True
    while growing:
        growing = False
        for k in range(weight.shape[0]):
            i, j = lower[k], upper[k]
            if i < 0 or weight[k, lane] <= 0.0 or (component[i, lane] == number) == (component[j, lane] == number):
                continue
            for e in (i, j):
                component[e, lane] = number
                reached[e, lane] = 1
            growing = True
