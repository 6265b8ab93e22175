"""Perpendicular baselines that the caller gives: a mapping or a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from subsidence.errors import FormatError, InputError
from subsidence.io._names import Date, PathLike, dates_in

__all__ = ["Baselines", "baselines_of"]

#: Metres by pair, ``("20180106", "20180130")`` or ``"20180106_20180130"``; or a CSV file with these columns.
Baselines: TypeAlias = Mapping[Any, float] | PathLike
_COLUMNS = ("reference", "secondary", "perpendicular_baseline")


def baselines_of(pairs: Sequence[tuple[Date, Date]], given: Baselines) -> npt.NDArray[np.float64]:
    """Metres for each of `pairs`; a pair given in the other order is negated.

    Raises
    ------
    InputError
        When a key is no pair, a value no number, or a pair is missing.
    FormatError
        When the CSV file cannot be read as one.
    """
    found = _by_pair(given if isinstance(given, Mapping) else _from_csv(Path(given)))
    missing = [pair for pair in pairs if pair not in found]
    if missing:
        names = ", ".join(f"{first} to {second}" for first, second in missing[:3])
        msg = f"perpendicular_baseline lacks {len(missing)} of {len(pairs)} pairs ({names}): give one for each"
        raise InputError(msg)
    return np.array([found[pair] for pair in pairs])


def _by_pair(given: Mapping[Any, float]) -> dict[tuple[Date, Date], float]:
    result: dict[tuple[Date, Date], float] = {}
    for key, value in given.items():
        dates = _dates(key)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            msg = f"perpendicular_baseline of {key!r} must be a number of metres, got {value!r}"
            raise InputError(msg) from error
        pair = (min(dates), max(dates))
        signed = number if dates[0] < dates[1] else -number
        if not np.isfinite(number) or result.setdefault(pair, signed) != signed:
            msg = f"perpendicular_baseline of {key!r} must be one finite number of metres, got {value!r}"
            raise InputError(msg)
    return result


def _dates(key: Any) -> tuple[Date, Date]:
    try:
        items = dates_in(key) if isinstance(key, str) else [np.datetime64(pd.Timestamp(str(item)), "D") for item in key]
    except (TypeError, ValueError):
        items = []
    if len(items) != 2 or items[0] == items[1]:
        msg = f"perpendicular_baseline needs pairs of dates as keys, such as ('20180106', '20180130'), got {key!r}"
        raise InputError(msg)
    return (items[0], items[1])


def _from_csv(path: Path) -> dict[Any, float]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise FormatError(path, f"its columns are {reader.fieldnames}, expected {', '.join(_COLUMNS)} (m)")
            rows = [tuple(row[column] for column in _COLUMNS) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, f"cannot be read as CSV ({error})") from error
    result: dict[Any, float] = {}
    for first, second, value in rows:
        if (first, second) in result:
            raise FormatError(path, f"the pair {first}, {second} is there twice")
        try:
            result[first, second] = float(value)
        except (TypeError, ValueError) as error:
            raise FormatError(path, f"the baseline of {first}, {second} is {value!r}, expected metres") from error
    return result
