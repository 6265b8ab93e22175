"""Phase unwrapping of wrapped interferograms with SNAPHU (extra ``unwrap``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Event
from typing import Any, Literal

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Progress, each
from subsidence._extras import require
from subsidence._reference import resolve
from subsidence.errors import InputError, SubsidenceError
from subsidence.network import Network
from subsidence.typing import BoolArray, FloatArray

__all__ = ["unwrap"]

#: SNAPHU averages gradients over a window and refuses grids smaller than this.
_LEAST_SIDE = 4
#: A wrapped phase may pass pi by rounding.
_PI = np.pi * (1 + 1e-6)
_COSTS = ("smooth", "defo")
_STARTS = ("mcf", "mst")

# SNAPHU writes to the standard output of the process that starts it, past Python. A process of its own has one that
# can be thrown away, without touching the caller's.
_PROGRAM = """
import sys
import numpy
import snaphu
folder, looks, cost, init = sys.argv[1:]
igram, corr, mask = (numpy.load(f"{folder}/{name}.npy") for name in ("igram", "corr", "mask"))
try:
    unw, conncomp = snaphu.unwrap(igram, corr, float(looks), cost, init, mask=mask, scratchdir=folder)
except RuntimeError as error:
    sys.exit(str(error))
numpy.save(f"{folder}/unw.npy", unw)
numpy.save(f"{folder}/conncomp.npy", conncomp)
"""


def unwrap(
    stack: xr.Dataset,
    *,
    looks: float | None = None,
    mask: xr.DataArray | None = None,
    cost: Literal["smooth", "defo"] = "smooth",
    init: Literal["mcf", "mst"] = "mcf",
    threads: int | None = None,
    progress: Progress = False,
) -> xr.Dataset:
    r"""
    Unwrap each interferogram with SNAPHU.

    Needs the extra ``unwrap`` (the package ``snaphu``, whose licence is free for non-commercial use only).

    Parameters
    ----------
    stack
        INTERFEROGRAMS on a raster with wrapped ``phase`` in radians and ``coherence``. Chunked data are loaded
        pair by pair; the result is in memory.
    looks
        Independent looks that the coherence was estimated from; ``looks`` of the stack by default.
    mask
        Boolean, along place: False where not to unwrap (water, layover).
    cost
        ``"smooth"`` for a phase without jumps; ``"defo"`` where deformation may tear it.
    init
        First solution: ``"mcf"`` (minimum cost flow) or ``"mst"`` (minimum spanning tree).
    threads
        Pairs unwrapped at a time, each in a process of its own; all CPUs by default.
    progress
        True for a bar (extra ``progress``), or a function told (pairs done, pairs in all).

    Returns
    -------
    xarray.Dataset
        The stack with ``unwrapped_phase`` in radians, positive away from the satellite, float32, and
        ``connected_component`` (0: in none). Unwrapped phase differs from ``phase`` by whole cycles. It is NaN where
        phase or coherence is, outside `mask`, and in a pair without data. Cycles are right
        within a component and arbitrary between components, and every pair has a constant of its own:
        give later steps a reference place, and see :func:`subsidence.closure_phase` for errors.

    Raises
    ------
    MissingExtraError
        When ``snaphu`` is not installed.
    InputError
        When the stack is unwrapped already, has no coherence or raster, or looks are not known; when the grid is
        smaller than 4 x 4, phase exceeds pi, coherence is not 0..1, or the mask does not fit.
    SubsidenceError
        When SNAPHU fails; the message names the pair and repeats what SNAPHU said.

    Notes
    -----
    The unwrapped phase is :math:`\phi + 2 \pi k`, with integers :math:`k` that make the a-posteriori
    probability of the phase gradients largest, given phase, coherence and looks. Temporary files (about 40 bytes
    a pixel for each pair at work) lie in a temporary folder that is removed, also after an error.

    References
    ----------
    Chen, C. W. and H. A. Zebker (2001), Two-dimensional phase unwrapping with use of statistical models for
    cost functions in nonlinear optimization, J. Opt. Soc. Am. A 18, 338-351, doi:10.1364/JOSAA.18.000338

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> dates = np.array(["2018-01-06", "2018-01-18"], "M8[ns]")
    >>> slope = np.linspace(0, 20, 32) * np.ones((1, 16, 1))
    >>> stack = xr.Dataset(
    ...     {
    ...         "phase": (("pair", "y", "x"), np.angle(np.exp(1j * slope))),
    ...         "coherence": (("pair", "y", "x"), np.full(slope.shape, 0.9)),
    ...     },
    ...     {"reference": ("pair", dates[:1]), "secondary": ("pair", dates[1:]), "wavelength": 0.0555, "looks": 20.0},
    ... )
    >>> np.ptp(unwrap(stack).unwrapped_phase.values).round(3)
    np.float32(20.0)
    """
    schema.INTERFEROGRAMS.check(stack, argument="stack")
    if "phase" not in stack.variables:
        msg = "stack has no wrapped 'phase': its 'unwrapped_phase' is unwrapped already"
        raise InputError(msg)
    schema.INTERFEROGRAMS.check(stack, argument="stack", needs=("coherence",))
    for name, value, known in (("cost", cost, _COSTS), ("init", init, _STARTS)):
        if value not in known:
            msg = f"{name} must be {known[0]!r} or {known[1]!r}, got {value!r}"
            raise InputError(msg)
    shape = _checked_grid(stack)
    looks = _checked_looks(stack, looks)
    allowed = np.ones(shape, bool) if mask is None else _checked_mask(stack, mask)
    network = Network.of(stack)
    require("snaphu", extra="unwrap", purpose="unwrap")

    phase = stack.variables["phase"].transpose("pair", "y", "x")
    coherence = stack.variables["coherence"].transpose("pair", "y", "x")
    unwrapped = np.full(phase.shape, np.nan, np.float32)
    component = np.zeros(phase.shape, np.int32)
    stop = Event()

    def one(number: int) -> None:
        words = f"pair {network.pair_name(number)} (number {number})"
        wrapped = np.asarray(phase[number].values)
        quality = np.asarray(coherence[number].values)
        valid = allowed & np.isfinite(wrapped) & np.isfinite(quality)
        if not valid.any():
            return
        _check_values(wrapped[valid], quality[valid], words)
        with tempfile.TemporaryDirectory(prefix="subsidence-unwrap-") as folder:
            np.save(Path(folder, "igram.npy"), np.exp(1j * np.where(valid, wrapped, 0.0)).astype(np.complex64))
            np.save(Path(folder, "corr.npy"), np.where(valid, quality, 0.0).astype(np.float32))
            np.save(Path(folder, "mask.npy"), valid)
            _run_snaphu(folder, [str(looks), cost, init], words, stop)
            found = np.load(Path(folder, "unw.npy")).astype(float)
            labels = np.load(Path(folder, "conncomp.npy"))
        # Whole cycles come from SNAPHU, the rest from the data: SNAPHU has rounded it to float32.
        cycles = np.rint((found - wrapped) / (2 * np.pi))
        unwrapped[number] = np.where(valid, wrapped + 2 * np.pi * cycles, np.nan)
        component[number] = np.where(valid, labels, 0)

    each(one, phase.sizes["pair"], threads=threads, progress=progress, label="unwrapping", cancel=stop.set)
    dims = ("pair", "y", "x")
    result = stack.assign(unwrapped_phase=(dims, unwrapped), connected_component=(dims, component))
    return schema.INTERFEROGRAMS.stamp(result)


def _checked_grid(stack: xr.Dataset) -> tuple[int, int]:
    place = schema.spatial_dims(stack, argument="stack")
    if place != ("y", "x"):
        msg = f"unwrap works on a raster (y, x), got {place}: unwrap before choosing points"
        raise InputError(msg)
    shape = (stack.sizes["y"], stack.sizes["x"])
    if min(shape) < _LEAST_SIDE:
        least = f"{_LEAST_SIDE} x {_LEAST_SIDE}"
        msg = f"stack is too small to unwrap: {shape[0]} x {shape[1]} pixels, expected {least} or more"
        raise InputError(msg)
    return shape


def _checked_looks(stack: xr.Dataset, looks: float | None) -> float:
    if looks is None:
        if "looks" not in stack.variables:
            msg = "looks is not given and stack has no 'looks': give the independent looks of the coherence, looks="
            raise InputError(msg)
        looks = float(stack.variables["looks"].values)
    if isinstance(looks, bool) or not isinstance(looks, (int, float, np.number)) or not 1 <= looks < np.inf:
        msg = f"looks must be a number of independent looks, 1 or more, got {looks!r}"
        raise InputError(msg)
    return float(looks)


def _checked_mask(stack: xr.Dataset, mask: object) -> BoolArray:
    if not isinstance(mask, xr.DataArray):
        msg = f"mask must be a boolean xarray.DataArray, True where to unwrap, or None, got {type(mask).__name__}"
        raise InputError(msg)
    found: Any = resolve(stack, mask, argument="mask")[2]
    return np.asarray(found.values)


def _check_values(phase: FloatArray, coherence: FloatArray, words: str) -> None:
    if np.abs(phase).max() > _PI:
        msg = (
            f"phase of {words} reaches {np.abs(phase).max():g} rad: it is not wrapped to +-pi. Is it unwrapped already?"
        )
        raise InputError(msg)
    low, high = coherence.min(), coherence.max()
    if low < -1e-6 or high > 1.01:
        msg = f"coherence of {words} lies between {low:g} and {high:g}, expected 0 to 1"
        raise InputError(msg + (": divide by 255 if it is stored as a byte" if high > 1.01 else ""))


def _run_snaphu(folder: str, options: list[str], words: str, stop: Event) -> None:
    """Run SNAPHU silently; end it, and what it started, when another pair has failed or Ctrl-C was pressed."""
    said = Path(folder, "said.txt")
    with said.open("wb") as errors:
        command = [sys.executable, "-c", _PROGRAM, folder, *options]
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)
        try:
            while child.poll() is None and not stop.is_set():
                try:
                    child.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if child.returncode and not stop.is_set():
        reason = said.read_text(errors="replace").strip() or f"it ended with status {child.returncode}"
        msg = f"SNAPHU could not unwrap {words}: {reason}"
        raise SubsidenceError(msg)
