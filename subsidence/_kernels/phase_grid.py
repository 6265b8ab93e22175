"""Power of the phase model on a grid, for a tile of arcs, and its highest nodes.

A node is a velocity and an outer node, which holds all other parameters. For an outer node the phasors are turned
back once; over velocity, nodes at +v and -v from the middle of the box share their four real sums. Where there
are many velocities, the epochs are summed in groups of ``UNROLL`` at every fourth one, and the four beside it
combine the groups as if each were one epoch. ``power`` is flat: ``(outer node, velocity, lane)``.
"""

from __future__ import annotations

import math

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.phase_tile import LANES, UNROLL, cosine, sine, wrap
from subsidence.typing import AnyArray

__all__ = ["highest", "log_likelihood", "mark", "remainder", "scan", "turns"]

_ZERO = np.float32(0.0)


@jit
def turns(observed: AnyArray, phasor: AnyArray, offset: np.float32, step: np.float32, turn: AnyArray) -> None:
    """Turn ``phasor`` back to the second parameter's first node, at `offset`; ``turn`` becomes the step between two."""
    for i in range(phasor.size // (2 * LANES)):
        row = observed[3 * i * LANES : (3 * i + 3) * LANES]
        turned = phasor[2 * i * LANES : (2 * i + 2) * LANES]
        moved = turn[2 * i * LANES : (2 * i + 2) * LANES]
        for lane in range(LANES):
            angle = wrap(row[2 * LANES + lane] * offset)
            c, s = cosine(angle), sine(angle)
            re, im = turned[lane], turned[LANES + lane]
            turned[lane] = re * c + im * s
            turned[LANES + lane] = im * c - re * s
        for lane in range(LANES):
            angle = wrap(row[2 * LANES + lane] * step)
            moved[lane] = cosine(angle)
            moved[LANES + lane] = sine(angle)


@jit
def scan(
    phasor: AnyArray,
    turn: AnyArray,
    steps: int,
    outer: AnyArray,
    table: AnyArray,
    fine: AnyArray,
    offset_known: bool,
    work: AnyArray,
    groups: AnyArray,
    total: AnyArray,
    power: AnyArray,
) -> None:
    """Fill ``power`` with the squared coherent sum at every node.

    `outer` (node, 2, epoch) holds cosine and sine of the outer nodes' phase, `table` (pair of nodes, 2, epoch)
    those of velocities +v. Where `fine` (2, 2, group) is not empty each of these stands for the four nodes half a
    step and one and a half beside it, and it holds the phases of these steps for groups of epochs. Each of the
    `steps` of the second parameter by arc turns the phasors on by ``turn``. With `offset_known` only the part of the
    sum along the real axis counts: pairs have no phase constant of their own.
    """
    nodes = outer.shape[0]
    size = (2 if fine.shape[0] == 0 else 8) * table.shape[0] * LANES
    rows = outer.shape[2]
    for step in range(steps):
        if step > 0:
            for i in range(rows):
                _turn_back(phasor[2 * i * LANES : (2 * i + 2) * LANES], turn[2 * i * LANES : (2 * i + 2) * LANES])
        for m in range(nodes):
            for i in range(0, rows, 4):
                c, s = outer[m, 0, i : i + 4], outer[m, 1, i : i + 4]
                _turn_by(
                    phasor[2 * i * LANES : 2 * (i + 4) * LANES],
                    work[2 * i * LANES : 2 * (i + 4) * LANES],
                    c[0], c[1], c[2], c[3], s[0], s[1], s[2], s[3],
                )  # fmt: skip
            at = (step * nodes + m) * size
            if fine.shape[0] == 0:
                _velocities(work, table, offset_known, total, power[at : at + size])
            else:
                _grouped(work, table, fine, offset_known, groups, total, power[at : at + size])


@jit
def _turn_back(phasor: AnyArray, turn: AnyArray) -> None:
    for lane in range(LANES):
        re, im = phasor[lane], phasor[LANES + lane]
        c, s = turn[lane], turn[LANES + lane]
        phasor[lane] = re * c + im * s
        phasor[LANES + lane] = im * c - re * s


@jit
def _turn_by(
    phasor: AnyArray,
    work: AnyArray,
    c0: np.float32,
    c1: np.float32,
    c2: np.float32,
    c3: np.float32,
    s0: np.float32,
    s1: np.float32,
    s2: np.float32,
    s3: np.float32,
) -> None:
    for lane in range(LANES):
        re, im = phasor[lane], phasor[LANES + lane]
        work[lane], work[LANES + lane] = re * c0 + im * s0, im * c0 - re * s0
        re, im = phasor[2 * LANES + lane], phasor[3 * LANES + lane]
        work[2 * LANES + lane], work[3 * LANES + lane] = re * c1 + im * s1, im * c1 - re * s1
        re, im = phasor[4 * LANES + lane], phasor[5 * LANES + lane]
        work[4 * LANES + lane], work[5 * LANES + lane] = re * c2 + im * s2, im * c2 - re * s2
        re, im = phasor[6 * LANES + lane], phasor[7 * LANES + lane]
        work[6 * LANES + lane], work[7 * LANES + lane] = re * c3 + im * s3, im * c3 - re * s3


@jit
def _velocities(work: AnyArray, table: AnyArray, offset_known: bool, total: AnyArray, power: AnyArray) -> None:
    pairs, _, rows = table.shape
    for k in range(pairs):
        for lane in range(4 * LANES):
            total[lane] = _ZERO
        for i in range(0, rows, UNROLL):
            c, s = table[k, 0, i : i + UNROLL], table[k, 1, i : i + UNROLL]
            _add(
                work[2 * i * LANES : 2 * (i + UNROLL) * LANES],
                total,
                c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7],
                s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7],
            )  # fmt: skip
        lower = power[(pairs - 1 - k) * LANES : (pairs - k) * LANES]
        upper = power[(pairs + k) * LANES : (pairs + k + 1) * LANES]
        _square(total, offset_known, lower, upper)


