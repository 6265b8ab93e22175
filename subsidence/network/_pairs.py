"""Which epochs the pairs of a network join, and what that says about epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import sparse
from scipy.sparse import csgraph

from subsidence._reference import resolve
from subsidence.errors import InputError
from subsidence.typing import FloatArray, IntArray, ReferenceLike

__all__ = ["Network", "epoch_baselines", "reference_phase"]


@dataclass(frozen=True, eq=False)
class Network:
    """Epochs and the pairs between them.

    Parameters
    ----------
    dates
        datetime64[ns], increasing, one for each epoch that any pair uses.
    first, second
        Epoch numbers of each pair's reference and secondary acquisition.
    """

    dates: np.ndarray[tuple[int], np.dtype[np.datetime64]]
    first: IntArray
    second: IntArray

    @classmethod
    def of(cls, stack: xr.Dataset, *, argument: str = "stack") -> Network:
        """Read the network from a Dataset's ``reference`` and ``secondary``.

        Raises
        ------
        InputError
            When there is no pair, a date is missing, a pair runs backwards or is there twice.
        """
        dims = stack["reference"].dims
        if len(dims) != 1 or stack["secondary"].dims != dims:
            msg = (
                f"{argument}: reference and secondary must be along 'pair', got dims {dims}, {stack['secondary'].dims}"
            )
            raise InputError(msg)
        reference = np.asarray(stack["reference"].values, "M8[ns]")
        secondary = np.asarray(stack["secondary"].values, "M8[ns]")
        if reference.size == 0:
            msg = f"{argument} holds no pair"
            raise InputError(msg)
        missing = np.flatnonzero(np.isnat(reference) | np.isnat(secondary))
        if missing.size:
            msg = f"{argument}: pair {_numbers(missing)} has no reference or secondary date (NaT)"
            raise InputError(msg)
        backwards = np.flatnonzero(reference >= secondary)
        if backwards.size:
            k = int(backwards[0])
            msg = (
                f"{argument}: the reference of a pair must be earlier than its secondary; pair {_numbers(backwards)} "
                f"is not (pair {k}: {_day(reference[k])}, {_day(secondary[k])}): swap its dates and negate its phase"
            )
            raise InputError(msg)
        dates, numbers = np.unique(np.concatenate([reference, secondary]), return_inverse=True)
        first, second = np.split(numbers.astype(np.int64), 2)
        _, seen, counts = np.unique(first * dates.size + second, return_index=True, return_counts=True)
        if (counts > 1).any():
            k = int(seen[np.argmax(counts > 1)])
            msg = (
                f"{argument}: pair {_day(reference[k])}, {_day(secondary[k])} is there {counts.max()} times: "
                "keep one, for example with stack.isel(pair=...)"
            )
            raise InputError(msg)
        return cls(dates, first, second)

    def pair_name(self, number: int) -> str:
        """A pair's two dates, for messages."""
        return f"{_day(self.dates[self.first[number]])} to {_day(self.dates[self.second[number]])}"

    def parts(self) -> IntArray:
        """Number of the connected part that each epoch belongs to, 0 being that of the first epoch."""
        return np.asarray(csgraph.connected_components(self._graph(), directed=False)[1], np.int64)

    def elimination_order(self) -> tuple[IntArray, int]:
        """Order of the epochs but the first that keeps the normal matrix banded, and its bandwidth.

        Time order where that is narrowest, else reverse Cuthill-McKee (long links, as annual pairs, would
        otherwise widen the band to a year's acquisitions).
        """
        inner = self._graph()[1:, 1:].tocsr()
        natural = np.arange(1, self.dates.size)
        permuted = np.asarray(csgraph.reverse_cuthill_mckee(inner, symmetric_mode=True), np.int64) + 1
        best = min((natural, permuted), key=self._bandwidth)
        return best, self._bandwidth(best)

    def positions(self, order: IntArray) -> IntArray:
        """Place of each epoch in `order`; -1 for the first epoch, whose phase is zero."""
        position = np.full(self.dates.size, -1)
        position[order] = np.arange(order.size)
        return position

    def solve(self, values: FloatArray) -> FloatArray:
        """Value of each epoch from differences along the pairs (least squares), zero at the first of each part."""
        design = np.zeros((self.first.size, self.dates.size))
        rows = np.arange(self.first.size)
        design[rows, self.second] = 1.0
        design[rows, self.first] = -1.0
        solved = np.linalg.lstsq(design[:, 1:], np.asarray(values, float), rcond=None)[0]
        whole = np.concatenate([np.zeros_like(solved[:1]), solved])
        part = self.parts()
        starts = np.array([np.flatnonzero(part == number)[0] for number in range(part.max() + 1)])
        return np.asarray(whole - whole[starts[part]])

    def _graph(self) -> sparse.csr_matrix:
        size = self.dates.size
        ones = np.ones(self.first.size)
        upper = sparse.coo_matrix((ones, (self.first, self.second)), shape=(size, size))
        return (upper + upper.T).tocsr()

    def _bandwidth(self, order: IntArray) -> int:
        position = self.positions(order)
        inner = self.first > 0
        lags = np.abs(position[self.first[inner]] - position[self.second[inner]])
        return int(lags.max(initial=0))


