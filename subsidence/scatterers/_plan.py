"""What a selection needs before it looks at any block: checked options, calibration, pairs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence.errors import InputError, SuspiciousDataWarning
from subsidence.network import sequential_pairs
from subsidence.scatterers._amplitude import LEAST_EPOCHS, calibration_factors, check_images, least_samples
from subsidence.scatterers._examine import Recipe
from subsidence.stack._flatten import Flattening
from subsidence.typing import BoolArray

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Images, the phase to take off, what is measured, and which images hold data."""

    images: xr.Variable
    flattening: Flattening
    recipe: Recipe
    usable: BoolArray

    @classmethod
    def of(
        cls,
        slc: xr.Dataset,
        *,
        dispersion: bool,
        coherence: bool,
        looks: tuple[int, int],
        neighbours: int,
        lowpass: tuple[int, int] | None,
        peak_window: tuple[int, int] | None,
        mask: xr.DataArray | None,
    ) -> Plan:
        check_images(slc)
        _check_looks(looks, slc)
        for name, window in (("lowpass", lowpass), ("peak_window", peak_window)):
            _check_window(name, window)
        flattening = Flattening.of(slc)
        factors = np.asarray(calibration_factors(slc, mask=mask))
        usable = np.isfinite(factors)
        _check_usable(slc, usable)
        dates = np.asarray(slc["time"].values, "M8[ns]")
        held = np.flatnonzero(usable)
        chosen = sequential_pairs(dates[held], neighbours=neighbours)
        order = held[np.argsort(dates[held])]
        first, second = (
            order[np.searchsorted(dates[order], chosen[name].values)] for name in ("reference", "secondary")
        )
        recipe = Recipe(
            scale=(1 / factors).astype(np.float32),
            first=first,
            second=second,
            looks=(int(looks[0]), int(looks[1])),
            lowpass=lowpass,
            peak=peak_window,
            dispersion=dispersion,
            coherence=coherence,
            least_samples=least_samples(dates.size),
            least_pairs=max(LEAST_EPOCHS, (first.size + 1) // 2),
        )
        return cls(slc["slc"].variable.transpose("time", "y", "x"), flattening, recipe, usable)


def _check_looks(looks: tuple[int, int], slc: xr.Dataset) -> None:
    size = slc.sizes["y"], slc.sizes["x"]
    whole = isinstance(looks, (tuple, list)) and len(looks) == 2
    if not whole or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 1 for n in looks):
        msg = f"looks must be two positive whole numbers, (rows, columns), got {looks!r}"
        raise InputError(msg)
    if any(look > length for look, length in zip(looks, size, strict=True)):
        msg = f"looks {looks} are more than the {size[0]} x {size[1]} pixels of slc"
        raise InputError(msg)


def _check_window(name: str, window: tuple[int, int] | None) -> None:
    if window is None:
        return
    whole = isinstance(window, (tuple, list)) and len(window) == 2
    if not whole or not all(isinstance(n, (int, np.integer)) and n >= 1 and n % 2 for n in window) or max(window) < 3:
        msg = f"{name} must be two odd numbers of pixels, (rows, columns), one at least 3, or None; got {window!r}"
        raise InputError(msg)


def _check_usable(slc: xr.Dataset, usable: BoolArray) -> None:
    empty = np.flatnonzero(~usable)
    if usable.sum() < LEAST_EPOCHS:
        msg = f"slc holds data in {usable.sum()} of its {usable.size} images, at least {LEAST_EPOCHS} are needed"
        raise InputError(msg)
    if empty.size:
        days = ", ".join(str(day) for day in slc["time"].values[empty[:5]].astype("M8[D]"))
        more = f" and {empty.size - 5} more" if empty.size > 5 else ""
        msg = (
            f"slc holds no data in {empty.size} of its {usable.size} images ({days}{more}): the phases of these "
            "are NaN; leave them out with slc.isel(time=...)"
        )
        warnings.warn(msg, SuspiciousDataWarning, stacklevel=4)
