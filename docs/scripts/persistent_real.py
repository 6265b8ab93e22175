"""Figures and numbers of docs/persistent_real.md: ``python docs/scripts/persistent_real.py``.

Looks for the folders ``psps-houston``, ``mexico-city`` and ``ps-amsterdam-stm`` in ``SUBSIDENCE_DATA``, or in
``../shared/data`` beside the repository, and writes ``docs/images/houston_velocity.png`` and
``docs/images/persistent_numbers.md``. tests/test_persistent_real.py asks the same functions for the same numbers.
"""

from __future__ import annotations

import csv
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

import subsidence as sd

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True)
class Houston:
    """Brenham, north-west of Houston: nothing moves there."""

    arcs: xr.Dataset
    series: xr.Dataset


def houston(data: Path) -> Houston:
    """Velocity alone, from the brightest 2 % of pixels and arcs up to 1 km: the set comes without baselines."""
    points = houston_points(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.errors.DisconnectedNetworkWarning)  # lone houses far from the town
        arcs = sd.delaunay_arcs(points, max_length=1000.0, neighbours=6)
        arcs = sd.search_phase_model(points, arcs, velocity=(-0.05, 0.05), residual_height=None)
        series = sd.persistent_scatterers(
            points, max_length=1000.0, neighbours=6, velocity=(-0.05, 0.05), residual_height=None
        )
    return Houston(arcs, series)


def houston_points(data: Path) -> xr.Dataset:
    """POINTS of the brightest 2 % of pixels."""
    with xr.open_dataset(data / "psps-houston" / "psps_houston_brenham.nc") as opened:
        crop = opened.load()
    dates = crop["date"].values
    reference = np.datetime64(crop.attrs["reference_date"], "ns")
    # Stored as earlier times the conjugate of later: negate where the reference is the later one.
    sign = np.where(crop["first"].values == reference, 1.0, -1.0)
    other = np.where(crop["first"].values == reference, crop["second"].values, crop["first"].values)
    brightness = crop["amplitude"].mean("date").values
    row, col = np.nonzero(brightness >= np.quantile(brightness, 0.98))
    phase = np.zeros((dates.size, row.size), np.float32)
    phase[np.searchsorted(dates, other)] = sign[:, np.newaxis] * crop["phase"].values[:, row, col]
    return sd.schema.POINTS.stamp(
        xr.Dataset(
            {"phase": (("time", "point"), phase)},
            {
                "time": dates,
                "lon": ("point", crop["lon_approx"].values[col]),
                "lat": ("point", crop["lat_approx"].values[row]),
                "row": ("point", crop["row"].values[row]),
                "col": ("point", crop["col"].values[col]),
                "wavelength": crop.attrs["wavelength_m"],
            },
            {"reference_time": str(reference.astype("M8[s]"))},
        )
    )


@dataclass(frozen=True)
class Mexico:
    """Mexico City, wrapped again: points beside the network inversion of the unwrapped phases."""

    points: xr.Dataset
    network: xr.Dataset

    @property
    def velocities(self) -> tuple[np.ndarray, np.ndarray]:
        """Velocity of points and of the inversion at the same pixels, both relative to the points' reference."""
        at = {"y": self.points["row"], "x": self.points["col"]}
        inverted = self.network["velocity"].isel(at).values
        here = int(self.points.attrs["reference_point"])
        label = np.flatnonzero(self.points["candidate"].values == here)[0]
        ours = self.points["velocity"].values
        return ours - ours[label], inverted - inverted[label]


