"""Candidates for persistent scatterers: steady amplitudes, and multilooked pixels that stay coherent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress
from subsidence._kernels import pair_coherence as kernels
from subsidence.errors import InputError
from subsidence.scatterers._examine import Arrays, Block, Recipe, examine, over_pixels, walk
from subsidence.scatterers._plan import Plan
from subsidence.scatterers._points import Output, coordinates
from subsidence.typing import FloatArray, IntArray, is_number

__all__ = ["select_scatterers"]

CLASSIC, MULTILOOK = 0, 1
SOURCES = np.array(["classic", "multilook"])


def select_scatterers(
    slc: xr.Dataset,
    *,
    max_dispersion: float | None = 0.25,
    min_coherence: float | None = 0.38,
    looks: tuple[int, int] = (1, 5),
    neighbours: int = 2,
    lowpass: tuple[int, int] | None = (11, 11),
    peak_window: tuple[int, int] | None = None,
    reference_time: np.datetime64[Any] | str | None = None,
    pairs: xr.Dataset | None = None,
    mask: xr.DataArray | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Candidates for persistent scatterers, and their phases.

    Two sets are joined: pixels of steady amplitude (classic), and multilooked pixels whose phase stays coherent
    between images next to each other in time, which finds scatterers among vegetation too. Where both find the same
    place the multilooked one stays.

    Parameters
    ----------
    slc
        SLC, in memory or chunked (dask).
    max_dispersion
        Amplitude dispersion below which a pixel is a candidate; None for no such set.
    min_coherence
        Temporal coherence above which a multilooked pixel is one; None for no such set.
    looks
        Rows (azimuth) and columns (range) of a multilooked pixel.
    neighbours
        How many of the following images each is paired with for that coherence.
    lowpass
        Rows and columns, odd, of the window of multilooked pixels whose phase is taken off before; None for
        the raw phase, in which atmosphere and motion count as noise.
    peak_window
        Rows and columns, odd, of a window of pixels: only candidates whose brightest pixel is the brightest in
        the window around it are kept. It removes the side lobes of bright points, as in oversampled images.
    reference_time
        Date of the image that phases are relative to; None for that of :func:`choose_reference`.
    pairs
        Pairs that the phases are wanted of instead, as from :func:`small_baseline_pairs`.
    mask
        Pixels by which amplitudes are calibrated, see :func:`calibrate_amplitude`.
    threads
        Threads over blocks of images in memory, all CPUs by default. Chunked ones go to dask's scheduler.
    progress
        True for a progress bar, or a function told (blocks done, blocks in all). Of chunked images use dask's own.

    Returns
    -------
    xarray.Dataset
        POINTS in order of row and column. ``phase`` (time, point) or (pair, point) in radians, positive away from
        the satellite, flat earth and topography removed, exactly zero at the reference epoch; of a multilooked
        pixel its multilooked phase. ``row`` and ``col`` are the address, of a multilooked pixel its first pixel;
        ``source`` is "classic" or "multilook"; ``amplitude_dispersion`` is that of the address, and
        ``selection_coherence`` that of the multilooked pixel around it, where each was computed. Baselines
        are relative to the reference, and all that `slc` knows of the pixels comes along. The attributes record how
        the points were chosen.

    Raises
    ------
    SchemaError
        When `slc` is not SLC, such as one of amplitudes (real numbers).
    InputError
        When fewer than 4 images hold data, no pixel is a candidate, an option is out of range, or the geometry that
        flat earth and topography need is missing while ``slc.attrs["phase_removed"]`` does not say that they
        are gone.

    Warns
    -----
    SuspiciousDataWarning
        When images hold no data: their phases are NaN.

    Notes
    -----
    The temporal coherence of a multilooked pixel is, after the improved selection of the Foshan study,

    .. math:: \gamma = \left| \frac{1}{P} \sum_p \exp j (\phi_p - \tilde\phi_p) \right|

    over the P pairs, :math:`\phi_p` being the phase of the multilooked interferogram and :math:`\tilde\phi_p` its
    low-pass: that of the sum over the other pixels in the window, each weighted by the square root of its amplitude,
    so that neither a bright pixel nor the pixel itself decides. In each pair flat earth and topography are removed
    before the looks are added. Amplitude dispersion is that of :func:`amplitude_dispersion`, calibrated. Pixels without
    data in half of the images, or in the reference image, are no candidates.

    Short pairs are coherent where long ones are not: of the multilooked candidates at 0.38 many are lost
    between distant dates. The phase model tells them from the others, or a higher limit does
    (:func:`count_scatterers`).

    Memory: of images in memory some 200 MB for each thread besides. Chunked ones should hold all epochs in each chunk
    (``slc.chunk(time=-1, y=64, x=-1)``): each is read once, a few patches for the calibration twice, and some two
    rows of chunks are in memory with four chunks more for each worker. Images cut along time are read by blocks
    of rows, never whole, but may be opened anew for each block. The result takes 4 bytes for each point and phase.

    References
    ----------
    Ferretti, A., C. Prati and F. Rocca (2001), Permanent scatterers in SAR interferometry, IEEE Trans. Geosci. Remote
    Sens. 39(1), 8-20, doi:10.1109/36.898661

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(60, 80), epochs=12, seed=1)
    >>> points = select_scatterers(slc, min_coherence=0.6)
    >>> points.phase.dims, bool((points.phase.sel(time=points.attrs["reference_time"]) == 0).all())
    (('time', 'point'), True)
    """
    if max_dispersion is None and min_coherence is None:
        msg = "max_dispersion and min_coherence are both None: no set of candidates is asked for"
        raise InputError(msg)
    plan = Plan.of(
        slc,
        dispersion=_threshold("max_dispersion", max_dispersion),
        coherence=_threshold("min_coherence", min_coherence),
        looks=looks,
        neighbours=neighbours,
        lowpass=lowpass,
        peak_window=peak_window,
        mask=mask,
    )
    output = Output.of(slc, reference_time=reference_time, pairs=pairs, usable=plan.usable)
    work = partial(_pick, plan.recipe, output, (max_dispersion, min_coherence))
    blocks = walk(
        plan.images,
        plan.flattening,
        plan.recipe,
        work,
        threads=threads,
        progress=progress,
        label="scatterers",
    )
    found = [one for _, one in blocks]
    rows, cols = (np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "cols"))
    if rows.size == 0:
        raise InputError(_nothing(found, max_dispersion, min_coherence, peak_window))
    order = np.lexsort((cols, rows))
    by_point = {
        name: np.concatenate([getattr(one, name) for one in found])[order]
        for name in ("source", "amplitude_dispersion", "selection_coherence")
    }
    phase = np.empty((output.first.size, rows.size), np.float32)
    np.concatenate([one.phase for one in found], axis=1, out=phase)
    wanted = {"amplitude_dispersion": max_dispersion, "selection_coherence": min_coherence}
    by_point["source"] = SOURCES[by_point["source"]]
    kept = {name: values for name, values in by_point.items() if wanted.get(name, 0) is not None}
    attrs: dict[str, Any] = {
        **{name: value for name, value in slc.attrs.items() if name in {"title", "centre_look", "seed"}},
        **({} if plan.flattening.centre_look is None else {"centre_look": plan.flattening.centre_look}),
        "phase_removed": plan.flattening.removed,
        "looks": [int(look) for look in looks],
        "neighbours": int(neighbours),
        "max_dispersion": "none" if max_dispersion is None else float(max_dispersion),
        "min_coherence": "none" if min_coherence is None else float(min_coherence),
        "lowpass": "none" if lowpass is None else [int(side) for side in lowpass],
        "peak_window": "none" if peak_window is None else [int(side) for side in peak_window],
    }
    if output.reference is not None:
        attrs["reference_time"] = str(slc["time"].values[output.reference].astype("M8[s]"))
    result = xr.Dataset(
        {"phase": ((output.along, "point"), phase[:, order])},
        {
            **coordinates(slc, rows[order], cols[order], output),
            **{name: xr.Variable("point", values) for name, values in kept.items()},
        },
        attrs,
    )
    return schema.POINTS.stamp(result)


