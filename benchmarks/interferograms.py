"""Interferograms from images: this library beside the numpy expressions everybody writes, in one run on the same CPUs.

    python benchmarks/interferograms.py                # one core
    python benchmarks/interferograms.py --threads 2

Every row forms the same pairs of the same images: flat-earth and topographic phase removed, multilooked, with
coherence. Rates count pixels of the images times pairs.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from _machine import CLOCKS, best_of, describe, limit_cpus, timed

from subsidence.network import sequential_pairs
from subsidence.stack import flattening_phase, form_interferograms

CASES = {"5 looks": (1, 5), "80 looks": (4, 20), "single looks": (1, 1)}


def images(rows: int, cols: int, epochs: int) -> xr.Dataset:
    """Speckle over hills, with the geometry of a Sentinel-1 scene."""
    random = np.random.default_rng(0)
    x, y = np.arange(cols) * 4.0, np.arange(rows) * 14.0
    samples = random.standard_normal((epochs, rows, cols, 2), np.float32).view(np.complex64)[..., 0]
    hills = 60 * np.sin(x / 900) * np.cos(y / 700)[:, np.newaxis]
    flat = np.ones((rows, 1))
    return xr.Dataset(
        {"slc": (("time", "y", "x"), samples)},
        {
            "time": np.datetime64("2018-01-06", "ns") + np.arange(epochs) * np.timedelta64(12, "D"),
            "x": x,
            "y": y,
            "wavelength": 0.0555,
            "incidence": (("y", "x"), flat * (39 + x * 7e-5)),
            "slant_range": (("y", "x"), flat * (880e3 + x * 0.63)),
            "height": (("y", "x"), hills),
            "perpendicular_baseline": ("time", random.normal(0, 60, epochs)),
        },
        {"phase_removed": ""},
    )


def plain(slc: xr.Dataset, pairs: xr.Dataset, looks: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Phase and sample coherence, epoch by epoch and pair by pair."""
    rows, cols = slc.sizes["y"] // looks[0], slc.sizes["x"] // looks[1]

    def cells(values: np.ndarray) -> np.ndarray:
        cut = values[: rows * looks[0], : cols * looks[1]]
        return cut.reshape(rows, looks[0], cols, looks[1]).sum((1, 3))

    numbers = [np.searchsorted(slc.time.values, pairs[name].values) for name in ("reference", "secondary")]
    phase = flattening_phase(slc).values
    turned = slc.slc.values * np.exp(1j * phase).astype(np.complex64)
    power = np.array([cells(image.real**2 + image.imag**2) for image in turned])
    size = (pairs.sizes["pair"], rows, cols)
    angles, coherence = np.empty(size, np.float32), np.empty(size, np.float32)
    for pair, (first, second) in enumerate(zip(*numbers, strict=True)):
        product = cells(turned[first] * turned[second].conj())
        angles[pair] = np.angle(product)
        coherence[pair] = np.abs(product) / np.sqrt(power[first] * power[second])
    return angles, coherence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--cols", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--neighbours", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="spent on each row at least")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads > 1:
        parser.error("--clock cpu adds up threads: it is for --threads 1")
    limit_cpus(arguments.threads)

    slc = images(arguments.rows, arguments.cols, arguments.epochs)
    pairs = sequential_pairs(slc, neighbours=arguments.neighbours)
    work = arguments.rows * arguments.cols * pairs.sizes["pair"]
    print(f"{describe()}; {arguments.threads} CPU(s), {arguments.clock} time")
    print(f"{arguments.rows} x {arguments.cols} pixels, {arguments.epochs} images, {pairs.sizes['pair']} pairs\n")
    print("| case | by | million pixels x pairs / s | first call (s) | phase difference, 99.99 % (rad) |")
    print("|---|---|---|---|---|")
    for name, looks in CASES.items():

        def ours(looks: tuple[int, int] = looks) -> xr.Dataset:
            return form_interferograms(
                slc, pairs, looks=looks, coherence_window=(1, 1), bias_correction=False, threads=arguments.threads
            )

        def theirs(looks: tuple[int, int] = looks) -> tuple[np.ndarray, np.ndarray]:
            return plain(slc, pairs, looks)

        first = timed(ours, clock=arguments.clock), timed(theirs, clock=arguments.clock)
        expected, found = theirs()[0], ours().phase.values
        difference = np.quantile(np.abs(np.angle(np.exp(1j * (found.astype(float) - expected)))), 0.9999)
        for by, call, began in (("subsidence", ours, first[0]), ("numpy", theirs, first[1])):
            seconds = best_of(call, least_seconds=arguments.seconds, clock=arguments.clock)
            print(f"| {name} | {by} | {work / seconds / 1e6:.1f} | {began:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
