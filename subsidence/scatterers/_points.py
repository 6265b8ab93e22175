"""POINTS at chosen pixels of images: their phases and everything that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._kernels import pair_coherence as kernels
from subsidence.errors import InputError
from subsidence.network import choose_reference
from subsidence.network._choose import epoch_number
from subsidence.stack._flatten import Flattening
from subsidence.stack._tiles import checked_looks
from subsidence.typing import AnyArray, IntArray

__all__ = ["Output", "coordinates", "point_phases"]


@dataclass(frozen=True, eq=False)
class Output:
    """Which phases points get.

    Parameters
    ----------
    along
        "time" for phases relative to one epoch, "pair".
    first, second
        Epochs of each phase: it is the second's minus the first's.
    reference
        Number of the reference epoch; None along pairs.
    """

    along: str
    first: IntArray
    second: IntArray
    reference: int | None

    @classmethod
    def of(
        cls,
        slc: xr.Dataset,
        *,
        reference_time: np.datetime64[Any] | str | None = None,
        pairs: xr.Dataset | None = None,
        usable: npt.NDArray[np.bool_] | None = None,
    ) -> Output:
        """Phases by epoch, or by pair where `pairs` are given; the default reference is a usable epoch.

        Raises
        ------
        InputError
            When the reference, or a date of the pairs, is not one of the images, or both are given.
        """
        times = np.asarray(slc["time"].values, "M8[ns]")
        if pairs is not None:
            if reference_time is not None:
                msg = "give pairs or reference_time, not both: the phase of a pair has no reference epoch"
                raise InputError(msg)
            return cls("pair", *_pair_numbers(pairs, times), None)
        held = np.ones(times.size, bool) if usable is None else usable
        if reference_time is None:
            dates = slc.drop_vars("slc")  # else every image would be copied
            date = choose_reference(dates.isel(time=np.flatnonzero(held)))
            number = int(np.flatnonzero(times == date)[0])
        else:
            number = epoch_number(times, reference_time, argument="reference_time", what="images")
            if not held[number]:
                msg = f"reference_time {reference_time} is an image without data: choose another, or None"
                raise InputError(msg)
        return cls("time", np.full(times.size, number), np.arange(times.size), number)


def point_phases(
    slc: xr.Dataset,
    row: npt.ArrayLike,
    col: npt.ArrayLike,
    source: npt.ArrayLike,
    *,
    looks: tuple[int, int],
    reference_time: np.datetime64[Any] | str | None = None,
    pairs: xr.Dataset | None = None,
) -> xr.Variable:
    """
    Phases of points at given addresses, as :func:`select_scatterers` gives them.

    Parameters
    ----------
    slc
        SLC; of a few images, such as the reference and a new one, as well as of all.
    row, col
        Address of each point: its pixel, or the first of its multilooked pixels.
    source
        "multilook" for points whose phase is that of ``looks`` pixels; that of the others is their own pixel's.
    looks
        Rows and columns of a multilooked pixel.
    reference_time, pairs
        Epoch that phases are relative to, or pairs.

    Returns
    -------
    xarray.Variable
        Float32 (time, point) or (pair, point), radians, positive away from the satellite.

    Raises
    ------
    InputError
        When `row`, `col` and `source` are not lists of one length, addresses are no whole numbers or outside `slc`,
        or as :func:`select_scatterers`.
    """
    output = Output.of(slc, reference_time=reference_time, pairs=pairs)
    looks = checked_looks(looks)
    rows, cols, kinds = (np.asarray(values) for values in (row, col, source))
    size = slc.sizes["y"], slc.sizes["x"]
    if rows.ndim != 1 or not rows.shape == cols.shape == kinds.shape:
        msg = f"row, col and source must be lists of one length, got shapes {rows.shape}, {cols.shape}, {kinds.shape}"
        raise InputError(msg)
    if rows.size and not (rows.dtype.kind in "iu" and cols.dtype.kind in "iu"):
        msg = f"row and col must be whole numbers, got dtypes {rows.dtype} and {cols.dtype}"
        raise InputError(msg)
    rows, cols = rows.astype(np.int64), cols.astype(np.int64)
    several = kinds == "multilook"
    far = (rows < 0) | (cols < 0)
    for numbers, length, look in zip((rows, cols), size, looks, strict=True):
        far |= numbers + np.where(several, look, 1) > length
    if far.any():
        k = int(np.argmax(far))
        msg = f"point {k} at row {rows[k]}, col {cols[k]} lies outside the {size[0]} x {size[1]} pixels of slc"
        raise InputError(msg)
    down, right = (step.ravel() for step in np.indices(looks))
    own = np.where(several[:, np.newaxis], 1, 0)
    pixel_rows, pixel_cols = rows[:, np.newaxis] + own * down, cols[:, np.newaxis] + own * right
    images = _gathered(slc["slc"].variable.transpose("time", "y", "x"), pixel_rows, pixel_cols)
    images[:, ~several, 1:] = 0  # the others' own pixel once
    flattening = Flattening.of(slc).at({"y": pixel_rows.ravel(), "x": pixel_cols.ravel()})
    across, along, per_across, per_along = flattening.arrays()
    if across.ndim == 2:
        across = across.reshape(images.shape)
    shape = pixel_rows.shape
    real, imag = np.empty(images.shape, np.float32), np.empty(images.shape, np.float32)
    per_across, per_along = (
        values.reshape(shape) if values.ndim == 1 else values for values in (per_across, per_along)
    )
    kernels.load(images, across, along, per_across, per_along, real, imag)
    phase = np.empty((output.first.size, rows.size), np.float32)
    every = np.arange(rows.size)
    kernels.point_phase(
        real,
        imag,
        every,
        np.zeros_like(every),
        np.ones(rows.size, bool),
        (1, shape[1]),
        output.first,
        output.second,
        phase,
    )
    return xr.Variable((output.along, "point"), phase)


def coordinates(slc: xr.Dataset, rows: IntArray, cols: IntArray, output: Output) -> dict[str, xr.Variable]:
    """Everything that images know about pixels, their geometry, and the epochs or pairs of `output`."""
    found: dict[str, xr.Variable] = {"row": xr.Variable("point", rows), "col": xr.Variable("point", cols)}
    at = {"y": xr.Variable("point", rows), "x": xr.Variable("point", cols)}
    for key, coord in slc.coords.items():
        name, variable = str(key), coord.variable
        if name in {"time", "row", "col", "parallel_baseline", "amplitude_factor"}:
            continue
        chosen = xr.Variable(variable.dims, variable.data, variable.attrs)  # of dims' own coordinates: no index
        chosen = chosen[{dim: numbers for dim, numbers in at.items() if dim in variable.dims}].compute()
        if set(variable.dims) <= {"y", "x"}:
            found[name] = chosen
        elif set(variable.dims) <= {"time", "y", "x"} and name in {"perpendicular_baseline", "temperature"}:
            found[name] = _relative(name, chosen, output)
    if output.along == "time":
        found["time"] = slc["time"].variable
    else:
        times = slc["time"].values
        found["reference"] = xr.Variable("pair", times[output.first])
        found["secondary"] = xr.Variable("pair", times[output.second])
    return found


def _relative(name: str, values: xr.Variable, output: Output) -> xr.Variable:
    """Of a pair the second's minus the first's; of an epoch a baseline relative to the reference."""
    if output.along == "pair":
        later, earlier = (values.isel(time=numbers) for numbers in (output.second, output.first))
        dims = tuple("pair" if dim == "time" else dim for dim in values.dims)
        return xr.Variable(dims, later.values - earlier.values, values.attrs)
    if name == "temperature":
        return values
    return xr.Variable(values.dims, (values - values.isel(time=output.reference)).data, values.attrs)


def _gathered(images: xr.Variable, rows: IntArray, cols: IntArray) -> AnyArray:
    """Complex64 (epoch, point, pixel)."""
    chosen = images[{"y": xr.Variable(("point", "pixel"), rows), "x": xr.Variable(("point", "pixel"), cols)}]
    return np.array(chosen.transpose("time", "point", "pixel").values, np.complex64)


def _pair_numbers(pairs: xr.Dataset, times: AnyArray) -> tuple[IntArray, IntArray]:
    if not isinstance(pairs, xr.Dataset) or not {"reference", "secondary"} <= set(pairs.variables):
        msg = "pairs must be a Dataset with reference and secondary along pair, as from sequential_pairs"
        raise InputError(msg)
    if not pairs["reference"].dims == pairs["secondary"].dims == ("pair",):
        msg = f"pairs: reference and secondary must be along 'pair', got dims {pairs['reference'].dims}"
        raise InputError(msg)
    order = np.argsort(times)
    numbers = []
    for name in ("reference", "secondary"):
        dates = np.asarray(pairs[name].values, "M8[ns]")
        at = np.searchsorted(times[order], dates).clip(max=times.size - 1)
        lacking = times[order][at] != dates
        if lacking.any():
            msg = f"pairs: {name} {dates[lacking][0].astype('M8[s]')} is not the date of any image in slc"
            raise InputError(msg)
        numbers.append(order[at])
    if numbers[0].size == 0:
        msg = "pairs holds no pair"
        raise InputError(msg)
    same = numbers[0] == numbers[1]
    if same.any():
        msg = f"pairs: pair {int(np.argmax(same))} is of one image with itself: its phase says nothing"
        raise InputError(msg)
    return numbers[0], numbers[1]