@dataclass(frozen=True, eq=False)
class _Picked:
    """Candidates in a block, and the best values that were seen there."""

    rows: IntArray
    cols: IntArray
    source: npt.NDArray[np.int8]
    amplitude_dispersion: FloatArray
    selection_coherence: FloatArray
    phase: FloatArray
    best: tuple[float, float]


def _pick(
    recipe: Recipe,
    output: Output,
    limits: tuple[float | None, float | None],
    block: Block,
    arrays: Arrays,
) -> _Picked:
    """Candidates in a block, by the limits of dispersion and coherence."""
    max_dispersion, min_coherence = limits
    seen = examine(recipe, block, arrays)
    steady = np.zeros(seen.dispersion.shape, bool)
    if max_dispersion is not None:
        steady = (seen.dispersion < max_dispersion) & seen.bright
    coherent = np.zeros(seen.coherence.shape, bool)
    if min_coherence is not None:
        coherent = (seen.coherence > min_coherence) & seen.bright_cells
    steady &= ~over_pixels(coherent, recipe.looks, steady.shape, rest=0)
    alone, cells = np.nonzero(steady), np.nonzero(coherent)
    looks = recipe.looks
    rows, cols = (np.concatenate([alone[axis], cells[axis] * looks[axis]]).astype(np.int64) for axis in (0, 1))
    source = np.repeat(np.array([CLASSIC, MULTILOOK], np.int8), [alone[0].size, cells[0].size])
    phase = np.empty((output.first.size, rows.size), np.float32)
    kernels.point_phase(
        seen.real,
        seen.imag,
        rows + (block.row - block.top),
        cols + (block.col - block.left),
        source == MULTILOOK,
        looks,
        output.first,
        output.second,
        phase,
    )
    known = np.isfinite(phase).any(axis=0)  # none is where the reference image holds no data
    at = rows[known], cols[known]
    return _Picked(
        rows=at[0] + block.row,
        cols=at[1] + block.col,
        source=source[known],
        amplitude_dispersion=seen.dispersion[at],
        selection_coherence=over_pixels(seen.coherence, recipe.looks, steady.shape, rest=np.nan)[at],
        phase=phase[:, known],
        best=(
            float(np.nanmin(seen.dispersion, initial=np.inf)),
            float(np.nanmax(seen.coherence, initial=-np.inf)),
        ),
    )


