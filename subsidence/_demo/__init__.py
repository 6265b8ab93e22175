"""The library's main jobs on simulated scenes whose truth is known: ``python -m subsidence demo``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from subsidence._demo._interferograms import draw_interferograms, solve_interferograms, tell_interferograms
from subsidence._demo._points import draw_points, solve_points, tell_points
from subsidence._extras import require
from subsidence.errors import FormatError
from subsidence.io import save

__all__ = ["run_demo"]

#: Figure and results of the interferograms, then of the points.
_FILES = ("demo.png", "demo_series.nc", "demo_matched.nc", "demo_points.png", "demo_points.nc")


def run_demo(
    out: str | Path,
    *,
    say: Callable[[str], None],
    shape: tuple[int, int] = (140, 160),
    epochs: int = 61,
    image_shape: tuple[int, int] = (110, 400),
    seed: int = 4,
) -> None:
    """
    Simulate scenes, work out their subsidence, and set the truth beside every estimate.

    Parameters
    ----------
    out
        Folder for the figures (``demo.png``, ``demo_points.png``) and the results (``demo_series.nc``,
        ``demo_matched.nc``, ``demo_points.nc``); made when missing. Files of these names are replaced, others are
        left alone.
    say
        Told, line by line, what happens and what came out.
    shape
        Rows and columns of the scene of interferograms.
    epochs
        Its acquisitions, 12 days apart.
    image_shape
        Rows and columns of the scene of complex images, in which persistent scatterers are found.
    seed
        Another seed is another pair of scenes.

    Raises
    ------
    FormatError
        When the folder cannot be written to.
    MissingExtraError
        When matplotlib or h5netcdf is not installed.
    """
    started = time.perf_counter()
    for module, extra in (("matplotlib.figure", "plot"), ("h5netcdf", "io")):
        require(module, extra=extra, purpose="the demo")
    paths = figure, saved, compared, point_figure, point_saved = _targets(Path(out))

    say("1. Interferograms\n")
    outcome = solve_interferograms(shape, epochs, seed, say=say)
    for line in tell_interferograms(outcome):
        say(line)
    draw_interferograms(outcome, figure)
    save(outcome.series, saved, overwrite=True)
    save(outcome.matched, compared, overwrite=True)

    say("\n2. Persistent scatterers\n")
    found = solve_points(image_shape, seed, say=say)
    for line in tell_points(found):
        say(line)
    draw_points(found, point_figure)
    save(found.series, point_saved, overwrite=True)

    say(f"\nWritten, after {time.perf_counter() - started:.0f} s:")
    for path in paths:
        say(f"  {path}")


def _targets(folder: Path) -> tuple[Path, ...]:
    """Files of the demo's own names, in a folder that takes them: looked at before the work, not after it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise FormatError(folder, "the folder is not writable")
    targets = tuple(folder / name for name in _FILES)
    for path in targets:
        if path.is_dir():
            raise FormatError(path, "a folder in the way of the demo's file: remove it, or choose another --out")
    return targets