@jit
def _square(total: AnyArray, offset_known: bool, lower: AnyArray, upper: AnyArray) -> None:
    """Powers at -v and +v of their shared sums."""
    if offset_known:
        for lane in range(LANES):
            real = max(total[lane] - total[LANES + lane], _ZERO)
            lower[lane] = real * real
        for lane in range(LANES):
            real = max(total[lane] + total[LANES + lane], _ZERO)
            upper[lane] = real * real
    else:
        for lane in range(LANES):
            real = total[lane] - total[LANES + lane]
            imag = total[3 * LANES + lane] + total[2 * LANES + lane]
            lower[lane] = real * real + imag * imag
        for lane in range(LANES):
            real = total[lane] + total[LANES + lane]
            imag = total[3 * LANES + lane] - total[2 * LANES + lane]
            upper[lane] = real * real + imag * imag


@jit
def _grouped(
    work: AnyArray,
    table: AnyArray,
    fine: AnyArray,
    offset_known: bool,
    groups: AnyArray,
    total: AnyArray,
    power: AnyArray,
) -> None:
    pairs, _, rows = table.shape
    middle = 4 * pairs
    for k in range(pairs):
        for i in range(0, rows, UNROLL):
            c, s = table[k, 0, i : i + UNROLL], table[k, 1, i : i + UNROLL]
            _sum_group(
                work[2 * i * LANES : 2 * (i + UNROLL) * LANES],
                groups[4 * (i // UNROLL) * LANES : 4 * (i // UNROLL + 1) * LANES],
                c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7],
                s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7],
            )  # fmt: skip
        for side in range(2):  # beside +v, then beside -v
            for lane in range(8 * LANES):
                total[lane] = _ZERO
            for g in range(0, fine.shape[2], 4):
                c, s = fine[0, 0, g : g + 4], fine[0, 1, g : g + 4]
                further_c, further_s = fine[1, 0, g : g + 4], fine[1, 1, g : g + 4]
                _add_groups(
                    groups[(4 * g + 2 * side) * LANES : (4 * g + 2 * side + 14) * LANES],
                    total,
                    c[0], c[1], c[2], c[3], s[0], s[1], s[2], s[3],
                    further_c[0], further_c[1], further_c[2], further_c[3],
                    further_s[0], further_s[1], further_s[2], further_s[3],
                )  # fmt: skip
            first = (middle + 4 * k if side == 0 else middle - 4 * (k + 1)) * LANES
            four = power[first : first + 4 * LANES]
            _square(total[: 4 * LANES], offset_known, four[LANES : 2 * LANES], four[2 * LANES : 3 * LANES])
            _square(total[4 * LANES :], offset_known, four[:LANES], four[3 * LANES :])


