"""How many candidates thresholds would give."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence._blocks import Progress
from subsidence.errors import InputError
from subsidence.scatterers._examine import Arrays, Block, Recipe, examine, over_pixels, walk
from subsidence.scatterers._plan import Plan
from subsidence.typing import FloatArray, IntArray, is_number

__all__ = ["count_scatterers"]


def count_scatterers(
    slc: xr.Dataset,
    *,
    max_dispersion: npt.ArrayLike = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    min_coherence: npt.ArrayLike = (0.2, 0.3, 0.38, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9),
    looks: tuple[int, int] = (1, 5),
    neighbours: int = 2,
    lowpass: tuple[int, int] | None = (11, 11),
    peak_window: tuple[int, int] | None = None,
    mask: xr.DataArray | None = None,
    share: float = 1.0,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    """
    Number of candidates for thresholds, before any is chosen.

    Parameters
    ----------
    slc
        SLC, in memory or chunked (dask).
    max_dispersion, min_coherence
        Thresholds to try.
    looks, neighbours, lowpass, peak_window, mask
        As of :func:`select_scatterers`.
    share
        Share of the blocks that are looked at, evenly spread: a tenth takes a tenth of the time. The numbers are
        scaled to the whole scene.
    threads, progress
        As of :func:`select_scatterers`.

    Returns
    -------
    xarray.Dataset
        ``classic_count`` along ``max_dispersion``, ``multilook_count`` along ``min_coherence``, and over both ``count``
        of the joined set, as many as :func:`select_scatterers` finds with the same options (less those without data in
        its reference image). ``attrs["share"]`` is the share of pixels that was looked at.

    Raises
    ------
    InputError
        As :func:`select_scatterers`, and when thresholds are not positive or `share` is not above 0 to 1.

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(60, 80), epochs=12, seed=1)
    >>> counts = count_scatterers(slc)
    >>> bool((counts.classic_count.diff("max_dispersion") >= 0).all())
    True
    """
    steady, coherent = (
        _thresholds(name, values)
        for name, values in (("max_dispersion", max_dispersion), ("min_coherence", min_coherence))
    )
    if not is_number(share) or not 0 < share <= 1:
        msg = f"share must be a part of the blocks, above 0 to 1, got {share!r}"
        raise InputError(msg)
    plan = Plan.of(
        slc,
        dispersion=True,
        coherence=True,
        looks=looks,
        neighbours=neighbours,
        lowpass=lowpass,
        peak_window=peak_window,
        mask=mask,
    )
    work = partial(_tally, plan.recipe, np.sort(steady), np.sort(coherent))
    blocks = walk(
        plan.images,
        plan.flattening,
        plan.recipe,
        work,
        share=share,
        threads=threads,
        progress=progress,
        label="preview",
    )
    pixels, cells = (sum(table) for table in zip(*(one for _, one in blocks), strict=True))
    seen = sum(block.height * block.width for block, _ in blocks) / (slc.sizes["y"] * slc.sizes["x"])
    # pixels below each limit of dispersion, of cells below each limit of coherence
    below = pixels.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    above = cells[::-1].cumsum()[::-1][1:]
    counts = {
        "classic_count": (("max_dispersion",), pixels.sum(axis=1).cumsum()[:-1], "pixels of steady amplitude"),
        "multilook_count": (("min_coherence",), above, "coherent multilooked pixels"),
        "count": (("max_dispersion", "min_coherence"), below + above, "candidates of both sets, joined"),
    }
    result = xr.Dataset(
        {
            name: (dims, np.rint(values / seen).astype(np.int64), {"units": "1", "long_name": words})
            for name, (dims, values, words) in counts.items()
        },
        {"max_dispersion": np.sort(steady), "min_coherence": np.sort(coherent)},
        {"share": seen, "looks": [int(look) for look in looks], "neighbours": int(neighbours)},
    )
    result["max_dispersion"].attrs = {"units": "1", "long_name": "limit of the amplitude dispersion"}
    result["min_coherence"].attrs = {"units": "1", "long_name": "limit of the temporal coherence"}
    return result


def _tally(
    recipe: Recipe, steady: FloatArray, coherent: FloatArray, block: Block, arrays: Arrays
) -> tuple[IntArray, IntArray]:
    """Pixels by the limits that their dispersion and their cell's coherence pass, and cells by those of coherence."""
    seen = examine(recipe, block, arrays)
    # first limit that the dispersion is below; number of limits that the coherence is above
    low = np.searchsorted(steady, np.where(seen.bright, seen.dispersion, np.nan), side="right")
    coherence = np.where(np.isfinite(seen.coherence) & seen.bright_cells, seen.coherence, -1.0)
    high = np.searchsorted(coherent, coherence, side="left")
    around = over_pixels(high, recipe.looks, low.shape, rest=0)
    shape = steady.size + 1, coherent.size + 1
    pixels = np.bincount((low * shape[1] + around).ravel(), minlength=shape[0] * shape[1])
    return pixels.reshape(shape), np.bincount(high.ravel(), minlength=shape[1])


def _thresholds(name: str, values: npt.ArrayLike) -> FloatArray:
    try:
        limits = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        limits = np.empty(0)
    if limits.ndim != 1 or limits.size == 0 or not (np.isfinite(limits).all() and (limits > 0).all()):
        msg = f"{name} must be positive limits to try, got {values!r}"
        raise InputError(msg)
    return limits
