"""The demo's first half: interferograms to a velocity map, a settlement curve, and a comparison with levelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subsidence import plot, schema, simulate, validation
from subsidence._demo._figure import draw
from subsidence.models import Weibull
from subsidence.sbas import invert_network
from subsidence.series import add_atmospheric_variance, estimate_velocity
from subsidence.stack import correct_delays
from subsidence.timescale import from_elapsed, to_elapsed

__all__ = ["Outcome", "draw_interferograms", "solve_interferograms", "tell_interferograms"]

_MM = 1000.0


@dataclass(frozen=True)
class Outcome:
    """Estimates, the truth behind them, and the place that is looked at closely."""

    series: xr.Dataset
    truth: xr.Dataset
    levelling: xr.Dataset
    matched: xr.Dataset
    centre: dict[str, int]
    place: xr.Dataset
    model: Weibull
    fit: Any


def solve_interferograms(shape: tuple[int, int], epochs: int, seed: int, *, say: Callable[[str], None]) -> Outcome:
    """Simulate a scene and work out its subsidence."""
    say(f"Simulating {epochs} radar images of {shape[0]} x {shape[1]} pixels over a city that settles ...")
    bowl = simulate.Bowl(settlement=0.25, parameters={"eta": 1.0, "lam": 2.5})
    stack, truth = simulate.interferogram_scene(shape=shape, epochs=epochs, bowl=bowl, seed=seed)
    levelling = simulate.levelling(truth, seed=seed)

    say(f"Taking ramps and height-correlated delay off {stack.sizes['pair']} interferograms, seen on stable ground ...")
    stack = correct_delays(stack, ramp="plane", height_delay=True, mask=truth["stable"])
    say("Inverting the network ...")
    series = invert_network(stack, weights="variance", reference=_stable_place(stack, truth))
    say("Adding what is left of each image's atmosphere to the standard deviations ...")
    series = add_atmospheric_variance(series, mask=truth["stable"])
    say("Estimating the velocity under noise that is correlated in time ...")
    series = estimate_velocity(series, noise="autocorrelated")

    say("Fitting a Weibull curve at the centre of the bowl ...")
    centre = {"y": int(truth.attrs["bowl_row"]), "x": int(truth.attrs["bowl_col"])}
    place = _vertical(series.isel(centre, drop=True))
    model = Weibull(time_unit="year")
    fit = model.fit(place["displacement"], t=to_elapsed(place["time"]))

    say(f"Comparing with the levelling of {levelling.sizes['benchmark']} benchmarks ...")
    matched = validation.match(series, levelling, radius=100.0)
    return Outcome(series, truth, levelling, matched, centre, place, model, fit)


def draw_interferograms(outcome: Outcome, path: Path) -> None:
    """The map beside the series at the centre of the bowl."""
    with draw(path) as (left, right):
        _panels(outcome, left, right)


def tell_interferograms(outcome: Outcome) -> Iterator[str]:
    """Estimates, their standard deviations and the truth, in mm and mm/yr."""
    series, place, fit, model = outcome.series, outcome.place, outcome.fit, outcome.model
    known = outcome.truth.isel(outcome.centre, drop=True)
    true_curve = {name: outcome.truth.attrs[name] for name in ("w_m", "eta", "lam", "t0")} | {"offset": 0.0}
    up = float(np.cos(np.deg2rad(known["incidence"])))
    yield f"\n{'centre of the bowl, vertical':<42}{'estimate':>10}{'1 sigma':>10}{'truth':>10}"
    last = np.datetime_as_string(place["time"].values[-1], unit="D")
    rows = {
        f"displacement until {last} (mm)": [
            place["displacement"][-1],
            place["displacement_std"][-1],
            known["displacement_up"][-1],
        ],
        "slope of a straight line (mm/yr)": [place["velocity"], place["velocity_std"], known["velocity"] / up],
    }
    for words, values in rows.items():
        estimate, std, expected = (_MM * value.item() for value in values)
        yield _row(words, estimate, std, expected)
    # lmfit has None for a standard error that it could not find.
    stderr = {name: np.nan if fit.params[name].stderr is None else fit.params[name].stderr for name in model.units}
    final = fit.params["w_m"].value
    yield _row("Weibull: final displacement (mm)", _MM * final, _MM * stderr["w_m"], -_MM * true_curve["w_m"])
    for name, words in (("eta", "rate eta (1/yr^lam)"), ("lam", "shape lam")):
        yield _row(f"Weibull: {words}", fit.params[name].value, stderr[name], true_curve[name], digits=2)
    peaks = [_MM * model.peak_velocity(fit.params), -_MM * model.peak_velocity(true_curve)]
    yield _row("Weibull: greatest velocity (mm/yr)", peaks[0], None, peaks[1])

    here = {"y": series.attrs["reference_row"], "x": series.attrs["reference_col"]}
    error = series["velocity"] - (outcome.truth["velocity"] - outcome.truth["velocity"].isel(here, drop=True))
    inside = float((abs(error) < series["velocity_std"]).where(error.notnull()).mean())
    yield f"\n{'line-of-sight velocity, all pixels':<42}{'error':>10}{'1 sigma':>10}{'within':>10}"
    rms, stated = _MM * float(np.sqrt((error**2).mean())), _MM * float(series["velocity_std"].median())
    yield f"{'root mean square, median (mm/yr)':<42}{rms:>10.1f}{stated:>10.1f}{inside:>9.0%}"

    yield f"\n{'InSAR minus levelling, vertical':<42}{'bias':>10}{'std':>10}{'R2 (1:1)':>10}"
    for quantity, unit in (("velocity", "mm/yr"), ("displacement", "mm")):
        report = validation.agreement(outcome.matched, quantity=quantity).isel(datum=0)
        words = f"{quantity} ({unit}), n = {report['n'].item()}"
        columns = f"{_MM * report['bias'].item():>10.1f}{_MM * report['std'].item():>10.1f}"
        yield f"{words:<42}{columns}{report['r2_one_to_one'].item():>10.3f}"


def _stable_place(stack: xr.Dataset, truth: xr.Dataset) -> dict[str, float]:
    """Row and column of the most coherent pixel on ground that never moves."""
    quality = stack["coherence"].mean("pair").where(truth["stable"]).transpose("y", "x").values
    row, col = np.unravel_index(np.nanargmax(quality), quality.shape)
    return {"row": int(row), "col": int(col)}


def _vertical(series: xr.Dataset) -> xr.Dataset:
    """Line of sight to vertical where the ground moves up and down only."""
    up = np.cos(np.deg2rad(series["incidence"]))
    names = ("displacement", "displacement_std", "velocity", "velocity_std")
    changed = series.assign({name: series[name] / up for name in names})
    return schema.SERIES.stamp(changed.assign_attrs(component="up"))


def _panels(outcome: Outcome, left: Any, right: Any) -> None:
    largest = _MM * float(abs(outcome.series["velocity"]).max())
    plot.velocity_map(outcome.series, ax=left, limit=largest)
    marks = outcome.levelling
    left.plot(marks["x"], marks["y"], "o", markersize=5, color="white", markeredgecolor="black", label="benchmark")
    left.legend(loc="lower left", fontsize="small")

    times = outcome.place["time"]
    t = np.linspace(0.0, to_elapsed(times)[-1], 300)
    dates = from_elapsed(t, origin=times.values[0])
    curve = xr.DataArray(outcome.model.eval(outcome.fit.params, t=t), {"time": dates}, ["time"])
    truth = outcome.truth["displacement_up"].isel(outcome.centre, drop=True)
    plot.series(outcome.place, ax=right, curve=curve, truth=truth)
    handles, names = right.get_legend_handles_labels()
    words = {"curve": "Weibull fit", "truth": "truth", "displacement": "InSAR at the centre of the bowl"}
    right.legend(handles, [words[name] for name in names], loc="lower left", fontsize="small")
    handles[names.index("truth")].set_color("black")


def _row(words: str, estimate: float, std: float | None, truth: float, *, digits: int = 1) -> str:
    spread = f"{'':>10}" if std is None else f"{std:>10.{digits}f}"
    return f"{words:<42}{estimate:>10.{digits}f}{spread}{truth:>10.{digits}f}"
