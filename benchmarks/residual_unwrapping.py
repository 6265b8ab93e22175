"""Unwrapping of residual phases: seconds for an epoch by number of residues, and for a whole scene.

    python benchmarks/residual_unwrapping.py                        # 100,000 points, one thread
    python benchmarks/residual_unwrapping.py --points 20000 --epochs 20

The first table closes one epoch's triangulation by both solvers, whose costs must be equal; the second unwraps all
epochs of simulated points by the model's truth, everything included.
"""

from __future__ import annotations

import argparse
import resource

import numpy as np
import xarray as xr
from _machine import best_of, describe, limit_cpus, timed
from scipy.spatial import Delaunay

import subsidence as sd
from subsidence._extras import available
from subsidence._kernels import arc_residuals as kernels
from subsidence._points import phase_design
from subsidence.unwrapping import unwrap_residuals
from subsidence.unwrapping._faces import Layout
from subsidence.unwrapping._flow import closing_cycles

SPACING = 95.0


def triangulated(positions):
    corners = Delaunay(positions).simplices
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
    return np.unique(np.sort(sides, axis=1), axis=0).astype(np.int64).T


def phases(kind, positions, random):
    """Residual phase of points, unwrapped: noise of a given size, or something harder."""
    x, y = (positions / np.ptp(positions, axis=0)).T
    if kind == "random phase":
        return random.uniform(-np.pi, np.pi, x.size)
    if kind == "faults 4.5 rad":
        fault = 4.5 * np.clip(1 - np.abs(y - 0.5) / 0.4, 0, 1) * np.exp(-(x - 0.5) / 0.1) * (x > 0.5)
        return fault + random.normal(0, 0.6, x.size)
    return 5 * np.sin(6 * x) * np.cos(5 * y) + random.normal(0, float(kind.split()[1]), x.size)


def solvers_table(points, repeats):
    random = np.random.default_rng(0)
    positions = random.random((points, 2)) * SPACING * np.sqrt(points)
    layout = Layout.of(positions, *triangulated(positions))
    trees = layout.trees(np.ones(points, bool), np.array([0]))
    methods = ["paths", "flow"] if available("ortools") else ["paths"]
    weight = 1000 * random.uniform(0.5, 2, layout.start.size)
    nothing = np.zeros(points, np.float32)
    print(f"| {points:,} points, {layout.start.size:,} arcs | residues | {' | '.join(f'{m}, s' for m in methods)} |")
    print("|" + "---|" * (2 + len(methods)))
    kinds = [f"noise {noise} rad" for noise in (0.3, 0.5, 0.6, 0.75, 0.9, 1.2)] + ["faults 4.5 rad", "random phase"]
    for kind in kinds:
        phase = np.float32(np.angle(np.exp(1j * phases(kind, positions, random))))
        cycles, up, down = (np.empty(layout.start.size, np.int64) for _ in range(3))
        residue = np.empty(trees.inner.size, np.int64)
        kernels.nearest_cycles(phase, nothing, layout.start, layout.end, np.ones(cycles.size, bool), cycles)
        kernels.residues(cycles, trees.face, residue)
        kernels.costs(phase, nothing, layout.start, layout.end, weight, up, down)
        seconds, paid = [], set()
        for method in methods:
            change = closing_cycles(trees.face, residue, up, down, method=method)
            paid.add(int((up * np.maximum(change, 0) + down * np.maximum(-change, 0)).sum()))

            def solve(residue=residue, up=up, down=down, method=method):
                closing_cycles(trees.face, residue, up, down, method=method)

            seconds.append(best_of(solve, least_seconds=0.1 * repeats))
        assert len(paid) == 1, f"the solvers pay {paid}"
        print(f"| {kind} | {np.abs(residue).sum():,} | {' | '.join(f'{s:.3f}' for s in seconds)} |", flush=True)


def scene_table(points, epochs, threads):
    side = SPACING * np.sqrt(points)
    observed, truth = sd.simulate.point_scene(
        points=points,
        extent=(side, side),
        epochs=epochs,
        noise_std=0.6,
        atmosphere=sd.simulate.Atmosphere(std=0.004),
        seed=3,
    )
    start, end = triangulated(np.stack([observed.x, observed.y], axis=1))
    arcs = xr.Dataset({"start": ("arc", start), "end": ("arc", end)})
    names = ("velocity", "residual_height")
    solution = xr.Dataset(
        {name: ("point", truth[name].values - truth[name].values[0]) for name in names}
        | {"accepted": ("arc", np.ones(start.size, bool))},
        attrs={"reference_point": 0},
    )
    design = phase_design(observed)
    model = np.outer(design.velocity, truth.velocity) + np.outer(design.height, truth.residual_height)
    truth_phase = truth.phase_without_wrapping.values - model
    truth_phase -= truth_phase[:, :1]
    gaps = observed.copy()
    gaps["phase"] = observed.phase.where(np.random.default_rng(0).random(observed.phase.shape) > 0.02)
    gaps["phase"][epochs // 2] = 0.0
    print(f"\n| {epochs} epochs, {threads} thread(s) | s | s / epoch | unclosed / epoch | right |")
    print("|---|---|---|---|---|")
    for order in ("time", "auto"):  # compiles
        unwrap_residuals(observed.isel(time=slice(epochs // 2 - 2, epochs // 2 + 3)), arcs, solution, order=order)
    for name, data, order in (
        ("space", observed, "space"),
        ("time", observed, "time"),
        ("auto", observed, "auto"),
        ("auto, 2 % NaN", gaps, "auto"),
    ):
        found = []

        def solve(found=found, data=data, order=order):
            found.append(unwrap_residuals(data, arcs, solution, order=order, threads=threads))

        seconds = timed(solve)
        difference = found[0].residual_phase.values - truth_phase
        difference -= np.nanmedian(difference, axis=1, keepdims=True)
        right = (np.abs(difference) < 1)[np.isfinite(difference)].mean()
        unclosed = float(found[0].unclosed_triangles.mean())
        print(f"| {name} | {seconds:.2f} | {seconds / epochs:.3f} | {unclosed:,.0f} | {right:.5f} |", flush=True)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB, simulation included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=85)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    limit_cpus(arguments.threads)
    print(f"{describe()}; {arguments.threads} CPU(s)\n")
    solvers_table(arguments.points, arguments.repeats)
    scene_table(arguments.points, arguments.epochs, arguments.threads)


if __name__ == "__main__":
    main()
