"""Least-squares inversion of a network of interferograms, many places side by side.

Arrays: ``phase`` and ``quality`` are ``(pair, place)`` float32; ``lower``, ``upper`` and ``sign`` say which
unknowns a pair joins, as in :mod:`subsidence._kernels.laplacian`, where the linear algebra is. Places are
worked on in batches of ``lanes``, the innermost axis of every working array.
"""

from __future__ import annotations

import numpy as np

from subsidence._kernels.accelerate import jit
from subsidence._kernels.connectivity import connect
from subsidence._kernels.laplacian import (
    factor,
    normal_matrix,
    right_hand_side,
    selected_inverse,
    solve,
)
from subsidence._kernels.robust import HUBER, L1, NOT_ROBUST, reweight, variance_factor
from subsidence.typing import AnyArray

__all__ = ["COHERENCE", "GIVEN", "HUBER", "L1", "NOT_ROBUST", "UNIFORM", "VARIANCE", "invert"]

# How weights follow from `quality`.
UNIFORM, VARIANCE, COHERENCE, GIVEN = 0, 1, 2, 3
# Outcomes; they equal schema.Status.
OK, NO_DATA, TOO_FEW_PAIRS, UNREACHABLE_EPOCHS, MINIMUM_NORM, NOT_CONVERGED = 0, 1, 2, 3, 4, 5

# Places copied together: rows this long stream from memory, shorter ones wait for it; a multiple of `lanes`.
_TILE = 256
_FLOAT_PI = np.float32(np.pi)


@jit
def invert(
    start: int,
    stop: int,
    phase: AnyArray,
    quality: AnyArray,
    reference_phase: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    sign: AnyArray,
    order: AnyArray,
    years: AnyArray,
    lanes: int,
    bandwidth: int,
    weighting: int,
    weight_scale: float,
    weight_floor: float,
    least_variance: float,
    min_pairs: int,
    robust: int,
    minimum_norm: bool,
    scale: float,
    displacement: AnyArray,
    displacement_std: AnyArray,
    temporal_coherence: AnyArray,
    pair_count: AnyArray,
    status: AnyArray,
) -> None:
    """Fill the outputs for places ``start..stop``.

    ``order[i]`` is the epoch (from 1) of unknown ``i``; ``displacement`` (phase times ``scale``) and its
    standard deviation are ``(epoch, place)`` with the reference epoch first.
    """
    pairs = phase.shape[0]
    unknowns = order.size
    near_phase = np.empty((pairs, _TILE), phase.dtype)
    near_quality = np.empty((quality.shape[0], _TILE), quality.dtype)
    phi = np.empty((pairs, lanes))
    base = np.empty((pairs, lanes))
    weight = np.empty((pairs, lanes))
    band = np.empty((unknowns, bandwidth + 1, lanes))
    scaled = np.empty((bandwidth + 1, lanes))
    inverse = np.empty((unknowns, bandwidth + 1, lanes))
    reached = np.empty((unknowns + 1, lanes), np.uint8)
    lost = np.empty((unknowns, lanes))
    parts = np.empty(lanes)
    robust_scale = np.empty(lanes)
    x = np.empty((unknowns, lanes))
    previous = np.empty((unknowns, lanes))
    component = np.empty((unknowns, lanes))
    count = np.empty(lanes)
    variance = np.empty(lanes)
    coherence = np.empty(lanes)
    converged = np.ones(lanes, np.bool_)
    factor_ready = False  # of pixels whose pairs all weigh one: it serves every such batch that follows
    any_parted = False

    for first in range(start, stop, lanes):
        filled = min(lanes, stop - first)
        column = (first - start) % _TILE
        if column == 0:
            width = min(_TILE, stop - first)
            for k in range(pairs):
                for c in range(width):
                    near_phase[k, c] = phase[k, first + c]
            if weighting != UNIFORM:
                for k in range(pairs):
                    for c in range(width):
                        near_quality[k, c] = quality[k, first + c]
        uniform = _load(
            near_phase,
            near_quality,
            reference_phase,
            column,
            filled,
            weighting,
            weight_scale,
            weight_floor,
            phi,
            base,
            count,
        )
        plain = uniform and robust == NOT_ROBUST
        if not (plain and factor_ready):
            any_parted = connect(base, lower, upper, reached, component, lost, parts)
            normal_matrix(base, lower, upper, band)
            factor(band, scaled, lost)
            if robust == NOT_ROBUST:
                selected_inverse(band, inverse)
            factor_ready = plain
        right_hand_side(phi, base, lower, upper, sign, x)
        solve(band, x)
        if robust != NOT_ROBUST:
            reweight(
                phi,
                base,
                weight,
                lower,
                upper,
                sign,
                robust,
                count,
                band,
                scaled,
                lost,
                x,
                previous,
                robust_scale,
                converged,
            )
        _residuals(phi, base, lower, upper, sign, x, parts, count, plain, least_variance, variance, coherence)
        if robust != NOT_ROBUST:
            variance_factor(phi, base, lower, upper, sign, robust, parts, x, robust_scale, least_variance, variance)
            normal_matrix(base, lower, upper, band)
            factor(band, scaled, lost)
            selected_inverse(band, inverse)

        for lane in range(filled):
            place = first + lane
            pair_count[place] = np.int32(count[lane])
            outcome = OK
            if count[lane] == 0:
                outcome = NO_DATA
            elif count[lane] < min_pairs:
                outcome = TOO_FEW_PAIRS
            elif parts[lane] > 0:
                outcome = MINIMUM_NORM if minimum_norm else UNREACHABLE_EPOCHS
            elif robust != NOT_ROBUST and not converged[lane]:
                outcome = NOT_CONVERGED
            status[place] = outcome
            temporal_coherence[place] = np.nan if outcome in (NO_DATA, TOO_FEW_PAIRS) else coherence[lane]
            if outcome == MINIMUM_NORM:
                _join(x, component, lane, order, years)
        _store(
            first,
            filled,
            order,
            x,
            inverse,
            variance,
            component,
            any_parted,
            scale,
            status,
            displacement,
            displacement_std,
        )


