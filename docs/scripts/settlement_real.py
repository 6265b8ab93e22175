"""Figures and numbers of docs/settlement_real.md: ``python docs/scripts/settlement_real.py``.

Looks for the folders ``usgs-houston-extensometers`` and ``bangkok-wellnests`` in ``SUBSIDENCE_DATA``, or in
``../shared/data`` beside the repository, and writes ``docs/images/addicks.png``, ``docs/images/hold_out.png`` and
``docs/images/settlement_numbers.md``. Reading Bangkok's spreadsheet needs openpyxl. tests/test_settlement_real.py asks
the same functions for the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

import subsidence as sd

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
FOOT = 0.3048
#: Share of the record that a forecast sees.
SEEN = (0.6, 0.7, 0.8)


def families() -> dict[str, sd.models.TimeModel]:
    """Every family that settles, and two that do not end."""
    m = sd.models
    found: list[sd.models.TimeModel] = [
        *(m.Knothe(), m.PowerKnothe(), m.SegmentedKnothe(), m.SrokaSchober(), m.Weibull(), m.SegmentedWeibull()),
        *(m.Logistic(), m.Gompertz(), m.Richards(), m.Bertalanffy(), m.MMF(), m.Normal(), m.Arctan()),
        *(m.Hyperbolic(), m.Logarithmic(), m.Linear()),
    ]
    return {type(model).__name__: model for model in found}


def extensometer(path: Path) -> xr.Dataset:
    """Compaction (feet, about monthly) as vertical displacement, in metres and negative down."""
    table = pd.read_csv(path, sep="\t")
    time = pd.to_datetime(table["DATE"], format="mixed").to_numpy("M8[ns]")
    series = xr.Dataset(
        {"displacement": ("time", -FOOT * table["CUMULATIVE_COMPACTION"].to_numpy(np.float64))},
        {"time": time},
        {"component": "up", "title": path.stem.split("_")[1]},
    )
    return series.sortby("time").drop_duplicates("time")


def extensometers(data: Path) -> dict[str, xr.Dataset]:
    """Every borehole extensometer of Houston and Galveston, by site."""
    paths = (data / "usgs-houston-extensometers").glob("TABLE*_*.txt")
    chosen = sorted(path for path in paths if "CompactionSites" not in path.name)
    return {path.stem.split("_")[1]: extensometer(path) for path in chosen}


def bangkok(data: Path, *, least: int = 15, last: int = 2005) -> xr.Dataset:
    """Benchmarks with enough campaigns before the datum step of 2006/07 and nothing impossible in them.

    Values are cumulative centimetres from each mark's own first campaign. Kept are marks with `least` campaigns, no
    step of more than 25 cm between neighbouring ones, and a rise of no more than 10 cm at any.
    """
    table = pd.read_excel(data / "bangkok-wellnests" / "SurveyingLevels.xlsx", sheet_name="All", index_col=0)
    years = np.array([float(str(name).replace("_5", ".5")) for name in table.columns])
    kept = np.flatnonzero(years <= last)
    values = table.iloc[:, kept].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64) / 100
    order = np.argsort(years[kept])
    values, years = values[:, order], years[kept][order]
    clean = [row for row, one in enumerate(values) if _is_clean(one[np.isfinite(one)], least)]
    time = sd.timescale.from_elapsed(years - 1978.0, origin="1978-01-01")
    marks = table.index.astype(str).to_numpy()[clean]
    return xr.Dataset(
        {"displacement": (("time", "point"), values[clean].T)},
        {"time": time, "mark": ("point", marks)},
        {"component": "up", "title": "Bangkok"},
    ).dropna("time", how="all")


def _is_clean(seen: np.ndarray, least: int) -> bool:
    steps = np.diff(seen)
    return seen.size >= least and bool(np.all(np.abs(steps) < 0.25)) and bool(np.all(steps < 0.10))


def fitted(series: xr.Dataset, models: Mapping[str, sd.models.TimeModel]) -> xr.Dataset:
    """COMPARISON of all families, at each place of the series."""
    return sd.compare({name: sd.fit_map(model, series) for name, model in models.items()})


def hold_out(series: xr.Dataset, model: sd.models.TimeModel) -> xr.Dataset:
    """Errors of forecasts from 60, 70 and 80 % of the record, beside persistence and a straight line."""
    return sd.forecast_error(model, series, origins=SEEN, noise="autocorrelated")


def folder() -> Path:
    """Where the real data are."""
    return Path(os.environ.get("SUBSIDENCE_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Write the figures and the table that the page includes."""
    data, models = folder(), families()
    sites = extensometers(data)
    tables = {name: fitted(series, models) for name, series in sites.items()}
    marks = bangkok(data)
    on_marks = fitted(marks, models)
    forecasts = {name: hold_out(series, models["Weibull"]) for name, series in sites.items()}
    lines = [*_best_lines(sites, tables), "", *_mark_lines(on_marks), "", *_forecast_lines(forecasts)]
    IMAGES.joinpath("settlement_numbers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _draw_addicks(sites["Addicks"], models)
    _draw_hold_out(forecasts)


def _best_lines(sites: Mapping[str, xr.Dataset], tables: Mapping[str, xr.Dataset]) -> list[str]:
    lines = [
        "| extensometer | readings | years | settled (mm) | best by AICc | RMSE (mm) | Weibull | Logistic |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, series in sites.items():
        table = tables[name]
        best = str(table.best_model.item())
        years = (series.time.values[-1] - series.time.values[0]) / np.timedelta64(1, "D") / 365.25
        rmse = {model: f"{1000 * float(table.rmse.sel(model=model)):.1f}" for model in (best, "Weibull", "Logistic")}
        total = 1000 * float(series.displacement[-1] - series.displacement[0])
        lines.append(
            f"| {name} | {series.sizes['time']} | {years:.0f} | {total:.0f} | {best} | {rmse[best]} | "
            f"{rmse['Weibull']} | {rmse['Logistic']} |"
        )
    return lines


def _mark_lines(table: xr.Dataset) -> list[str]:
    names, counts = np.unique(table.best_model.values, return_counts=True)
    order = np.argsort(-counts)
    lines = ["| best by AICc, Bangkok benchmarks | marks | median RMSE (mm) |", "|---|---|---|"]
    for row in order:
        own = table.rmse.sel(model=names[row]).values[table.best_model.values == names[row]]
        lines.append(f"| {names[row] or 'none'} | {counts[row]} | {1000 * np.nanmedian(own):.1f} |")
    return lines


def _forecast_lines(forecasts: Mapping[str, xr.Dataset]) -> list[str]:
    """Median over sites, and how often the curve foretells better than persistence and than a line."""
    lines = [
        "| seen by the fit | Weibull RMSE (mm), median of sites | persistence | line through all | line, last year "
        "| better than persistence | than both lines | 95 % band holds | not identifiable |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row, share in enumerate(SEEN):
        found = [forecast.isel(origin=row) for forecast in forecasts.values()]
        rmse = np.array([1000 * one.forecast_rmse.values for one in found])  # (site, method)
        flagged = np.array([int(one.status) == sd.schema.Status.NOT_IDENTIFIABLE for one in found])
        covered = np.array([float(one.forecast_coverage) for one in found])[~flagged]
        medians = " | ".join(f"{value:.0f}" for value in np.nanmedian(rmse, axis=0))
        won = rmse[:, :1] < rmse[:, 1:]
        lines.append(
            f"| {share:.0%} | {medians} | {won[:, 0].sum()} of {len(rmse)} | {won[:, 1:].all(axis=1).sum()} "
            f"| {np.nanmean(covered):.0%} of epochs | {flagged.sum()} |"
        )
    return lines


def _draw_addicks(series: xr.Dataset, models: Mapping[str, sd.models.TimeModel]) -> None:
    """The whole record with two curves, and a forecast from its first 60 %."""
    fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True, layout="constrained")
    ahead = np.arange(series.time.values[0], np.datetime64("2030-01-01", "ns"), np.timedelta64(60, "D"))
    for name, colour in (("Weibull", "#1f5a92"), ("Logistic", "#c8553d")):
        fits = sd.fit_map(models[name], series)
        curve = sd.predict(fits, ahead)
        label = f"{name}, RMSE {1000 * float(fits.rmse):.1f} mm"
        axes[0].plot(ahead, 1000 * curve.displacement, color=colour, label=label)
    count = round(SEEN[0] * series.sizes["time"])
    fits = sd.fit_map(models["Weibull"], series.isel(time=slice(count)), noise="autocorrelated")
    band = sd.predict(fits, ahead, kind="observation")
    axes[1].fill_between(ahead, 1000 * band.lower, 1000 * band.upper, color="#1f5a92", alpha=0.2, label="95 % band")
    axes[1].plot(ahead, 1000 * band.displacement, color="#1f5a92", label="Weibull from the first 60 %")
    axes[1].axvline(series.time.values[count], color="0.5", lw=1)
    for ax in axes:
        ax.plot(series.time, 1000 * series.displacement, ".", ms=2, color="0.2", label="measured")
        ax.legend(fontsize=8)
    axes[0].set_ylabel("compaction (mm, negative down)")
    axes[0].set_title("Addicks, whole record", fontsize=10)
    axes[1].set_title("Addicks, foretold", fontsize=10)
    fig.savefig(IMAGES / "addicks.png", dpi=150)


def _draw_hold_out(forecasts: Mapping[str, xr.Dataset]) -> None:
    """RMSE of the forecasts, site by site."""
    fig, axes = plt.subplots(1, len(SEEN), figsize=(11, 4.2), sharex=True, sharey=True, layout="constrained")
    names = list(forecasts)
    marks = {"model": ("o", "#1f5a92", "Weibull"), "persistence": ("x", "0.5", "persistence")}
    marks |= {"trend": ("s", "#c8553d", "line"), "last_year_trend": ("d", "#e0a458", "line, last year")}
    for row, (ax, share) in enumerate(zip(axes, SEEN, strict=True)):
        for method, (marker, colour, label) in marks.items():
            rmse = [one.forecast_rmse.sel(forecaster=method).isel(origin=row) for one in forecasts.values()]
            ax.plot(1000 * np.array(rmse), range(len(names)), marker, color=colour, label=label, ms=5)
        ax.set_xscale("log")
        ax.set_title(f"first {share:.0%} seen", fontsize=10)
        ax.set_xlabel("RMSE of the forecast (mm)")
        ax.grid(axis="y", color="0.9")
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    fig.savefig(IMAGES / "hold_out.png", dpi=150)


if __name__ == "__main__":
    main()