def _nothing(
    found: Sequence[_Picked],
    max_dispersion: float | None,
    min_coherence: float | None,
    peak_window: tuple[int, int] | None,
) -> str:
    """Why there are no candidates, and what would change that."""
    lowest, highest = min(one.best[0] for one in found), max(one.best[1] for one in found)
    seen, cure = [], []
    if max_dispersion is not None:
        known = f"the lowest is {lowest:.3f}" if np.isfinite(lowest) else "no pixel has data in half of the images"
        seen.append(f"no amplitude dispersion is below {max_dispersion:g} ({known})")
        cure.append("raise max_dispersion")
    if min_coherence is not None:
        known = f"the highest is {highest:.3f}" if np.isfinite(highest) else "no pixel has data in half of the pairs"
        seen.append(f"no multilooked temporal coherence is above {min_coherence:g} ({known})")
        cure.append("lower min_coherence")
    if peak_window is not None:
        cure.append("drop peak_window")
    missing = lowest < (max_dispersion or 0) or highest > (1.0 if min_coherence is None else min_coherence)
    if missing and peak_window is None:
        cure = ["choose another reference_time: its image lacks the pixels that would pass"]
    return f"no candidate: {', and '.join(seen)}: {' or '.join(cure)}, see count_scatterers"


def _threshold(name: str, value: float | None) -> bool:
    """Whether a set is wanted."""
    if value is None:
        return False
    if not is_number(value) or not 0 < value < (1 if name == "min_coherence" else np.inf):
        msg = f"{name} must lie above 0{' and below 1' if name == 'min_coherence' else ''}, or be None, got {value!r}"
        raise InputError(msg)
    return True
