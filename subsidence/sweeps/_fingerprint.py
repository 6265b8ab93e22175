"""What tells one sweep's data and parameters from another's: a hash of every byte."""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from subsidence.typing import AnyArray

__all__ = ["fingerprint"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, date, timedelta, PurePath, slice, range)


def fingerprint(value: Any) -> str:
    """Hexadecimal hash of a value: the same for equal labels, attributes, shapes, dtypes and bytes.

    Chunked arrays are read block by block, so that they never lie in memory whole; the same array in other
    chunks has another fingerprint.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in _parts(value):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    if isinstance(value, np.generic):
        value = value if value.dtype.kind in "mM" else value.item()  # 0.25 is the same number in either type
    yield type(value).__name__.encode()
    if isinstance(value, xr.DataArray):
        yield from _parts((value.name, value.variable, {str(k): v.variable for k, v in value.coords.items()}))
    elif isinstance(value, xr.Dataset):
        yield from _parts((dict(value.variables), sorted(map(str, value.coords)), value.attrs))
    elif isinstance(value, xr.Variable):
        yield from _parts((value.dims, value.attrs))
        yield from _chunk_parts(value) if value.chunks is not None else _array_parts(value.values)
    elif isinstance(value, (np.ndarray, np.generic)):
        yield from _array_parts(np.asarray(value))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _parts(key)
            yield from _parts(value[key])
    elif isinstance(value, (list, tuple)):
        yield str(len(value)).encode()
        for item in value:
            yield from _parts(item)
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, value.keywords))
    elif isinstance(value, _PLAIN):
        yield repr(value).encode()
    else:
        yield pickle.dumps(value)


def _array_parts(array: AnyArray) -> Iterator[bytes | memoryview]:
    yield f"{array.dtype.str} {array.shape}".encode()
    if array.dtype.kind in "OT":  # their bytes are addresses
        yield from _parts(array.ravel().tolist())
    else:
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _chunk_parts(variable: xr.Variable) -> Iterator[bytes | memoryview]:
    blocks = variable.data.blocks
    for where in np.ndindex(*blocks.shape):
        yield from _array_parts(np.asarray(blocks[where]))
