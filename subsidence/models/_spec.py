"""A time function as text, so that fits in a file say what they are fits of."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from subsidence import models
from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.models._sum import SumModel
from subsidence.timescale import unit_days

__all__ = ["from_spec", "to_spec"]

#: What of a parameter's hint a fit needs.
_HINTS = ("value", "vary", "min", "max")


def to_spec(model: TimeModel) -> str:
    """JSON from which :func:`from_spec` makes the model again."""
    terms = model.terms if isinstance(model, SumModel) else [model]
    hints = model.param_hints if isinstance(model, SumModel) else {}
    return json.dumps({"terms": [_term(term) for term in terms], "hints": _plain(hints)})


def from_spec(text: str) -> TimeModel:
    """
    Model that :func:`to_spec` wrote.

    Raises
    ------
    InputError
        When a family is none of this library's: a file does not say where its code is.
    """
    found = json.loads(text)
    terms = [_made(term) for term in found["terms"]]
    model = terms[0] if len(terms) == 1 else SumModel(*terms)
    for name, hint in found["hints"].items():
        model.set_param_hint(name, **hint)
    return model


def _term(term: TimeModel) -> dict[str, Any]:
    unit = term.time_unit if isinstance(term.time_unit, str) else unit_days(term.time_unit)
    return {
        "family": type(term).__name__,
        "time_unit": unit,
        "prefix": term.prefix,
        "options": term.options(),
        "hints": _plain(term.param_hints),
    }


def _plain(hints: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: hint[key] for key in _HINTS if key in hint} for name, hint in hints.items()}


def _made(term: dict[str, Any]) -> TimeModel:
    name = term["family"]
    family = getattr(models, name, None) if name in models.__all__ else None
    if family is None:
        msg = f"the time function {name!r} is none of subsidence.models: give the model itself, model={name}(...)"
        raise InputError(msg)
    unit = term["time_unit"]
    model: TimeModel = family(
        unit if isinstance(unit, str) else timedelta(days=unit), prefix=term["prefix"], **term["options"]
    )
    for parameter, hint in term["hints"].items():
        model.set_param_hint(parameter, **hint)
    return model
