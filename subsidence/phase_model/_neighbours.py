"""Which solved points a candidate is tied to, and how much each of them counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from subsidence._points import point_positions
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["Neighbours", "already_there", "joint_positions"]

#: Two points closer than this, in metres, are one.
_SAME = 0.01
#: Solved points looked at for one neighbour that is wanted: others may be of another part of the network.
_SPARE = 4
#: Points whose neighbours tell how the variance of phase differences grows with distance.
_SAMPLE = 3000


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Neighbours of every candidate, the nearest first.

    Parameters
    ----------
    number
        Of the solved point, (neighbour, candidate); -1 for none.
    distance
        Metres, likewise.
    weight
        Likewise, with the sum 1; zero for none.
    """

    number: IntArray
    distance: FloatArray
    weight: FloatArray

    @classmethod
    def find(
        cls,
        known: FloatArray,
        asked: FloatArray,
        usable: BoolArray,
        part: IntArray,
        *,
        count: int,
        reach: float | None,
    ) -> Neighbours:
        """Nearest usable points of the part of the network that the nearest is of; equal weights."""
        numbers = np.flatnonzero(usable)
        several = min(_SPARE * count if np.ptp(part[usable]) else count, numbers.size)
        distance, found = cKDTree(known[usable]).query(asked, k=np.arange(1, several + 1))
        number = numbers[found]
        valid = part[number] == part[number[:, :1]]
        if reach is not None:
            valid &= distance <= reach
        valid &= np.cumsum(valid, axis=1) <= count
        order = np.argsort(~valid, axis=1, kind="stable")[:, :count]
        valid, number, distance = (np.take_along_axis(each, order, axis=1).T for each in (valid, number, distance))
        weight = valid / np.maximum(valid.sum(axis=0), 1)
        return cls(np.where(valid, number, -1), np.where(valid, distance, np.inf), weight)

    def weighted(self, known: FloatArray, residual: AnyArray, own_variance: FloatArray) -> Neighbours:
        """Weigh each by its own phase variance and by what distance adds."""
        growth = _growth(known, residual, own_variance, self.number[self.number >= 0])
        valid = self.number >= 0
        variance = own_variance[self.number] + growth * np.where(valid, self.distance, 0.0)
        weight = np.where(valid, 1.0 / variance, 0.0)
        return replace(self, weight=weight / np.maximum(weight.sum(axis=0), 1e-300))

    @property
    def any(self) -> BoolArray:
        """Candidates that have a neighbour."""
        result: BoolArray = self.number[0] >= 0
        return result

    @property
    def count(self) -> IntArray:
        """Number of neighbours."""
        return np.asarray((self.number >= 0).sum(axis=0), np.int64)

    def some(self, chosen: slice | IntArray) -> Neighbours:
        """Those of some candidates."""
        return Neighbours(
            np.ascontiguousarray(self.number[:, chosen]),
            np.ascontiguousarray(self.distance[:, chosen]),
            np.ascontiguousarray(self.weight[:, chosen]),
        )

    def mean(self, values: FloatArray) -> FloatArray:
        """Weighted mean of a value of points over the neighbours that have it; NaN where none does."""
        chosen = values[self.number]
        weight = np.where(np.isfinite(chosen), self.weight, 0.0)
        total = weight.sum(axis=0)
        summed = (weight * np.where(weight > 0, chosen, 0.0)).sum(axis=0)
        result: FloatArray = np.where(total > 0, summed, np.nan) / np.where(total > 0, total, 1.0)
        return result


def joint_positions(points: xr.Dataset, candidates: xr.Dataset) -> tuple[FloatArray, FloatArray]:
    """Positions of both in metres, on one plane."""
    both = []
    for names in (("x", "y"), ("lon", "lat")):
        if all(name in each.variables for name in names for each in (points, candidates)):
            joined = {
                name: ("point", np.concatenate([points[name].values, candidates[name].values]), points[name].attrs)
                for name in names
            }
            both = [point_positions(xr.Dataset(joined), argument="points and candidates")]
            break
    if not both:  # one of them lacks what the other has: told by name
        return point_positions(points, argument="points"), point_positions(candidates, argument="candidates")
    return both[0][: points.sizes["point"]], both[0][points.sizes["point"] :]


def already_there(points: xr.Dataset, candidates: xr.Dataset, known: FloatArray, asked: FloatArray) -> IntArray:
    """
    Number of the point that each candidate is; -1 for none.

    Known by row and column, else by place and phase: several scatterers may stand at one place.
    """
    if all(name in each.variables for name in ("row", "col") for each in (points, candidates)):
        keys = [
            np.asarray(each["row"].values, np.int64) * 2**32 + np.asarray(each["col"].values, np.int64)
            for each in (points, candidates)
        ]
        order = np.argsort(keys[0], kind="stable")
        at = order[np.clip(np.searchsorted(keys[0][order], keys[1]), 0, order.size - 1)]
        return np.where(keys[0][at] == keys[1], at, -1)
    there = np.full(len(asked), -1)
    near = cKDTree(asked).sparse_distance_matrix(cKDTree(known), _SAME, output_type="ndarray")
    if near.size:
        first, second = (each["phase"].transpose(..., "point").values for each in (points, candidates))
        alike = np.isclose(first[:, near["j"]], second[:, near["i"]], rtol=0, atol=1e-6, equal_nan=True).all(axis=0)
        there[near["i"][alike]] = near["j"][alike]
    return there


def _growth(known: FloatArray, residual: AnyArray, own_variance: FloatArray, used: IntArray) -> float:
    """Variance of phase differences that a metre adds, from points beside each other; not negative."""
    numbers = np.unique(used)
    if numbers.size < 8:
        return 0.0
    # in order of place, so that the order of the points plays no part
    numbers = numbers[np.lexsort(known[numbers].T)]
    sample = numbers[:: max(1, numbers.size // _SAMPLE)]
    distance, found = (np.asarray(each) for each in cKDTree(known[numbers]).query(known[sample], k=8))
    start, end = np.repeat(sample, distance.shape[1] - 1), numbers[found[:, 1:]].ravel()
    length = distance[:, 1:].ravel()
    square = (residual[end] - residual[start]) ** 2
    counted = np.isfinite(square)
    variance = np.where(counted, square, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    excess = np.clip(variance - own_variance[start] - own_variance[end], -10.0, 10.0)
    away = length - length.mean()
    spread = float((away**2).sum())
    return max(float((away * excess).sum() / spread), 0.0) if spread > 0 else 0.0
