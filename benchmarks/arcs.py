"""Search of velocity and residual height along arcs: this library beside plain ways of doing it, in one run.

    python benchmarks/arcs.py                         # one core
    python benchmarks/arcs.py --threads 2 --peers none
    python benchmarks/arcs.py --quick                 # some seconds

The script starts itself again with every thread pool limited and the process bound to ``--threads`` CPUs. Rates are the
best of several calls after a first one, which compiles or loads compiled code and is reported beside them. The box is
+-40 mm/year x +-40 m for all.

Two peers are written here, from what is published: the periodogram on a grid of half a resolution cell as a matrix
product in numpy, refined by wrapped least squares; and a search by turns, along velocity and along height. spurt (extra
``peers``) takes part where it is installed, with its own grid search and half a resolution cell between nodes, on a
few arcs.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec

import arc_problem
import numpy as np
from _machine import CLOCKS, best_of, describe, limit_cpus, timed
from arc_problem import ArcProblem, Array

from subsidence.phase_model import search_phase_model

OURS = "subsidence"
BOX = ((-0.04, 0.04), (-40.0, 40.0))
BINS = (0.0, 0.3, 0.5, 0.7, 0.9, 0.985, 0.995, 0.999, 1.0001)


@dataclass(frozen=True)
class Row:
    satellite: str
    sigma: float
    solver: str
    rate: float  # arcs/s
    first: float  # seconds of the first call
    right: float  # share of arcs in the right lobe
    ratio: Array  # RMS over that of least squares that knows the ambiguities
    stated: Array | None  # stated over true standard deviation


def ours(problem: ArcProblem, *, threads: int, by_point: bool = False) -> Callable[[], tuple[Array, Array | None]]:
    """This library's search, as a user calls it, with all its outputs."""
    points, arcs = arc_problem.dataset(problem, by_point=by_point)

    def run() -> tuple[Array, Array | None]:
        found = search_phase_model(points, arcs, velocity=BOX[0], residual_height=BOX[1], threads=threads)
        value = np.array([found["velocity"].values, found["residual_height"].values], np.float64)
        return value, np.array([found["velocity_std"].values, found["residual_height_std"].values], np.float64)

    return run


