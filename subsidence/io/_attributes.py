"""Attributes to what every file format can hold and back, types included.

Files know text, numbers and rows of numbers. Anything else is written as JSON text; the attribute
``subsidence_types`` beside it says what each was, so that reading gives back the very value.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from subsidence.errors import InputError

__all__ = ["TYPES", "decoded", "encoded"]

#: Name of the attribute that notes types.
TYPES = "subsidence_types"


def encoded(attributes: Mapping[Hashable, Any], *, owner: str) -> dict[str, Any]:
    """Attributes as text, numbers and arrays of numbers.

    Raises
    ------
    InputError
        When a name is no text or a value can be written in no way; `owner` says whose it is.
    """
    result: dict[str, Any] = {}
    types: dict[str, str] = {}
    for name, value in attributes.items():
        if not isinstance(name, str) or not name or name == TYPES:
            msg = f"{owner} has an attribute called {name!r}, which cannot be written: rename it"
            raise InputError(msg)
        try:
            result[name], note = _encoded(value)
        except (TypeError, ValueError) as error:
            msg = (
                f"attribute {name!r} of {owner} is {value!r} ({type(value).__name__}), which cannot be written: "
                "make it text, a number, a list or a dict of those"
            )
            raise InputError(msg) from error
        if note:
            types[name] = note
    if types:
        result[TYPES] = json.dumps(types)
    return result


def decoded(attributes: Mapping[Hashable, Any]) -> dict[str, Any]:
    """The inverse of :func:`encoded`."""
    types = json.loads(attributes.get(TYPES, "{}"))
    return {str(name): _decoded(value, types.get(name, "")) for name, value in attributes.items() if name != TYPES}


def _encoded(value: Any) -> tuple[Any, str]:
    if isinstance(value, str) and value:
        return value, ""
    if isinstance(value, bool):
        return int(value), "bool"
    if isinstance(value, np.bool_):
        return int(value), "scalar |b1"
    if isinstance(value, np.generic) and value.dtype.kind in "fiu":
        return value, f"scalar {value.dtype.str}"
    if isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value, ""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size and value.dtype.kind in "fiu":
        return value, f"array {value.dtype.str}"
    if isinstance(value, list) and value and {type(item) for item in value} in ({float}, {int}):
        row = np.array(value)
        if row.dtype.kind in "fi":  # whole numbers beyond 64 bits make an object array
            return row, "list"
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return str(value.astype(np.int64)), f"time {value.dtype.str}"
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiubU":
        return json.dumps([value.shape, value.ravel().tolist()]), f"json {value.dtype.str}"
    _check_json(value)
    return json.dumps(value), "json"


def _decoded(value: Any, note: str) -> Any:
    kind, _, dtype = note.partition(" ")
    if kind == "json":
        stored = json.loads(value)
        return stored if not dtype else np.array(stored[1], dtype).reshape(stored[0])
    if kind == "array":
        return np.atleast_1d(np.asarray(value, dtype))
    if kind == "list":
        return np.atleast_1d(value).tolist()
    if kind == "bool":
        return bool(value)
    if kind == "scalar":
        return np.dtype(dtype).type(value)
    if kind == "time":
        return np.array(int(value), np.int64).astype(dtype)[()]
    return value.item() if isinstance(value, np.generic) else value


def _check_json(value: Any) -> None:
    """Only what JSON gives back as it was: a tuple would return as a list, a number as a key as text."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return
    if isinstance(value, list):
        for item in value:
            _check_json(item)
    elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
        for item in value.values():
            _check_json(item)
    else:
        msg = f"{type(value).__name__} is not kept by JSON"
        raise TypeError(msg)
