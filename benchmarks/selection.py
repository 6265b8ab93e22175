"""Candidates for persistent scatterers: this library beside plain numpy and scipy, in one run on the same CPUs.

    python benchmarks/selection.py                      # one core
    python benchmarks/selection.py --threads 2 --epochs 85

The script starts itself again bound to ``--threads`` CPUs, with every thread pool limited to as many. Rates are pixels
times epochs per second, the best of several runs after a first one. The selection calibrates, takes the amplitude
dispersion, multilooks pairs 1 x 5, compares each with its low-pass over 11 x 11 cells, and extracts the phases.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from _machine import CLOCKS, best_of, describe, limit_cpus, timed
from scipy import ndimage

from subsidence.scatterers import amplitude_dispersion, select_scatterers

LOOKS, WINDOW, NEIGHBOURS = 5, 11, 2
MAX_DISPERSION, MIN_COHERENCE = 0.25, 0.38


@dataclass(frozen=True)
class Row:
    task: str
    solver: str
    rate: float  # pixels times epochs per second
    first: float  # seconds of the first call
    difference: float


def stack(epochs: int, rows: int, cols: int, seed: int = 1) -> xr.Dataset:
    """Clutter that fades from image to image, with 2 % of steady points on it."""
    rng = np.random.default_rng(seed)

    def clutter(*shape: int) -> np.ndarray:
        parts = rng.standard_normal((2, *shape), dtype=np.float32)
        return parts[0] + 1j * parts[1]

    fading = clutter(rows, cols)
    values = np.empty((epochs, rows, cols), np.complex64)
    points = 8 * (rng.random((rows, cols)) < 0.02) * np.exp(2j * np.pi * rng.random((rows, cols)))
    for epoch in range(epochs):
        fading = np.float32(0.3) * fading + np.float32(0.95) * clutter(rows, cols)
        values[epoch] = (fading + points) * np.exp(0.1 * rng.standard_normal())
    time = np.datetime64("2018-01-06", "ns") + np.arange(epochs) * np.timedelta64(12, "D")
    return xr.Dataset(
        {"slc": (("time", "y", "x"), values)},
        {"time": time, "y": np.arange(rows) * 14.0, "x": np.arange(cols) * 4.0, "wavelength": 0.0555},
        {"phase_removed": "flat_earth topography"},
    )


def numpy_dispersion(values: np.ndarray) -> np.ndarray:
    amplitude = np.abs(values)
    step = 3 if amplitude[0].size > 50_000 else 1
    sample = np.log(amplitude[:, ::step, ::step].reshape(len(values), -1))
    factors = np.exp(np.median(sample - sample.mean(axis=0), axis=1))
    amplitude = amplitude / factors[:, None, None]
    return amplitude.std(axis=0, ddof=1) / amplitude.mean(axis=0)


def numpy_selection(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dispersion, coherence of cells, and phases relative to the middle image of the candidates."""
    dispersion = numpy_dispersion(values)
    rows, cols = values.shape[1], values.shape[2] // LOOKS
    total = np.zeros((rows, cols), np.complex64)
    pairs = 0

    def cells(first: int, second: int) -> np.ndarray:
        product = values[first] * values[second].conj()
        return product[:, : cols * LOOKS].reshape(rows, cols, LOOKS).sum(axis=-1)

    for first in range(len(values)):
        for second in range(first + 1, min(first + NEIGHBOURS + 1, len(values))):
            pair = cells(first, second)
            size = np.abs(pair)
            unit = pair / size
            weighted = unit * np.sqrt(size)
            low = ndimage.uniform_filter(weighted.real, WINDOW, mode="constant") * WINDOW**2 - weighted.real
            low = low + 1j * (
                ndimage.uniform_filter(weighted.imag, WINDOW, mode="constant") * WINDOW**2 - weighted.imag
            )
            total += unit * low.conj() / np.abs(low)
            pairs += 1
    coherence = np.abs(total) / pairs
    chosen = coherence > MIN_COHERENCE
    covered = np.zeros(dispersion.shape, bool)
    covered[:, : cols * LOOKS] = chosen.repeat(LOOKS, axis=1)
    steady = (dispersion < MAX_DISPERSION) & ~covered
    middle = len(values) // 2
    phases = [
        np.concatenate(
            [np.angle(values[middle][steady] * epoch[steady].conj()), np.angle(cells(middle, number)[chosen])]
        )
        for number, epoch in enumerate(values)
    ]
    return dispersion, coherence, np.array(phases)


def compare(epochs: int, rows: int, cols: int, *, threads: int, repeats: int, clock: str) -> list[Row]:
    """Rows of both tasks; the solvers run by turns, so that a slow moment of the machine meets both."""
    data = stack(epochs, rows, cols)
    values = data["slc"].values
    work = epochs * rows * cols
    options = {"max_dispersion": MAX_DISPERSION, "min_coherence": MIN_COHERENCE, "threads": threads}
    tasks: dict[str, dict[str, Callable[[], object]]] = {
        "amplitude dispersion": {
            "subsidence": lambda: amplitude_dispersion(data, threads=threads),
            "numpy": lambda: numpy_dispersion(values),
        },
        "selection": {
            "subsidence": lambda: select_scatterers(data, **options),
            "numpy": lambda: numpy_selection(values),
        },
    }
    found = []
    for task, solvers in tasks.items():
        first = {name: timed(call, clock=clock) for name, call in solvers.items()}
        best = dict.fromkeys(solvers, np.inf)
        for _ in range(repeats):
            for name, call in solvers.items():
                best[name] = min(best[name], best_of(call, least_seconds=0.3, clock=clock))
        difference = _difference(task, data, values, options)
        found += [Row(task, name, work / best[name], first[name], difference) for name in solvers]
    return found


def _difference(task: str, data: xr.Dataset, values: np.ndarray, options: dict) -> float:
    """Largest difference of the dispersion; of the coherence at the points both see."""
    if task == "amplitude dispersion":
        return float(np.abs(amplitude_dispersion(data).values - numpy_dispersion(values)).max())
    points = select_scatterers(data, **options)
    several = points["source"].values == "multilook"
    expected = numpy_selection(values)[1][points["row"].values[several], points["col"].values[several] // LOOKS]
    return float(np.abs(points["selection_coherence"].values[several] - expected).max(initial=0.0))


def table(rows: list[Row]) -> str:
    lines = [
        "| task | solver | pixels x epochs/s | ours / theirs | difference | first call, s |",
        "|---|---|---|---|---|---|",
    ]
    own = {row.task: row.rate for row in rows if row.solver == "subsidence"}
    for row in rows:
        ratio = "" if row.solver == "subsidence" else f"{own[row.task] / row.rate:.1f} x"
        cells = (row.task, row.solver, f"{row.rate:,.0f}", ratio, f"{row.difference:.1e}", f"{row.first:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=85)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--cols", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1, help="CPUs that every solver gets")
    parser.add_argument("--repeats", type=int, default=3, help="rounds after the first")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: for one thread on a busy machine")
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads > 1:
        parser.error("--clock cpu adds up threads: it is for --threads 1")
    limit_cpus(options.threads)
    print(f"{describe()}; {options.threads} CPU(s); {options.epochs} epochs, {options.rows} x {options.cols} pixels\n")
    rows = compare(
        options.epochs,
        options.rows,
        options.cols,
        threads=options.threads,
        repeats=options.repeats,
        clock=options.clock,
    )
    print(table(rows))


if __name__ == "__main__":
    main()
