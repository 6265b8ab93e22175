"""Scenes cut into blocks of whole cells with a margin around each, in memory over threads or lazily over dask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from subsidence._blocks import Progress, each
from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.typing import AnyArray

__all__ = ["Layout", "checked_looks", "over_scene"]

#: Bytes of a dask chunk at work, input and output together, above which chunks are cut smaller.
_LIMIT = 2**28


@dataclass(frozen=True)
class Layout:
    """How a scene is cut.

    Parameters
    ----------
    looks
        Rows and columns of a cell; blocks hold whole cells.
    margin
        Cells around a block that its own results depend on.
    tile
        Rows and columns of cells that one call works on.
    layers
        Arrays ``(layer, row, col)`` of cells that a call fills, their numbers of layers.
    align
        Pixels whose multiples blocks begin at, where that is more than a cell.
    """

    looks: tuple[int, int]
    margin: tuple[int, int]
    tile: tuple[int, int]
    layers: tuple[int, ...]
    align: tuple[int, int] | None = None


#: ``work(block, inner, place, inputs, outputs)``: fill cells ``inner`` of the block of pixels at ``place``.
Box: TypeAlias = tuple[int, int, int, int]
Work: TypeAlias = Callable[[Box, Box, tuple[int, int], Sequence[AnyArray], Sequence[AnyArray]], None]


def checked_looks(looks: object, *, argument: str = "looks", odd: bool = False) -> tuple[int, int]:
    """Two positive whole numbers, rows (azimuth, y) and columns (range, x)."""
    what = "two positive whole numbers" if not odd else "two odd whole numbers"
    msg = f"{argument} must be {what}, along y (azimuth) and x (range), got {looks!r}"
    if not isinstance(looks, Iterable):
        raise InputError(msg)
    pair = tuple(looks)
    whole = all(isinstance(item, (int, np.integer)) and not isinstance(item, bool) and item >= 1 for item in pair)
    if len(pair) != 2 or not whole or (odd and not all(item % 2 for item in pair)):
        raise InputError(msg)
    return int(pair[0]), int(pair[1])


def over_scene(
    work: Work,
    inputs: Sequence[Any],
    layout: Layout,
    *,
    threads: int | None = None,
    progress: Progress = False,
    label: str = "",
) -> tuple[Any, ...]:
    """
    Fill arrays of cells from arrays of pixels.

    Parameters
    ----------
    work
        Fills the cells of one block. With dask it must survive pickling.
    inputs
        Arrays ``(..., row, col)``, numpy or dask; the first decides shape and chunks. Those whose last two sizes are
        not the scene's are handed over whole.
    layout
        How the scene is cut and what is filled.
    threads, progress, label
        For arrays in memory.

    Returns
    -------
    tuple of arrays
        ``(layer, row, col)`` of cells; lazy where the first input is. Pixels of incomplete cells at the end of
        rows and columns are left out.
    """
    height, width = inputs[0].shape[-2:]
    cells = height // layout.looks[0], width // layout.looks[1]
    if 0 in cells:
        msg = f"looks must be at most the scene's {height} x {width} pixels, got {layout.looks}"
        raise InputError(msg)
    if not isinstance(inputs[0], np.ndarray):
        return _lazy(work, inputs, layout, cells)
    held = [np.ascontiguousarray(array) for array in inputs]
    outputs = tuple(np.empty((layers, *cells), np.float32) for layers in layout.layers)
    _fill(work, held, outputs, layout, (0, cells[0], 0, cells[1]), threads=threads, progress=progress, label=label)
    return outputs


def _fill(
    work: Work,
    inputs: Sequence[AnyArray],
    outputs: Sequence[AnyArray],
    layout: Layout,
    region: Box,
    *,
    threads: int | None,
    progress: Progress = False,
    label: str = "",
) -> None:
    """Fill `outputs`, the cells of `region`, from arrays that may hold more around it."""
    (high, wide), (down, across) = layout.looks, layout.margin
    total = inputs[0].shape[-2] // high, inputs[0].shape[-1] // wide
    rows, cols = layout.tile
    corners = [(top, left) for top in range(region[0], region[1], rows) for left in range(region[2], region[3], cols)]

    def one(number: int) -> None:
        top, left = corners[number]
        bottom, right = min(top + rows, region[1]), min(left + cols, region[3])
        first, last = max(0, top - down), min(total[0], bottom + down)
        start, stop = max(0, left - across), min(total[1], right + across)
        block = first * high, last * high, start * wide, stop * wide
        inner = top - first, bottom - first, left - start, right - start
        work(block, inner, (top - region[0], left - region[2]), inputs, outputs)

    each(one, len(corners), threads=threads, progress=progress, label=label)


def _lazy(work: Work, inputs: Sequence[Any], layout: Layout, cells: tuple[int, int]) -> tuple[Any, ...]:
    da = require("dask.array", extra="dask", purpose="a chunked dataset")
    overlap = require("dask.array.overlap", extra="dask", purpose="a chunked dataset").overlap
    height, width = inputs[0].shape[-2:]
    size = cells[0] * layout.looks[0], cells[1] * layout.looks[1]
    depth = layout.margin[0] * layout.looks[0], layout.margin[1] * layout.looks[1]
    # Bytes that a pixel takes in a chunk, in and out.
    share = layout.looks[0] * layout.looks[1]
    taken = sum(
        math.prod(array.shape[:-2]) * array.dtype.itemsize for array in inputs if array.shape[-2:] == (height, width)
    )
    taken += math.ceil(sum(layout.layers) * 4 / share)
    cuts = _cuts(inputs[0].chunks[-2:], size, layout.align or layout.looks, depth, taken)
    # A dimension in one chunk has no neighbours, and may be shorter than the margin.
    around = {axis + 1: depth[axis] if len(cuts[axis]) > 1 else 0 for axis in (0, 1)}
    prepared: list[Any] = []
    whole: list[Any] = []
    for array in inputs:
        if array.shape[-2:] != (height, width):
            whole.append(array)
            continue
        lazy = da.asarray(array)[..., : size[0], : size[1]]
        lead = lazy.ndim - 2
        lazy = lazy.rechunk((*lazy.shape[:lead], *cuts))
        lazy = lazy.reshape((1, *lazy.shape)) if lead == 0 else lazy
        prepared.append(overlap(lazy, around, "none") if any(around.values()) else lazy)
        whole.append(None)
    across = tuple(tuple(piece // looks for piece in cut) for cut, looks in zip(cuts, layout.looks, strict=True))
    flags = tuple(array.ndim == 2 for array in inputs if array.shape[-2:] == (height, width))
    every = sum(layout.layers)
    joined = da.map_blocks(
        partial(_chunk, work, layout, tuple(whole), flags, tuple(map(len, across))),
        *prepared,
        chunks=((every,), *across),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    ends = np.cumsum((0, *layout.layers))
    return tuple(joined[start:stop] for start, stop in pairwise(ends))


def _chunk(
    work: Work,
    layout: Layout,
    whole: tuple[Any, ...],
    flat: tuple[bool, ...],
    numbers: tuple[int, ...],
    *blocks: AnyArray,
    block_info: Any = None,
) -> AnyArray:
    """One chunk of cells, all layers on top of each other."""
    held = iter(
        np.ascontiguousarray(block[0] if is_flat else block) for block, is_flat in zip(blocks, flat, strict=True)
    )
    inputs = [next(held) if array is None else array for array in whole]
    place = block_info[0]["chunk-location"][-2:]
    total = [size // looks for size, looks in zip(blocks[0].shape[-2:], layout.looks, strict=True)]
    region: list[int] = []
    for location, count, margin, size in zip(place, numbers, layout.margin, total, strict=True):
        region += [margin if location > 0 else 0, size - (margin if location < count - 1 else 0)]
    box = region[0], region[1], region[2], region[3]
    shape = box[1] - box[0], box[3] - box[2]
    result = np.empty((sum(layout.layers), *shape), np.float32)
    ends = np.cumsum((0, *layout.layers))
    outputs = [result[start:stop] for start, stop in pairwise(ends)]
    _fill(work, inputs, outputs, layout, box, threads=1)
    return result


def _cuts(
    chunks: Sequence[Sequence[int]],
    size: tuple[int, int],
    align: tuple[int, int],
    depth: tuple[int, int],
    taken: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chunks of whole cells close to those of the input, no smaller than the margin and of bounded bytes."""
    largest = [max(sizes) for sizes in chunks]
    least = [max(cell, around) for cell, around in zip(align, depth, strict=True)]
    while math.prod(largest) * taken > _LIMIT and any(
        side >= 2 * few for side, few in zip(largest, least, strict=True)
    ):
        axis = max((0, 1), key=lambda item: largest[item] if largest[item] >= 2 * least[item] else 0)
        largest[axis] = -(-largest[axis] // 2)
    result = []
    for sizes, total, cell, few, most in zip(chunks, size, align, least, largest, strict=True):
        ends = np.cumsum(sizes)
        edges = [0]
        for end in ends:
            start = edges[-1]
            stop = total if end == ends[-1] else min(total, round(end / cell) * cell)
            parts = max(1, math.ceil((stop - start) / most))
            for part in range(1, parts + 1):
                edge = start + round((stop - start) * part / parts / cell) * cell if part < parts else stop
                if edge - edges[-1] >= few and (total - edge >= few or edge == total):
                    edges.append(edge)
        if edges[-1] != total:
            edges.append(total)
        result.append(tuple(int(piece) for piece in np.diff(edges)))
    return result[0], result[1]
