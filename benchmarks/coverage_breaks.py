"""How often breaks are found, invented and covered by their confidence sets, on simulated series.

Run ``python benchmarks/coverage_breaks.py [--series 200]``. Every case has 85 epochs in 100 revisits of 12 days, as
the Foshan study has; noise of 2.5 mm unless said. "number" is the share of series by the number of breaks
chosen at a significance of 5 %; "68 %" and "95 %" are shares of confidence sets that hold the break and, after the
semicolon, of velocities within their interval, of fits with the true number of breaks.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import special

from subsidence import fit_breaks, models, simulate

START = np.datetime64("2015-06-15", "ns")
LEVELS = (0.68, 0.95)
#: Onset at 30 mm/year in 2016-06, levelling off with a slight rebound in 2018-02.
ONSET = {"change_1": -0.03, "change_2": 0.033, "break_1": 0.96, "break_2": 2.63}
STRAIGHT = {"velocity_1": -0.01}
CASES = (
    *((f"none, {rho}", STRAIGHT, 0.0025, rho) for rho in (0.0, 0.3, 0.5, 0.7)),
    *((f"onset and levelling off, {1e3 * std:g} mm, {rho}", ONSET, std, rho)
      for std, rho in ((0.002, 0.3), (0.0025, 0.3), (0.003, 0.3), (0.0025, 0.0), (0.0025, 0.6))),
    ("8 mm/year from 2016-09 on, 0.3", {"change_1": -0.008, "break_1": 1.2}, 0.0025, 0.3),
)  # fmt: skip


def epochs(random: np.random.Generator) -> np.ndarray:
    """85 dates of 100, the first and the last among them."""
    inner = np.sort(random.choice(np.arange(1, 99), 83, replace=False))
    return START + np.concatenate([[0], inner, [99]]) * np.timedelta64(12, "D")


def row(truth: dict[str, float], std: float, rho: float, count: int) -> str:
    number = sum(name.startswith("break") for name in truth)
    model = models.PiecewiseLinear(breaks=number)
    chosen = np.zeros(7, int)
    dates = np.zeros((2, number), int)
    rates = np.zeros((2, number + 1), int)
    velocity = np.cumsum([truth.get("velocity_1", 0.0), *(truth[f"change_{j + 1}"] for j in range(number))])
    at = np.array([truth[f"break_{j + 1}"] for j in range(number)])
    for seed in range(count):
        series, _ = simulate.settlement_series(
            model,
            {"velocity_1": 0.0, **truth},
            time=epochs(np.random.default_rng(seed)),
            noise_std=std,
            autocorrelation=rho,
            seed=seed,
        )
        chosen[fit_breaks(series, seed=seed).breaks.size] += 1
        for k, level in enumerate(LEVELS):
            fit = fit_breaks(series, breaks=number, level=level)
            lower, upper = (
                (ends - START) / np.timedelta64(1, "D") / 365.25 for ends in (fit.breaks_lower, fit.breaks_upper)
            )
            dates[k] += (lower <= at) & (at <= upper)
            half = special.stdtrit(85 - 2 - 2 * number, 0.5 + 0.5 * level) * fit.velocity_std
            rates[k] += np.abs(fit.velocity - velocity) <= half
    parts = [_shares(chosen[:5], count)]
    parts += [f"{_shares(dates[k], count)} ; {_shares(rates[k], count)}" for k in range(len(LEVELS))]
    return " | ".join(parts)


def _shares(hits: np.ndarray, count: int) -> str:
    return " ".join(f"{share:.3f}" for share in hits / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--cases", type=int, nargs="*", default=range(len(CASES)))
    options = parser.parse_args()
    print("case | number 0 1 2 3 4 | 68 % | 95 %")
    for case in options.cases:
        name, truth, std, rho = CASES[case]
        print(name, "|", row(truth, std, rho, options.series), flush=True)


if __name__ == "__main__":
    main()
