"""Datasets to plain numbers and text with CF attributes, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.io._attributes import TYPES, decoded, encoded
from subsidence.typing import AnyArray

__all__ = ["MARK", "VERSION", "decode", "encode", "storage"]

#: Layout of the files, in the attribute MARK; readers refuse a later one.
VERSION = 1
MARK = "subsidence_format"
_COORDINATES = "subsidence_coordinates"
#: What a variable was, where the file's own type does not tell.
_DTYPE = "subsidence_dtype"
_REAL, _IMAG = "_real", "_imag"
#: Attributes by which xarray and NetCDF say how values are stored: no variable can have them as its own.
_RESERVED = {
    *{"_FillValue", "missing_value", "scale_factor", "add_offset", "coordinates", "dtype", "_Unsigned"},
    *{_DTYPE, TYPES, MARK, _COORDINATES},
}
_TIME_UNITS = {"days": 86_400_000_000_000, "seconds": 1_000_000_000, "microseconds": 1000, "nanoseconds": 1}
#: Largest chunk of a NetCDF variable in bytes: HDF5 reads and writes a chunk as a whole.
_NETCDF_CHUNK = 2**22


def encode(dataset: xr.Dataset, *, split_complex: bool) -> xr.Dataset:
    """A Dataset of numbers and text alone, without stale encoding; lazy variables stay lazy.

    Raises
    ------
    InputError
        When a variable or attribute cannot be written.
    """
    data: dict[Hashable, xr.Variable] = {}
    coordinates: dict[Hashable, xr.Variable] = {}
    for name, variable in dataset.variables.items():
        _check_name(dataset, name)
        parts = _encoded(str(name), variable, split_complex=split_complex)
        taken = [part for part in parts if part != name and part in dataset.variables]
        if taken:
            msg = f"dataset has a variable {taken[0]!r}, the name needed for a part of {name!r}: rename it"
            raise InputError(msg)
        (coordinates if name in dataset.coords else data).update(parts)
    attributes = _attributes(dataset.attrs, owner="dataset", reserved=_RESERVED)
    attributes[MARK] = VERSION
    attributes[_COORDINATES] = json.dumps([str(name) for name in dataset.coords])
    return xr.Dataset(data, coordinates, attributes)


def decode(raw: xr.Dataset) -> xr.Dataset:
    """The inverse of :func:`encode`."""
    names = set(json.loads(raw.attrs[_COORDINATES]))
    data: dict[Hashable, xr.Variable] = {}
    coordinates: dict[Hashable, xr.Variable] = {}
    for stored, variable in raw.variables.items():
        dtype = str(variable.attrs.get(_DTYPE, ""))
        name = str(stored)
        values = variable.data
        if dtype.startswith("part"):
            if name.endswith(_IMAG):
                continue
            name = name.removesuffix(_REAL)
            values = _joined(values, raw.variables[name + _IMAG].data)
            dtype = dtype.removeprefix("part").strip()
        attributes = decoded({key: item for key, item in variable.attrs.items() if key not in _RESERVED - {TYPES}})
        if dtype[1:3] in {"M8", "m8"}:
            factor = _TIME_UNITS[attributes.pop("units").partition(" ")[0]]
            attributes.pop("calendar", None)
            values = (values * factor).astype(f"{dtype[1]}8[ns]")
        if dtype:
            values = values.astype(dtype)
        (coordinates if name in names else data)[name] = xr.Variable(variable.dims, values, attributes)
    attributes = decoded({key: item for key, item in raw.attrs.items() if key not in _RESERVED - {TYPES}})
    return xr.Dataset(data, coordinates, attributes)


def storage(variable: xr.Variable, *, netcdf: bool, coordinate: bool) -> dict[str, Any]:
    """Encoding of an encoded variable: NaN declared as missing value, and for NetCDF lossless compression."""
    result: dict[str, Any] = {"_FillValue": None}
    if variable.dtype.kind == "f" and not coordinate:  # CF forbids missing values in coordinates
        result["_FillValue"] = variable.dtype.type(np.nan)
    if netcdf and variable.ndim and variable.size and variable.dtype.kind in "fiu":
        result |= {"zlib": True, "complevel": 1, "shuffle": True}
        result["chunksizes"] = _netcdf_chunk(variable)
    return result


def _check_name(dataset: xr.Dataset, name: Hashable) -> None:
    index = dataset.xindexes.get(name)
    if isinstance(index, xr.indexes.PandasMultiIndex):
        msg = f"dataset has the MultiIndex {name!r}, which files cannot hold: use dataset.reset_index({name!r})"
        raise InputError(msg)
    if not isinstance(name, str) or not name or any(letter.isspace() or letter == "/" for letter in name):
        msg = f"dataset has a variable called {name!r}, which cannot be written: rename it, without blanks and slashes"
        raise InputError(msg)


def _attributes(attributes: Mapping[Hashable, Any], *, owner: str, reserved: set[str]) -> dict[str, Any]:
    clash = sorted(str(name) for name in attributes if name in reserved)
    if clash:
        msg = (
            f"{owner} has an attribute {clash[0]!r}, which files use to say how values are stored: rename or delete it"
        )
        raise InputError(msg)
    return encoded(attributes, owner=owner)


def _encoded(name: str, variable: xr.Variable, *, split_complex: bool) -> dict[Hashable, xr.Variable]:
    kind = variable.dtype.kind
    reserved = _RESERVED | {"units", "calendar"} if kind in "Mm" else _RESERVED
    attributes: dict[str, Any] = _attributes(variable.attrs, owner=f"variable {name!r}", reserved=reserved)
    base = _regular(variable.to_base_variable())
    values: Any = base.data
    dtype = base.dtype.str
    if kind in "Mm":
        values, unit = _whole_numbers(name, values)
        attributes["units"] = f"{unit} since 1970-01-01" if kind == "M" else unit
        if kind == "M":
            attributes["calendar"] = "proleptic_gregorian"
    elif kind == "b":
        values = values.astype(np.uint8)
    elif kind == "O":
        values, dtype = _text(name, values), "O"
    elif kind == "U":
        pass
    elif kind in "fiuc" and base.dtype.itemsize <= (16 if kind == "c" else 8):
        native = base.dtype.newbyteorder("=")
        values = values.astype(native, copy=False)
        dtype = "" if dtype == native.str else dtype
    else:
        msg = f"variable {name!r} has dtype {base.dtype}, which cannot be written: use numbers, dates or text"
        raise InputError(msg)
    if kind == "c" and split_complex:
        note = {_DTYPE: f"part {dtype}".strip()}
        return {
            f"{name}{_REAL}": xr.Variable(base.dims, values.real, attributes | note),
            f"{name}{_IMAG}": xr.Variable(base.dims, values.imag, note),
        }
    if dtype:
        attributes[_DTYPE] = dtype
    return {name: xr.Variable(base.dims, values, attributes)}


def _regular(variable: xr.Variable) -> xr.Variable:
    """Chunks of one size along each dimension, as files have them."""
    if variable.chunks is None:
        return variable
    wanted = {
        dim: sizes[0] if len(set(sizes[:-1])) <= 1 and sizes[-1] <= sizes[0] else max(sizes)
        for dim, sizes in variable.chunksizes.items()
    }
    return variable.chunk(wanted)


def _whole_numbers(name: str, values: Any) -> tuple[Any, str]:
    """Dates or lengths of time as int64 in the coarsest unit that holds them exactly."""
    nanoseconds = values.astype(f"{values.dtype.kind}8[ns]")
    numbers = nanoseconds.astype(np.int64)
    if not isinstance(values, np.ndarray):
        return numbers, "nanoseconds"
    valid = ~np.isnat(values)
    if not np.array_equal(nanoseconds.astype(values.dtype)[valid], values[valid]):
        msg = f"variable {name!r} has times outside the years 1678 to 2262, which cannot be written"
        raise InputError(msg)
    for unit, length in _TIME_UNITS.items():
        if unit == "nanoseconds" or (valid.all() and not (numbers % length).any()):
            return numbers // length, unit
    return numbers, "nanoseconds"


def _text(name: str, values: Any) -> AnyArray:
    array = np.asarray(values)
    if not all(isinstance(item, str) for item in array.flat):
        msg = f"variable {name!r} holds objects other than text, which cannot be written: use numbers, dates or text"
        raise InputError(msg)
    return array.astype(str)


def _joined(real: Any, imag: Any) -> Any:
    if isinstance(real, np.ndarray):
        return _complex(real, imag)
    da = require("dask.array", extra="dask", purpose="opening lazily (chunks=)")
    return da.map_blocks(_complex, real, imag, dtype=np.result_type(real.dtype, np.complex64))


def _complex(real: AnyArray, imag: AnyArray) -> AnyArray:
    # real + 1j * imag would turn an infinite part into NaN
    result = np.empty(real.shape, np.result_type(real.dtype, np.complex64))
    result.real, result.imag = real, imag
    return result


def _netcdf_chunk(variable: xr.Variable) -> tuple[int, ...]:
    """Chunks of a bounded size, cut along place first, so that the series of one place stays in one piece.

    Those of a dask array are cut evenly: no two of its chunks may write to one in the file.
    """
    lazy = variable.chunks is not None
    sizes = [size[0] for size in variable.chunksizes.values()] if lazy else list(variable.shape)
    while math.prod(sizes) * variable.dtype.itemsize > _NETCDF_CHUNK:
        divisible = [axis for axis, size in enumerate(sizes) if size > 1 and not (lazy and size % 2)]
        if not divisible:
            break
        axis = max(divisible, key=lambda item: (item > 0, sizes[item]))
        sizes[axis] = -(-sizes[axis] // 2)
    return tuple(sizes)