def epoch_baselines(stack: xr.Dataset) -> xr.DataArray:
    """
    Perpendicular baseline of each epoch relative to the first, from those of the pairs.

    Parameters
    ----------
    stack
        INTERFEROGRAMS with ``perpendicular_baseline`` along ``pair`` in metres.

    Returns
    -------
    xarray.DataArray
        Metres, along ``time``; zero at the first epoch, NaN where no pairs lead from it. The least-squares
        solution over the pairs.

    Raises
    ------
    InputError
        When the baselines are missing, not finite, or vary over the scene.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    >>> pairs = xr.Dataset(coords={
    ...     "reference": ("pair", dates[[0, 0, 1]]),
    ...     "secondary": ("pair", dates[[1, 2, 2]]),
    ...     "perpendicular_baseline": ("pair", [50.0, 20.0, -30.0]),
    ... })
    >>> epoch_baselines(pairs).values.round(6).tolist()
    [0.0, 50.0, 20.0]
    """
    if "perpendicular_baseline" not in stack.variables:
        msg = "stack has no 'perpendicular_baseline' (m, along pair)"
        raise InputError(msg)
    baselines = stack.variables["perpendicular_baseline"]
    if baselines.dims != ("pair",) or not np.isfinite(baselines.values).all():
        msg = f"perpendicular_baseline must be finite and along ('pair',), got dims {baselines.dims}"
        raise InputError(msg)
    network = Network.of(stack)
    return xr.DataArray(
        np.where(network.parts() == 0, network.solve(baselines.values), np.nan),
        dims="time",
        coords={"time": network.dates},
        name="perpendicular_baseline",
        attrs={"units": "m", "long_name": "perpendicular baseline"},
    )


def reference_phase(
    stack: xr.Dataset, phase: xr.Variable, reference: ReferenceLike, network: Network
) -> tuple[dict[str, int | float | str], FloatArray]:
    """Attributes that record `reference`, and its phase in every pair (zero where there is none), float64.

    A mask means its places that every pair covers: another set in each would bring their motion in.
    """
    if reference is None:
        return {"reference": "none: phases taken as referenced"}, np.zeros(phase.sizes["pair"])
    words, attrs, where = resolve(stack, reference)
    if isinstance(where, dict):
        values = np.asarray(phase.isel(where).values, np.float64)
        lacking = np.flatnonzero(~np.isfinite(values))
        if lacking.size:
            msg = (
                f"reference, {words}, has no data in {lacking.size} of {values.size} pairs, the first being "
                f"{network.pair_name(int(lacking[0]))}: choose a place that every pair covers"
            )
            raise InputError(msg)
        return attrs, values
    chosen = xr.DataArray(phase).where(xr.DataArray(where))
    whole = chosen.notnull().all("pair")
    count = int(whole.sum())
    if count == 0:
        msg = f"reference, {words}, has no place with data in every pair: choose another mask"
        raise InputError(msg)
    mean = chosen.where(whole).mean(where.dims, dtype=np.float64)
    return {**attrs, "reference_count": count}, np.asarray(mean.values)


def _day(date: np.datetime64[Any]) -> str:
    return str(date.astype("M8[D]"))


def _numbers(indices: IntArray) -> str:
    shown = ", ".join(map(str, indices[:5]))
    return shown if indices.size <= 5 else f"{shown} and {indices.size - 5} more"