def mexico(data: Path, *, least_coherence: float = 0.5) -> Mexico:
    """The chain on pairs, with their true baselines, at pixels whose mean coherence is high."""
    stack = sd.open_interferograms(data / "mexico-city", format="gamma", chunks=None)
    network = sd.estimate_velocity(sd.invert_network(stack, weights=None, reference={"row": 9, "col": 8}))
    quality = stack["coherence"].mean("pair", skipna=False).values
    whole = np.isfinite(stack["unwrapped_phase"].values).all(axis=0)
    row, col = np.nonzero((quality > least_coherence) & whole)
    phase = np.angle(np.exp(1j * stack["unwrapped_phase"].values[:, row, col])).astype(np.float32)
    coordinates = {
        name: stack[name].variable.isel(y=xr.Variable("point", row), x=xr.Variable("point", col))
        for name in ("incidence", "slant_range")
    }
    points = sd.schema.POINTS.stamp(
        xr.Dataset(
            {"phase": (("pair", "point"), phase)},
            {
                **{name: stack[name].variable for name in ("reference", "secondary", "wavelength")},
                "perpendicular_baseline": stack["perpendicular_baseline"].variable,
                **coordinates,
                "lon": ("point", stack["lon"].values[col]),
                "lat": ("point", stack["lat"].values[row]),
                "row": ("point", row),
                "col": ("point", col),
                "candidate": ("point", np.arange(row.size)),
            },
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.errors.DisconnectedNetworkWarning)  # a few pixels apart from the city
        series = sd.persistent_scatterers(
            points, velocity=(-0.15, 0.15), residual_height=(-40.0, 40.0), atmosphere=None
        )
    return Mexico(series, network)


@dataclass(frozen=True)
class Amsterdam:
    """Heights of Amsterdam from phases rebuilt with the true height-to-phase."""

    heights: np.ndarray
    truth: np.ndarray
    bound: np.ndarray
    stated: np.ndarray


def amsterdam(data: Path, *, noise: float = 0.0, seed: int = 0) -> Amsterdam:
    """Residual heights along arcs, beside the true ones; velocities are hardly seen in 110 days."""
    with (data / "ps-amsterdam-stm" / "example.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    dates = sorted(name.removeprefix("h2ph_") for name in rows[0] if name.startswith("h2ph_"))

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    days = np.array([f"{d[:4]}-{d[4:6]}-{d[6:8]}" for d in dates], "M8[ns]")
    per_metre = np.stack([column(f"h2ph_{d}") for d in dates])
    height = column("pnt_height")
    height = height - height.mean()
    random = np.random.default_rng(seed)
    phase = per_metre * height + noise * random.standard_normal(per_metre.shape)
    points = sd.schema.POINTS.stamp(
        xr.Dataset(
            {"phase": (("time", "point"), np.angle(np.exp(1j * phase)).astype(np.float32))},
            {
                "time": days,
                "lon": ("point", column("pnt_lon")),
                "lat": ("point", column("pnt_lat")),
                "height_to_phase": (("time", "point"), per_metre),
                "wavelength": 0.031,
            },
        )
    )
    arcs = sd.delaunay_arcs(points)
    arcs = sd.search_phase_model(points, arcs, velocity=(-0.02, 0.02), residual_height=(-40.0, 40.0))
    start, end = arcs["start"].values, arcs["end"].values
    mean = (per_metre[:, start] + per_metre[:, end]) / 2
    elapsed = -4 * np.pi / 0.031 * sd.timescale.to_elapsed(days)
    bound = np.empty(start.size)
    for k in range(start.size):
        design = np.stack([elapsed - elapsed.mean(), mean[:, k] - mean[:, k].mean()], axis=-1)
        bound[k] = np.sqrt(2) * noise * np.sqrt(np.linalg.inv(design.T @ design)[1, 1])
    return Amsterdam(
        arcs["residual_height"].values, height[end] - height[start], bound, arcs["residual_height_std"].values
    )


def numbers(data: Path) -> tuple[list[tuple[str, str]], Houston]:
    """Rows of the page's table, and what its figure shows."""
    town = houston(data)
    speed = town.series["velocity"].values * 1e3
    coherence = town.arcs["temporal_coherence"].values
    city = mexico(data)
    ours, theirs = city.velocities
    error = ours - theirs
    exact, noisy = amsterdam(data), amsterdam(data, noise=0.3)
    off = error_of(noisy)
    right = np.abs(off) < 4 * noisy.bound
    rows = [
        ("Houston: points, arcs, median arc coherence", f"{speed.size}, {coherence.size}, {np.median(coherence):.2f}"),
        ("Houston: share of velocities within 3 mm/yr of zero", f"{np.mean(np.abs(speed) < 3):.1%}"),
        ("Houston: internal precision, median", f"{np.median(town.series.velocity_internal_std) * 1e3:.2f} mm/yr"),
        ("Mexico City: points; velocity least, median", f"{ours.size}; {least_median(city.points)}"),
        ("Mexico City: correlation with the network inversion", f"{np.corrcoef(ours, theirs)[0, 1]:.4f}"),
        ("Mexico City: RMSE, median difference", f"{rms(error) * 1e3:.1f}, {np.median(error) * 1e3:.1f} mm/yr"),
        ("Amsterdam, without noise: largest error of an arc's height", f"{np.abs(error_of(exact)).max():.4f} m"),
        ("Amsterdam, noise 0.3 rad at a point: arcs within 4 bounds", f"{right.mean():.1%}"),
        ("Amsterdam: RMS error over the bound, of those", f"{rms((off / noisy.bound)[right]):.3f}"),
    ]
    return rows, town


def error_of(found: Amsterdam) -> np.ndarray:
    return found.heights - found.truth


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def least_median(series: xr.Dataset) -> str:
    speed = series["velocity"].values * 1e3
    return f"{speed.min():.0f}, {np.median(speed):.0f} mm/yr"


def draw(town: Houston) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - the tests ask for numbers alone

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, ax = plt.subplots(figsize=(6.4, 5.0), layout="constrained")
    sd.plot.velocity_map(town.series, ax=ax, limit=10)
    figure.savefig(IMAGES / "houston_velocity.png", dpi=120)


def main() -> None:
    data = Path(os.environ.get("SUBSIDENCE_DATA", ROOT.parent / "shared" / "data"))
    rows, town = numbers(data)
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    (IMAGES / "persistent_numbers.md").write_text(f"| | |\n|---|---|\n{table}\n", encoding="utf-8")
    print(table)
    draw(town)


if __name__ == "__main__":
    main()