@jit
def _load(
    phase: AnyArray,
    quality: AnyArray,
    reference_phase: AnyArray,
    first: int,
    filled: int,
    weighting: int,
    weight_scale: float,
    weight_floor: float,
    phi: AnyArray,
    weight: AnyArray,
    count: AnyArray,
) -> bool:
    """Copy a batch in; an unusable pair weighs nothing. True where every pair of every place weighs one."""
    pairs, lanes = phi.shape
    count[:] = 0.0
    for k in range(pairs):
        zero = np.float64(reference_phase[k])
        for lane in range(filled):
            value = np.float64(phase[k, first + lane]) - zero
            usable = abs(value) < np.inf
            phi[k, lane] = value if usable else 0.0
            weight[k, lane] = 1.0 if usable else 0.0
        if weighting == VARIANCE:
            for lane in range(filled):
                q: float = np.float64(quality[k, first + lane])
                known = bool(abs(q) < np.inf)
                q = min(max(q if known else 0.0, 0.0), 0.999)
                w = max(weight_scale * q * q / (1.0 - q * q), weight_floor)
                weight[k, lane] *= w if known else 0.0
        elif weighting == COHERENCE:
            for lane in range(filled):
                q = np.float64(quality[k, first + lane])
                known = bool(abs(q) < np.inf)
                q = min(max(q if known else 0.0, weight_floor), 1.0)
                weight[k, lane] *= q if known else 0.0
        elif weighting == GIVEN:
            for lane in range(filled):
                q = np.float64(quality[k, first + lane])
                weight[k, lane] *= q if 0.0 < q < np.inf else 0.0
        for lane in range(filled):
            count[lane] += 1.0 if weight[k, lane] > 0.0 else 0.0
        for lane in range(filled, lanes):
            phi[k, lane] = 0.0
            weight[k, lane] = 1.0
    whole = weighting == UNIFORM
    for lane in range(filled):
        whole = whole and count[lane] == pairs
    return whole


@jit
def _residuals(
    phi: AnyArray,
    weight: AnyArray,
    lower: AnyArray,
    upper: AnyArray,
    sign: AnyArray,
    x: AnyArray,
    parts: AnyArray,
    count: AnyArray,
    complete: bool,
    least_variance: float,
    variance: AnyArray,
    coherence: AnyArray,
) -> None:
    """Variance factor and temporal coherence of each place from what the network leaves unexplained."""
    pairs, lanes = phi.shape
    unknowns = x.shape[0]
    cosines = np.zeros(lanes, np.float32)
    sines = np.zeros(lanes, np.float32)
    residual = np.empty(lanes, np.float32)
    used = np.ones(lanes, np.float32)
    variance[:] = 0.0
    for k in range(pairs):
        i, j, s = lower[k], upper[k], sign[k]
        turn = np.float32(2.0 * s)
        for lane in range(lanes):
            residual[lane] = s * phi[k, lane] - x[j, lane]
        if i >= 0:
            for lane in range(lanes):
                residual[lane] = s * phi[k, lane] - (x[j, lane] - x[i, lane])
        if complete:
            for lane in range(lanes):
                variance[lane] += np.float64(residual[lane]) * np.float64(residual[lane])
        else:
            for lane in range(lanes):
                used[lane] = 1.0 if weight[k, lane] > 0.0 else 0.0
                variance[lane] += weight[k, lane] * (np.float64(residual[lane]) * np.float64(residual[lane]))
        for lane in range(lanes):
            r = residual[lane]
            # cos and sin through the half angle, whose series converge fast on +-pi/2
            h = r * np.float32(1.0 / (2.0 * np.pi))
            h = (h - np.rint(h)) * _FLOAT_PI
            q = h * h
            sine = h * (
                np.float32(1.0)
                + q
                * (
                    np.float32(-1.0 / 6.0)
                    + q
                    * (
                        np.float32(1.0 / 120.0)
                        + q
                        * (
                            np.float32(-1.0 / 5040.0)
                            + q * (np.float32(1.0 / 362880.0) + q * np.float32(-1.0 / 39916800.0))
                        )
                    )
                )
            )
            cosine = np.float32(1.0) + q * (
                np.float32(-0.5)
                + q
                * (
                    np.float32(1.0 / 24.0)
                    + q
                    * (
                        np.float32(-1.0 / 720.0)
                        + q
                        * (
                            np.float32(1.0 / 40320.0)
                            + q * (np.float32(-1.0 / 3628800.0) + q * np.float32(1.0 / 479001600.0))
                        )
                    )
                )
            )
            cosines[lane] += used[lane] * (np.float32(1.0) - np.float32(2.0) * sine * sine)
            sines[lane] += used[lane] * (turn * sine * cosine)  # the residual has the pair's own sign
    for lane in range(lanes):
        redundancy = count[lane] - (unknowns - parts[lane])
        if redundancy > 0:
            variance[lane] = max(variance[lane] / redundancy, least_variance)
        else:
            variance[lane] = least_variance if least_variance > 0.0 else np.nan
        total = max(count[lane], 1.0)
        coherence[lane] = np.sqrt(np.float64(cosines[lane]) ** 2 + np.float64(sines[lane]) ** 2) / total


