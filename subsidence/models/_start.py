"""A start for one fit: the best of many candidates, each with its best amplitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import lmfit
import numpy as np

from subsidence.typing import FloatArray

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel

__all__ = ["best_candidate", "inside_bounds"]

#: Values of candidates' columns held at once, 64 MB.
_VALUES = 2**23
#: Share of the range between bounds by which a start on a bound is moved.
_INWARDS = 1e-3


def best_candidate(  # noqa: PLR0917  # a series is three arrays
    model: TimeModel,
    y: FloatArray,
    time: FloatArray,
    weight: FloatArray,
    held: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Values within `bounds` of every parameter that is not held, by name without prefix."""
    grid = {name: np.atleast_1d(column) for name, column in model.candidates(time, held).items()}
    count = max((column.size for column in grid.values()), default=1)
    grid = {name: np.broadcast_to(np.clip(column, *bounds[name]), count) for name, column in grid.items()}
    stays = dict(held)
    while True:
        start = _best(model, y, time, weight, stays, grid)
        beyond = [
            name for name in (*model.linear, "offset") if name not in stays and not _within(start[name], bounds[name])
        ]
        if not beyond:
            break
        # An amplitude stops at its bound, and the others are sought again.
        stays |= {name: float(np.clip(start[name], *bounds[name])) for name in beyond}
    return {name: stays.get(name, value) for name, value in start.items() if name not in held}


def inside_bounds(params: lmfit.Parameters, *, scale: float) -> lmfit.Parameters:
    """Parameters to start from, none on its bound: lmfit's map of bounds is flat there, and a fit would not move."""
    found = params.copy()
    for parameter in found.values():
        low, high, value = parameter.min, parameter.max, parameter.value
        if not parameter.vary or low < value < high or not low < high:
            continue
        width = high - low if np.isfinite(high - low) else max(abs(value), scale)
        parameter.set(value=value + _INWARDS * width if value <= low else value - _INWARDS * width)
    return found


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _best(  # noqa: PLR0917
    model: TimeModel,
    y: FloatArray,
    time: FloatArray,
    weight: FloatArray,
    held: Mapping[str, float],
    grid: Mapping[str, FloatArray],
) -> dict[str, float]:
    count = max((column.size for column in grid.values()), default=1)
    block = max(1, _VALUES // (time.size * (len(model.linear) + len(model.nonlinear))))
    amplitudes = (*model.linear, "offset")
    best, start = np.inf, dict[str, float]()
    for first in range(0, count, block):
        tried = {name: column[first : first + block] for name, column in grid.items()}
        columns = model.basis(time, tried)[0]
        misfit, found, coefficients = _project(columns, y, weight, [held.get(name) for name in amplitudes])
        if misfit < best or not start:
            best = misfit
            start = {name: float(column[found]) for name, column in tried.items()}
            start |= dict(zip(amplitudes, map(float, coefficients), strict=True))
    return start


def _project(
    columns: FloatArray, y: FloatArray, weight: FloatArray, held: list[float | None]
) -> tuple[float, int, FloatArray]:
    """Best curve of ``offset + sum of coefficient * column``: its misfit, its number, its coefficients.

    `columns` is (linear, times, curves); `held` has the coefficients that stay, the offset last.
    """
    ones = np.ones((1, *columns.shape[1:]))
    design = np.moveaxis(np.concatenate([columns, ones]), -1, 0) * weight  # (curves, linear + 1, times)
    right = y * weight
    known = np.array([0.0 if value is None else value for value in held])
    free = [row for row, value in enumerate(held) if value is None]
    rest = right - known @ design  # (curves, times)
    coefficients = np.broadcast_to(known, (len(design), known.size)).copy()
    if free:
        part = design[:, free]
        size = np.sqrt((part**2).sum(-1, keepdims=True))
        part = part / np.where(size > 0, size, 1.0)
        # Columns of a candidate may be alike: the pseudo-inverse then shares the amplitude between them.
        normal = np.linalg.pinv(part @ part.swapaxes(-1, -2), rcond=1e-12, hermitian=True)
        solved = (normal @ (part @ rest[..., None]))[..., 0]
        rest = rest - (solved[:, None] @ part)[:, 0]
        coefficients[:, free] = solved / np.where(size > 0, size, 1.0)[..., 0]
    misfit = (rest**2).sum(-1)
    best = int(np.argmin(misfit))
    return float(misfit[best]), best, coefficients[best]
