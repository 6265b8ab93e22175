"""The box that a search covers, and the grid over it: everything the kernel reads of the design."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from subsidence._kernels.phase_tile import UNROLL
from subsidence.errors import InputError
from subsidence.typing import FloatArray, IntArray

__all__ = ["Grid"]

#: Nodes of a grid at most: a thread keeps the power of 32 arcs at each.
_MOST_NODES = 2_000_000
#: Velocities from which it pays to sum epochs in groups.
_MANY = 14
#: Largest phase in rad between an epoch and its group's mean, at a velocity beside the one that it was summed for.
_MOST_APART = 0.5


@dataclass(frozen=True, eq=False)
class Grid:
    """Nodes half a resolution cell apart over a box of parameters, velocity first, in scaled units.

    Parameters
    ----------
    design
        ``(parameter, epoch)`` float32, scaled to a range of 2 (see `unit`), padded with zeros.
    unit
        Size of a scaled unit of each parameter.
    lowest, spacing
        First node and step.
    steps
        Nodes of the second parameter that are reached by turning each arc's own phasors; 1 where `outer` has them.
    outer
        Cosine and sine of the phase of the outer nodes, ``(node, 2, epoch)``.
    velocities
        The same of the velocities above the middle of the box, or with `fine` of every fourth.
    fine
        The same of the steps to the velocities beside these, for groups of epochs; empty where there are few.
    index
        Number along each outer parameter of the outer nodes, those of the steps too.
    reach
        Nodes from the middle of a main lobe to its edge.
    """

    design: FloatArray
    unit: FloatArray
    lowest: FloatArray
    spacing: FloatArray
    steps: int
    outer: FloatArray
    velocities: FloatArray
    fine: FloatArray
    index: IntArray
    reach: IntArray

    @classmethod
    def plan(
        cls,
        columns: FloatArray,
        box: FloatArray,
        *,
        offset_known: bool,
        by_arc: FloatArray | None = None,
    ) -> Grid:
        """
        Lay the grid.

        Parameters
        ----------
        columns
            ``(parameter, epoch)`` radians per unit.
        box
            ``(parameter, 2)`` lowest and highest value.
        offset_known
            Without a phase constant of their own, phases tell a parameter by their size, not by their range.
        by_arc
            Design of the second parameter at some arcs or points, ``(any, epoch)``, where it varies over them.

        Raises
        ------
        InputError
            When the grid would have too many nodes.
        """
        parameters, epochs = columns.shape
        reachable = [column[None] for column in columns]
        if by_arc is not None:
            reachable[1] = by_arc
        unit = np.array([2 / _span(values, offset_known=offset_known) for values in reachable])
        lowest, spacing = np.empty(parameters), np.empty(parameters)
        counts = []
        for q, (low, high) in enumerate(box / unit[:, None]):
            count = max(1, math.ceil((high - low) / (np.pi / 2) - 1e-9))
            if q == 0:  # velocities come in pairs, or in eights
                several = 8 if count >= _MANY and _compact(columns[0] * unit[0]) else 2
                count = -(-count // several) * several
            spacing[q] = (high - low) / count
            lowest[q] = low + spacing[q] / 2
            counts.append(count)
        nodes = math.prod(counts)
        if nodes > _MOST_NODES:
            msg = (
                f"the box has {nodes:,} grid nodes ({' x '.join(map(str, counts))}), at most {_MOST_NODES:,} can be "
                "searched: narrow it, or search fewer parameters"
            )
            raise InputError(msg)
        padded = -(-epochs // UNROLL) * UNROLL
        scaled = np.zeros((parameters, padded))
        scaled[:, :epochs] = columns * unit[:, None]
        middle = box[0].mean() / unit[0]
        shared = counts[1:]
        if by_arc is not None:
            shared[0] = 1
        outer = np.empty((math.prod(shared), padded))
        for number, node in enumerate(itertools.product(*map(range, shared))):
            at = lowest[1:] + spacing[1:] * np.array(node, float)
            if by_arc is not None:
                at[0] = 0.0
            outer[number] = middle * scaled[0] + at @ scaled[1:]
        if several == 8:
            offsets = (4 * np.arange(counts[0] // 8) + 2.0) * spacing[0]
            groups = np.zeros(-(-padded // (4 * UNROLL)) * 4)
            groups[: padded // UNROLL] = _group_means(scaled[0], epochs)
            fine = _phasors(np.array([[0.5], [1.5]]) * spacing[0] * groups)
        else:
            offsets = (np.arange(counts[0] // 2) + 0.5) * spacing[0]
            fine = np.empty((0, 2, 0), np.float32)
        index = np.array(list(itertools.product(*map(range, counts[1:]))), np.int32)
        return cls(
            design=scaled.astype(np.float32),
            unit=unit,
            lowest=lowest,
            spacing=spacing,
            steps=counts[1] if by_arc is not None else 1,
            outer=_phasors(outer),
            velocities=_phasors(offsets[:, None] * scaled[0]),
            fine=fine,
            index=index,
            reach=np.rint(np.pi / spacing).clip(max=10_000).astype(np.int32),
        )


def _span(values: FloatArray, *, offset_known: bool) -> float:
    """Widest range of phase over the epochs, at any arc, for one unit of a parameter."""
    if offset_known:
        return float(2 * np.nanmax(np.abs(values)))
    known = values[np.isfinite(values).any(axis=1)]
    return float((np.nanmax(known, axis=1) - np.nanmin(known, axis=1)).max())


def _group_means(column: FloatArray, epochs: int) -> FloatArray:
    """Mean of each group of epochs, without the padding."""
    starts = np.arange(0, epochs, UNROLL)
    sizes = np.minimum(starts + UNROLL, epochs) - starts
    return np.asarray(np.add.reduceat(column[:epochs], starts) / sizes)


def _compact(column: FloatArray) -> bool:
    """Whether epochs that follow each other are near enough to be summed as one."""
    means = np.repeat(_group_means(column, column.size), UNROLL)[: column.size]
    return bool(np.abs(column - means).max() * 1.5 * np.pi / 2 < _MOST_APART)


def _phasors(angle: FloatArray) -> FloatArray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
