"""How the atmosphere differs with distance: the variogram, found and fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar, nnls

from subsidence._kernels.kriging import EXPONENTIAL, GAUSSIAN, SPHERICAL
from subsidence.errors import InputError
from subsidence.typing import FloatArray, IntArray

__all__ = ["LEAST_NOISE", "MODELS", "Variogram", "best_window", "checked_variogram", "fit_variogram", "shape"]

MODELS = {"exponential": EXPONENTIAL, "spherical": SPHERICAL, "gaussian": GAUSSIAN}
_KEYS = {"model", "range", "sill", "nugget"}
#: Nugget over sill: below, matrices of close places are singular; above, weights are those of a plain mean.
LEAST_NOISE, _MOST = 1e-3, 1e4
#: Classes of lag, pairs that a class must hold, and the count above which more pairs add no weight: neighbouring
#: pairs see the same air.
_CLASSES, _PAIRS, _ENOUGH = 20, 20, 2000
#: Shortest range in spacings of the places. A shorter one would take their noise for atmosphere, each its own.
_SPACINGS = 3.0


@dataclass(frozen=True, eq=False)
class Variogram:
    """
    Nugget and sill of each epoch, and one shape for all.

    Parameters
    ----------
    model
        "exponential", "spherical" or "gaussian".
    reach
        Range in metres: where the variogram has 95 % of its sill, all of it for the spherical model.
    sill, nugget
        Of each epoch, m2: of the smooth part, and of the noise.
    """

    model: str
    reach: float
    sill: FloatArray
    nugget: FloatArray

    @property
    def noise(self) -> FloatArray:
        """Nugget over sill of each epoch, within what can be worked with."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.nugget / self.sill
        return np.asarray(np.clip(np.where(np.isfinite(ratio), ratio, _MOST), LEAST_NOISE, _MOST))

    @property
    def typical_noise(self) -> float:
        """Nugget over sill of the epochs taken together."""
        sill, nugget = float(np.mean(self.sill)), float(np.mean(self.nugget))
        return float(np.clip(nugget / sill if sill > 0 else _MOST, LEAST_NOISE, _MOST))


def shape(model: str, distance: FloatArray, reach: float) -> FloatArray:
    """Variogram of unit sill without nugget."""
    q = np.asarray(distance) / reach
    if model == "exponential":
        return np.asarray(-np.expm1(-3 * q))
    if model == "spherical":
        q = np.minimum(q, 1)
        return np.asarray(1.5 * q - 0.5 * q**3)
    return np.asarray(-np.expm1(-3 * q**2))


def checked_variogram(variogram: object, epochs: int) -> tuple[tuple[str, ...], Variogram | None]:
    """Models to try, and the variogram where the caller knows it."""
    if variogram is None:
        return tuple(MODELS), None
    if isinstance(variogram, str):
        if variogram not in MODELS:
            msg = f"variogram must be {', '.join(map(repr, MODELS))}, a mapping or None, got {variogram!r}"
            raise InputError(msg)
        return (variogram,), None
    if not isinstance(variogram, Mapping) or set(variogram) != _KEYS:
        shown = sorted(map(str, variogram)) if isinstance(variogram, Mapping) else repr(variogram)
        msg = f"variogram must be the name of a model or a mapping with keys {sorted(_KEYS)}, got {shown}"
        raise InputError(msg)
    model = variogram["model"]
    if model not in MODELS:
        msg = f"variogram['model'] must be {', '.join(map(repr, MODELS))}, got {model!r}"
        raise InputError(msg)
    number: dict[str, float] = {}
    for name in ("range", "sill", "nugget"):
        value = variogram[name]
        fine = isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and np.isfinite(value)
        if not fine or value < 0 or (value == 0 and name != "nugget"):
            msg = f"variogram[{name!r}] must be a positive number ({'m' if name == 'range' else 'm2'}), got {value!r}"
            raise InputError(msg)
        number[name] = float(value)
    every = np.ones(epochs)
    return (model,), Variogram(model, number["range"], number["sill"] * every, number["nugget"] * every)


def fit_variogram(
    values: FloatArray,
    first: IntArray,
    second: IntArray,
    distance: FloatArray,
    models: tuple[str, ...],
    *,
    spacing: float = 0.0,
) -> Variogram:
    """
    Fit the variogram of every epoch.

    Parameters
    ----------
    values
        (places, epochs), NaN where missing.
    first, second, distance
        Pairs of places, and metres between them.
    models
        Those to choose from.
    spacing
        Metres from place to place: what is correlated over less than a few of them is no different from noise.
    """
    lag, count, gamma = _empirical(values, first, second, distance)
    known = np.isfinite(gamma).any(axis=0)  # an epoch may have no data at all
    level = np.full(known.size, np.nan)
    level[known] = np.nanmean(gamma[:, known], axis=0)
    if not np.any(level > 0):  # nothing differs anywhere
        nothing = np.zeros(known.size)
        return Variogram(models[0], float(lag[-1]), nothing, nothing)
    typical = float(np.median(level[level > 0]))
    # each epoch counts alike in the shape: else the most turbulent one alone would set it
    pooled = np.nanmean(gamma * (typical / np.where(level > 0, level, np.inf)), axis=1)
    weight = np.sqrt(np.minimum(count, _ENOUGH)) / np.maximum(pooled, 1e-12 * pooled.max() + np.finfo(float).tiny)
    best, model, reach = np.inf, models[0], float(lag[-1])
    if pooled.max() > 0:
        for name in models:
            found, misfit = _fit_range(name, lag, pooled, weight, _SPACINGS * spacing)
            if misfit < best * (1 - 1e-9):
                best, model, reach = misfit, name, found
    design = np.stack([np.ones_like(lag), shape(model, lag, reach)], axis=1)
    nugget, sill = nnls(design * weight[:, np.newaxis], pooled * weight)[0]
    each = np.empty((gamma.shape[1], 2))
    for t in range(gamma.shape[1]):
        there = np.isfinite(gamma[:, t])
        if there.sum() < 3:
            each[t] = nugget, sill
        else:
            each[t] = nnls(design[there] * weight[there, np.newaxis], gamma[there, t] * weight[there])[0]
    return Variogram(model, reach, each[:, 1], each[:, 0])


