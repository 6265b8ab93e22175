"""Separation of atmosphere from motion: seconds, and accuracy on scenes of known truth.

    python benchmarks/atmosphere.py --points 20000 100000 --threads 2

prints markdown tables: seconds of one call, compilation apart; the error of the displacement relative to point 0,
before and after; the share of non-linear motion that is lost, that is what the motion adds to the atmosphere found,
over the motion less a straight line; and the separation repeated, with the atmosphere taken off before motion is
found again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import xarray as xr
from _machine import describe, limit_cpus, timed

EPOCHS = 85
METHODS = ("kriging", "gaussian")
EXTENT = (4000.0, 4000.0)


def courses(years: np.ndarray) -> dict[str, np.ndarray]:
    """Motion over time, m."""
    return {
        "acceleration -10 mm/year2": -0.01 * years**2 / 2,
        "seasonal 5 mm": 0.005 * np.cos(2 * np.pi * years),
        "onset of 30 mm/year": -0.03 * np.maximum(years - 1.4, 0),
        "levelling off in 0.5 years": -0.03 * (1 - np.exp(-2 * years)),
        "Weibull, 0.6 years": -0.05 * (1 - np.exp(-5 * years**2)),
        "half-yearly 5 mm": 0.005 * np.cos(4 * np.pi * years),
    }


def scene(points: int, seed: int, std: float, epochs: int = EPOCHS) -> tuple[xr.Dataset, dict[str, np.ndarray]]:
    import subsidence as sd

    air = sd.simulate.Atmosphere(std=std) if std else None
    observed, truth = sd.simulate.point_scene(
        points=points, extent=EXTENT, epochs=epochs, noise_std=0.4, atmosphere=air, seed=seed
    )
    noise = (-observed.wavelength / (4 * np.pi) * truth.noise).values.astype(float)
    parts = {"air": truth.atmosphere.values, "noise": noise, "motion": truth.displacement.values}
    parts = {name: values - values[:, :1] for name, values in parts.items()}
    series = truth[["displacement"]].assign(displacement=(("time", "point"), sum(parts.values())))
    return series, parts


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(values) ** 2)))


def seconds(counts: list[int], threads: int) -> Iterator[str]:
    from subsidence.atmosphere import separate_atmosphere

    yield "| points | epochs | missing | method | s | points/s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    pattern, _ = scene(300, 0, 0.005)
    for method in METHODS:
        separate_atmosphere(pattern, method=method)
    rng = np.random.default_rng(0)
    for count in counts:
        side = np.sqrt(count / 20_000) * 10_000  # 200 points in a square kilometre
        waves = rng.normal(0, 1, (EPOCHS, 20))
        x, y = rng.uniform(0, side, (2, count))
        angle = rng.normal(0, 2 * np.pi / 4000, (20, 2)) @ np.stack([x, y]) + rng.uniform(0, 6, (20, 1))
        values = 0.005 * waves @ np.cos(angle) / np.sqrt(10) + rng.normal(0, 0.002, (EPOCHS, count))
        for missing in (0.0, 0.05):
            shown = np.where(rng.random(values.shape) < missing, np.nan, values).astype(np.float32)
            coords = {"time": pattern.time.values, "x": ("point", x), "y": ("point", y)}
            series = xr.Dataset({"displacement": (("time", "point"), shown)}, coords)
            for method in METHODS:
                spent = timed(lambda s=series, m=method: separate_atmosphere(s, method=m, threads=threads))
                yield f"| {count} | {EPOCHS} | {missing:.0%} | {method} | {spent:.1f} | {count / spent:,.0f} |"


def accuracy(points: int, seeds: int) -> Iterator[str]:
    from subsidence.atmosphere import separate_atmosphere

    yield "| std of the air, mm | method | error before, mm | after | noise alone | air before | air left |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for std in (0.0, 0.002, 0.005, 0.01):
        for method in METHODS:
            found = []
            for seed in range(seeds):
                series, parts = scene(points, seed, std)
                result = separate_atmosphere(series, method=method)
                found.append(
                    [
                        rms(series.displacement.values - parts["motion"]),
                        rms(result.displacement.values - parts["motion"]),
                        rms(parts["noise"]),
                        rms(parts["air"]),
                        rms(parts["air"] - result.atmosphere.values),
                    ]
                )
            shown = " | ".join(f"{1e3 * value:.2f}" for value in np.mean(found, axis=0))
            yield f"| {1e3 * std:g} | {method} | {shown} |"


def losses(points: int) -> Iterator[str]:
    from subsidence.atmosphere import separate_atmosphere

    windows = (None, 120.0, 365.0)
    yield "| motion, a bowl of 1 km | half a year | 120 days | a year |"
    yield "| --- | --- | --- | --- |"
    series, _ = scene(points, 0, 0.005)
    years = (series.time.values - series.time.values[0]) / np.timedelta64(1, "D") / 365.25
    shape = np.exp(-((series.x.values - 2000) ** 2 + (series.y.values - 2000) ** 2) / 1000**2)
    line = np.stack([np.ones_like(years), years], axis=1)
    for name, course in courses(years).items():
        motion = np.outer(course, shape - shape[0])
        bent = motion - line @ np.linalg.lstsq(line, motion, rcond=None)[0]
        cells = []
        for window in windows:
            plain = separate_atmosphere(series, temporal_window=window)
            names = {"model": "variogram", "range": "range", "sill": "sill", "nugget": "nugget"}
            known = {key: plain.attrs[f"atmosphere_{value}"] for key, value in names.items()}
            moved = series.assign(displacement=series.displacement + (motion - motion[EPOCHS // 2]))
            both = [separate_atmosphere(s, temporal_window=window, variogram=known).atmosphere for s in (moved, series)]
            lost = (both[0] - both[1]).values
            cells.append(f"{rms(lost - lost.mean(axis=0)) / rms(bent):.1%}")
        yield f"| {name} | {' | '.join(cells)} |"


def repeated(points: int, seeds: int) -> Iterator[str]:
    """Backfitting: motion found again without the atmosphere, and so on."""
    from subsidence.atmosphere._motion import TimeFilter
    from subsidence.atmosphere._space import kriging, near_density, pairs_on_points
    from subsidence.atmosphere._variogram import MODELS, fit_variogram

    yield "| passes | error of displacement, mm | levelling off: lost |"
    yield "| --- | --- | --- |"
    passes = (1, 2, 3, 10)
    errors, lost = [], []
    for seed in range(seeds):
        series, parts = scene(points, seed, 0.005)
        values = series.displacement.values
        positions = np.stack([series.x.values, series.y.values], axis=-1)
        years = (series.time.values - series.time.values[0]) / np.timedelta64(1, "D") / 365.25
        line = np.stack([np.ones_like(years), years], axis=1)
        shape = np.exp(-((positions - 2000) ** 2).sum(axis=1) / 1000**2)
        motion = np.outer(courses(years)["levelling off in 0.5 years"], shape - shape[0])
        bent = motion - line @ np.linalg.lstsq(line, motion, rcond=None)[0]
        high = TimeFilter.of(series.time.values, None, seasonal=True).weighted(values).whole
        sampled, first, second = pairs_on_points(positions)
        distance = np.hypot(*(positions[sampled[first]] - positions[sampled[second]]).T)
        rough = np.ascontiguousarray((high @ values)[:, sampled].T)
        variogram = fit_variogram(
            rough, first, second, distance, tuple(MODELS), spacing=near_density(positions) ** -0.5
        )
        row = []
        for given in (values, motion):
            air, kept = np.zeros_like(given), []
            for number in range(1, max(passes) + 1):
                motion_now = (given - air) - high @ (given - air)
                air = kriging(given - motion_now, positions, variogram, neighbours=32, threads=None, progress=False)
                if number in passes:
                    kept.append(air)
            row.append(kept)
        middle = EPOCHS // 2
        relative = [air - air[:, :1] - (air - air[:, :1])[middle] for air in row[0]]
        errors.append([rms(values - air - parts["motion"]) for air in relative])
        lost.append([rms(air) / rms(bent) for air in row[1]])
    for number, error, share in zip(passes, np.mean(errors, axis=0), np.mean(lost, axis=0), strict=True):
        yield f"| {number} | {1e3 * error:.2f} | {share:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[20_000], help="of the timing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scene", type=int, default=1000, help="points of the scenes of known truth")
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    limit_cpus(arguments.threads)
    print(f"{describe()}, {arguments.threads} threads\n")
    tables = (
        seconds(arguments.points, arguments.threads),
        accuracy(arguments.scene, arguments.seeds),
        losses(arguments.scene),
        repeated(arguments.scene, arguments.seeds),
    )
    for table in tables:
        for row in table:
            print(row, flush=True)
        print()


if __name__ == "__main__":
    main()
