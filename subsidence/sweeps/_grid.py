"""The grid of parameters: checked values, and the labels they get as coordinates."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from subsidence.errors import InputError
from subsidence.sweeps._fingerprint import fingerprint
from subsidence.typing import AnyArray

__all__ = ["Axis", "axes_of", "cell_values", "cell_words", "check_call", "function_name"]

#: Longest text that stands for a value as its label.
_LABEL_LENGTH = 60


@dataclass(frozen=True)
class Axis:
    """One parameter: the values it takes, and the label of each."""

    name: str
    values: tuple[Any, ...]
    labels: AnyArray
    attrs: dict[str, Any]


def axes_of(grid: object) -> tuple[Axis, ...]:
    """One axis for each parameter of `grid`, after all checks.

    Raises
    ------
    InputError
        When the grid is empty or not a mapping, or values are empty, not a sequence or there twice.
    """
    if not isinstance(grid, Mapping) or not grid:
        msg = f"grid must map names of parameters to their values, as in {{'ramp': [None, 'plane']}}, got {grid!r}"
        raise InputError(msg)
    return tuple(_axis(name, values) for name, values in grid.items())


def check_call(function: object, axes: tuple[Axis, ...], fixed: Mapping[str, Any]) -> None:
    """See that `function` takes the parameters, as far as it tells what it takes.

    Raises
    ------
    InputError
        When it cannot be called, a parameter is unknown to it, one it needs is missing, or one is both in the
        grid and fixed.
    """
    if not callable(function):
        msg = f"function must be callable as function(data, **parameters), got {type(function).__name__}"
        raise InputError(msg)
    names = [axis.name for axis in axes]
    both = [name for name in names if name in fixed]
    if both:
        msg = f"{both[0]!r} is in the grid and given as a fixed argument too: leave one out"
        raise InputError(msg)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins do not tell
        return
    if parameters and parameters[0].kind in {
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    }:
        parameters = parameters[1:]  # the data
    by_name = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    accepted = {item.name: item for item in parameters if item.kind in by_name}
    anything = any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters)
    unknown = [name for name in (*names, *fixed) if name not in accepted]
    if unknown and not anything:
        others = ", ".join(map(repr, accepted)) or "none"
        msg = f"{function_name(function)} has no parameter {unknown[0]!r}; besides the data it has {others}"
        raise InputError(msg)
    missing = [
        name
        for name, item in accepted.items()
        if item.default is inspect.Parameter.empty and name not in names and name not in fixed
    ]
    if missing:
        msg = f"{function_name(function)} needs {missing[0]!r} too: put it in the grid or give it as {missing[0]}=..."
        raise InputError(msg)


def function_name(function: Any) -> str:
    """Public module and name, as in "subsidence.sbas.invert_network", so that a file may move inside."""
    if isinstance(function, functools.partial):
        return f"partial({function_name(function.func)})"
    named = function if hasattr(function, "__qualname__") else type(function)
    public = (part for part in named.__module__.split(".") if not part.startswith("_") or part.startswith("__"))
    return ".".join([*public, named.__qualname__])


def cell_values(axes: tuple[Axis, ...], cell: int) -> dict[str, Any]:
    """Parameters of one cell; the last axis runs fastest."""
    where = np.unravel_index(cell, tuple(len(axis.values) for axis in axes))
    return {axis.name: axis.values[k] for axis, k in zip(axes, where, strict=True)}


def cell_words(axes: tuple[Axis, ...], cell: int) -> str:
    """Parameters of one cell, for a message."""
    return ", ".join(f"{name}={_text(value)}" for name, value in cell_values(axes, cell).items())


def _axis(name: object, values: object) -> Axis:
    if not isinstance(name, str) or not name.isidentifier():
        msg = f"grid has the key {name!r}, expected the name of a parameter"
        raise InputError(msg)
    if name == "error":
        msg = "grid has a parameter 'error', and that name is taken by the messages: wrap the function to rename it"
        raise InputError(msg)
    if isinstance(values, (xr.DataArray, np.ndarray)) and values.ndim == 1:
        values = tuple(np.asarray(values))
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        msg = f"grid[{name!r}] must be a sequence of values, got {values!r}: put a single value in a list"
        raise InputError(msg)
    listed = tuple(values)
    if not listed:
        msg = f"grid[{name!r}] is empty: give at least one value"
        raise InputError(msg)
    labels, attrs = _labels(listed)
    # By content, and by label too: 1 and 1.0 are one place on a numeric axis.
    for names in ([_identity(value) for value in listed], [str(label) for label in labels.tolist()]):
        repeated = next((k for k, one in enumerate(names) if one in names[:k]), None)
        if repeated is not None:
            msg = f"grid[{name!r}] has the value {_text(listed[repeated])} twice"
            raise InputError(msg)
    return Axis(name, listed, labels, attrs)


def _labels(values: tuple[Any, ...]) -> tuple[AnyArray, dict[str, Any]]:
    """Numbers, dates and texts label themselves, other values their text, long ones their position."""
    booleans = [isinstance(value, (bool, np.bool_)) for value in values]
    numbers = (int, float, np.integer, np.floating)
    alike = all(booleans) or (not any(booleans) and all(isinstance(value, numbers) for value in values))
    if alike or any(all(isinstance(value, kind) for value in values) for kind in (np.datetime64, np.timedelta64)):
        return np.asarray(values), {}
    texts = [_text(value) for value in values]
    short = all(len(text) <= _LABEL_LENGTH and "\n" not in text for text in texts)
    if short and len(set(texts)) == len(texts):
        return np.asarray(texts), {}
    return np.arange(len(values)), {"values": [" ".join(text.split())[:200] for text in texts]}


def _identity(value: Any) -> str:
    try:
        return fingerprint(value)
    except Exception:  # what cannot be pickled is the same only when it is the same object
        return f"object {id(value)}"


def _text(value: Any) -> str:
    if callable(value) and hasattr(value, "__qualname__"):
        return function_name(value)
    return value if isinstance(value, str) else repr(value.item() if isinstance(value, np.generic) else value)
