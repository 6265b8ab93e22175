"""Curve of docs/persistent.md: true against false candidates of both selections, on a simulated vegetated scene.

``python docs/scripts/selection_curve.py`` writes ``docs/images/selection_curve.png``. A candidate is true where the
noise of its phase is below 0.8 rad by the simulated truth: what is left of the phase without the true motion,
atmosphere and residual height. Places are counted, cells of 1 x 5 pixels: a scatterer that fills five pixels is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import xarray as xr

from subsidence import simulate
from subsidence.scatterers import select_scatterers

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LOOK = 5
NOISE = 0.8


@dataclass(frozen=True)
class Curve:
    """Numbers of true and false places as a limit is loosened, and the limits."""

    false: npt.NDArray[np.int64]
    true: npt.NDArray[np.int64]
    limit: npt.NDArray[np.float64]

    def at(self, limit: float, *, falling: bool) -> tuple[int, int]:
        """False and true places at a limit, of dispersion (rising) or of coherence (falling)."""
        held = (self.limit > limit).sum() if falling else (self.limit < limit).sum()
        return int(self.false[held - 1]), int(self.true[held - 1])


def scene(*, shape: tuple[int, int] = (300, 400), epochs: int = 40, seed: int = 3) -> tuple[xr.Dataset, xr.Dataset]:
    """Fields with a few houses: clutter that decorrelates within 6 to 90 days, and keeps 0 to 0.5 of its coherence."""
    return simulate.slc_scene(
        shape=shape, epochs=epochs, seed=seed, town=0.0, point_density=60.0, phase_removed="flat_earth topography"
    )


def true_coherence(slc: xr.Dataset, truth: xr.Dataset, points: xr.Dataset) -> npt.NDArray[np.float64]:
    """Length of the mean phasor that is left of each point's phase without the truth."""
    rows, cols = points["row"].values, points["col"].values.copy()
    mean = np.abs(slc["slc"]).mean("time").values
    for k in np.flatnonzero(points["source"].values == "multilook"):  # the pixel that makes most of the sum
        cols[k] += mean[rows[k], cols[k] : cols[k] + LOOK].argmax()
    scale = (slc["slant_range"] * np.sin(np.deg2rad(slc["incidence"]))).values[rows, cols]
    lifted = slc["perpendicular_baseline"].values[:, None] * truth["residual_height"].values[rows, cols] / scale
    moved = (truth["displacement"] + truth["atmosphere"]).values[:, rows, cols]
    expected = -4 * np.pi / float(slc["wavelength"]) * (moved + lifted)
    reference = int(np.flatnonzero(slc["time"].values == np.datetime64(points.attrs["reference_time"]))[0])
    left = np.exp(1j * (points["phase"].values - (expected - expected[reference])))
    return np.abs(np.delete(left, reference, axis=0).mean(axis=0))


def curves(slc: xr.Dataset, truth: xr.Dataset) -> dict[str, Curve]:
    """Of the classic set by its dispersion, and of the joined set (dispersion below 0.25) by its coherence."""
    good = np.exp(-(NOISE**2) / 2)
    classic = select_scatterers(slc, max_dispersion=0.5, min_coherence=None)
    place = classic["row"].values * slc.sizes["x"] + classic["col"].values // LOOK
    dispersion = classic["amplitude_dispersion"].values.astype(float)
    order = np.lexsort((dispersion, place))
    best = order[np.concatenate([[True], np.diff(place[order]) > 0])]  # each place by its steadiest pixel
    improved = select_scatterers(slc, max_dispersion=0.25, min_coherence=0.05)
    coherence = np.where(improved["source"] == "multilook", improved["selection_coherence"], np.nan).astype(float)
    right = true_coherence(slc, truth, improved) > good
    # at every limit the classic points stay that no multilooked one replaces; count them by the limit that does
    both = select_scatterers(slc, max_dispersion=0.25, min_coherence=None)
    steady = true_coherence(slc, truth, both) > good
    cells = both["row"].values * slc.sizes["x"] + both["col"].values // LOOK
    chosen = improved["source"].values == "multilook"
    of_cell = dict(
        zip(
            (improved["row"].values * slc.sizes["x"] + improved["col"].values // LOOK)[chosen].tolist(),
            coherence[chosen].tolist(),
            strict=True,
        )
    )
    replaced = np.array([of_cell.get(cell, -1.0) for cell in cells.tolist()])
    _, first = np.unique(cells, return_index=True)
    limits = np.linspace(0.99, 0.1, 400)
    false, true = [], []
    for limit in limits:
        taken = chosen & (coherence > limit)
        stay = first[replaced[first] <= limit]
        true.append(int((taken & right).sum() + steady[stay].sum()))
        false.append(int((taken & ~right).sum() + (~steady[stay]).sum()))
    truly = true_coherence(slc, truth, classic)[best] > good
    rank = np.argsort(dispersion[best], kind="stable")
    return {
        "classic": Curve(np.cumsum(~truly[rank]), np.cumsum(truly[rank]), dispersion[best][rank]),
        "improved": Curve(np.array(false), np.array(true), limits),
    }


def draw(found: dict[str, Curve], path: Path) -> None:
    """The curve as a figure."""
    figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    labels = {"classic": "amplitude dispersion alone", "improved": "with multilooked coherence"}
    marks = {"classic": (0.25, 0.3, 0.35, 0.4), "improved": (0.38, 0.7, 0.8, 0.9)}
    for (name, curve), colour in zip(found.items(), ("tab:blue", "tab:red"), strict=True):
        ax.plot(curve.false, curve.true, color=colour, label=labels[name])
        for limit in marks[name]:
            false, true = curve.at(limit, falling=name == "improved")
            ax.plot(false, true, "o", color=colour, markersize=4)
            sign = ">" if name == "improved" else "<"
            side = -1 if name == "improved" else 1
            ax.annotate(
                f"{sign} {limit:g}",
                (false, true),
                xytext=(6 * side, -8 * side),
                textcoords="offset points",
                color=colour,
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=8,
            )
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlim=(-1, None), ylim=(0, None), xlabel="false places")
    ax.set_ylabel(f"true places (phase noise below {NOISE:g} rad)")
    ax.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    found = curves(*scene())
    for false in (10, 30, 100, 300, 1000):
        held = {name: int(curve.true[curve.false <= false].max(initial=0)) for name, curve in found.items()}
        print(f"{false:5d} false: " + ", ".join(f"{name} {count}" for name, count in held.items()))
    IMAGES.mkdir(exist_ok=True)
    draw(found, IMAGES / "selection_curve.png")


if __name__ == "__main__":
    main()