@jit
def _sum_group(
    e: AnyArray,
    group: AnyArray,
    c0: np.float32,
    c1: np.float32,
    c2: np.float32,
    c3: np.float32,
    c4: np.float32,
    c5: np.float32,
    c6: np.float32,
    c7: np.float32,
    s0: np.float32,
    s1: np.float32,
    s2: np.float32,
    s3: np.float32,
    s4: np.float32,
    s5: np.float32,
    s6: np.float32,
    s7: np.float32,
) -> None:
    """Complex sums of eight epochs at +v and at -v."""
    for lane in range(LANES):
        re, im = e[lane], e[LANES + lane]
        a, b, c, d = re * c0, im * s0, re * s0, im * c0
        re, im = e[2 * LANES + lane], e[3 * LANES + lane]
        a, b, c, d = a + re * c1, b + im * s1, c + re * s1, d + im * c1
        re, im = e[4 * LANES + lane], e[5 * LANES + lane]
        a, b, c, d = a + re * c2, b + im * s2, c + re * s2, d + im * c2
        re, im = e[6 * LANES + lane], e[7 * LANES + lane]
        a, b, c, d = a + re * c3, b + im * s3, c + re * s3, d + im * c3
        re, im = e[8 * LANES + lane], e[9 * LANES + lane]
        a, b, c, d = a + re * c4, b + im * s4, c + re * s4, d + im * c4
        re, im = e[10 * LANES + lane], e[11 * LANES + lane]
        a, b, c, d = a + re * c5, b + im * s5, c + re * s5, d + im * c5
        re, im = e[12 * LANES + lane], e[13 * LANES + lane]
        a, b, c, d = a + re * c6, b + im * s6, c + re * s6, d + im * c6
        re, im = e[14 * LANES + lane], e[15 * LANES + lane]
        a, b, c, d = a + re * c7, b + im * s7, c + re * s7, d + im * c7
        group[lane], group[LANES + lane] = a + b, d - c
        group[2 * LANES + lane], group[3 * LANES + lane] = a - b, d + c


@jit
def _add_groups(
    e: AnyArray,
    total: AnyArray,
    c0: np.float32,
    c1: np.float32,
    c2: np.float32,
    c3: np.float32,
    s0: np.float32,
    s1: np.float32,
    s2: np.float32,
    s3: np.float32,
    k0: np.float32,
    k1: np.float32,
    k2: np.float32,
    k3: np.float32,
    t0: np.float32,
    t1: np.float32,
    t2: np.float32,
    t3: np.float32,
) -> None:
    """Four groups of the four real sums at half a step (cosines c, sines s), and at one and a half (k, t).

    Every other pair of rows of ``e`` belongs to the other side.
    """
    for lane in range(LANES):
        a, b = total[lane], total[LANES + lane]
        c, d = total[2 * LANES + lane], total[3 * LANES + lane]
        w, x = total[4 * LANES + lane], total[5 * LANES + lane]
        y, z = total[6 * LANES + lane], total[7 * LANES + lane]
        re, im = e[lane], e[LANES + lane]
        a, b, c, d = a + re * c0, b + im * s0, c + re * s0, d + im * c0
        w, x, y, z = w + re * k0, x + im * t0, y + re * t0, z + im * k0
        re, im = e[4 * LANES + lane], e[5 * LANES + lane]
        a, b, c, d = a + re * c1, b + im * s1, c + re * s1, d + im * c1
        w, x, y, z = w + re * k1, x + im * t1, y + re * t1, z + im * k1
        re, im = e[8 * LANES + lane], e[9 * LANES + lane]
        a, b, c, d = a + re * c2, b + im * s2, c + re * s2, d + im * c2
        w, x, y, z = w + re * k2, x + im * t2, y + re * t2, z + im * k2
        re, im = e[12 * LANES + lane], e[13 * LANES + lane]
        a, b, c, d = a + re * c3, b + im * s3, c + re * s3, d + im * c3
        w, x, y, z = w + re * k3, x + im * t3, y + re * t3, z + im * k3
        total[lane], total[LANES + lane] = a, b
        total[2 * LANES + lane], total[3 * LANES + lane] = c, d
        total[4 * LANES + lane], total[5 * LANES + lane] = w, x
        total[6 * LANES + lane], total[7 * LANES + lane] = y, z


