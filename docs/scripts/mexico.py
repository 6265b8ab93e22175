"""Figure and numbers of docs/mexico.md: ``python docs/scripts/mexico.py``.

Looks for the folder ``mexico-city`` in ``SUBSIDENCE_DATA``, or in ``../shared/data`` beside the repository, and writes
``docs/images/mexico_velocity.png`` and ``docs/images/mexico_numbers.md``.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import subsidence as sd

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
REFERENCE = {"row": 9, "col": 8}
#: The wavelength of the independent answer: 3e8 m/s over the radar frequency of the headers.
PYRATE_WAVELENGTH = 0.05550415767769124


def main() -> None:
    data = Path(os.environ.get("SUBSIDENCE_DATA", ROOT.parent / "shared" / "data")) / "mexico-city"
    stack = sd.open_interferograms(data, format="gamma", chunks=None)
    series = velocity(stack)
    rows = [*describe(stack, series), *compare(data, series), *ramps(stack, series)]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    (IMAGES / "mexico_numbers.md").write_text(f"| | |\n|---|---|\n{table}\n", encoding="utf-8")
    print(table)
    draw(series)


def velocity(stack: xr.Dataset, **options: object) -> xr.Dataset:
    """Unweighted inversion and velocity, of the pixels whose epochs are all joined."""
    series = sd.invert_network(stack, weights=None, reference=REFERENCE, **options)
    series = sd.estimate_velocity(series)
    whole = series.status == sd.schema.Status.OK
    return series.assign({name: series[name].where(whole) for name in ("displacement", "velocity", "velocity_std")})


def describe(stack: xr.Dataset, series: xr.Dataset) -> list[tuple[str, str]]:
    speed = series.velocity.values[np.isfinite(series.velocity)] * 1e3
    coherence = series.temporal_coherence.where(series.velocity.notnull())
    closures = sd.closure_phase(stack, reference=REFERENCE)
    wrong = (abs(closures.integer_closure) > 0).any("triplet")
    closure_rms = float(np.sqrt((closures.closure**2).mean()))
    return [
        ("pixels solved, of all", f"{speed.size} of {series.velocity.size}"),
        ("wavelength, incidence", f"{float(stack.wavelength):.7f} m, {float(stack.incidence.mean()):.2f} degree"),
        ("velocity: least, median, largest", f"{speed.min():.0f}, {np.median(speed):.0f}, {speed.max():.0f} mm/yr"),
        ("standard deviation of velocity (white noise): median", f"{median(series.velocity_std) * 1e3:.1f} mm/yr"),
        (
            "temporal coherence: 5 %, median",
            f"{float(coherence.quantile(0.05)):.2f}, {float(coherence.median()):.2f}",
        ),
        (
            "triplets, RMS closure",
            f"{closures.sizes['triplet']}, {closure_rms:.3f} rad",
        ),
        ("pixels with a closure off by a cycle or more", f"{int(wrong.sum())}"),
    ]


def compare(data: Path, series: xr.Dataset) -> list[tuple[str, str]]:
    """Largest differences from the independent answer, made with the wavelength it was made with."""
    answer = {
        name: np.load(data / "reference" / f"{name}_none.npy") for name in ("vel_mmyr", "velstd_mmyr", "disp_m", "tcoh")
    }
    longer = PYRATE_WAVELENGTH / float(series.wavelength)
    ours = {
        "vel_mmyr": series.velocity * 1e3 * longer,
        "velstd_mmyr": series.velocity_std * 1e3 * longer,
        "disp_m": series.displacement * longer,
        "tcoh": series.temporal_coherence.where(series.velocity.notnull()),
    }
    largest = {name: np.nanmax(np.abs(ours[name].values - answer[name])) for name in answer}
    same = all(np.array_equal(np.isnan(ours[name]), np.isnan(answer[name])) for name in answer)
    return [
        ("largest difference of velocity from the independent answer", f"{largest['vel_mmyr']:.1e} mm/yr"),
        ("... of its standard deviation", f"{largest['velstd_mmyr']:.1e} mm/yr"),
        ("... of displacement", f"{largest['disp_m'] * 1e3:.1e} mm"),
        ("... of temporal coherence", f"{largest['tcoh']:.1e}"),
        ("NaN in the same places", "yes" if same else "no"),
    ]


def ramps(stack: xr.Dataset, series: xr.Dataset) -> list[tuple[str, str]]:
    """What a plane leaves of the subsidence."""
    stable = abs(series.velocity) < 0.02
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.errors.SuspiciousDataWarning)  # that it is fitted everywhere is the point
        through = velocity(sd.correct_delays(stack, ramp="plane"))
    outside = velocity(sd.correct_delays(stack, ramp="plane", mask=stable))
    return [
        (f"velocity after {words}: least; correlation with the one above", f"{least(one)}; {alike(one, series)}")
        for words, one in (
            ("a plane fitted through everything", through),
            (f"a plane fitted to the {int(stable.sum())} pixels slower than 20 mm/yr", outside),
        )
    ]


def least(series: xr.Dataset) -> str:
    return f"{float(series.velocity.min()) * 1e3:.0f} mm/yr"


def alike(one: xr.Dataset, other: xr.Dataset) -> str:
    return f"r = {float(xr.corr(one.velocity, other.velocity)):.2f}"


def median(values: xr.DataArray) -> float:
    return float(values.median())


def draw(series: xr.Dataset) -> None:
    fig = plt.figure(figsize=(11, 5.6), layout="constrained")
    axes = fig.subplot_mosaic([["velocity", "error"], ["series", "series"]], height_ratios=(1.6, 1))
    sd.plot.velocity_map(series, ax=axes["velocity"])
    sd.plot.velocity_map(series, ax=axes["error"], variable="velocity_std")
    for name in ("velocity", "error"):
        axes[name].locator_params(axis="x", nbins=6)
        axes[name].legend(loc="lower left", bbox_to_anchor=(0.08, 0.0), fontsize="small")
    where = series.velocity.argmin(["y", "x"])
    fastest = series.isel(where, drop=True)
    axes["velocity"].plot(series.x[where["x"]], series.y[where["y"]], "o", mfc="none", mec="k", ms=9, clip_on=False)
    sd.plot.series(fastest, ax=axes["series"])
    axes["series"].set_title(
        f"Fastest pixel (circle): {float(fastest.velocity) * 1e3:.0f} +- {float(fastest.velocity_std) * 1e3:.0f} mm/yr"
    )
    IMAGES.mkdir(exist_ok=True)
    fig.savefig(IMAGES / "mexico_velocity.png", dpi=120)


if __name__ == "__main__":
    main()
