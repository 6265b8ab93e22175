"""Arcs integrated to points: time, peak memory and exactness, beside scipy's lsqr on the same equations.

    python benchmarks/integration.py                     # 100,000 points, 300,000 Delaunay arcs, one core and two
    python benchmarks/integration.py --points 20000 --threads 1

Two parameters with weights of their own. Ours is the whole call: triangles, ordering, adjustments, the test of every
arc with its rounds, variances and redundancies of every parameter. lsqr gives the values alone, on all arcs, to a
tolerance of 1e-10. Every solver runs in a process of its own, so that peaks are its own (with Python and
its libraries, and the problem); a first call at small size compiles or loads compiled code.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import xarray as xr
from _machine import describe, limit_cpus, timed
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr
from scipy.spatial import Delaunay

from subsidence.phase_model._integration import integrate_arcs

WAVELENGTH = 0.0555
LOBE = 0.0103  # m/year
PARAMETERS = ("velocity", "residual_height")
SOLVERS = {
    "subsidence": ("subsidence, no wrong arcs", 0.0),
    "subsidence-wrong": ("subsidence, 5 % wrong arcs", 0.05),
    "subsidence-untested": ("subsidence, no test of arcs", 0.0),
    "lsqr": ("scipy lsqr, values alone", 0.0),
}


def make(points: int, *, wrong: float = 0.0, seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """POINTS and ARCS of a Delaunay network with independent errors of known size."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, 100 * np.sqrt(points), (2, points))
    faces = Delaunay(np.stack([x, y], axis=-1)).simplices
    sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]]), axis=1)
    start, end = np.unique(sides, axis=0).astype(np.int64).T
    arcs = {"temporal_coherence": ("arc", rng.uniform(0.6, 0.95, start.size))}
    for name, unit in zip(PARAMETERS, (1e-3, 1.0), strict=True):
        truth = rng.normal(0, 5 * unit, points)
        std = rng.uniform(0.3, 1.2, start.size) * unit
        arcs[name] = ("arc", truth[end] - truth[start] + std * rng.standard_normal(start.size))
        arcs[f"{name}_std"] = ("arc", std)
    lobes = (rng.random(start.size) < wrong) * rng.choice([-2, -1, 1, 2], start.size)
    arcs["velocity"] = ("arc", arcs["velocity"][1] + LOBE * lobes)
    return (
        xr.Dataset({}, {"x": ("point", x), "y": ("point", y), "wavelength": WAVELENGTH}),
        xr.Dataset(arcs, {"start": ("arc", start), "end": ("arc", end)}, {"noise_coherence": 0.4}),
    )


def design(arcs: xr.Dataset, points: int) -> csr_matrix:
    """One row for each arc: +1 at its end, -1 at its start."""
    rows = np.repeat(np.arange(arcs.sizes["arc"]), 2)
    columns = np.stack([arcs["end"].values, arcs["start"].values], axis=-1).ravel()
    return csr_matrix((np.tile([1.0, -1.0], arcs.sizes["arc"]), (rows, columns)), (arcs.sizes["arc"], points))


def by_lsqr(arcs: xr.Dataset, points: int, reference: int) -> dict[str, np.ndarray]:
    """Weighted least squares of every parameter, iteratively."""
    matrix = design(arcs, points)
    found = {}
    for name in PARAMETERS:
        weight = 1 / arcs[f"{name}_std"].values
        scaled = matrix.multiply(weight[:, None]).tocsr()
        values = lsqr(scaled, weight * arcs[name].values, atol=1e-10, btol=1e-10, iter_lim=20_000)[0]
        found[name] = values - values[reference]
    return found


def by_dense(arcs: xr.Dataset, points: int, reference: int) -> dict[str, np.ndarray]:
    """Values and, as name_std, what independent arcs propagate to, by numpy."""
    matrix = np.delete(design(arcs, points).toarray(), reference, axis=1)
    found = {}
    for name in PARAMETERS:
        weight = 1 / arcs[f"{name}_std"].values
        scaled = matrix * weight[:, None]
        values = np.linalg.lstsq(scaled, weight * arcs[name].values, rcond=None)[0]
        found[name] = np.insert(values, reference, 0.0)
        spread = np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled)))
        found[f"{name}_std"] = np.insert(spread, reference, 0.0)
    return found


def ours(points: xr.Dataset, arcs: xr.Dataset, *, tested: bool = True, threads: int | None = None) -> xr.Dataset:
    """Integrate, as a user calls it."""
    significance = 0.001 if tested else None
    return integrate_arcs(points, arcs, reference={"point": 0}, significance=significance, threads=threads)


def exactness(points: int = 400) -> tuple[float, float]:
    """Largest difference from dense least squares: of values over their range, and of redundancies."""
    where, arcs = make(points)
    result = ours(where, arcs, tested=False)
    expected = by_dense(arcs, points, 0)
    values = max(
        float(np.abs(result[name].values - expected[name]).max() / np.ptp(expected[name])) for name in PARAMETERS
    )
    least = np.ones(arcs.sizes["arc"])
    for name in PARAMETERS:
        scaled = design(arcs, points).toarray()[:, 1:] / arcs[f"{name}_std"].values[:, None]
        least = np.minimum(least, 1 - np.einsum("ai,ij,aj->a", scaled, np.linalg.inv(scaled.T @ scaled), scaled))
    return values, float(np.abs(result["redundancy"].values - least).max())


def solve(solver: str, points: int, threads: int) -> dict[str, float]:
    """Time one solver in this process."""
    wrong = SOLVERS[solver][1]

    def call(where: xr.Dataset, arcs: xr.Dataset) -> xr.Dataset | None:
        if solver == "lsqr":
            by_lsqr(arcs, where.sizes["point"], 0)
            return None
        return ours(where, arcs, tested=solver != "subsidence-untested", threads=threads)

    call(*make(300, wrong=wrong))
    where, arcs = make(points, wrong=wrong)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: list[xr.Dataset | None] = []
    began = time.process_time()
    seconds = timed(lambda: results.append(call(where, arcs)))
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"arcs": arcs.sizes["arc"], "seconds": seconds, "cpu": cpu, "before": before / 1e6, "peak": peak / 1e6}
    if results[0] is not None:
        row["rejected"] = int(results[0].attrs["arcs_rejected"])
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2, help="CPUs that every solver gets")
    parser.add_argument("--solvers", nargs="*", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument("--one", choices=SOLVERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    limit_cpus(arguments.threads)
    if arguments.one:
        print(json.dumps(solve(arguments.one, arguments.points, arguments.threads)))
        return
    print(f"{describe()}; {arguments.threads} CPU(s), wall time")
    values, redundancy = exactness()
    print(f"from dense least squares, 400 points: values {values:.1e} of their range, redundancies {redundancy:.1e}\n")
    print("| solver | points | arcs | arcs left out | seconds | CPU seconds | peak memory, GB (before the call) |")
    print("|---|---|---|---|---|---|---|")
    for solver in arguments.solvers:
        command = [sys.executable, __file__, "--one", solver, "--points", str(arguments.points)]
        done = subprocess.run(
            [*command, "--threads", str(arguments.threads)], capture_output=True, text=True, check=True
        )
        row = json.loads(done.stdout)
        print(
            f"| {SOLVERS[solver][0]} | {arguments.points:,} | {row['arcs']:,} | {row.get('rejected', '')} "
            f"| {row['seconds']:.2f} | {row['cpu']:.2f} | {row['peak']:.2f} ({row['before']:.2f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
