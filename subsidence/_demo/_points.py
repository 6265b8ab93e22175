"""The demo's second half: complex images to persistent scatterers, against the truth."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from subsidence import plot, simulate
from subsidence._demo._figure import draw
from subsidence.errors import DisconnectedNetworkWarning
from subsidence.persistent import persistent_scatterers
from subsidence.scatterers import select_scatterers
from subsidence.typing import BoolArray, FloatArray

__all__ = ["Found", "draw_points", "solve_points", "tell_points"]

_MM = 1000.0
_EPOCHS = 48
#: Amplitude dispersion below it, or coherence of the multilooked pixel above it, makes a candidate.
_DISPERSION, _COHERENCE = 0.25, 0.9
_KINDS = ("classic", "multilook")


@dataclass(frozen=True)
class Found:
    """Points, the candidates they were chosen from, and the truth behind them."""

    candidates: xr.Dataset
    series: xr.Dataset
    truth: xr.Dataset

    @property
    def reference(self) -> int:
        """Number of the point that the others are relative to: it never moves, by definition."""
        still = (self.series["displacement"] == 0).all("time").values & self.joined
        return int(np.flatnonzero(still)[0])

    @property
    def joined(self) -> BoolArray:
        """Points of the reference's part of the network."""
        return np.asarray(self.series["network_part"].values == 0)

    @property
    def error(self) -> FloatArray:
        """Velocity less the true one, both relative to the reference, of the joined points, m/year."""
        known = self.truth["velocity"].isel(self._pixels).values
        error = self.series["velocity"].values - (known - known[self.reference])
        return np.asarray(error[self.joined], np.float64)

    @property
    def fastest(self) -> int:
        """Number of the point that sinks fastest, of those whose velocity is known as well as that of most."""
        std = self.series["velocity_std"].values
        sure = self.joined & (std <= np.median(std))
        return int(np.argmin(np.where(sure, self.series["velocity"].values, np.inf)))

    def known(self, name: str, point: int) -> xr.DataArray:
        """Truth at a point relative to the reference, and to the reference epoch where it has times."""
        row, col = (self.series[axis].values[[point, self.reference]] for axis in ("row", "col"))
        values = self.truth[name]
        relative = values.isel(y=row[0], x=col[0], drop=True) - values.isel(y=row[1], x=col[1], drop=True)
        if "time" in relative.dims:
            relative = relative - relative.sel(time=self.series.attrs["reference_time"])
        return relative

    @property
    def _pixels(self) -> dict[str, xr.DataArray]:
        return {"y": self.series["row"], "x": self.series["col"]}


def solve_points(shape: tuple[int, int], seed: int, *, say: Callable[[str], None]) -> Found:
    """Simulate complex images and work out the motion of their persistent scatterers."""
    say(f"Simulating {_EPOCHS} complex images of {shape[0]} x {shape[1]} pixels, half of them town, half fields ...")
    slc, truth = simulate.slc_scene(shape=shape, epochs=_EPOCHS, seed=seed)
    say("Selecting candidates by amplitude dispersion and by the coherence of multilooked pixels ...")
    candidates = select_scatterers(slc, max_dispersion=_DISPERSION, min_coherence=_COHERENCE)
    say(
        f"Searching velocities and heights between neighbours of {candidates.sizes['point']} candidates, "
        "integrating them,\nunwrapping what they leave, separating the atmosphere ..."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DisconnectedNetworkWarning)  # the table tells how many points are joined
        series = persistent_scatterers(candidates, velocity=(-0.06, 0.06), reference=_stable_point(candidates, truth))
    return Found(candidates, series, truth)


def draw_points(found: Found, path: Path) -> None:
    """The map beside the series of a point that sinks fast."""
    point = found.fastest
    place = found.series.isel(point=point, drop=True)
    with draw(path) as (left, right):
        plot.velocity_map(found.series.isel(point=found.joined), ax=left)
        (mark,) = left.plot(
            found.series["x"][point],
            found.series["y"][point],
            "o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.4,
        )
        handles = [*left.get_legend().legend_handles, mark]
        left.legend(handles=handles, labels=["reference", "series at the right"], loc="lower left", fontsize="small")
        plot.series(place, ax=right, truth=found.known("displacement", point))
        handles, names = right.get_legend_handles_labels()
        words = {"truth": "truth", "displacement": "persistent scatterer"}
        right.legend(handles, [words[name] for name in names], loc="lower left", fontsize="small")


def tell_points(found: Found) -> Iterator[str]:
    """Numbers of points, and estimates beside the truth, in mm and mm/yr."""
    yield f"\n{'points':<42}{'candidates':>10}{'solved':>10}{'joined':>10}"
    for name in _KINDS:
        of_kind = found.series["source"].values == name
        count = int((found.candidates["source"].values == name).sum())
        yield f"{name:<42}{count:>10}{of_kind.sum():>10}{(of_kind & found.joined).sum():>10}"

    point = found.fastest
    place = found.series.isel(point=point)
    yield f"\n{'point that sinks fast, line of sight':<42}{'estimate':>10}{'1 sigma':>10}{'truth':>10}"
    speed, std = (_MM * float(place[name]) for name in ("velocity", "velocity_std"))
    known = _MM * float(found.known("velocity", point))
    yield f"{'point: velocity (mm/yr)':<42}{speed:>10.1f}{std:>10.1f}{known:>10.1f}"

    error = found.error
    joined = found.series.isel(point=found.joined)
    std = _MM * float(joined["velocity_std"].median())
    shares = [np.mean(abs(error) < k * joined["velocity_std"].values) for k in (1, 2)]
    yield f"\n{'line-of-sight velocity, joined points':<42}{'error':>10}{'1 sigma':>10}{'within 1':>10}{'within 2':>10}"
    rms = _MM * float(np.sqrt(np.mean(error**2)))
    yield f"{'points: root mean square, median (mm/yr)':<42}{rms:>10.1f}{std:>10.1f}{shares[0]:>9.0%} {shares[1]:>9.0%}"
    internal = _MM * float(joined["velocity_internal_std"].median())
    yield f"{'points: internal precision, median (mm/yr)':<42}{'':>10}{internal:>10.1f}"


def _stable_point(candidates: xr.Dataset, truth: xr.Dataset) -> dict[str, int]:
    """Number of the most coherent candidate on ground that never moves."""
    stable = truth["stable"].isel(y=candidates["row"], x=candidates["col"]).values
    return {"point": int(np.nanargmax(np.where(stable, candidates["selection_coherence"].values, np.nan)))}
