"""The alpine mine of Wei et al. (2024), simulated: does comparing time functions find the one that is true?

    python benchmarks/freeze_thaw.py --seeds 200

Dry points settle as one Weibull curve (eq. 8 of the paper); water-bearing ones change their law at the breakpoint
(eq. 9, in its two continuous forms), or heave in winter. Every point is fitted with all three time functions. The
script prints R2 of the true one, as the paper does, and how often it is chosen, from one point or from several
of a kind together (the paper has two dry and two water-bearing ones): by the lowest AICc, by AICc with its margin
of 2, by BIC, by the error of forecasts of the next epoch from every origin, and by that of forecasts to the end of
the series from three. The binomial standard error of a share of 90 % is 2 % for 200 seeds.

Settings: how the segments meet, "conditional" or "equivalent_age" (a smaller change, that 104 epochs hardly show);
"any_month" leaves the peak of the heave free.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence import best_model, compare, fit_map, models, simulate

#: Five months: with it the velocity of eq. 8 peaks a year after the onset, as in the paper.
UNIT = np.timedelta64(152, "D")
FIRST, LAST, REVISIT = np.datetime64("2018-05-06", "ns"), np.datetime64("2021-09-30", "ns"), np.timedelta64(12, "D")
TIME = np.arange(FIRST, LAST, REVISIT)
#: Final settlement, m, and the noise and the heave as shares of it.
W_M, NOISE, HEAVE = -0.25, 0.03, 0.05
JANUARY = float((np.datetime64("2019-01-15", "ns") - FIRST) / UNIT)
#: Every epoch after 45 % of them is foretold from those before it.
MANY = TIME[int(0.45 * TIME.size) :]


@dataclass(frozen=True)
class Case:
    """What is true, among which time functions it is to be found."""

    truth: str
    continuity: str = "conditional"
    #: The paper sees the ground rise in January. A peak that is free means nothing where there is no heave, and the
    #: best of all months follows the noise by more than the two parameters that criteria charge for (Davies 1987).
    known_month: bool = True

    @property
    def functions(self) -> dict[str, models.TimeModel]:
        """The three time functions."""
        heave = models.FrostHeave(UNIT)
        if self.known_month:
            heave.set_param_hint("peak", value=JANUARY, vary=False)
            heave.set_param_hint("heave", min=0.0)
        return {
            "plain": models.Weibull(UNIT),
            "segmented": models.SegmentedWeibull(UNIT, continuity=self.continuity),
            "heave": models.Weibull(UNIT) + heave,
        }

    @property
    def params(self) -> dict[str, float]:
        """Parameters of the true one."""
        params = {"w_m": W_M, "eta": 0.068, "lam": 2.5}
        if self.truth == "segmented":
            params |= {"eta_2": 0.048, "lam_2": 2.3}
        if self.truth == "heave":
            params |= {"heave": -HEAVE * W_M, "peak": JANUARY}
        return params


CASES = {
    setting: tuple(Case(truth, form, known) for truth in ("plain", "segmented", "heave"))
    for setting, (form, known) in {
        "conditional": ("conditional", True),
        "equivalent_age": ("equivalent_age", True),
        "any_month": ("conditional", False),
    }.items()
}


def simulated(case: Case, *, seeds: int, points: int, noise: float = NOISE) -> xr.Dataset:
    """SERIES of `points` points for each seed, those of a seed side by side."""
    model = case.functions[case.truth]
    parts = [
        simulate.settlement_series(
            model, case.params, time=TIME, points=points, noise_std=-noise * W_M, component="los", seed=seed
        )[0]
        for seed in range(seeds)
    ]
    return xr.concat(parts, dim="point")


def compared(case: Case, series: xr.Dataset, *, threads: int | None = None) -> tuple[xr.Dataset, xr.Dataset]:
    """COMPARISON with forecasts of one epoch from many origins, and with those to the end from three."""
    fits = {name: fit_map(model, series, threads=threads) for name, model in case.functions.items()}
    return (
        compare(fits, series=series, origins=MANY, horizon=REVISIT, threads=threads),
        compare(fits, series=series, threads=threads),
    )


def together(table: xr.Dataset, size: int) -> xr.Dataset:
    """COMPARISON of groups of `size` neighbouring points: criteria add up, as in ``aicc_all`` of `compare`."""
    square = table.assign(forecast_rmse=table["forecast_rmse"] ** 2)[["aicc", "bic", "forecast_rmse"]]
    found = square.coarsen(point=size).construct(point=("point", "member")).sum("member", skipna=False)
    rmse = np.sqrt(found["forecast_rmse"] / size)
    return found.assign(forecast_rmse=rmse, parameter_count=table["parameter_count"])


def share(table: xr.Dataset, truth: str, **how: object) -> float:
    """Share of the places where the true time function is chosen, per cent."""
    return 100 * float((best_model(table, **how) == truth).mean())


def shares(tables: tuple[xr.Dataset, xr.Dataset], truth: str, size: int) -> dict[str, float]:
    """What each criterion finds from `size` points of a kind."""
    many, few = (together(table, size) for table in tables)
    return {
        "lowest AICc": share(many, truth, criterion="aicc", margin=0.0),
        "AICc": share(many, truth, criterion="aicc"),
        "BIC": share(many, truth, criterion="bic"),
        "next epoch": share(many, truth, criterion="forecast_rmse"),
        "to the end": share(few, truth, criterion="forecast_rmse"),
    }


def rows(options: argparse.Namespace) -> Iterator[str]:
    """Lines of the table, as they are ready."""
    most = max(options.points)
    for setting in options.settings:
        for case in CASES[setting]:
            series = simulated(case, seeds=options.seeds, points=most, noise=options.noise)
            many, few = compared(case, series, threads=options.threads)
            fit = float(many.r_squared.sel(model=case.truth).median())
            for size in options.points:
                found = shares((_first(many, size, most), _first(few, size, most)), case.truth, size)
                numbers = " | ".join(f"{value:.1f}" for value in found.values())
                yield f"| {setting} | {case.truth} | {fit:.3f} | {size} | {numbers} |"


def _first(table: xr.Dataset, size: int, points: int) -> xr.Dataset:
    """The first `size` points of each seed: one group a seed."""
    return table.isel(point=np.arange(table.sizes["point"]) % points < size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument(
        "--points", type=int, nargs="+", default=[1, 2, 5], help="points of a kind that decide together"
    )
    parser.add_argument("--settings", nargs="+", choices=list(CASES), default=list(CASES), help="see CASES")
    parser.add_argument("--noise", type=float, default=NOISE, help="standard deviation, share of the settlement")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"{TIME.size} epochs, {options.seeds} seeds, noise {100 * options.noise:g} % of the settlement.")
    print("Share of seeds in which the true time function is chosen, per cent.\n")
    print("| setting | truth | R2, median | points | lowest AICc | AICc | BIC | next epoch | to the end |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows(options):
        print(row, flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
