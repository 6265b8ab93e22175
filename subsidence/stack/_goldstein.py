"""Adaptive filter of wrapped phase in patches of its spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy import fft

from subsidence import schema
from subsidence._blocks import Progress
from subsidence._extras import require
from subsidence.errors import InputError
from subsidence.stack._tiles import Box, Layout, over_scene
from subsidence.typing import AnyArray, FloatArray, is_number

__all__ = ["goldstein_filter"]

#: Pixels along a side of what one thread works on at a time.
_TILE = 192


def goldstein_filter(
    stack: xr.Dataset,
    *,
    alpha: float | Literal["coherence"] = 0.5,
    window: int = 32,
    overlap: float = 0.75,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Adaptive filter of wrapped interferograms.

    Parameters
    ----------
    stack
        INTERFEROGRAMS with wrapped ``phase``.
    alpha
        Strength of the filter: 0 leaves the phase as it is, 1 is strongest. ``"coherence"``: 1 less the mean
        coherence of each patch, so that what is noisy is filtered and what is clear is left (Baran et al. 2003).
    window
        Side of a patch in pixels, 8 or more.
    overlap
        Part of a patch that the next one shares, 0.5, 0.75 or 0.875: more is smoother and slower.
    threads
        Threads over blocks of data in memory, all CPUs by default. Chunked (dask) data stay lazy.
    progress
        True for a progress bar, or a function told (blocks done, blocks in all).

    Returns
    -------
    xarray.Dataset
        The stack with a filtered ``phase``; NaN stays where it was, and nowhere else. ``coherence`` is that of the
        phase before it was filtered. The attribute ``filter`` says what was done.

    Raises
    ------
    InputError
        When a parameter is out of range, the phase is not there or unwrapped, or `alpha` asks for coherence that is
        not there.

    Notes
    -----
    Each patch of :math:`e^{j \phi}`, zero where there is no data, becomes

    .. math:: \mathcal F^{-1} \left[ \left( \frac{S(|Z|)}{\overline{S(|Z|)}} \right)^\alpha Z \right]

    with its spectrum Z and S the mean over 3 x 3 frequencies. Patches are added with weights that fall linearly from
    their middle, and begin at multiples of the step between them whatever the chunks.

    References
    ----------
    Goldstein, R. M. and C. L. Werner (1998), Radar interferogram filtering for geophysical applications, Geophys.
    Res. Lett. 25, 4035-4038, doi:10.1029/1998GL900033

    Baran, I., M. P. Stewart, B. M. Kampes, Z. Perski and P. Lilly (2003), A modification to the Goldstein radar
    interferogram filter, IEEE Trans. Geosci. Remote Sens. 41, 2114-2118, doi:10.1109/TGRS.2003.817212

    Examples
    --------
    >>> from subsidence import simulate
    >>> from subsidence.network import sequential_pairs
    >>> from subsidence.stack import form_interferograms
    >>> slc, truth = simulate.slc_scene(shape=(40, 200), epochs=5, seed=1)
    >>> stack = form_interferograms(slc, sequential_pairs(slc, neighbours=1), looks=(1, 5))
    >>> goldstein_filter(stack, alpha=0.8, window=16).phase.shape
    (4, 40, 40)
    """
    power = _strength(alpha)
    needs = ("phase",) if power is not None else ("phase", "coherence")
    schema.INTERFEROGRAMS.check(stack, argument="stack", needs=needs)
    if schema.spatial_dims(stack, argument="stack") != ("y", "x"):
        msg = "stack must be a raster, dims ('pair', 'y', 'x'): phases of points have no spectrum"
        raise InputError(msg)
    side, step = _patches(window, overlap)
    phase = stack["phase"].variable.transpose("pair", "y", "x")
    coherence = None
    if power is None:
        coherence = stack["coherence"].variable.transpose("pair", "y", "x")
        coherence = coherence.chunk(phase.chunksizes) if phase.chunks is not None else coherence.compute()
    work = _Filter(side, step, power)
    margin = side - step
    tile = max(1, _TILE // step) * step
    # Pairs have nothing to do with each other: those of different chunks are filtered apart.
    sizes = phase.chunksizes["pair"] if phase.chunks is not None else (phase.sizes["pair"],)
    ends = np.cumsum((0, *sizes))
    pieces: list[Any] = []
    for start, size in zip(ends[:-1], sizes, strict=True):
        part = slice(int(start), int(start) + size)
        inputs = [variable.data[part] for variable in (phase, coherence) if variable is not None]
        layout = Layout((1, 1), (margin, margin), (tile, tile), (size,), align=(step, step))
        label = "Goldstein filter"
        pieces += over_scene(work, inputs, layout, threads=threads, progress=progress, label=label)
    if len(pieces) == 1:
        filtered = pieces[0]
    else:
        filtered = require("dask.array", extra="dask", purpose="a chunked dataset").concatenate(pieces)
    words = f"Goldstein, alpha {alpha}, window {side}, overlap {overlap:g}"
    earlier = stack.attrs.get("filter")
    result = stack.assign(phase=xr.Variable(phase.dims, filtered, phase.attrs))
    result.attrs = {**stack.attrs, "filter": f"{earlier}; {words}" if earlier else words}
    return schema.INTERFEROGRAMS.stamp(result)


@dataclass(frozen=True)
class _Filter:
    """The filter of one block; survives pickling."""

    side: int
    step: int
    alpha: float | None

    def __call__(
        self, block: Box, inner: Box, place: tuple[int, int], inputs: Sequence[AnyArray], outputs: Sequence[AnyArray]
    ) -> None:
        rows, cols = slice(block[0], block[1]), slice(block[2], block[3])
        within = slice(inner[0], inner[1]), slice(inner[2], inner[3])
        down = slice(place[0], place[0] + inner[1] - inner[0])
        over = slice(place[1], place[1] + inner[3] - inner[2])
        for pair in range(inputs[0].shape[0]):
            phase = inputs[0][pair, rows, cols]
            coherence = inputs[1][pair, rows, cols] if self.alpha is None else None
            outputs[0][pair, down, over] = self._filtered(phase, coherence)[within]

    def _filtered(self, phase: FloatArray, coherence: FloatArray | None) -> FloatArray:
        side, step = self.side, self.step
        valid = np.isfinite(phase)
        phasor = np.exp(1j * np.where(valid, phase, 0).astype(np.float32)).astype(np.complex64)
        phasor[~valid] = 0
        patches = self._cut(phasor)
        spectrum = fft.fft2(patches)
        strength = _smoothed(np.abs(spectrum))
        mean = strength.mean((-2, -1), keepdims=True)
        strength /= np.where(mean > 0, mean, 1)
        if self.alpha is None:
            assert coherence is not None
            known = np.isfinite(coherence)
            count = self._cut(known.astype(np.float32)).sum((-2, -1), keepdims=True)
            total = self._cut(np.where(known, coherence, 0).astype(np.float32)).sum((-2, -1), keepdims=True)
            power = 1 - np.clip(total / np.maximum(count, 1), 0, 1)
            strength **= power
        else:
            strength **= np.float32(self.alpha)
        spectrum *= strength
        patches = fft.ifft2(spectrum, overwrite_x=True)
        # Pixels lie at their middles: no pixel of a patch has the weight zero.
        fall = 1 - np.abs((np.arange(side, dtype=np.float32) + 0.5) / (side / 2) - 1)
        patches *= fall[:, np.newaxis] * fall
        down, over = patches.shape[:2]
        parts = side // step
        total_sum = np.zeros((down + parts - 1, step, over + parts - 1, step), np.complex64)
        for i in range(parts):
            for j in range(parts):
                piece = patches[:, :, i * step : (i + 1) * step, j * step : (j + 1) * step]
                total_sum[i : i + down, :, j : j + over] += piece.transpose(0, 2, 1, 3)
        before = side - step
        whole = total_sum.reshape(total_sum.shape[0] * step, -1)
        whole = whole[before : before + phase.shape[0], before : before + phase.shape[1]]
        result = np.angle(whole).astype(np.float32)
        result[~valid] = np.nan
        return result

    def _cut(self, values: AnyArray) -> AnyArray:
        """Every patch that holds a pixel, zero beyond the block: (down, over, side, side)."""
        side, step = self.side, self.step
        around = [(side - step, side - step + (-size) % step) for size in values.shape]
        views = np.lib.stride_tricks.sliding_window_view(np.pad(values, around), (side, side))
        return np.ascontiguousarray(views[::step, ::step])


def _smoothed(values: FloatArray) -> FloatArray:
    """Mean over 3 x 3 frequencies, around the ends."""
    for axis in (-2, -1):
        values = (np.roll(values, 1, axis) + values + np.roll(values, -1, axis)) / np.float32(3)
    return values


def _strength(alpha: object) -> float | None:
    """Exponent of the spectrum; None where coherence decides."""
    if isinstance(alpha, str) and alpha == "coherence":
        return None
    if is_number(alpha) and 0 <= alpha <= 1:
        return float(alpha)
    msg = f"alpha must be a number 0..1 or 'coherence', got {alpha!r}"
    raise InputError(msg)


def _patches(window: object, overlap: float) -> tuple[int, int]:
    if isinstance(window, bool) or not isinstance(window, (int, np.integer)) or window < 8:
        msg = f"window must be a whole number of pixels, 8 or more, got {window!r}"
        raise InputError(msg)
    if not is_number(overlap) or overlap not in {0.5, 0.75, 0.875}:
        msg = f"overlap must be 0.5, 0.75 or 0.875 of a window, got {overlap!r}"
        raise InputError(msg)
    parts = round(1 / (1 - overlap))
    if window % parts:
        msg = f"window must be a multiple of {parts} where overlap={overlap!r}, got {window!r}"
        raise InputError(msg)
    return int(window), int(window) // parts
