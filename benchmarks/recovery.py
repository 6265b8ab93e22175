"""Recovery of simulated scenes: bias and coverage of displacement, velocity and residual height.

Scenes of known truth (a Weibull bowl, seasonal motion, decorrelation, optionally atmosphere and residual heights)
go through network inversion, the atmospheric variance and the velocity; the errors are held against what the
results state.

    python benchmarks/recovery.py --seeds 20

A scene's reference place brings its own error to every place, so many small scenes say more than one large one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import xarray as xr

import subsidence as sd

SHAPE = (40, 40)
EPOCHS = 40


def scenes(seeds: int, **options: object) -> Iterator[tuple[xr.Dataset, xr.Dataset, xr.Dataset, xr.DataArray]]:
    """Stack, truth, series and the coherent places of each scene."""
    residual_height = bool(options.pop("residual_height", False))
    options.setdefault("residual_height_std", 3.0 if residual_height else 0.0)
    for seed in range(seeds):
        stack, truth = sd.simulate.interferogram_scene(shape=SHAPE, epochs=EPOCHS, seed=seed, **options)
        coherent = truth.coherence.min("pair") > 0.3
        best = stack.coherence.mean("pair").where(truth.stable & coherent).argmax(("y", "x"))
        place = {"row": int(best["y"]), "col": int(best["x"])}
        series = sd.invert_network(stack, reference=place, residual_height=residual_height)
        truth = truth.assign(
            displacement=truth.displacement - truth.displacement.isel(y=place["row"], x=place["col"], drop=True),
            residual_height=truth.residual_height
            - truth.residual_height.isel(y=place["row"], x=place["col"], drop=True),
        )
        yield stack, truth, series, coherent


def within(error: xr.DataArray, std: xr.DataArray, keep: xr.DataArray) -> tuple[float, float, float, float]:
    """Bias and RMS of the error, share within 1 and within 1.96 stated standard deviations."""
    keep = keep & (std > 0)
    e, s = error.where(keep).values, std.where(keep).values
    fine = np.isfinite(e) & np.isfinite(s)
    e, s = e[fine], s[fine]
    return e.mean(), np.sqrt((e**2).mean()), (abs(e) < s).mean(), (abs(e) < 1.96 * s).mean()


def row(name: str, found: list[tuple[float, float, float, float]], unit: float, digits: int = 2) -> str:
    bias, rms, one, two = np.mean(found, axis=0)
    spread = np.std([f[0] for f in found]) / np.sqrt(len(found))
    return (
        f"| {name} | {bias * unit:.{digits}f} +- {spread * unit:.{digits}f} | {rms * unit:.{digits}f} "
        f"| {one:.1%} | {two:.1%} |"
    )


def table(seeds: int) -> Iterator[str]:
    yield "| case | bias | RMS error | within 1 sigma | within 1.96 sigma |"
    yield "| --- | --- | --- | --- | --- |"
    for noise in ("pairs", "epochs"):
        found = [
            within(series.displacement - truth.displacement, series.displacement_std, coherent)
            for _, truth, series, coherent in scenes(seeds, atmosphere=None, noise=noise)
        ]
        yield row(f"displacement (mm), atmosphere off, noise of {noise}", found, 1e3)
        plain, added, velocity = [], [], []
        for _, truth, series, coherent in scenes(seeds, noise=noise, bowl=None):
            error = series.displacement - truth.displacement
            plain.append(within(error, series.displacement_std, coherent))
            whole = sd.add_atmospheric_variance(series, mask=coherent)
            added.append(within(error, whole.displacement_std, coherent))
            rate = sd.estimate_velocity(series, noise="autocorrelated", seasonal=True)
            line = sd.estimate_velocity(truth.assign_attrs(series.attrs), seasonal=True)
            velocity.append(within(rate.velocity - line.velocity, rate.velocity_std, coherent))
        yield row(f"displacement (mm), atmosphere on, network std alone, noise of {noise}", plain, 1e3)
        yield row(f"displacement (mm), atmosphere on, its variance added, noise of {noise}", added, 1e3)
        yield row(f"velocity (mm/yr), atmosphere on, noise of {noise}", velocity, 1e3)
    for atmosphere, name in ((None, "off"), (sd.simulate.Atmosphere(), "on")):
        found = [
            within(series.residual_height - truth.residual_height, series.residual_height_std, coherent)
            for _, truth, series, coherent in scenes(
                seeds, atmosphere=atmosphere, residual_height=True, bowl=None, seasonal_amplitude=0.0
            )
        ]
        yield row(f"residual height (m), atmosphere {name}", found, 1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    for line in table(parser.parse_args().seeds):
        print(line, flush=True)
