"""What neighbours share: spatial low-pass filters of the rough part of each epoch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from subsidence._blocks import Kernel, Output, Progress, run
from subsidence._extras import require
from subsidence._kernels.kriging import krige
from subsidence.atmosphere._variogram import LEAST_NOISE, MODELS, Variogram, shape
from subsidence.typing import AnyArray, FloatArray, IntArray

__all__ = ["kriging", "near_density", "pairs_on_grid", "pairs_on_points", "smooth_grid", "smooth_points"]

#: Places whose near neighbours, and places that all with each other, make pairs for the variogram.
_SEEDS, _MUTUAL, _NEAR = 1500, 400, 12
#: Neighbours that a place is compared with, the variance beyond which it is unlike them (in terms of what the
#: variogram tells; an estimate from 30 epochs scatters by a quarter), and places compared together.
_AROUND, _UNLIKE, _ROWS = 8, 1.5, 4096
#: Reach of the Gaussian kernel in standard deviations.
_TRUNCATE = 3.0
#: Side of the cells of which dense points are summed, in standard deviations of the kernel.
_CELL = 0.2
#: Cells within that reach, and pairs of place and cell that are held at once.
_NODES, _PAIRS = 900, 4_000_000


def pairs_on_points(positions: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """
    Pairs near and far, for a variogram, whatever the order of the points.

    Returns
    -------
    places
        Numbers of the points used.
    first, second
        Pairs, as numbers into `places`.
    """
    # By position, so that the choice does not depend on how points are numbered.
    order = np.lexsort((positions[:, 1], positions[:, 0]))
    chosen = order[np.random.default_rng(0).permutation(order.size)]
    seeds = chosen[:_SEEDS]
    ranks = range(1, min(_NEAR, order.size - 1) + 2)  # the first is the place itself
    near = np.asarray(cKDTree(positions).query(positions[seeds], k=ranks)[1])
    mutual = chosen[:_MUTUAL]
    a, b = np.triu_indices(mutual.size, 1)
    first = np.concatenate([np.repeat(seeds, near.shape[1] - 1), mutual[a]])
    second = np.concatenate([near[:, 1:].ravel(), mutual[b]])
    return _numbered(first, second)


def pairs_on_grid(shape: tuple[int, int]) -> tuple[IntArray, IntArray, IntArray]:
    """As :func:`pairs_on_points`, of pixels numbered row by row."""
    rows, columns = shape
    chosen = np.random.default_rng(0).permutation(rows * columns) if rows * columns < 10**6 else None
    if chosen is None:
        chosen = np.unique(np.random.default_rng(0).integers(0, rows * columns, _SEEDS))
        chosen = np.random.default_rng(1).permutation(chosen)
    seeds, mutual = chosen[:_SEEDS], chosen[:_MUTUAL]
    row, column = np.divmod(seeds, columns)
    first, second = [], []
    for i, j in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (3, -3), (0, 6), (6, 0), (8, 8)):
        r, c = row + i, column + j
        inside = (r < rows) & (c >= 0) & (c < columns)
        first.append(seeds[inside])
        second.append((r * columns + c)[inside])
    a, b = np.triu_indices(mutual.size, 1)
    return _numbered(np.concatenate([*first, mutual[a]]), np.concatenate([*second, mutual[b]]))


def _numbered(first: IntArray, second: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    places, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
    return places, numbers[: first.size], numbers[first.size :]


def near_density(positions: FloatArray) -> float:
    """Places in a square metre where places are, from the distance to a few neighbours."""
    if len(positions) == 1:
        return 1.0  # any width has it alone
    k = min(8, len(positions) - 1)
    distance = np.asarray(cKDTree(positions).query(positions, k=[k + 1])[0])
    typical = float(np.median(distance))
    if typical == 0.0:
        typical = float(distance.max()) or 1.0
    return k / (np.pi * typical**2)


def kriging(
    values: FloatArray,
    positions: FloatArray,
    variogram: Variogram,
    *,
    neighbours: int,
    threads: int | None,
    progress: Progress,
) -> FloatArray:
    """
    Smooth part of `values` (epochs, places) at those places by ordinary kriging without the nugget.

    Epochs whose ratio of nugget to sill differs by less than a factor of 1.33 share their weights.
    """
    steps = np.rint(8 * np.log10(variogram.noise)).astype(np.int64)
    classes, kind = np.unique(steps, return_inverse=True)
    filled = np.isfinite(values).any(axis=0)
    nodes, data = positions[filled], np.ascontiguousarray(values[:, filled].T)
    if len(nodes) == 0:
        return np.full_like(values, np.nan)
    tree, size = cKDTree(nodes), min(neighbours, len(nodes))
    x, y = np.ascontiguousarray(nodes.T)
    complete = np.asarray(np.isfinite(data).all(axis=1))
    ratios = 10 ** (classes / 8)
    noise = noise_of_places(data, nodes, variogram)

    def block(start: int, stop: int, to_x: FloatArray, to_y: FloatArray, out: FloatArray) -> None:
        places = np.stack([to_x[start:stop], to_y[start:stop]], axis=-1)
        near = np.ascontiguousarray(tree.query(places, k=range(1, size + 1))[1], np.int64)
        model = MODELS[variogram.model]
        krige(start, stop, to_x, to_y, near, x, y, data, complete, noise, model, variogram.reach, ratios, kind, out)

    return _by_block(block, positions, values, threads, progress)


def noise_of_places(data: FloatArray, positions: FloatArray, variogram: Variogram) -> FloatArray:
    """
    How many times its nugget the variance of each place is: 1 but where a place is unlike its neighbours.

    `data` (places, epochs) less the mean of near neighbours has the variance that the variogram tells; only what is
    clearly more counts, as noise or motion of that place alone. The nugget then stands for the others.
    """
    count = len(positions)
    k = min(_AROUND, count - 1)
    if k < _AROUND // 2:
        return np.ones(count)
    distance, near = (np.asarray(a) for a in cKDTree(positions).query(positions, k=range(1, k + 2)))
    sill, nugget = float(np.mean(variogram.sill)), float(np.mean(variogram.nugget))
    nugget = max(nugget, LEAST_NOISE * sill)
    result = np.ones(count)
    if nugget == 0:
        return result
    for start in range(0, count, _ROWS):
        rows = slice(start, start + _ROWS)
        around = near[rows, 1:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # places and epochs without data: NaN, and 1 below
            found = np.nanmean((data[rows] - np.nanmean(data[around], axis=1)) ** 2, axis=1)
        apart = np.linalg.norm(positions[around][:, :, np.newaxis] - positions[around][:, np.newaxis], axis=-1)
        smooth = 2 * shape(variogram.model, distance[rows, 1:], variogram.reach).mean(axis=1)
        smooth -= shape(variogram.model, apart, variogram.reach).mean(axis=(1, 2))
        expected = sill * smooth + nugget * (1 + 1 / k)
        result[rows] += np.nan_to_num(np.maximum(found - _UNLIKE * expected, 0.0) / nugget)
    return result


def smooth_points(
    values: FloatArray, positions: FloatArray, sigma: float, *, threads: int | None, progress: Progress
) -> FloatArray:
    """
    Mean of `values` (epochs, places) weighted by a Gaussian of standard deviation `sigma` (m) cut at 3 sigma.

    Where points are dense they are first summed in cells of a fifth of sigma, which changes the kernel's
    variance by 0.3 %.
    """
    cell = np.floor(positions / (_CELL * sigma)).astype(np.int64)
    _, number = np.unique(cell, axis=0, return_inverse=True)
    number = number.ravel()
    nodes = int(number.max()) + 1
    gather = sparse.csr_array((np.ones(number.size), (number, np.arange(number.size))), shape=(nodes, number.size))
    size: FloatArray = np.bincount(number).astype(np.float64)
    centre = (gather @ positions) / size[:, np.newaxis]
    valid = np.isfinite(values).T
    whole = bool(valid.all())
    sums = gather @ np.where(valid, values.T, 0.0).astype(np.float64)
    counts = size[:, np.newaxis] if whole else gather @ valid.astype(np.float64)
    tree = cKDTree(centre)
    step = max(1, _PAIRS // min(tree.n, _NODES))

    def block(start: int, stop: int, x: FloatArray, y: FloatArray, out: FloatArray) -> None:
        for first in range(start, stop, step):
            last = min(first + step, stop)
            places = cKDTree(np.stack([x[first:last], y[first:last]], axis=-1))
            found = places.sparse_distance_matrix(tree, _TRUNCATE * sigma, output_type="coo_matrix")
            weight = sparse.csr_array(
                (np.exp(-0.5 * (found.data / sigma) ** 2), (found.row, found.col)), shape=(last - first, tree.n)
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                out[:, first:last] = ((weight @ sums) / (weight @ counts)).T

    return _by_block(block, positions, values, threads, progress)


def _by_block(
    block: Kernel, positions: FloatArray, values: FloatArray, threads: int | None, progress: Progress
) -> FloatArray:
    """Fill an array like `values` over blocks of places."""
    x, y = (xr.Variable("point", positions[:, axis]) for axis in (0, 1))
    output = Output(("time",), (len(values),), values.dtype)
    (result,) = run(block, [x, y], [output], place=("point",), threads=threads, progress=progress, label="atmosphere")
    return np.asarray(result.values)


def smooth_grid(values: xr.Variable, sigma: tuple[float, float]) -> xr.Variable:
    """As :func:`smooth_points` on dims (time, y, x), `sigma` in rows and columns; lazy where `values` is."""
    if values.chunks is None:
        return xr.Variable(values.dims, _smooth_images(np.asarray(values.data), sigma=sigma))
    require("dask.array", extra="dask", purpose="a chunked dataset")
    data: Any = values.data
    depth = {0: 0, 1: int(_TRUNCATE * sigma[0] + 1), 2: int(_TRUNCATE * sigma[1] + 1)}
    smooth = data.map_overlap(_smooth_images, depth=depth, boundary=np.nan, dtype=values.dtype, sigma=sigma)
    return xr.Variable(values.dims, smooth)


def _smooth_images(values: AnyArray, *, sigma: tuple[float, float]) -> AnyArray:
    out = np.empty_like(values)
    for number, image in enumerate(values):
        valid = np.isfinite(image)
        options: dict[str, Any] = {"sigma": sigma, "mode": "constant", "truncate": _TRUNCATE, "output": np.float64}
        total = ndimage.gaussian_filter(np.where(valid, image, 0.0), **options)
        share = ndimage.gaussian_filter(valid.astype(np.float64), **options)
        with np.errstate(invalid="ignore", divide="ignore"):
            # below the kernel's least weight the share is rounding of nothing
            out[number] = np.where(share > 1e-9, total / share, np.nan)
    return out
