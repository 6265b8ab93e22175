"""A kind of Dataset as a frozen value that can check one and stamp one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from subsidence.errors import InputError, SchemaError
from subsidence.schema._variables import TOWARDS, VARIABLES, Variable
from subsidence.typing import AnyArray

__all__ = ["Field", "Schema", "spatial_dims"]

#: Sign of a motion by its component, an attribute of the Dataset.
_SIGNS = {
    "los": TOWARDS,
    "up": "positive up: subsidence is negative",
    "east": "positive east",
    "north": "positive north",
}
#: The dimensions a place can have: a raster, or points.
_PLACES: tuple[tuple[str, ...], ...] = (("y", "x"), ("point",))


def spatial_dims(dataset: xr.Dataset | xr.DataArray, *, argument: str = "dataset") -> tuple[str, ...]:
    """
    Dimensions of place that a Dataset has.

    Parameters
    ----------
    dataset
        Of any kind.
    argument
        Name of the caller's argument, for the message.

    Returns
    -------
    tuple of str
        ``("y", "x")`` or ``("point",)``.

    Raises
    ------
    InputError
        When it has neither.

    Examples
    --------
    >>> spatial_dims(xr.Dataset({"height": (("x", "y"), [[1.0]])}))
    ('y', 'x')
    """
    for dims in _PLACES:
        if all(dim in dataset.dims for dim in dims):
            return dims
    msg = f"{argument} must have dims ('y', 'x') or ('point',), got {tuple(map(str, dataset.dims))}"
    raise InputError(msg)


@dataclass(frozen=True)
class Field:
    """A variable's part in one kind of Dataset.

    Parameters
    ----------
    name
        Name of a variable in ``VARIABLES``.
    dims
        Alternatives of its dimensions; "place" stands for ``("y", "x")`` or ``("point",)``. Only the set
        counts, never the order.
    required
        Whether a Dataset of this kind must have it.
    coordinate
        Whether results carry it as a coordinate.
    """

    name: str
    dims: tuple[tuple[str, ...], ...]
    required: bool = False
    coordinate: bool = False

    @property
    def variable(self) -> Variable:
        """The variable's unit, range and meaning."""
        return VARIABLES[self.name]

    def allowed_dims(self) -> Iterator[tuple[str, ...]]:
        """Every set of dimensions that the variable may have."""
        for dims in self.dims:
            if "place" in dims:
                rest = tuple(dim for dim in dims if dim != "place")
                yield from (rest + place for place in _PLACES)
            else:
                yield dims


@dataclass(frozen=True)
class Schema:
    """What one kind of Dataset holds.

    Parameters
    ----------
    name
        Kind, in capitals in the documentation.
    summary
        One line that says what such a Dataset is.
    fields
        The variables it has or may have. Others are allowed and left alone.
    one_of
        Groups of variables of which at least one must be there.
    attributes
        Attributes results carry, with their meaning.
    component
        Direction of the motion where the attribute ``component`` does not say it.
    """

    name: str
    summary: str
    fields: tuple[Field, ...]
    one_of: tuple[tuple[str, ...], ...] = ()
    attributes: dict[str, str] = field(default_factory=dict, hash=False)
    component: str = "los"

    def __getitem__(self, name: str) -> Field:
        """Return the field called `name`."""
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(name)

    def faults(self, dataset: xr.Dataset) -> tuple[str, ...]:
        """Everything that keeps `dataset` from being of this kind; empty when it is.

        Values of lazy (dask) variables are not looked at; those of coordinates and scalars are.
        """
        found = [
            f"one of {', '.join(map(repr, group))} is needed, none is there"
            for group in self.one_of
            if not any(name in dataset.variables for name in group)
        ]
        for item in self.fields:
            if item.name not in dataset.variables:
                if item.required:
                    what = item.variable
                    unit = f" in {what.units}" if what.units else ""
                    dims = " or ".join(str(dims) for dims in item.allowed_dims())
                    found.append(f"{item.name!r} is missing ({what.long_name}{unit}, dims {dims})")
                continue
            found.extend(_field_faults(item, dataset.variables[item.name]))
        return tuple(found)

    def check(self, dataset: object, *, argument: str | None = None, needs: tuple[str, ...] = ()) -> None:
        """Raise one error that lists every fault of `dataset`.

        Parameters
        ----------
        dataset
            What a caller gave.
        argument
            Name of the caller's argument, for the message.
        needs
            Optional variables that this caller cannot do without.

        Raises
        ------
        SchemaError
            When there is any fault.
        """
        if not isinstance(dataset, xr.Dataset):
            msg = f"{argument or 'dataset'} must be an xarray.Dataset ({self.name}), got {type(dataset).__name__}"
            raise InputError(msg)
        missing = tuple(
            f"{name!r} is missing ({VARIABLES[name].long_name}): this function needs it"
            for name in needs
            if name not in dataset.variables
        )
        faults = missing + self.faults(dataset)
        if faults:
            raise SchemaError(self.name, tuple(dict.fromkeys(faults)), argument=argument)

    def stamp(self, dataset: xr.Dataset) -> xr.Dataset:
        """Return `dataset` with this library's units, long names and sign comments on every known variable.

        Attributes that the library does not set (a colour, a note, a CF ``grid_mapping``) stay.
        """
        result = dataset.copy(deep=False)
        sign = _SIGNS.get(str(result.attrs.get("component", self.component)), "")
        for name, variable in result.variables.items():
            known = VARIABLES.get(str(name))
            if known is None or not any(item.name == name for item in self.fields):
                continue
            variable.attrs = _stamped_attrs(name, variable, known, sign)
        coordinates = [item.name for item in self.fields if item.coordinate and item.name in result.data_vars]
        result = result.set_coords(coordinates)
        result.attrs = {**result.attrs, "Conventions": "CF-1.11", "kind": self.name}
        return result


