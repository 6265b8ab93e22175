"""A simulated Foshan: settlement along a metro line, recovered by the whole chain: ``python benchmarks/foshan.py``.

Paper P1's setting: 85 Sentinel-1 scenes from 2015-06 to 2018-09, rates of -40 to 5 mm/yr, a metro line with
stations, settlement that sets in during 2016 and levels off after 2018-02. Prints the error of the velocity, how
often the stated errors cover it, and the internal precision, over many scenes: all points of a scene share the error of
its reference point, so one scene says little about the coverage.
"""

from __future__ import annotations

import argparse
import time
import warnings
from itertools import pairwise

import numpy as np
import xarray as xr

import subsidence as sd

#: Corners of the line and its stations, metres.
LINE = np.array([[500.0, 800.0], [2200.0, 1500.0], [3800.0, 1400.0], [5500.0, 2900.0]])
STATIONS = 7
EXTENT = (6000.0, 4000.0)
WAVELENGTH = 0.05546576


def scene(points: int, seed: int, *, noise: float = 0.5) -> tuple[xr.Dataset, xr.Dataset]:
    """POINTS and truth; the settlement is a trough along the line, deeper at its stations."""
    random = np.random.default_rng(seed)
    slots = np.arange(np.datetime64("2015-06-15"), np.datetime64("2018-09-20"), np.timedelta64(12, "D"))
    inner = np.sort(random.choice(np.arange(1, slots.size - 1), 83, replace=False))
    dates = slots[np.concatenate([[0], inner, [slots.size - 1]])].astype("M8[ns]")
    place = random.random((points, 2)) * EXTENT
    distance, along = from_line(place)
    stations = np.linspace(0.0, 1.0, STATIONS)
    near_station = np.exp(-(((along[:, np.newaxis] - stations) / 0.03) ** 2)).max(axis=1)
    rate = -(0.015 + 0.025 * near_station) * np.exp(-((distance / 200.0) ** 2)) + 0.004 * np.sin(place[:, 0] / 900.0)
    year = sd.timescale.to_elapsed(dates)
    onset = 0.95 + 0.2 * along  # June to August 2016
    end = 2.65  # February 2018
    moving = np.clip(year[:, np.newaxis] - onset, 0.0, end - onset)
    slow = np.abs(rate) < 0.006  # far from the line motion is steady
    motion = np.where(slow, rate * year[:, np.newaxis], rate * moving)
    return sd.simulate.point_scene(
        positions=place,
        extent=EXTENT,
        dates=dates,
        motion=xr.DataArray(motion, dims=("time", "point")),
        noise_std=np.clip(noise * random.lognormal(0.0, 0.3, points), 0.15, 1.2),
        atmosphere=sd.simulate.Atmosphere(std=0.004, height_gradient_std=0.0),
        wavelength=WAVELENGTH,
        residual_height_std=8.0,
        seed=seed,
    )


def from_line(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each place from the line in metres, and how far along it the nearest part is, 0 to 1."""
    best, where = np.full(len(place), np.inf), np.zeros(len(place))
    lengths = np.hypot(*np.diff(LINE, axis=0).T)
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    for k, (start, end) in enumerate(pairwise(LINE)):
        share = np.clip(((place - start) @ (end - start)) / lengths[k] ** 2, 0.0, 1.0)
        distance = np.hypot(*(place - start - share[:, np.newaxis] * (end - start)).T)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        where = np.where(nearer, (before[k] + share * lengths[k]) / before[-1], where)
    return best, where


def trial(points: int, seed: int) -> dict[str, float]:
    """The chain on one scene: errors relative to the reference point, in mm/yr and mm."""
    observed, truth = scene(points, seed)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.errors.DisconnectedNetworkWarning)  # a few points may come loose
        series = sd.persistent_scatterers(observed, velocity=(-0.06, 0.06), residual_height=(-40.0, 40.0))
    seconds = time.perf_counter() - began
    reference = int(series["candidate"].values[series.attrs["reference_point"]])
    series = series.isel(point=np.flatnonzero(series["status"].values == sd.schema.Status.OK))
    number = series["candidate"].values
    velocity = truth["velocity"].values[number] - truth["velocity"].values[reference]
    moved = truth["displacement"].values[:, number] - truth["displacement"].values[:, [reference]]
    error = series["velocity"].values - velocity
    others = series["velocity_std"].values > 0  # not the reference points, of parts too
    ratio = np.abs(error[others]) / series["velocity_std"].values[others]
    off = series["displacement"].values - moved
    internal = series["velocity_internal_std"].values
    return {
        "points, share solved": number.size / points,
        "velocity RMSE (mm/yr)": 1e3 * np.sqrt(np.mean(error**2)),
        "velocity stated std, median (mm/yr)": 1e3 * np.median(series["velocity_std"]),
        "within 1 std": np.mean(ratio < 1),
        "within 2 std": np.mean(ratio < 2),
        "displacement RMSE (mm)": 1e3 * np.sqrt(np.mean(off**2)),
        "internal precision, median (mm/yr)": 1e3 * np.median(internal),
        "internal precision below 1 mm/yr": np.mean(internal < 1e-3),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=40)
    asked = parser.parse_args()
    trials = [trial(asked.points, seed) for seed in range(1, asked.seeds + 1)]
    print(f"{asked.points} points, 85 scenes, {asked.seeds} seeds\n")
    print("| | mean | least | largest |\n|---|---|---|---|")
    for name in trials[0]:
        values = np.array([one[name] for one in trials])
        print(f"| {name} | {values.mean():.3f} | {values.min():.3f} | {values.max():.3f} |")


if __name__ == "__main__":
    main()