@jit
def _add(
    e: AnyArray,
    total: AnyArray,
    c0: np.float32,
    c1: np.float32,
    c2: np.float32,
    c3: np.float32,
    c4: np.float32,
    c5: np.float32,
    c6: np.float32,
    c7: np.float32,
    s0: np.float32,
    s1: np.float32,
    s2: np.float32,
    s3: np.float32,
    s4: np.float32,
    s5: np.float32,
    s6: np.float32,
    s7: np.float32,
) -> None:
    """Eight epochs of the four real sums: written out, so that they stay in registers."""
    for lane in range(LANES):
        a, b = total[lane], total[LANES + lane]
        c, d = total[2 * LANES + lane], total[3 * LANES + lane]
        re, im = e[lane], e[LANES + lane]
        a, b, c, d = a + re * c0, b + im * s0, c + re * s0, d + im * c0
        re, im = e[2 * LANES + lane], e[3 * LANES + lane]
        a, b, c, d = a + re * c1, b + im * s1, c + re * s1, d + im * c1
        re, im = e[4 * LANES + lane], e[5 * LANES + lane]
        a, b, c, d = a + re * c2, b + im * s2, c + re * s2, d + im * c2
        re, im = e[6 * LANES + lane], e[7 * LANES + lane]
        a, b, c, d = a + re * c3, b + im * s3, c + re * s3, d + im * c3
        re, im = e[8 * LANES + lane], e[9 * LANES + lane]
        a, b, c, d = a + re * c4, b + im * s4, c + re * s4, d + im * c4
        re, im = e[10 * LANES + lane], e[11 * LANES + lane]
        a, b, c, d = a + re * c5, b + im * s5, c + re * s5, d + im * c5
        re, im = e[12 * LANES + lane], e[13 * LANES + lane]
        a, b, c, d = a + re * c6, b + im * s6, c + re * s6, d + im * c6
        re, im = e[14 * LANES + lane], e[15 * LANES + lane]
        a, b, c, d = a + re * c7, b + im * s7, c + re * s7, d + im * c7
        total[lane], total[LANES + lane] = a, b
        total[2 * LANES + lane], total[3 * LANES + lane] = c, d


@jit
def highest(power: AnyArray, best: AnyArray, node: AnyArray) -> None:
    """Power and number of each arc's highest node outside marked lobes; -1 where there is none."""
    for lane in range(LANES):
        best[lane] = _ZERO
        node[lane] = np.int32(-1)
    for k in range(0, power.size // LANES, 2):  # velocities come in pairs
        here = power[k * LANES : (k + 2) * LANES]
        number, following = np.int32(k), np.int32(k + 1)
        for lane in range(LANES):
            most, at = best[lane], node[lane]
            value = here[lane]
            at = number if value > most else at
            most = max(most, value)
            value = here[LANES + lane]
            at = following if value > most else at
            most = max(most, value)
            best[lane], node[lane] = most, at


@jit
def mark(power: AnyArray, index: AnyArray, reach: AnyArray, velocities: int, node: int, lane: int) -> None:
    """Take a node's main lobe out of the search for further peaks.

    Its core, as wide as half a resolution cell to either side, gets the power 0; the rest of it a negative one, which
    still counts in :func:`remainder`. `index` (outer node, parameter) numbers each outer parameter's nodes; `reach`
    is the half width of the lobe in nodes, velocity first.
    """
    outer, k = node // velocities, node % velocities
    low, high = max(k - reach[0], 0), min(k + reach[0] + 1, velocities)
    for m in range(index.shape[0]):
        near, core = True, True
        for q in range(index.shape[1]):
            distance = abs(index[m, q] - index[outer, q])
            near &= distance <= reach[q + 1]
            core &= 2 * distance <= reach[q + 1]
        if near:
            for v in range(low, high):
                at = (m * velocities + v) * LANES + lane
                power[at] = _ZERO if core and 2 * abs(v - k) <= reach[0] else -abs(power[at])


@jit
def log_likelihood(table: AnyArray, square: float) -> float:
    """Of a squared coherence, from a table over 0..1."""
    at = min(max(square, 0.0), 1.0) * (table.size - 1)
    low = min(int(at), table.size - 2)
    return float(table[low] + (at - low) * (table[low + 1] - table[low]))


@jit
def remainder(
    power: AnyArray, least: AnyArray, weight: AnyArray, table: AnyArray, row: AnyArray, top: AnyArray, rest: AnyArray
) -> None:
    """Add to ``rest`` the likelihood, relative to ``top``, of all nodes with at least the power `least`."""
    for k in range(power.size // LANES):
        here = power[k * LANES : (k + 1) * LANES]
        some = False
        for lane in range(LANES):
            some |= abs(here[lane]) > least[lane]
        if some:
            for lane in range(LANES):
                if abs(here[lane]) > least[lane]:
                    square = abs(here[lane]) / (weight[lane] * weight[lane])
                    rest[lane] += math.exp(log_likelihood(table[row[lane]], square) - top[lane])
