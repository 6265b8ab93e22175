"""Curves and their bands for a block of places: what `predict` computes, on arrays.

Every array ends with the places of the block; times of the dates asked for are in the model's unit since its
origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from subsidence._kernels.bands import curve_variance
from subsidence.models._base import TimeModel
from subsidence.models._sum import SumModel
from subsidence.schema import Status
from subsidence.timescale import to_elapsed
from subsidence.typing import AnyArray, BoolArray, FloatArray

__all__ = ["ROWS", "Task", "fill"]

#: What is filled, in the order of the first dimension.
ROWS = ("displacement", "displacement_std", "lower", "upper", "dof")
#: Values of one array that are worked on at once, 4 MB.
_VALUES = 2**19
#: A curve is at rest where its velocity is below this share of its greatest in the record.
_REST = 0.02
#: Times of the record at which that velocity is looked for.
_NODES = 50
#: The direction of a motion is certain when it exceeds so many of its standard deviations.
_CERTAIN = 4.0
#: Share of the motion by which rounding may turn a curve back.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Task:
    """What is asked of every place."""

    model: TimeModel
    #: parameters, in the order of the rows of `optimum`
    names: tuple[str, ...]
    time: FloatArray
    origin: np.datetime64
    level: float
    observation: bool

    def row(self, name: str) -> int:
        """Row of a parameter that the model calls `name`."""
        return self.names.index(self.model.prefix + name)

    def columns(self) -> BoolArray:
        """Which columns belong to what settles: the curve, or the first term of a sum with a final settlement."""
        model = self.model
        if not isinstance(model, SumModel):
            return np.full(len(model.linear), model.final is not None)
        term = model.settling
        own = [] if term is None else [term.prefix + name for name in term.linear]
        return np.array([name in own for name in model.linear])


def fill(start: int, stop: int, *arrays: AnyArray, task: Task) -> None:
    """
    Fill the last of `arrays` (rows of `ROWS`, times, places) for the places from `start` to `stop`.

    The others: optimum, covariance, standard deviation of the noise; degrees of freedom of the covariance and,
    epochs minus parameters, of the noise; status, first and last date of the record.
    """
    optimum, covariance, noise_std, dof, left, status, first, last, out = arrays
    width = max(1, _VALUES // (task.time.size * len(task.names)))
    for begin in range(start, stop, width):
        part = slice(begin, min(begin + width, stop))
        block = _Block(
            task,
            np.ascontiguousarray(optimum[:, part], np.float64),
            np.ascontiguousarray(covariance[:, :, part], np.float64),
            noise_std[part].astype(np.float64) ** 2,
            dof[part].astype(np.float64),
            left[part].astype(np.float64),
        )
        result = block.usual()
        ends = [to_elapsed(dates[part], origin=task.origin, unit=task.model.time_unit) for dates in (first, last)]
        loose = np.flatnonzero(status[part] == Status.NOT_IDENTIFIABLE)
        # Places with the same record are worked on together: a curve is evaluated at the ends of its record.
        for low, high in np.unique(np.stack([end[loose] for end in ends]), axis=1).T:
            same = loose[(ends[0][loose] == low) & (ends[1][loose] == high)]
            outside = np.flatnonzero((task.time < low) | (task.time > high))
            if outside.size:
                at = np.ix_(np.arange(len(ROWS)), outside, same)
                result[at] = block.of(same).beyond(result[at], outside, low, high)
        nothing = np.isin(status[part], (Status.NO_DATA, Status.TOO_FEW_EPOCHS)) | np.isnan(block.optimum).any(axis=0)
        result[..., nothing] = np.nan
        out[..., part] = result


@dataclass(frozen=True)
class _Block:
    """Places that are worked on at once; `noise` is the variance of an observation."""

    task: Task
    optimum: FloatArray
    covariance: FloatArray
    noise: FloatArray
    dof: FloatArray
    left: FloatArray

    def of(self, places: npt.NDArray[np.intp]) -> _Block:
        return _Block(
            self.task,
            self.optimum[:, places],
            self.covariance[:, :, places],
            *(values[places] for values in (self.noise, self.dof, self.left)),
        )

    def usual(self) -> FloatArray:
        """Bands to first order, everywhere."""
        parts, gradient = self.evaluated(self.task.time)
        return self.band(parts.sum(axis=0), gradient)

    def beyond(self, usual: FloatArray, outside: npt.NDArray[np.intp], first: float, last: float) -> FloatArray:
        """
        Bands outside a record from `first` to `last` that does not say how large the settlement becomes.

        `usual` are those to first order at the times `outside`: they hold on a side where the curve has come
        to rest. On the others one bound is infinite, and the other is that of a curve whose settling term
        stays as it was at the record's end; both are infinite where that term may go either way.
        """
        task, settles = self.task, self.task.columns()
        time, nodes = task.time[outside], np.linspace(first, last, _NODES)
        after = time > last
        parts, gradient = self.evaluated(np.concatenate([nodes, time]))
        rows = [task.row(name) for name in self.shapes(settles)]
        ends = np.where(after, _NODES - 1, 0)
        settled = parts[1:][settles].sum(axis=0)
        moved = settled[_NODES - 1] - settled[0]
        direction = np.sign(moved)
        change = np.zeros((len(task.names), 1, moved.size))
        change[rows, 0] = gradient[rows, _NODES - 1] - gradient[rows, 0]
        spread = np.empty((1, moved.size))
        curve_variance(change, self.covariance, spread)
        path = settled[np.argsort(np.concatenate([nodes, time]), kind="stable")]
        certain = np.abs(moved) > _CERTAIN * np.sqrt(spread[0])
        certain &= np.all(np.diff(path, axis=0) * direction >= -_ROUNDING * np.abs(moved), axis=0)

        stayed = gradient[:, _NODES:].copy()
        stayed[rows] = gradient[rows][:, ends]
        edge = self.band(parts.sum(axis=0)[_NODES:] - settled[_NODES:] + settled[ends], stayed)
        result = usual.copy()
        result[1] = np.inf
        # After the record a falling curve is bounded above, before it below; a rising one the other way round.
        falling = direction < 0
        result[2] = np.where(certain & (falling != after[:, None]), edge[2], -np.inf)
        result[3] = np.where(certain & (falling == after[:, None]), edge[3], np.inf)
        rest = certain & self.resting(nodes, settles)[after.astype(np.intp)]
        return np.where(rest, usual, result)

    def evaluated(self, time: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Offset and each column times its amplitude, (1 + linear, times, places), and the gradient of their sum."""
        task, model = self.task, self.task.model
        value = {name: self.optimum[task.row(name)] for name in model.units}
        columns, slopes = model.basis(time, {name: value[name] for name in model.nonlinear})
        parts = np.empty((1 + len(columns), *columns.shape[1:]))
        gradient = np.zeros((len(task.names), *columns.shape[1:]))
        parts[0] = value["offset"]
        gradient[task.row("offset")] = 1.0
        for number, name in enumerate(model.linear):
            parts[1 + number] = value[name] * columns[number]
            gradient[task.row(name)] = columns[number]
        owner = model.owner or (0,) * len(model.nonlinear)
        for name, column, slope in zip(model.nonlinear, owner, slopes, strict=True):
            if name not in model.constants:
                gradient[task.row(name)] = value[model.linear[column]] * slope
        return parts, gradient

    def shapes(self, settles: BoolArray) -> list[str]:
        """Parameters, amplitudes and others, of the columns that settle."""
        model = self.task.model
        owner = model.owner or (0,) * len(model.nonlinear)
        own = [name for name, column in zip(model.nonlinear, owner, strict=True) if settles[column]]
        return [name for name, settle in zip(model.linear, settles, strict=True) if settle] + own

    def resting(self, nodes: FloatArray, settles: BoolArray) -> BoolArray:
        """
        Whether the settling term is at rest before the nodes and after them, (2, places).

        Before: at the first node, where a curve with an onset has just begun. After: over the last quarter, as
        noise may well bend a rising curve to a stop in less.
        """
        model = self.task.model
        velocity = model.basis_rates(nodes, {name: self.optimum[self.task.row(name)] for name in model.nonlinear})[0]
        amplitude = np.stack([self.optimum[self.task.row(name)] for name in model.linear])
        rate = np.abs((amplitude[settles, None] * velocity[settles]).sum(axis=0))
        rested: BoolArray = np.stack([rate[0], rate[-(_NODES // 4) :].max(axis=0)]) <= _REST * rate.max(axis=0)
        return rested

    def band(self, curve: FloatArray, gradient: FloatArray) -> FloatArray:
        """Rows of `ROWS` of a curve with this gradient by the parameters."""
        variance = np.empty_like(curve)
        curve_variance(np.ascontiguousarray(gradient), self.covariance, variance)
        probability = 0.5 + 0.5 * self.task.level
        if self.task.observation:
            total = variance + self.noise
            share = np.divide(variance, total, out=np.ones_like(total), where=np.isfinite(total) & (total > 0))
            variance, dof = total, 1.0 / (share**2 / self.dof + (1.0 - share) ** 2 / np.maximum(self.left, 1.0))
            quantile = special.stdtrit(dof, probability)
        else:
            dof = np.broadcast_to(self.dof, curve.shape)
            quantile = special.stdtrit(self.dof, probability)
        std = np.sqrt(variance)
        return np.stack([curve, std, curve - quantile * std, curve + quantile * std, dof])
