"""Coverage of stated intervals on simulated noise: how often the truth lies inside them.

    python benchmarks/coverage_velocity.py --draws 2000

prints markdown tables. A row's binomial standard error is 1.0 % at 68 % and 0.5 % at 95 % for 2,000 draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from scipy import special

from subsidence.series import add_atmospheric_variance, confidence_interval, estimate_velocity

REVISIT = np.timedelta64(12, "D")
START = np.datetime64("2018-01-06", "ns")
#: True motion: m/year, and the annual amplitude in metres where the model has it.
VELOCITY, AMPLITUDE = -0.02, 0.004
NOISE = 0.005

Draw = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]


def ar1(correlation: float) -> Draw:
    """First-order autoregressive noise at whole revisits; epochs left out keep their place in time."""

    def draw(rng: np.random.Generator, revisits: np.ndarray, count: int) -> np.ndarray:
        noise = rng.standard_normal((revisits.size, count))
        for i in range(1, revisits.size):
            a = correlation ** (revisits[i] - revisits[i - 1])
            noise[i] = a * noise[i - 1] + np.sqrt(1 - a * a) * noise[i]
        return noise

    return draw


def flicker(rng: np.random.Generator, revisits: np.ndarray, count: int) -> np.ndarray:
    """1/f noise: white noise filtered by (1 - B)^(-1/2) (Kasdin 1995, https://doi.org/10.1109/5.381848)."""
    n, warm_up = int(revisits[-1]) + 1, 500
    lags = np.arange(1, n + warm_up)
    response = np.concatenate([[1.0], np.cumprod((lags - 0.5) / lags)])
    length = 2 ** int(np.ceil(np.log2(2 * response.size)))
    spectrum = np.fft.rfft(response, length)[:, None] * np.fft.rfft(
        rng.standard_normal((n + warm_up, count)), length, axis=0
    )
    return np.fft.irfft(spectrum, length, axis=0)[warm_up : warm_up + n][revisits]


def with_outliers(share: float) -> Draw:
    """White noise, a share of the epochs off by half a C-band wavelength of unwrapping error."""

    def draw(rng: np.random.Generator, revisits: np.ndarray, count: int) -> np.ndarray:
        noise = rng.standard_normal((revisits.size, count))
        return noise + (rng.random(noise.shape) < share) * rng.choice([-1.0, 1.0], noise.shape) * 0.0277 / NOISE

    return draw


def sampling(kind: str, epochs: int, rng: np.random.Generator) -> np.ndarray:
    """Epochs in revisits from the first: every one, or with a third of the acquisitions left out."""
    if kind == "regular":
        return np.arange(epochs)
    return np.concatenate([[0], np.sort(rng.choice(np.arange(1, int(1.5 * epochs)), epochs - 1, replace=False))])


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    draw: Draw
    epochs: int
    kind: str = "regular"
    seasonal: bool = False
    noise: Literal["white", "autocorrelated"] = "autocorrelated"
    robust: bool = False


def velocity_coverage(case: Case, *, draws: int, seed: int) -> tuple[float, float, float, float]:
    """Per cent of the draws inside the 68 % and the 95 % interval; mean std over actual std; median dof."""
    rng = np.random.default_rng(seed)
    revisits = sampling(case.kind, case.epochs, rng)
    years = revisits * 12 / 365.25
    motion = VELOCITY * years + case.seasonal * AMPLITUDE * np.sin(2 * np.pi * years)
    values = motion[:, None] + NOISE * case.draw(rng, revisits, draws)
    if case.kind == "NaN":
        values[1:][rng.random((case.epochs - 1, draws)) < 0.2] = np.nan
    values = values - values[0]
    series = xr.Dataset({"displacement": (("time", "point"), values)}, {"time": START + revisits * REVISIT})
    result = estimate_velocity(series, seasonal=case.seasonal, noise=case.noise, robust=case.robust)
    inside = []
    for level in (0.68, 0.95):
        bounds = confidence_interval(result, level=level)
        inside.append(100 * float(((bounds.velocity_lower <= VELOCITY) & (bounds.velocity_upper >= VELOCITY)).mean()))
    ratio = float(np.sqrt((result.velocity_std**2).mean()) / (result.velocity - VELOCITY).std())
    return inside[0], inside[1], ratio, float(result.velocity_dof.median())


def velocity_rows(draws: int, seed: int) -> Iterator[str]:
    """Rows of the table, as they are ready."""
    for case in _cases():
        found = velocity_coverage(case, draws=draws, seed=seed)
        yield (
            f"| {case.name} | {case.epochs} | {case.kind} | {'annual' if case.seasonal else 'linear'} "
            f"| {case.noise}{', robust' if case.robust else ''} "
            f"| {found[0]:.1f} | {found[1]:.1f} | {found[2]:.2f} | {found[3]:.0f} |"
        )


def _cases() -> Iterator[Case]:
    for epochs in (60, 120):
        for kind in ("regular", "irregular", "NaN"):
            for correlation in (0.0, 0.3, 0.6, 0.8):
                for seasonal in (False, True):
                    yield Case(f"AR(1), rho {correlation:g}", ar1(correlation), epochs, kind, seasonal)
    for epochs in (10, 20, 30):
        for correlation in (0.0, 0.3, 0.6):
            for seasonal in (False, True):
                yield Case(f"AR(1), rho {correlation:g}", ar1(correlation), epochs, seasonal=seasonal)
    for epochs in (30, 60, 120, 240):
        for seasonal in (False, True):
            yield Case("flicker", flicker, epochs, seasonal=seasonal)
    for epochs in (5, 13, 60):
        yield Case("white", ar1(0.0), epochs, noise="white")
    for correlation in (0.3, 0.6):
        yield Case(f"AR(1), rho {correlation:g}", ar1(correlation), 60, noise="white")
    for share in (0.0, 0.05, 0.1):
        for robust in (False, True):
            name = f"white, {100 * share:g} % outliers"
            yield Case(name, with_outliers(share), 60, noise="white", robust=robust)


def atmosphere_coverage(*, epochs: int, places: int, seed: int, network: float) -> tuple[float, float, float]:
    """Per cent of |displacement - truth| inside 68 % and 95 %; median ratio of estimated to true epoch std."""
    rng = np.random.default_rng(seed)
    std = np.exp(rng.normal(np.log(0.006), 0.6, epochs))
    years = np.arange(epochs) * 12 / 365.25
    truth = rng.normal(0, 0.02, places) * years[:, None] + rng.normal(0, 0.004, places) * years[:, None] ** 2
    delay = rng.standard_normal((epochs, places)) * std[:, None]
    own = rng.standard_normal((epochs, places)) * network
    own[0] = 0.0
    values = truth + delay - delay[0] + own
    stated = np.full(values.shape, network)
    stated[0] = 0.0
    series = xr.Dataset(
        {"displacement": (("time", "point"), values), "displacement_std": (("time", "point"), stated)},
        {"time": START + np.arange(epochs) * REVISIT},
    )
    result = add_atmospheric_variance(series)
    error = np.abs(values - truth)[1:]
    sigma = result["displacement_std"].values[1:]
    inside = [100 * float((error <= special.ndtri(0.5 + level / 2) * sigma).mean()) for level in (0.68, 0.95)]
    return inside[0], inside[1], float(np.median(result["atmospheric_std"].values / std))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="simulated series a row")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    print(f"Velocity: {options.draws} draws a row, seed {options.seed}.\n")
    print("| noise | epochs | sampling | model | estimate | in 68 % | in 95 % | stated / actual std | median dof |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in velocity_rows(options.draws, options.seed):
        print(row, flush=True)
    print(f"\nDisplacement with the atmosphere of each epoch added: {options.draws} places.\n")
    print("| epochs | network std (mm) | in 68 % | in 95 % | estimated / true epoch std, median |")
    print("|---|---|---|---|---|")
    for epochs in (13, 30, 60):
        for network in (0.0, 0.003):
            one, two, ratio = atmosphere_coverage(
                epochs=epochs, places=options.draws, seed=options.seed, network=network
            )
            print(f"| {epochs} | {1e3 * network:g} | {one:.1f} | {two:.1f} | {ratio:.2f} |")
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
