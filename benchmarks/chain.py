"""The whole chain from phases to series: ``python benchmarks/chain.py --points 100000``.

Simulated phases of 85 Sentinel-1 scenes with atmosphere, motion and residual heights. Prints the seconds of each
step, the peak of memory, and the error of the result against the truth.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import time

import numpy as np

import subsidence as sd

#: Steps whose own time is told.
STEPS = (
    "delaunay_arcs",
    "search_phase_model",
    "integrate_arcs",
    "unwrap_residuals",
    "separate_atmosphere",
    "estimate_velocity",
    "internal_precision",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=85)
    parser.add_argument("--density", type=float, default=200.0, help="points per square kilometre")
    parser.add_argument("--noise", type=float, default=0.5, help="radians at a point")
    asked = parser.parse_args()
    side = 1e3 * np.sqrt(asked.points / asked.density)
    points, truth = sd.simulate.point_scene(
        points=asked.points,
        epochs=asked.epochs,
        extent=(side, side),
        bowl=sd.simulate.Bowl(settlement=0.08, parameters={"eta": 0.5, "lam": 2.0}),
        noise_std=asked.noise,
        atmosphere=sd.simulate.Atmosphere(std=0.004, height_gradient_std=0.0),
        seed=1,
    )
    print(f"{asked.points} points, {asked.epochs} scenes, {side / 1e3:.1f} km a side")
    small, _ = sd.simulate.point_scene(points=300, epochs=asked.epochs, seed=2)
    sd.persistent_scatterers(small)  # compiles

    profile = cProfile.Profile()
    began = time.perf_counter()
    series = profile.runcall(sd.persistent_scatterers, points, velocity=(-0.06, 0.06), reference={"point": 0})
    seconds = time.perf_counter() - began
    for (_, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():
        if name in STEPS:
            print(f"  {name:<24}{cumulative:>8.1f} s")
    print(f"  {'in all':<24}{seconds:>8.1f} s")
    print(f"  {'peak memory':<24}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:>8.2f} GB")
    if series.sizes["point"] == asked.points:
        velocity = truth["velocity"].values - truth["velocity"].values[0]
        error = series["velocity"].values - velocity
        inside = np.mean(np.abs(error) < series["velocity_std"].values)
        print(f"  velocity RMSE {1e3 * np.sqrt(np.mean(error**2)):.2f} mm/yr, within 1 std {inside:.1%}")
    else:
        print(f"  solved {series.sizes['point']} points")


if __name__ == "__main__":
    main()