def best_window(variogram: Variogram, density: float) -> float:
    r"""
    Standard deviation (m) of the Gaussian kernel that leaves the least error.

    With places of even density :math:`\rho`, unit sill and nugget :math:`\nu`, the kernel of standard deviation s
    leaves

    .. math:: 2 \langle \gamma(s r) \rangle - \langle \gamma(\sqrt{2} s r) \rangle + \nu / (4 \pi s^2 \rho)

    with r the Rayleigh distributed distance of the kernel.
    """
    u = (np.arange(400) + 0.5) / 400
    r = np.sqrt(-2 * np.log(u))

    def error(log: float) -> float:
        s = np.exp(log)
        bias = 2 * shape(variogram.model, s * r, variogram.reach).mean()
        bias -= shape(variogram.model, np.sqrt(2) * s * r, variogram.reach).mean()
        return float(bias + variogram.typical_noise / (4 * np.pi * s**2 * density))

    least, most = np.log(0.25 / np.sqrt(density)), np.log(max(2 * variogram.reach, 1 / np.sqrt(density)))
    grid = np.linspace(least, most, 60)
    at = int(np.argmin([error(log) for log in grid]))
    return float(np.exp(grid[at]))


def _empirical(
    values: FloatArray, first: IntArray, second: IntArray, distance: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cressie and Hawkins's robust variogram: lags (m), pairs in each class, and its value (class, epoch)."""
    apart = distance > 0
    first, second, distance = first[apart], second[apart], distance[apart]
    if distance.size < _PAIRS:
        msg = (
            f"residuals hold {distance.size} pairs of places apart from each other, too few for a variogram: "
            "give variogram={'model', 'range', 'sill', 'nugget'}, or method=None to keep the atmosphere"
        )
        raise InputError(msg)
    shortest, longest = np.quantile(distance, 0.002), 0.6 * distance.max()
    edges = np.geomspace(shortest, max(longest, 1.01 * shortest), _CLASSES + 1)
    number = np.clip(np.searchsorted(edges, distance, side="right") - 1, -1, _CLASSES)
    lags, counts, gammas = [], [], []
    for c in range(_CLASSES):
        inside = np.flatnonzero((number == c) | ((c == 0) & (number == -1)))
        if inside.size < _PAIRS:
            continue
        root = np.sqrt(np.abs(values[first[inside]] - values[second[inside]]))
        valid = np.isfinite(root)
        n = np.maximum(valid.sum(axis=0), 1)
        mean = np.where(valid, root, 0.0).sum(axis=0) / n
        gamma = 0.5 * mean**4 / (0.457 + 0.494 / n + 0.045 / n**2)
        lags.append(distance[inside].mean())
        counts.append(inside.size)
        gammas.append(np.where(valid.sum(axis=0) >= _PAIRS, gamma, np.nan))
    result = np.array(gammas)
    empty = result.size == 0 or not np.isfinite(result).any()
    if empty:
        msg = (
            "residuals hold too few values for a variogram: most places have no data, or too few epochs for the motion"
        )
        raise InputError(msg)
    some = np.isfinite(result).any(axis=1)
    return np.array(lags)[some], np.array(counts, float)[some], result[some]


def _fit_range(model: str, lag: FloatArray, gamma: FloatArray, weight: FloatArray, least: float) -> tuple[float, float]:
    """Range and weighted misfit; nugget and sill are linear and solved within."""

    def misfit(log: float) -> float:
        design = np.stack([np.ones_like(lag), shape(model, lag, np.exp(log))], axis=1)
        return float(nnls(design * weight[:, np.newaxis], gamma * weight)[1])

    shortest = max(lag[0], least)
    grid = np.linspace(np.log(shortest), np.log(max(4 * lag[-1], shortest)), 40)
    values = [misfit(log) for log in grid]
    at = int(np.argmin(values))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, grid.size - 1)]
    found = minimize_scalar(misfit, bounds=(low, high), method="bounded")
    if found.fun < values[at]:
        return float(np.exp(found.x)), float(found.fun)
    return float(np.exp(grid[at])), float(values[at])
