"""Other programs' network inversions behind one interface, each called as the program calls itself.

``PEERS[name].prepare(...)`` imports the program and builds what it needs once (design matrices, dates);
the `Job` it returns holds the inversion alone (``run``), which is what gets timed, and the translation of
its result to ours (``read``). Nothing here is imported before it is asked for, and what a program prints or
warns of stays inside.

Phases are (pair, pixel) float32 in rad, NaN where missing; weights are inverse variances of the same shape.
Answers are the phase of each epoch, rad, the first being zero.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol
from unittest.mock import MagicMock

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Epochs = npt.NDArray[np.integer]
Dates = npt.NDArray[np.datetime64]

#: Only ratios matter: insar-rs wants a wavelength to turn phase into metres, and we turn it back.
_WAVELENGTH = 0.0555
#: Pixels that dolphin solves together when each has its own matrix: its rate is highest near here (a block of
#: its own default, 65,536 pixels, would need 2.7 GB and runs at half the rate).
_DOLPHIN_BATCH = 256


@dataclass(frozen=True)
class Answer:
    phase: Array  # (epoch, pixel) rad
    temporal_coherence: Array | None = None  # (pixel,)


@dataclass(frozen=True)
class Job:
    run: Callable[[], Any]
    read: Callable[[Any], Answer]

    def answer(self) -> Answer:
        return self.read(self.run())


class Prepare(Protocol):
    def __call__(
        self, phase: Array, first: Epochs, second: Epochs, dates: Dates, *, weights: Array | None = None
    ) -> Job: ...


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    prepare: Prepare
    weighted: bool

    def missing(self) -> str | None:
        """Why this program cannot be used, or None where it can."""
        try:
            with quiet():
                _import(self.module)
        except ImportError as error:
            return f"{self.name} cannot be imported ({error}): python -m pip install 'subsidence[peers]'"
        return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep another program's prints and warnings out of ours: neither is about the code under test."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def prepare_mintpy(phase: Array, first: Epochs, second: Epochs, dates: Dates, *, weights: Array | None = None) -> Job:
    """
    MintPy's `run_ifgram_inversion_patch` without its files, after 2. "inversion".

    Weighted: pixel by pixel. Unweighted: pixels with every pair together, the others pixel by pixel. Weights
    are given, so the time MintPy spends on turning coherence into weights is not counted.
    """
    with quiet():
        inversion = _import("mintpy.ifgram_inversion")
        stack = _import("mintpy.objects").ifgramStack
        ptime = _import("mintpy.utils.ptime")
        names = [date.replace("-", "") for date in np.datetime_as_string(dates, unit="D")]
        pairs = [f"{names[i]}_{names[j]}" for i, j in zip(first, second, strict=True)]
        design, design_velocity = stack.get_design_matrix4timeseries(pairs)[:2]
        used = sorted({name for pair in pairs for name in pair.split("_")})
        elapsed = np.array(ptime.date_list2tbase(used)[0], np.float32) / 365.25
    options = {
        "A": design,
        "B": design_velocity,
        "tbase_diff": np.diff(elapsed).reshape(-1, 1),
        "min_norm_velocity": True,
        "min_redundancy": 1.0,
        "inv_quality_name": "temporalCoherence",
        "print_msg": False,
    }
    root = None if weights is None else np.sqrt(weights)

    def run() -> tuple[Array, Array]:
        series = np.zeros((len(used), phase.shape[1]), np.float32)
        quality = np.zeros(phase.shape[1], np.float32)
        todo = ~np.all(np.isnan(phase), axis=0)
        if root is None:
            together = np.all(~np.isnan(phase), axis=0) & todo
            if together.any():
                series[:, together], quality[together], _ = inversion.estimate_timeseries(
                    y=phase[:, together], weight_sqrt=None, **options
                )
            todo = todo & ~together
        for pixel in np.flatnonzero(todo):
            solved, quality[pixel], _ = inversion.estimate_timeseries(
                y=phase[:, pixel], weight_sqrt=None if root is None else root[:, pixel], **options
            )
            series[:, pixel] = solved.ravel()
        return series, quality

    return Job(run, lambda result: Answer(*result))


def prepare_dolphin(
    phase: Array,
    first: Epochs,
    second: Epochs,
    dates: Dates,  # noqa: ARG001 - dolphin numbers epochs, but the interface is everyone's
    *,
    weights: Array | None = None,
) -> Job:
    """
    Run dolphin's `invert_stack` (JAX, on the CPU): one matrix for all pixels, or one for each.

    Missing phases: with weights they weigh 0, as its docstring asks; without, they are flagged, and the weights
    of 1 that come along are there because it reads the flags only then.
    """
    with quiet():
        timeseries = _import("dolphin.timeseries")
    design = timeseries.get_incidence_matrix(list(zip(first.tolist(), second.tolist(), strict=True)))
    valid = np.isfinite(phase)
    data = np.where(valid, phase, np.float32(0))[:, :, None] if not valid.all() else phase[:, :, None]
    shared = weights is None and bool(valid.all())
    weight = np.where(valid, np.float32(1) if weights is None else weights, np.float32(0))[:, :, None]
    flags = valid[:, :, None] if weights is None else None

    def run() -> list[Array]:
        if shared:
            return [np.asarray(timeseries.invert_stack(design, data)[0])]
        return [
            np.asarray(
                timeseries.invert_stack(
                    design,
                    data[:, start : start + _DOLPHIN_BATCH],
                    weight[:, start : start + _DOLPHIN_BATCH],
                    None if flags is None else flags[:, start : start + _DOLPHIN_BATCH],
                )[0]
            )
            for start in range(0, phase.shape[1], _DOLPHIN_BATCH)
        ]

    def read(parts: list[Array]) -> Answer:
        solved = np.concatenate(parts, axis=1)[:, :, 0]
        return Answer(np.concatenate([np.zeros((1, phase.shape[1]), solved.dtype), solved]))

    return Job(run, read)


def prepare_insar_rs(phase: Array, first: Epochs, second: Epochs, dates: Dates, *, weights: Array | None = None) -> Job:
    """Run insar-rs' `invert_sbas`, which has no weights and leaves the temporal coherence to another function."""
    if weights is not None:
        msg = "insar-rs has no weights"
        raise ValueError(msg)
    with quiet():
        insar_rs = _import("insar_rs")
    days = ((dates - dates[0]) // np.timedelta64(1, "D")).tolist()
    data = np.ascontiguousarray(phase[:, :, None])
    arguments = (first.tolist(), second.tolist(), days)

    def read(metres: Array) -> Answer:
        coherence = insar_rs.temporal_coherence(data, metres, *arguments, wavelength_m=_WAVELENGTH)
        return Answer(metres[:, :, 0] * (-4 * np.pi / _WAVELENGTH), np.asarray(coherence)[:, 0])

    return Job(lambda: insar_rs.invert_sbas(data, *arguments, wavelength_m=_WAVELENGTH), read)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("MintPy", "mintpy.ifgram_inversion", prepare_mintpy, weighted=True),
        Peer("dolphin", "dolphin.timeseries", prepare_dolphin, weighted=True),
        Peer("insar-rs", "insar_rs", prepare_insar_rs, weighted=False),
    )
}


def _import(module: str) -> ModuleType:
    """
    Import a module of a peer.

    dolphin imports GDAL's bindings (``osgeo``) for its files, which pip can build only where the GDAL library
    is installed. Its solvers use JAX alone: where there is no GDAL a stand-in is there during the import.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if module.partition(".")[0] != "dolphin" or importlib.util.find_spec("osgeo") is not None:
        return importlib.import_module(module)
    stand_in = {name: MagicMock(name=name) for name in ("osgeo", "osgeo.gdal", "osgeo.gdal_array")}
    stand_in |= {name: MagicMock(name=name) for name in ("osgeo.gdalconst", "osgeo.osr")}
    sys.modules.update(stand_in)
    try:
        return importlib.import_module(module)
    finally:
        for name in stand_in:
            del sys.modules[name]