def matrix_product(problem: ArcProblem) -> Callable[[], tuple[Array, Array | None]]:
    """The grid as one complex product for a block of arcs, then three passes of wrapped least squares."""
    design = problem.design
    axes = [_nodes(box, row) for box, row in zip(BOX, design, strict=True)]
    basis = np.exp(-1j * np.outer(design[0], axes[0]))[:, :, None] * np.exp(-1j * np.outer(design[1], axes[1]))[:, None]
    basis = basis.reshape(design.shape[1], -1).astype(np.complex64)

    def run() -> tuple[Array, Array | None]:
        found = np.empty((2, len(problem.phase)))
        for start in range(0, len(problem.phase), 512):
            phase = problem.phase[start : start + 512]
            total = np.exp(1j * phase) @ basis
            best = (total.real**2 + total.imag**2).argmax(axis=1)
            node = np.array([axes[0][best // axes[1].size], axes[1][best % axes[1].size]])
            found[:, start : start + 512] = _refine(phase, design, node, total[np.arange(best.size), best])
        return found, None

    return run


def turns(problem: ArcProblem) -> Callable[[], tuple[Array, Array | None]]:
    """A hundred velocities at height zero, a hundred heights at the best, the same again, then refined."""
    design = problem.design
    axes = [np.linspace(*box, 100) for box in BOX]
    bases = [np.exp(-1j * np.outer(row, axis)).astype(np.complex64) for row, axis in zip(design, axes, strict=True)]

    def run() -> tuple[Array, Array | None]:
        found = np.empty((2, len(problem.phase)))
        for start in range(0, len(problem.phase), 512):
            phase = problem.phase[start : start + 512]
            phasor = np.exp(1j * phase)
            node = np.zeros((2, len(phase)))
            for q in (0, 1, 0, 1):
                other = np.exp(-1j * np.outer(node[1 - q], design[1 - q])).astype(np.complex64)
                total = (phasor * other) @ bases[q]
                best = np.abs(total).argmax(axis=1)
                node[q] = axes[q][best]
            found[:, start : start + 512] = _refine(phase, design, node, total[np.arange(best.size), best])
        return found, None

    return run


def spurt(problem: ArcProblem) -> Callable[[], tuple[Array, Array | None]]:
    """Its grid and simplex search of one arc after the other, in one process."""
    from spurt.links import GridSearchLinearModel

    axes = [_nodes(box, row) for box, row in zip(BOX, problem.design, strict=True)]
    ranges = tuple(slice(axis[0], axis[-1] + 1e-9, axis[1] - axis[0]) for axis in axes)
    model = GridSearchLinearModel(problem.design.T, ranges)

    def run() -> tuple[Array, Array | None]:
        return model.estimate_model_many(problem.phase.T.astype(np.float64), worker_count=1)[0], None

    return run


PEERS = {"numpy matrix product": matrix_product, "one parameter by turns": turns}
if find_spec("spurt") is not None:
    PEERS["spurt"] = spurt
#: Arcs of a peer that takes some hundredths of a second for each.
FEW = 200


def _nodes(box: tuple[float, float], column: Array) -> Array:
    count = math.ceil((box[1] - box[0]) * np.ptp(column) / np.pi)
    step = (box[1] - box[0]) / count
    return box[0] + step * (np.arange(count) + 0.5)


def _refine(phase: Array, design: Array, node: Array, total: Array) -> Array:
    inverse = np.linalg.pinv((design - design.mean(axis=1, keepdims=True)).T)
    constant = np.angle(total)[:, None]
    for _ in range(3):
        residual = phase - node.T @ design - constant
        residual -= 2 * np.pi * np.rint(residual / (2 * np.pi))
        change = inverse @ residual.T
        node = node + change
        constant = constant + residual.mean(axis=1, keepdims=True) - (change.T @ design.mean(axis=1))[:, None]
    return node


def compare(satellite: str, sigma: float, peers: list[str], *, arcs: int, threads: int, clock: str) -> list[Row]:
    problem = arc_problem.make(arcs, satellite=satellite, sigma=sigma)
    few = replace(problem, phase=problem.phase[:FEW], truth=problem.truth[:, :FEW], noise=problem.noise[:FEW])
    entrants = {OURS: (problem, ours(problem, threads=threads))}
    if threads > 1:
        entrants[f"{OURS}, one thread"] = problem, ours(problem, threads=1)
    entrants[f"{OURS}, baselines by point"] = problem, ours(problem, threads=threads, by_point=True)
    for name in peers:
        given = few if name == "spurt" else problem
        entrants[name] = given, PEERS[name](given)
    rows = []
    for name, (given, run) in entrants.items():
        oracle = np.sqrt((given.oracle() ** 2).mean(axis=1))
        first = timed(run, clock=clock)
        rate = len(given.phase) / best_of(run, least_seconds=0.6, clock=clock)
        value, std = run()
        miss = value - given.truth
        right = (np.abs(miss) < problem.half_cells[:, None]).all(axis=0)
        rms = np.sqrt((miss[:, right] ** 2).mean(axis=1))
        stated = None if std is None else np.sqrt((std[:, right] ** 2).mean(axis=1)) / rms
        rows.append(Row(satellite, sigma, name, rate, first, right.mean(), rms / oracle, stated))
    return rows


def reliability(satellite: str, *, arcs: int, epochs: tuple[int, ...], seeds: tuple[int, ...]) -> tuple[Array, Array]:
    """Probabilities that were stated, and whether the lobe was right, at 1.0 to 1.6 rad over the whole box."""
    said, right = [], []
    for count in epochs:
        for seed in seeds:
            problem = arc_problem.make(
                arcs, epochs=count, sigma=(1.0, 1.6), satellite=satellite, velocity=0.04, height=40.0, seed=seed
            )
            points, links = arc_problem.dataset(problem)
            found = search_phase_model(points, links, velocity=BOX[0], residual_height=BOX[1])
            value = np.array([found["velocity"].values, found["residual_height"].values])
            said.append(found["ambiguity_probability"].values)
            right.append((np.abs(value - problem.truth) < problem.half_cells[:, None]).all(axis=0))
    return np.concatenate(said), np.concatenate(right)


def table(rows: list[Row]) -> str:
    lines = [
        "| problem | noise, rad | solver | arcs/s | ours / theirs | right lobe, % | RMS / oracle, v and z "
        "| stated / true std, v and z | first call, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    own = {(row.satellite, row.sigma): row.rate for row in rows if row.solver == OURS}
    for row in rows:
        ratio = "" if row.solver.startswith(OURS) else f"{own[row.satellite, row.sigma] / row.rate:.1f} x"
        stated = "" if row.stated is None else f"{row.stated[0]:.3f}, {row.stated[1]:.3f}"
        errors = f"{row.ratio[0]:.4f}, {row.ratio[1]:.4f}"
        cells = (row.satellite, f"{row.sigma:g}", row.solver, f"{row.rate:,.0f}", ratio, f"{100 * row.right:.2f}")
        lines.append(f"| {' | '.join(cells)} | {errors} | {stated} | {row.first:.2f} |")
    return "\n".join(lines)


def reliability_table(results: dict[str, tuple[Array, Array]]) -> str:
    lines = ["| problem | said | arcs | mean said, % | right, % |", "|---|---|---|---|---|"]
    for name, (said, right) in results.items():
        for low, high in itertools.pairwise(BINS):
            chosen = (said >= low) & (said < high)
            if chosen.any():
                words = f"{100 * low:g} to {min(100 * high, 100):g} %"
                shares = f"{100 * said[chosen].mean():.2f} | {100 * right[chosen].mean():.2f}"
                lines.append(f"| {name} | {words} | {chosen.sum():,} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arcs", type=int, default=40_000)
    parser.add_argument("--threads", type=int, default=1, help="CPUs that every solver gets")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine")
    parser.add_argument("--satellites", nargs="*", choices=arc_problem.SATELLITES, default=list(arc_problem.SATELLITES))
    parser.add_argument("--sigmas", nargs="*", type=float, default=[0.6, 1.0], help="phase noise in rad")
    parser.add_argument("--peers", nargs="*", choices=[*PEERS, "none"], default=list(PEERS))
    parser.add_argument("--quick", action="store_true", help="a few arcs of each, to see that it runs")
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads > 1:
        parser.error("--clock cpu adds up threads: it is for --threads 1")
    limit_cpus(arguments.threads)

    arcs = 500 if arguments.quick else arguments.arcs
    peers = [name for name in arguments.peers if name != "none"]
    print(f"{describe()}; {arguments.threads} CPU(s), {arguments.clock} time; {arcs:,} arcs\n")
    rows = []
    for satellite in arguments.satellites:
        for sigma in arguments.sigmas:
            rows += compare(satellite, sigma, peers, arcs=arcs, threads=arguments.threads, clock=arguments.clock)
    print(table(rows))
    print("\nReliability of the stated probability, noise 1.0 to 1.6 rad, 15 to 85 epochs:\n")
    epochs = (15, 40) if arguments.quick else (15, 20, 30, 50, 85)
    drawn, seeds = (500, (1,)) if arguments.quick else (4000, (1, 2, 3))
    print(
        reliability_table(
            {name: reliability(name, arcs=drawn, epochs=epochs, seeds=seeds) for name in arguments.satellites}
        )
    )


if __name__ == "__main__":
    main()
