"""What is found of candidates in one block of images, and the walk over all blocks of a scene.

A block is whole rows of images in memory, or one chunk of chunked ones, with the margin that windows reach into
on each side. It begins at a whole cell of looks, so that nothing that is found depends on how a scene is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter

from subsidence._blocks import Progress, each, worker_count
from subsidence._extras import require
from subsidence._kernels import pair_coherence as kernels
from subsidence._kernels.dispersion import disperse
from subsidence.stack._flatten import Flattening
from subsidence.typing import AnyArray, BoolArray, FloatArray, IntArray

__all__ = ["Arrays", "Block", "Recipe", "Seen", "examine", "over_pixels", "walk"]

T = TypeVar("T")
#: Images (epoch, row, col), and what the kernels take of their flattening.
Arrays: TypeAlias = tuple[AnyArray, AnyArray, AnyArray, AnyArray, AnyArray]

#: Bytes of images that a thread has at hand.
_BYTES = 2**26
#: Blocks for each thread at least, so that all have work to the end.
_BLOCKS = 4


@dataclass(frozen=True, eq=False)
class Recipe:
    """What is measured, the same in every block.

    Parameters
    ----------
    scale
        Factor of each image's amplitudes, float32; NaN for one without data.
    first, second
        Epochs of the pairs whose coherence is taken.
    looks
        Rows and columns of a multilooked cell.
    lowpass
        Rows and columns of cells in the low-pass window; None for the raw phase.
    peak
        Rows and columns of pixels in the window whose brightest counts alone; None for all.
    dispersion, coherence
        Whether each is wanted.
    least_samples, least_pairs
        Images and pairs without which a pixel, a cell, is not judged.
    """

    scale: FloatArray
    first: IntArray
    second: IntArray
    looks: tuple[int, int]
    lowpass: tuple[int, int] | None
    peak: tuple[int, int] | None
    dispersion: bool
    coherence: bool
    least_samples: int
    least_pairs: int

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns that windows reach beyond a block, in whole cells."""
        reach = []
        for axis, look in enumerate(self.looks):
            cells = self.lowpass[axis] // 2 if self.lowpass and self.coherence else 0
            # a cell's brightest pixel may be its last
            pixels = self.peak[axis] // 2 if self.peak else 0
            reach.append(max(cells, -(-pixels // look)) * look)
        return reach[0], reach[1]


@dataclass(frozen=True)
class Block:
    """Where a block stands in the scene: first row and column of what was read and of what counts, and its size."""

    top: int
    left: int
    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Seen:
    """What was measured in a block.

    Parameters
    ----------
    block
        Where it stands.
    real, imag
        Images (epoch, row, col), flattened, with the margin.
    dispersion
        Of each pixel that counts, NaN where it is unknown or not wanted.
    coherence
        Of each whole cell that counts.
    bright
        Pixels that are the brightest of their window, and `bright_cells`, of which the brightest pixel is.
    """

    block: Block
    real: FloatArray
    imag: FloatArray
    dispersion: FloatArray
    coherence: FloatArray
    bright: BoolArray
    bright_cells: BoolArray


def examine(recipe: Recipe, block: Block, arrays: Arrays) -> Seen:
    """Measure a block of images; the other arrays are those of :class:`Flattening`."""
    images, across, along, per_across, per_along = arrays
    images = np.ascontiguousarray(images, np.complex64)
    epochs, rows, cols = images.shape
    looks = recipe.looks
    dispersion = np.full((rows, cols), np.nan, np.float32)
    mean = np.full((rows, cols), np.nan, np.float32)
    if recipe.dispersion or recipe.peak:
        flat = images.reshape(epochs, -1)
        disperse(recipe.least_samples, recipe.scale, 0, flat.shape[1], flat, dispersion.ravel(), mean.ravel())
    real, imag = np.empty(images.shape, np.float32), np.empty(images.shape, np.float32)
    kernels.load(images, across, along, per_across, per_along, real, imag)
    cells = np.full((rows // looks[0], cols // looks[1]), np.nan, np.float32)
    if recipe.coherence and cells.size:
        half = (-1, -1) if recipe.lowpass is None else (recipe.lowpass[0] // 2, recipe.lowpass[1] // 2)
        kernels.coherence(real, imag, recipe.first, recipe.second, looks, half, recipe.least_pairs, cells)
    inner = (
        slice(block.row - block.top, block.row - block.top + block.height),
        slice(block.col - block.left, block.col - block.left + block.width),
    )
    inner_cells = _whole_cells(inner[0], looks[0]), _whole_cells(inner[1], looks[1])
    bright, bright_cells = _brightest(mean, recipe, cells.shape)
    return Seen(
        block=block,
        real=real,
        imag=imag,
        dispersion=dispersion[inner] if recipe.dispersion else np.full(mean[inner].shape, np.nan, np.float32),
        coherence=cells[inner_cells],
        bright=bright[inner],
        bright_cells=bright_cells[inner_cells],
    )


def walk(
    images: xr.Variable,
    flattening: Flattening,
    recipe: Recipe,
    work: Callable[[Block, Arrays], T],
    *,
    share: float = 1.0,
    threads: int | None = None,
    progress: Progress = False,
    label: str = "",
) -> list[tuple[Block, T]]:
    """
    Call ``work(block, arrays)`` for every block of (time, y, x) images.

    Of `share` below 1 for so many of the blocks, evenly spread. Chunks that hold all epochs are read once each, by
    dask; other images by blocks of rows, so that no more of them is in memory than the threads work on.
    """
    whole_time = images.chunks is not None and len(images.chunksizes["time"]) == 1
    if whole_time:
        return _walk_chunks(images, flattening, recipe, work, share)
    size = {str(dim): length for dim, length in images.sizes.items()}
    wanted = _rows(size, recipe, worker_count(threads, "threads"))
    blocks = _spread(
        [_block((row, 0), (wanted, size["x"]), size, recipe) for row in range(0, size["y"], wanted)], share
    )
    found: list[T | None] = [None] * len(blocks)

    def one(number: int) -> None:
        block = blocks[number]
        read = slice(block.top, min(block.row + block.height + recipe.margin[0], size["y"]))
        across, along, per_across, per_along = map(np.asarray, flattening.isel(y=read).arrays())
        found[number] = work(block, (images[:, read].values, across, along, per_across, per_along))

    each(one, len(blocks), threads=threads, progress=progress, label=label)
    return [(block, one) for block, one in zip(blocks, found, strict=True) if one is not None]


def over_pixels(cells: AnyArray, looks: tuple[int, int], shape: tuple[int, ...], *, rest: float) -> AnyArray:
    """Values of cells at their pixels; `rest` in those beyond the last whole cell."""
    whole = cells.repeat(looks[0], axis=0).repeat(looks[1], axis=1)
    missing = [(0, length - held) for length, held in zip(shape, whole.shape, strict=True)]
    return np.pad(whole, missing, constant_values=rest)


def _walk_chunks(
    images: xr.Variable, flattening: Flattening, recipe: Recipe, work: Callable[[Block, Arrays], T], share: float
) -> list[tuple[Block, T]]:
    dask = require("dask", extra="dask", purpose="a chunked dataset")
    overlap = require("dask.array.overlap", extra="dask", purpose="a chunked dataset").overlap
    size = {str(dim): length for dim, length in images.sizes.items()}
    cuts = [
        _aligned(images.chunksizes[dim], look, margin)
        for dim, look, margin in zip(("y", "x"), recipe.looks, recipe.margin, strict=True)
    ]
    starts = [np.concatenate([[0], np.cumsum(cut)[:-1]]).astype(int) for cut in cuts]

    def pieces(variable: xr.Variable) -> AnyArray:
        """Chunks, as they are later, with their margins; (row of chunks, column of chunks)."""
        place = dict(zip(("y", "x"), cuts, strict=True))
        data = variable.chunk({"time": -1, **place} if "time" in variable.dims else place).data
        # a dimension in one chunk has no neighbours, and may be shorter than the margin
        reach = (margin if len(cut) > 1 else 0 for margin, cut in zip(recipe.margin, cuts, strict=True))
        depth = dict(zip(range(data.ndim - 2, data.ndim), reach, strict=True))
        later: AnyArray = overlap(data, depth=depth, boundary="none", allow_rechunk=False).to_delayed()
        return later.reshape(later.shape[-2:])

    across, along, per_across, per_along = flattening.arrays()
    of_images = pieces(images)
    by_pixel = pieces(flattening.across) if flattening.across.ndim > 1 else None
    of_across = None if flattening.per_across is None else pieces(flattening.per_across)
    of_along = None if flattening.per_along is None else pieces(flattening.per_along)
    blocks = [
        (k, m, _block((int(row), int(col)), (cuts[0][k], cuts[1][m]), size, recipe))
        for k, row in enumerate(starts[0])
        for m, col in enumerate(starts[1])
    ]
    blocks = _spread(blocks, share)
    later = dask.delayed(work)
    tasks = [
        later(
            block,
            (
                of_images[k, m],
                across if by_pixel is None else by_pixel[k, m],
                along,
                per_across if of_across is None else of_across[k, m],
                per_along if of_along is None else of_along[k, m],
            ),
        )
        for k, m, block in blocks
    ]
    return list(zip((block for _, _, block in blocks), dask.compute(*tasks), strict=True))


def _aligned(chunks: tuple[int, ...], look: int, margin: int) -> tuple[int, ...]:
    """Chunks of whole cells, none shorter than the margin."""
    size = sum(chunks)
    least = max(look, -(-margin // look) * look)
    cuts = [0]
    for edge in np.cumsum(chunks)[:-1].tolist():
        near = round(edge / look) * look
        if near - cuts[-1] >= least and size - near >= least:
            cuts.append(near)
    return tuple(np.diff([*cuts, size]).tolist())


def _rows(size: dict[str, int], recipe: Recipe, workers: int) -> int:
    """Rows of a block, in whole cells."""
    look = recipe.looks[0]
    by_memory = _BYTES // (8 * size["time"] * size["x"])
    by_threads = -(-size["y"] // (_BLOCKS * workers))
    # below this the margins cost more than the block
    wanted = max(min(by_memory, by_threads), 2 * recipe.margin[0], 1)
    return -(-wanted // look) * look


def _block(at: tuple[int, int], shape: tuple[int, int], size: dict[str, int], recipe: Recipe) -> Block:
    return Block(
        top=max(at[0] - recipe.margin[0], 0),
        left=max(at[1] - recipe.margin[1], 0),
        row=at[0],
        col=at[1],
        height=min(shape[0], size["y"] - at[0]),
        width=min(shape[1], size["x"] - at[1]),
    )


def _spread(blocks: list[T], share: float) -> list[T]:
    count = max(1, round(share * len(blocks)))
    if count >= len(blocks):
        return blocks
    return [blocks[number] for number in np.linspace(0, len(blocks) - 1, count + 2).astype(int)[1:-1]]


def _whole_cells(inner: slice, look: int) -> slice:
    return slice(inner.start // look, inner.stop // look)


def _brightest(mean: FloatArray, recipe: Recipe, cells: tuple[int, int]) -> tuple[BoolArray, BoolArray]:
    """Pixels that are the brightest of the window around them, and cells whose brightest pixel is."""
    if recipe.peak is None:
        return np.ones(mean.shape, bool), np.ones(cells, bool)
    known = np.where(np.isfinite(mean), mean, -1.0)
    # constant edges: a window over the edge of the scene has nothing brighter there
    bright = (maximum_filter(known, recipe.peak, mode="constant", cval=-1.0) == known) & (known >= 0)
    rows, cols = cells[0] * recipe.looks[0], cells[1] * recipe.looks[1]

    def by_cell(values: AnyArray) -> AnyArray:
        whole = values[:rows, :cols].reshape(cells[0], recipe.looks[0], cells[1], recipe.looks[1])
        return whole.transpose(0, 2, 1, 3).reshape(*cells, -1)

    if cells[0] * cells[1] == 0:
        return bright, np.zeros(cells, bool)
    best = by_cell(known).argmax(axis=-1)
    taken: BoolArray = np.take_along_axis(by_cell(bright), best[..., np.newaxis], axis=-1)[..., 0]
    return bright, taken
