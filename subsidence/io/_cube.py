"""Rasters of one grid stacked along pairs: an array that reads its windows when they are asked for."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from subsidence._extras import available, require
from subsidence.errors import FormatError, InputError
from subsidence.io._raster import Raster, read
from subsidence.typing import AnyArray, FloatArray

__all__ = ["Chunks", "Cube", "as_array", "asked_chunks", "chunk_shape"]

#: "auto" (lazy where dask is installed), None (in memory), or sizes by dimension, -1 for all of it.
Chunks: TypeAlias = Literal["auto"] | Mapping[str, int] | None

#: Bytes of one chunk of float32, all pairs together: an inversion wants every pair of a place at once.
_CHUNK_BYTES = 2**26
_DIMS = ("pair", "y", "x")


@dataclass(frozen=True)
class Cube:
    """Rasters times factors as one float32 array (pair, y, x); survives pickling, opens files when indexed.

    Parameters
    ----------
    rasters
        One for each pair, all of one grid.
    factors
        What each raster's values are multiplied by.
    bounded
        The values are coherences: outside 0..1 they are refused.
    """

    rasters: tuple[Raster, ...]
    factors: tuple[float, ...]
    bounded: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Pairs, rows, columns."""
        return (len(self.rasters), self.rasters[0].height, self.rasters[0].width)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Single precision."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Three."""
        return 3

    def __getitem__(self, key: tuple[slice | int, ...]) -> AnyArray:
        """Read one window; whole numbers drop their dimension as in numpy."""
        full = (*key, *(slice(None),) * (3 - len(key)))
        pairs, rows, cols = (_positions(item, size) for item, size in zip(full, self.shape, strict=True))
        result = np.empty((len(pairs), len(rows), len(cols)), np.float32)
        if result.size:
            inner = (slice(None, None, rows.step), slice(None, None, cols.step))
            for place, pair in enumerate(pairs):
                result[place] = self._window(pair, _span(rows), _span(cols))[inner]
        dropped = tuple(0 if isinstance(item, (int, np.integer)) else slice(None) for item in full)
        return result[dropped]

    def _window(self, pair: int, rows: slice, cols: slice) -> FloatArray:
        raster, factor = self.rasters[pair], self.factors[pair]
        values = read(raster, rows, cols)
        if factor != 1.0:
            values *= np.float32(factor)
        if self.bounded:
            check_coherence(raster, values)
            np.clip(values, 0.0, 1.0, out=values)
        return values


def check_coherence(raster: Raster, values: FloatArray) -> None:
    """Refuse coherence outside 0..1 (rounding apart).

    Raises
    ------
    FormatError
        With the range found and what it looks like.
    """
    with np.errstate(invalid="ignore"):
        wrong = (values < -1e-4) | (values > 1.0001)
    if wrong.any():
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        cure = "it looks like 0..255: pass coherence_scale=255" if 1 < high <= 255 and low >= 0 else "is it coherence?"
        raise FormatError(raster.path, f"coherence lies between {low:g} and {high:g}, expected 0..1; {cure}")


def chunk_shape(chunks: Chunks, shape: tuple[int, int, int], block: tuple[int, int]) -> tuple[int, int, int] | None:
    """Size of a chunk (pair, y, x), or None for arrays in memory.

    Raises
    ------
    InputError
        When `chunks` is not one of the things it can be.
    MissingExtraError
        When sizes are given and dask is not installed.
    """
    if chunks is None or (isinstance(chunks, str) and chunks == "auto" and not available("dask")):
        return None
    automatic = _automatic(shape, block)
    if isinstance(chunks, str) and chunks == "auto":
        return automatic
    return asked_chunks(chunks, _DIMS, shape, automatic)


def asked_chunks(
    chunks: object, dims: tuple[str, str, str], shape: tuple[int, int, int], usual: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Sizes that the caller gives by dimension, the usual ones for the rest.

    Raises
    ------
    InputError
        When `chunks` is no mapping of these dims to whole numbers.
    """
    names = ", ".join(map(repr, dims))
    wrong = f"chunks must be 'auto', None or sizes for {names} (-1 for all), got {chunks!r}"
    if not isinstance(chunks, Mapping) or set(chunks) - set(dims):
        raise InputError(wrong)
    result = []
    for dim, size, default in zip(dims, shape, usual, strict=True):
        try:
            asked = operator.index(chunks.get(dim, default))
        except TypeError as error:
            raise InputError(wrong) from error
        if asked != -1 and asked < 1:
            raise InputError(wrong)
        result.append(size if asked == -1 else min(asked, size))
    return (result[0], result[1], result[2])


def as_array(cube: Any, chunks: tuple[int, int, int] | None) -> Any:
    """A cube of this or a like class as a dask array cut into `chunks`, or read into memory when that is None."""
    if chunks is None:
        return cube[:, :, :]
    da = require("dask.array", extra="dask", purpose="reading lazily (chunks=)")
    # fancy=False: a list of indices stays a step of its own, so that only slices and numbers reach the cube.
    return da.from_array(cube, chunks=chunks, lock=False, fancy=False, meta=np.empty((0, 0, 0), cube.dtype))


def _automatic(shape: tuple[int, int, int], block: tuple[int, int]) -> tuple[int, int, int]:
    """All pairs of as many whole strips, or whole tiles, as fit in a chunk."""
    pairs, height, width = shape
    places = max(1, _CHUNK_BYTES // (4 * pairs))
    if block[1] >= width:
        rows, cols = _aligned(places // width, block[0], height), width
    else:
        cols = _aligned(math.isqrt(places), block[1], width)
        rows = _aligned(places // cols, block[0], height)
    return (pairs, rows, cols)


def _aligned(wanted: int, block: int, size: int) -> int:
    if wanted >= size:
        return size
    return max(1, wanted - wanted % block if wanted >= block else wanted)


def _positions(item: slice | int, size: int) -> range:
    if isinstance(item, slice):
        return range(size)[item]
    start = range(size)[item]
    return range(start, start + 1)


def _span(positions: range) -> slice:
    """The window, of step 1, that holds all positions."""
    return slice(min(positions[0], positions[-1]), max(positions[0], positions[-1]) + 1)
