"""What integrated values are relative to: a point, an area, or ties to known velocities."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subsidence._reference import resolve
from subsidence.errors import DisconnectedNetworkWarning, InputError, SuspiciousDataWarning
from subsidence.phase_model._uncertainty import Datum, Tie
from subsidence.typing import AnyArray, IntArray, ReferenceLike

__all__ = [
    "Reference",
    "Ties",
    "read_ties",
    "renumbered",
    "settle",
    "usable_ties",
    "wanted_reference",
    "warn_of_parts",
]

_PLACES = ("point",), ("x", "y"), ("lon", "lat"), ("row", "col")
_EXPECTED = (
    "a Dataset or mapping with 'velocity' and 'velocity_std' (m/year, one for each tie) and 'point', or 'x' and 'y', "
    "'lon' and 'lat', 'row' and 'col'"
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference that was asked for: its points, and what a result records of it; no points where none was."""

    points: IntArray
    attrs: dict[str, int | float | str]
    area: bool


def wanted_reference(points: xr.Dataset, reference: ReferenceLike) -> Reference:
    """Points that `reference` names."""
    if reference is None:
        return Reference(np.empty(0, np.int64), {}, area=False)
    _, attrs, place = resolve(points, reference)
    if isinstance(place, xr.Variable):
        return Reference(np.flatnonzero(place.values), attrs, area=True)
    return Reference(np.array([place["point"]]), attrs, area=False)


def settle(
    points: xr.Dataset, reference: Reference, part: IntArray, datum: IntArray
) -> tuple[Datum, dict[str, int | float | str]]:
    """
    Number the parts from that of the reference, then by size, and say what its values are relative to.

    Raises
    ------
    InputError
        When no accepted arc leads to the reference.
    """
    order = np.arange(datum.size)
    attrs = reference.attrs
    area = None
    if reference.points.size:
        reached = reference.points[part[reference.points] >= 0]
        if reached.size == 0:
            words = attrs["reference"]
            msg = (
                f"reference is {words}, to which no accepted arc leads: name another (the largest part has point "
                f"{_label(points, int(datum[0]))}), or lower min_coherence"
            )
            raise InputError(msg)
        home = int(np.argmax(np.bincount(part[reached], minlength=datum.size)))
        order = np.concatenate([[home], np.delete(order, home)])
        if reference.area:
            area = reached[part[reached] == home]
            words = f"mean of {area.size} points"
            attrs = attrs | {"reference": words, "reference_count": int(area.size)}
    else:
        attrs = _named(points, int(datum[0]))
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    renumbered = np.where(part >= 0, rank[part], -1)
    return Datum(renumbered, datum[order], area), attrs


def warn_of_parts(points: xr.Dataset, datum: Datum, *, stacklevel: int = 3) -> None:
    """Warn when the network falls apart, with sizes and the point that each part is relative to."""
    count = datum.points.size
    if count < 2:
        return
    sizes = np.bincount(datum.part[datum.part >= 0])
    shown = [
        f"{size} points around point {_label(points, int(point))}"
        for size, point in zip(sizes[1:6], datum.points[1:6], strict=True)
    ]
    more = f" and {count - 6} smaller" if count > 6 else ""
    msg = (
        f"accepted arcs leave the network in {count} parts: {sizes[0]} points with the reference, "
        f"{', '.join(shown)}{more}. Each is relative to a point of its own: see status and network_part; longer "
        "arcs, or a lower min_coherence, would join them"
    )
    warnings.warn(msg, DisconnectedNetworkWarning, stacklevel=stacklevel)


@dataclass(frozen=True, eq=False)
class Ties:
    """Known velocities as given, and the points they are at."""

    points: IntArray
    values: AnyArray
    std: AnyArray


