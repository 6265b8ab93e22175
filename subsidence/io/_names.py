"""What file names say: the two dates of a pair, and whether a raster is phase, coherence or something else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from subsidence.errors import FormatError

__all__ = ["Date", "NamedPair", "PathLike", "dates_in", "find_rasters", "is_coherence", "named_pair", "select_phases"]

Date: TypeAlias = np.datetime64[Any]
PathLike: TypeAlias = str | os.PathLike[str]

#: YYYYMMDD, YYYY-MM-DD, YYYY_MM_DD or YYYY.MM.DD, not inside a longer number.
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_COHERENCE = {"cc", "coh", "coherence", "cor", "corr"}
_UNWRAPPED = {"unw", "unwrap", "unwrapped", "uw"}
_WRAPPED = {"diff", "wrap", "wrapped", "wrp"}
_HEIGHT = {"dem", "height", "hgt"}
#: Rasters that processors put beside the phases: amplitude, components, masks, geometry, displacement.
_OTHER = _HEIGHT | {"amp", "conncomp", "connectedcomponents", "inc", "los", "lv", "mag", "mask", "mli", "vert"}


@dataclass(frozen=True)
class NamedPair:
    """A file with the two dates of its name in order of time."""

    path: Path
    reference: Date
    secondary: Date
    #: The name gives the later date first, so values that change sign with the order must be negated.
    swapped: bool

    @property
    def key(self) -> tuple[Date, Date]:
        """The pair: its earlier and its later date."""
        return (self.reference, self.secondary)


def dates_in(text: str) -> list[Date]:
    """Every date in `text`, in the order of writing; an impossible one (30 February) does not count."""
    found = []
    for match in _DATE.finditer(text):
        year, _, month, day = match.groups()
        try:
            found.append(np.datetime64(f"{year}-{month}-{day}", "D"))
        except ValueError:
            continue
    return found


def named_pair(path: Path) -> NamedPair:
    """The two dates in the name of `path`, or in its folder's name where the file's has none.

    Raises
    ------
    FormatError
        When there are not exactly two dates, or they are equal.
    """
    dates = dates_in(path.name) or dates_in(path.parent.name)
    if len(dates) != 2:
        raise FormatError(
            path, f"its name carries {len(dates)} date(s), expected the two of a pair, YYYYMMDD or YYYY-MM-DD"
        )
    first, second = dates
    if first == second:
        raise FormatError(path, f"its name carries the date {first} twice: a pair has two different dates")
    return NamedPair(path, min(first, second), max(first, second), swapped=bool(first > second))


def find_rasters(folder: Path) -> list[Path]:
    """Every .tif and .tiff below `folder`, hidden ones left out, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in {".tif", ".tiff"} and not path.name.startswith(".") and path.is_file()
    )


def is_coherence(path: Path) -> bool:
    """Whether the name says coherence: cc, coh, cor, corr, coherence."""
    return bool(_words(path) & _COHERENCE)


def is_height(path: Path) -> bool:
    """Whether the name says height and not a pair: dem, hgt, height."""
    return bool(_words(path) & _HEIGHT) and len(dates_in(path.name)) != 2


def select_phases(rasters: Sequence[Path], *, unwrapped: bool) -> list[Path]:
    """The phases among `rasters`, judged by name.

    Those whose name says "unw" when there are any (and `unwrapped`), otherwise every raster of a pair that
    is not called coherence, amplitude, mask, geometry or the other kind of phase.

    Raises
    ------
    FormatError
        When a raster is called unwrapped but its name has no two dates.
    """
    plain = [path for path in rasters if not _words(path) & (_COHERENCE | _OTHER)]
    called = [path for path in plain if _words(path) & _UNWRAPPED]
    if unwrapped and called:
        for path in called:
            named_pair(path)
        return called
    left_out = _WRAPPED if unwrapped else _UNWRAPPED
    return [path for path in plain if not _words(path) & left_out and _has_dates(path)]


def by_pair(paths: Iterable[Path]) -> dict[tuple[Date, Date], NamedPair]:
    """Files by pair, in order of (reference, secondary).

    Raises
    ------
    FormatError
        When two files are of the same pair.
    """
    pairs: dict[tuple[Date, Date], NamedPair] = {}
    for path in paths:
        pair = named_pair(path)
        other = pairs.setdefault(pair.key, pair)
        if other is not pair:
            raise FormatError(
                path,
                f"the pair {pair.reference} to {pair.secondary} is there twice, also in {other.path}: "
                "remove one, or give the files to read as a list",
            )
    return dict(sorted(pairs.items()))


def _has_dates(path: Path) -> bool:
    return len(dates_in(path.name) or dates_in(path.parent.name)) >= 2


def _words(path: Path) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", path.stem.lower()))