def _stamped_attrs(name: Hashable, variable: xr.Variable, known: Variable, sign: str) -> dict[Hashable, object]:
    attrs = {key: value for key, value in variable.attrs.items() if key not in {"comment", "standard_name"}}
    if known.kinds == "M":
        attrs.pop("units", None)  # xarray encodes dates itself and refuses a unit
    elif known.units:
        attrs["units"] = known.accepted_unit(attrs.get("units", known.units)) or known.units
    else:
        attrs.pop("units", None)
    attrs["long_name"] = variable.attrs.get("long_name", known.long_name) if name in {"x", "y"} else known.long_name
    comment = sign if known.comment == TOWARDS else known.comment
    if comment:
        attrs["comment"] = comment
    if name in {"x", "y"} and "standard_name" in variable.attrs:
        attrs["standard_name"] = variable.attrs["standard_name"]
    return attrs


def _field_faults(item: Field, variable: xr.Variable) -> Iterator[str]:
    known = item.variable
    name = item.name
    dims = set(map(str, variable.dims))
    if not any(dims == set(allowed) for allowed in item.allowed_dims()):
        allowed = " or ".join(str(allowed) for allowed in item.allowed_dims())
        yield f"{name!r} has dims {tuple(map(str, variable.dims))}, expected {allowed}"
    if variable.dtype.kind not in known.kinds:
        yield f"{name!r} has dtype {variable.dtype}, expected {_kind_words(known.kinds)}"
        return
    units = variable.attrs.get("units")
    if units is not None and known.units and known.accepted_unit(units) is None:
        yield f"{name!r} is in {units!r}, expected {known.units!r}"
    bounded = known.minimum is not None or known.maximum is not None
    cheap = variable.ndim == 0 or (item.coordinate and bounded)
    if cheap and variable.dtype.kind in "fiu" and isinstance(variable.data, np.ndarray):
        yield from _range_faults(item, known, variable.data)


def _range_faults(item: Field, known: Variable, values: AnyArray) -> Iterator[str]:
    name = item.name
    unit = "" if known.units == "1" else f" {known.units}"
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        # A result, and the height, of one place alone may be NaN: no data there.
        if values.ndim == 0 and item.coordinate and name != "height":
            yield f"{name!r} is {values!s}, expected a finite number{unit and ' in'}{unit}"
        return
    low, high = finite.min(), finite.max()
    too_low = known.minimum is not None and (low <= known.minimum if known.above_minimum else low < known.minimum)
    if too_low or (known.maximum is not None and high > known.maximum):
        hint = ""
        if name == "incidence" and high < 0:
            hint = "; angles count from the vertical, without a sign"
        yield f"{name!r} lies between {low:g} and {high:g}, expected {known.range_words}{unit}{hint}"
    elif name == "incidence" and high <= np.pi / 2:
        yield f"{name!r} lies between {low:g} and {high:g} degree: it looks like radians, use np.rad2deg"


def _kind_words(kinds: str) -> str:
    words = {"f": "float", "c": "complex", "i": "integer", "u": "unsigned integer", "b": "boolean", "M": "datetime64"}
    words |= dict.fromkeys("UOT", "text")
    return " or ".join(dict.fromkeys(words[kind] for kind in kinds))