@jit
def _join(x: AnyArray, component: AnyArray, lane: int, order: AnyArray, years: AnyArray) -> None:
    """Shift the parts of a network that fell apart so that the sum of squared velocities is least.

    Each part is known up to a constant. Of all least-squares solutions the one with the least norm of
    velocity between consecutive epochs is that of the singular value decomposition (Berardino 2002).
    """
    unknowns = order.size
    parts = 0
    phases = np.zeros(unknowns + 1)
    part = np.zeros(unknowns + 1, np.int64)
    for i in range(unknowns):
        phases[order[i]] = x[i, lane]
        part[order[i]] = np.int64(np.rint(component[i, lane]))
        parts = max(parts, part[order[i]])
    matrix = np.zeros((parts, parts))
    vector = np.zeros(parts)
    for e in range(unknowns):
        a, b = part[e] - 1, part[e + 1] - 1
        if a == b:
            continue
        w = 1.0 / (years[e + 1] - years[e]) ** 2
        step = phases[e + 1] - phases[e]
        if a >= 0:
            matrix[a, a] += w
            vector[a] += w * step
        if b >= 0:
            matrix[b, b] += w
            vector[b] -= w * step
        if a >= 0 and b >= 0:
            matrix[a, b] -= w
            matrix[b, a] -= w
    # Gaussian elimination: a grounded Laplacian needs no pivoting
    for i in range(parts):
        for r in range(i + 1, parts):
            factor = matrix[r, i] / matrix[i, i]
            for c in range(i, parts):
                matrix[r, c] -= factor * matrix[i, c]
            vector[r] -= factor * vector[i]
    for i in range(parts - 1, -1, -1):
        for c in range(i + 1, parts):
            vector[i] -= matrix[i, c] * vector[c]
        vector[i] /= matrix[i, i]
    for i in range(unknowns):
        number = part[order[i]]
        if number > 0:
            x[i, lane] += vector[number - 1]


@jit
def _store(
    first: int,
    filled: int,
    order: AnyArray,
    x: AnyArray,
    inverse: AnyArray,
    variance: AnyArray,
    component: AnyArray,
    any_parted: bool,
    scale: float,
    status: AnyArray,
    displacement: AnyArray,
    displacement_std: AnyArray,
) -> None:
    """Write displacements and standard deviations in time order."""
    unknowns = order.size
    offset = np.zeros(filled)
    sigma = np.empty(filled)
    for lane in range(filled):
        if status[first + lane] in (NO_DATA, TOO_FEW_PAIRS):
            offset[lane] = np.nan
        sigma[lane] = abs(scale) * np.sqrt(variance[lane]) + offset[lane]
        displacement[0, first + lane] = offset[lane]
        displacement_std[0, first + lane] = offset[lane]
    for i in range(unknowns):
        e = order[i]
        for lane in range(filled):
            displacement[e, first + lane] = scale * x[i, lane] + offset[lane]
            displacement_std[e, first + lane] = sigma[lane] * np.sqrt(inverse[i, 0, lane])
        if any_parted:
            for lane in range(filled):
                if component[i, lane] > 0.5:
                    displacement_std[e, first + lane] = np.nan
                    if status[first + lane] != MINIMUM_NORM:
                        displacement[e, first + lane] = np.nan