def read_ties(points: xr.Dataset, ties: object) -> Ties | None:
    """
    Known velocities, each at the point that it names or lies nearest to.

    Raises
    ------
    InputError
        When something is missing, not finite, not positive, or no point is near.
    """
    if ties is None:
        return None
    if not isinstance(ties, (xr.Dataset, Mapping)):
        msg = f"ties must be {_EXPECTED}, got {type(ties).__name__}"
        raise InputError(msg)
    names = {str(name) for name in (ties.variables if isinstance(ties, xr.Dataset) else ties)}
    form = next((form for form in _PLACES if set(form) <= names), None)
    missing = [name for name in ("velocity", "velocity_std") if name not in names]
    if form is None or missing:
        msg = f"ties must be {_EXPECTED}, got {sorted(names)}"
        raise InputError(msg)
    found = {}
    for name in ("velocity", "velocity_std", *form):
        values = np.atleast_1d(np.asarray(ties[name], np.float64))
        if values.ndim > 1 or values.size == 0 or not np.isfinite(values).all():
            msg = f"ties[{name!r}] must be finite numbers, one for each tie, got {values!r}"
            raise InputError(msg)
        found[name] = values
    sizes = {name: values.size for name, values in found.items()}
    if len(set(sizes.values())) > 1:
        msg = f"ties must have one value of each for every tie, got sizes {sizes}"
        raise InputError(msg)
    if found["velocity_std"].min() <= 0:
        msg = f"ties['velocity_std'] must be positive, got {found['velocity_std'].min():g}: it sets the tie's weight"
        raise InputError(msg)
    at = [
        _point_of(points, {name: float(found[name][k]) for name in form}, f"ties number {k}")
        for k in range(found["velocity"].size)
    ]
    return Ties(np.array(at, np.int64), found["velocity"], found["velocity_std"])


def usable_ties(ties: Ties, part: IntArray) -> Tie:
    """
    Ties at points that arcs lead to, those at the same point in one.

    Raises
    ------
    InputError
        When there is none.
    """
    reached = part[ties.points] >= 0
    if not reached.any():
        msg = (
            f"ties are at points {ties.points[:10].tolist()}, to which no accepted arc leads: tie other points, "
            "or lower min_coherence"
        )
        raise InputError(msg)
    if not reached.all():
        lost = ties.points[~reached]
        msg = (
            f"{lost.size} of {reached.size} ties are at points without accepted arcs and not used: {lost[:10].tolist()}"
        )
        warnings.warn(msg, SuspiciousDataWarning, stacklevel=4)
    at, number = np.unique(ties.points[reached], return_inverse=True)
    weight = ties.std[reached] ** -2.0
    total = np.bincount(number, weight)
    mean = np.bincount(number, weight * ties.values[reached]) / total
    return Tie(at, mean, total**-0.5)


def renumbered(result: xr.Dataset, number: int) -> dict[str, object]:
    """Attributes of a result, some of whose points are gone, and whose reference point now has this number."""
    attrs: dict[str, object] = dict(result.attrs)
    # the words end with the point, also those of ties
    words = str(attrs["reference"]).rpartition("point ")[0]
    return attrs | {"reference_point": number, "reference": f"{words}point {_label(result, number)}"}


def _label(points: xr.Dataset, number: int) -> object:
    """What a user calls a point."""
    return points["point"].values[number] if "point" in points.coords else number


def _point_of(points: xr.Dataset, place: dict[str, float], argument: str) -> int:
    _, _, found = resolve(points, place, argument=argument)
    assert isinstance(found, dict)  # a mask alone gives a Variable
    return found["point"]


def _named(points: xr.Dataset, number: int) -> dict[str, int | float | str]:
    """What a result records of the point that was chosen: its label where labels are numbers that differ."""
    label: float = number
    if "point" in points.coords:
        labels = points["point"].values
        if labels.dtype.kind in "iuf" and np.unique(labels).size == labels.size:
            label = labels[number].item()
        else:
            points = points.drop_vars("point")
    _, attrs, _ = resolve(points, {"point": label})
    return attrs
