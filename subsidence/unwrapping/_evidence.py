"""What speaks for the cycles of an arc: neighbours in space, the arc's own past, or what points are expected to have.

Each kind of evidence gives cycles of arcs at one epoch, and what it costs to change them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import xarray as xr

from subsidence._blocks import Output, each, run
from subsidence._kernels import arc_residuals as kernels
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray
from subsidence.unwrapping._faces import Layout

__all__ = ["Evidence", "Expected", "Followed", "usual_interval"]

#: Arcs handled by one thread at a time.
_BLOCK = 4096
#: Epochs farther than this many standard deviations of the window weigh nothing.
_REACH = 2.5
#: Epochs before and after one that say what to expect of it, and how far away, in usual intervals.
_SIDE, _NEAR = 2, 6.0
#: Coherence outside these says no more about the noise of an arc.
_COHERENCES = (0.02, 0.995)
#: Cost of one radian on an arc of unit variance: large enough for whole numbers to be fine.
_COST = 1000.0


class Evidence(Protocol):
    """Cycles of arcs, and costs of changing them."""

    def cycles(self, number: int, phase: FloatArray, usable: BoolArray) -> IntArray:
        """Cycles of each arc at epoch `number`, whose wrapped phase is `phase`; zero where not usable."""

    def costs(self, number: int, phase: FloatArray) -> tuple[IntArray, IntArray]:
        """Whole-number costs of one cycle more, and of one fewer."""


@dataclass(frozen=True, eq=False)
class Expected:
    """
    Arcs are within half a cycle of what their points are expected to have.

    Parameters
    ----------
    layout
        The arcs.
    values
        ``(n, point)``, or None for zero everywhere: space alone.
    weight
        Inverse variance of each arc.
    """

    layout: Layout
    values: FloatArray | None
    weight: FloatArray

    @classmethod
    def of(cls, wrapped: FloatArray, layout: Layout, values: FloatArray | None, *, threads: int | None) -> Expected:
        """Weights follow from how well the wrapped phases, ``(n, point)``, agree with what is expected."""
        beside = wrapped if values is None else wrapped - values
        cosine, sine = _phasors(beside)
        start, end = layout.start, layout.end
        coherence = np.empty(start.size)

        def work(number: int) -> None:
            begin = number * _BLOCK
            kernels.coherences(begin, min(begin + _BLOCK, start.size), start, end, cosine, sine, coherence)

        each(work, -(-start.size // _BLOCK), threads=threads)
        return cls(layout, values, _weight(coherence))

    @classmethod
    def around(
        cls,
        wrapped: FloatArray,
        layout: Layout,
        unwrapped: FloatArray,
        years: FloatArray,
        reference: int,
        *,
        threads: int | None,
    ) -> Expected:
        """
        Expect of each point the median of the epochs around, unwrapped before.

        A gap is filled from the neighbours first: the medians of two neighbours must be of the same epochs, or
        the atmosphere of these would stand between them.
        """
        if not np.isfinite(unwrapped).all():
            unwrapped = _filled(unwrapped, layout, threads=threads)
        job = partial(_medians, reach=_NEAR * usual_interval(years), reference=reference, years=years)
        outputs = (Output(("time",), (years.size,), np.float32),)
        phases = xr.Variable(("time", "point"), unwrapped)
        (values,) = run(job, [phases], outputs, place=("point",), threads=threads)
        return cls.of(wrapped, layout, np.asarray(values.values), threads=threads)

    def cycles(self, number: int, phase: FloatArray, usable: BoolArray) -> IntArray:
        found = np.empty(self.layout.start.size, np.int64)
        kernels.nearest_cycles(phase, self._at(number, phase), self.layout.start, self.layout.end, usable, found)
        return found

    def costs(self, number: int, phase: FloatArray) -> tuple[IntArray, IntArray]:
        up, down = np.empty(self.weight.size, np.int64), np.empty(self.weight.size, np.int64)
        kernels.costs(phase, self._at(number, phase), self.layout.start, self.layout.end, _COST * self.weight, up, down)
        return up, down

    def _at(self, number: int, phase: FloatArray) -> FloatArray:
        return np.zeros(phase.size, np.float32) if self.values is None else self.values[number]


@dataclass(frozen=True, eq=False)
class Followed:
    """
    Arcs are unwrapped along time.

    Parameters
    ----------
    found
        Cycles, ``(time, arc)`` int8.
    slack_up, slack_down
        How far each is from one more, and one fewer, in steps, ``(time, arc)`` uint8.
    weight
        Inverse variance of each arc about its smooth phase.
    """

    found: AnyArray
    slack_up: AnyArray
    slack_down: AnyArray
    weight: FloatArray

    @classmethod
    def of(
        cls, wrapped: FloatArray, layout: Layout, years: FloatArray, reference: int, *, threads: int | None
    ) -> Followed:
        """
        Follow each arc from the reference epoch, whose phase is zero, to both sides.

        Parameters
        ----------
        wrapped
            Residual phase of points, ``(time, point)``.
        layout
            The arcs.
        years
            Time of each epoch, increasing.
        reference
            Number of the reference epoch.
        threads
            Threads over arcs.
        """
        phase = np.ascontiguousarray(wrapped.T)
        cosine, sine = _phasors(wrapped)
        lows, weights = _windows(years, reference)
        start, end = layout.start, layout.end
        shape = (years.size, start.size)
        found, slack_up, slack_down = np.empty(shape, np.int8), np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        coherence = np.empty(start.size)

        def work(number: int) -> None:
            begin = number * _BLOCK
            kernels.sequences(
                begin,
                min(begin + _BLOCK, start.size),
                reference,
                lows,
                weights,
                start,
                end,
                phase,
                cosine,
                sine,
                found,
                slack_up,
                slack_down,
                coherence,
            )

        each(work, -(-start.size // _BLOCK), threads=threads)
        return cls(found, slack_up, slack_down, _weight(coherence))

    def cycles(self, number: int, phase: FloatArray, usable: BoolArray) -> IntArray:  # noqa: ARG002
        return np.where(usable, self.found[number], 0).astype(np.int64)

    def costs(self, number: int, phase: FloatArray) -> tuple[IntArray, IntArray]:  # noqa: ARG002
        up, down = np.empty(self.weight.size, np.int64), np.empty(self.weight.size, np.int64)
        kernels.costs_of_slack(self.slack_up[number], self.slack_down[number], _COST * self.weight, up, down)
        return up, down


def usual_interval(years: FloatArray) -> float:
    """Median time between consecutive epochs."""
    return float(np.median(np.diff(years))) if years.size > 1 else 1.0


def _filled(unwrapped: FloatArray, layout: Layout, *, threads: int | None) -> FloatArray:
    filled = np.empty_like(unwrapped)

    def work(number: int) -> None:
        kernels.fill(unwrapped[number], layout.begins, layout.around, layout.origin, filled[number])

    each(work, unwrapped.shape[0], threads=threads)
    return filled


def _medians(
    start: int, stop: int, phase: FloatArray, found: FloatArray, *, reach: float, reference: int, years: FloatArray
) -> None:
    kernels.medians(start, stop, _SIDE, reach, reference, years, phase, found)


def _phasors(wrapped: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cosine and sine, ``(point, n)``; zero where there are no data."""
    cosine, sine = np.ascontiguousarray(np.cos(wrapped).T), np.ascontiguousarray(np.sin(wrapped).T)
    absent = np.isnan(cosine)
    cosine[absent] = 0.0
    sine[absent] = 0.0
    return cosine, sine


def _windows(years: FloatArray, reference: int) -> tuple[IntArray, FloatArray]:
    """First epoch of the window of each epoch, and Gaussian weights from there on, as wide as the usual interval.

    The reference epoch weighs nothing: its phase is zero without noise.
    """
    apart = (years - years[:, None]) / usual_interval(years)
    weights = np.where(np.abs(apart) <= _REACH, np.exp(-(apart**2) / 2), 0.0)
    lows = np.argmax(weights > 0, axis=1)
    size = int((weights > 0).sum(axis=1).max())
    lows = np.minimum(lows, years.size - size)
    weights[:, reference] = 0.0
    return lows, np.take_along_axis(weights, lows[:, None] + np.arange(size), axis=1)


def _weight(coherence: FloatArray) -> FloatArray:
    weight: FloatArray = -0.5 / np.log(np.clip(coherence, *_COHERENCES))
    return weight
