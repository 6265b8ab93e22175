"""Sums of time functions: one curve with one offset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.timescale import TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["SumModel"]


@dataclass(frozen=True)
class _Part:
    """Where a term stands in its sum."""

    term: TimeModel
    columns: slice
    rows: slice
    #: non-linear parameters of the term that the sum has; what it leaves out is a t0 of zero
    kept: tuple[str, ...]


class SumModel(TimeModel):
    """
    Sum of time functions, as ``Weibull() + Seasonal()`` gives it.

    Parameters
    ----------
    *terms
        Time functions in one unit of time whose parameters have different names: give one a prefix where they
        clash. They share one ``offset``; a ``t0`` that only says where time begins is left out.

    Raises
    ------
    InputError
        When a term is no time function, units of time differ, names clash, or a ``t0`` that would be left out
        is not zero.

    Notes
    -----
    Milestones of the settlement (peak, final and residual settlement, stages, stabilisation) are those of the
    first term that has a final settlement; `velocity` and `acceleration` are the whole curve's.

    Examples
    --------
    >>> from subsidence.models import Weibull
    >>> model = Weibull(prefix="early_") + Weibull(prefix="late_")
    >>> model.param_names[:3]
    ['early_w_m', 'late_w_m', 'early_eta']
    """

    def __init__(self, *terms: TimeModel) -> None:
        self.terms = _flat(terms)
        self._parts: list[_Part] = []
        columns = rows = 0
        owner: list[int] = []
        for term in self.terms:
            kept = tuple(name for name in term.nonlinear if not _is_origin(term, name))
            own = term.owner or (0,) * len(term.nonlinear)
            owner += [columns + own[term.nonlinear.index(name)] for name in kept]
            places = slice(columns, columns + len(term.linear)), slice(rows, rows + len(kept))
            self._parts.append(_Part(term, *places, kept))
            columns, rows = places[0].stop, places[1].stop
        self.linear = tuple(part.term.prefix + name for part in self._parts for name in part.term.linear)
        self.nonlinear = tuple(part.term.prefix + name for part in self._parts for name in part.kept)
        self.owner = tuple(owner)
        _check_clashes(self.terms, [*self.linear, *self.nonlinear])
        self._collect()
        super().__init__(self.terms[0].time_unit, nan_policy=self.terms[0].nan_policy)
        for term in terms:
            self._keep_hints(term)

    def curve(self, t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
        """Fill each term's columns and derivatives."""
        for part in self._parts:
            # A t0 left out is a constant, and constants have no row of the gradient that is written.
            part.term.curve(t, _term_rows(part, p), columns[part.columns], gradient[part.rows])

    def rates(self, t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """Fill each term's derivatives in time."""
        for part in self._parts:
            part.term.rates(t, _term_rows(part, p), velocity[part.columns], acceleration[part.columns])

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """Every candidate of one term with every one of the others."""
        found: dict[str, FloatArray] = {}
        count = 1
        for part in self._parts:
            prefix = part.term.prefix
            own = {name: held[prefix + name] for name in part.kept if prefix + name in held}
            grid = part.term.candidates(t, {**part.term.held(), **own})
            grid = {prefix + name: np.atleast_1d(grid[name]) for name in part.kept}
            size = max((values.size for values in grid.values()), default=1)
            found = {name: np.repeat(values, size) for name, values in found.items()}
            found |= {name: np.tile(np.broadcast_to(values, size), count) for name, values in grid.items()}
            count *= size
        return found

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """Time of the greatest velocity of the term that settles."""
        term, values = self._settling(params)
        return term.time_of_peak(values)

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """Greatest velocity of the term that settles."""
        term, values = self._settling(params)
        return term.peak_velocity(values)

    def final_settlement(self, params: Mapping[str, Any]) -> float:
        """Settlement of the term that settles, after infinite time."""
        term, values = self._settling(params)
        return term.final_settlement(values)

    def residual_settlement(self, t: npt.ArrayLike, params: Mapping[str, Any]) -> FloatArray:
        """Settlement still to come after `t` of the term that settles."""
        term, values = self._settling(params)
        return term.residual_settlement(t, values)

    def with_unit(self, time_unit: TimeUnit) -> SumModel:
        """Return the same sum with another unit of time; hints of parameters are not carried over."""
        return SumModel(*(term.with_unit(time_unit) for term in self.terms))

    @property
    def settling(self) -> TimeModel | None:
        """First term with a final settlement."""
        return next((term for term in self.terms if term.final is not None), None)

    def _settling(self, params: Mapping[str, Any]) -> tuple[TimeModel, dict[str, float]]:
        term = self.settling or self.terms[0]
        values = self.values(params)
        return term, {name: value for name, value in values.items() if name.startswith(term.prefix)}

    def _title(self) -> str:
        return " + ".join(type(term).__name__ for term in self.terms)

    def _keep_hints(self, term: TimeModel) -> None:
        """Hints that a sum had before it grew, and of a term's offset, which is now the sum's."""
        if isinstance(term, SumModel):
            for name, hint in term.param_hints.items():
                self.set_param_hint(name, **hint)
        elif "offset" in term.param_hints:
            hint = term.param_hints["offset"]
            if self.param_hints.get("offset", hint) != hint:
                msg = f"terms of a sum share one offset, got two hints of it: {self.param_hints['offset']} and {hint}"
                raise InputError(msg)
            self.set_param_hint("offset", **hint)

    def _collect(self) -> None:
        """Units, bounds and held values of the terms under the names they have here."""
        units: dict[str, str] = {}
        bounds: dict[str, tuple[float, float]] = {}
        fixed: dict[str, float] = {}
        positive: set[str] = set()
        constants: set[str] = set()
        for part in self._parts:
            term, prefix = part.term, part.term.prefix
            for name in (*term.linear, *part.kept):
                hint = term.param_hints.get(name, {})
                if hint.get("expr") is not None:
                    msg = (
                        f"the hint of {name!r} ties it by expr={hint['expr']!r}, which a sum would lose: add up first, "
                        "then set_param_hint on the sum"
                    )
                    raise InputError(msg)
                units[prefix + name] = _prefixed(term, term.units[name])
                if "min" in hint or "max" in hint:
                    bounds[prefix + name] = (hint.get("min", -np.inf), hint.get("max", np.inf))
                if hint.get("vary") is False:
                    fixed[prefix + name] = hint["value"]
            positive |= {prefix + name for name in part.kept if name in term.positive}
            constants |= {prefix + name for name in part.kept if name in term.constants}
        nonlinear = {name: units.pop(name) for name in self.nonlinear}
        self.units = {**units, **nonlinear, "offset": "data"}
        self.bounds, self.fixed = bounds, fixed
        self.positive, self.constants = frozenset(positive), frozenset(constants)


def _flat(terms: Sequence[object]) -> list[TimeModel]:
    flat: list[TimeModel] = []
    for term in terms:
        if not isinstance(term, TimeModel):
            msg = f"a sum of time functions takes models of subsidence.models, got {type(term).__name__}"
            raise InputError(msg)
        flat += term.terms if isinstance(term, SumModel) else [term]
    if len({unit_days(term.time_unit) for term in flat}) > 1:
        words = ", ".join(f"{type(term).__name__} in {term.time_unit!r}" for term in flat)
        msg = f"a sum needs one unit of time, got {words}: give all the same time_unit"
        raise InputError(msg)
    return flat


def _is_origin(term: TimeModel, name: str) -> bool:
    """Is this the t0 of a curve without onset? It must be zero, as nothing in the sum holds it."""
    if name != "t0" or name not in term.constants:
        return False
    if term.held()["t0"] != 0:
        msg = f"t0 of {type(term).__name__} must be 0 in a sum, got {term.held()['t0']:g}"
        raise InputError(msg)
    return True


def _term_rows(part: _Part, p: FloatArray) -> FloatArray:
    if len(part.kept) == len(part.term.nonlinear):
        return p[part.rows]
    rows = np.zeros((len(part.term.nonlinear), p.shape[1]))
    rows[[part.term.nonlinear.index(name) for name in part.kept]] = p[part.rows]
    return rows


def _prefixed(term: TimeModel, unit: str) -> str:
    """A unit whose power is a parameter, under the name the parameter has in the sum."""
    base, stars, power = unit.partition("**")
    name = power.removeprefix("-")
    sign = power[: len(power) - len(name)]
    return f"{base}{stars}{sign}{term.prefix}{name}" if name in term.units else unit


def _check_clashes(terms: Sequence[TimeModel], names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = (
            f"terms of a sum must have parameters of different names, got {', '.join(twice)} more than once: "
            f"give one a prefix, as in {type(terms[-1]).__name__}(prefix='second_')"
        )
        raise InputError(msg)
