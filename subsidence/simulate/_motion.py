"""Motion of the ground: a bowl of settlement that follows a time function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subsidence.errors import InputError
from subsidence.simulate._check import finite, positive
from subsidence.typing import FloatArray

__all__ = ["Bowl"]

#: A time function gives the fraction of the settlement reached `t` years after the first epoch.
TimeFunction = Callable[[FloatArray], FloatArray]

_DEFAULTS: dict[str, dict[str, float]] = {
    "weibull": {"eta": 5.0, "lam": 2.0, "t0": 0.0},
    "logistic": {"a": 50.0, "c": 9.0},
    "linear": {"rate": 1.0},
}
#: What models of this library call the settlement that the fraction multiplies.
_AMPLITUDE = {"weibull": "w_m", "logistic": "b", "linear": "settlement"}


@dataclass(frozen=True, kw_only=True)
class Bowl:
    r"""
    A round bowl of subsidence.

    .. warning::
        `settlement` counts **downwards**: 0.25 is a displacement of -0.25 m, up.

    Parameters
    ----------
    settlement
        Vertical settlement of the centre when the time function reaches 1, metres. Negative for uplift.
    centre
        ``(x, y)`` in metres; None for the pixel in the middle of the scene.
    radius
        Distance from the centre at which the settlement falls to 1/e, metres; None for a quarter of the
        scene's shorter side.
    function
        "weibull", "logistic", "linear", or a function of the time since the first epoch (years, an array)
        that returns the fraction of the settlement reached.
    parameters
        Of the named function, with the time in years: ``eta``, ``lam``, ``t0`` (weibull), ``a``, ``c``
        (logistic), ``rate`` (linear, per year). Those not given keep their defaults.

    Raises
    ------
    InputError
        When the function or one of its parameters is unknown or out of range.

    Notes
    -----
    With r the distance from the centre and R the radius, the settlement is
    :math:`w = w_m \exp(-(r/R)^2) \, [F(t) - F(0)]`, with F one of

    .. math::
        1 - e^{-\eta (t - t_0)^\lambda}, \qquad \frac{1}{1 + a e^{-c t}}, \qquad \mathrm{rate} \cdot t

    Examples
    --------
    >>> import numpy as np
    >>> Bowl(function="linear", parameters={"rate": 0.5}).fraction(np.array([0.0, 1.0, 2.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    settlement: float = 0.25
    centre: tuple[float, float] | None = None
    radius: float | None = None
    function: str | TimeFunction = "weibull"
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        finite("settlement of Bowl", self.settlement, "m")
        if self.radius is not None:
            positive("radius of Bowl", self.radius, "m")
        if self.centre is not None:
            if np.shape(self.centre) != (2,):
                msg = f"centre of Bowl must be (x, y) in metres or None, got {self.centre!r}"
                raise InputError(msg)
            for name, value in zip("xy", self.centre, strict=True):
                finite(f"{name} of the centre of Bowl", value, "m")
        known = self._known_parameters()
        for name, value in self.parameters.items():
            if name not in known:
                allowed = ", ".join(map(repr, known)) or "none: a function brings its own"
                msg = f"parameters of Bowl for {self.function!r} may be {allowed}; got {name!r}"
                raise InputError(msg)
            check = finite if name in {"t0", "rate"} else positive
            check(f"parameter {name!r} of Bowl", value, "years to some power")

    def fraction(self, t: FloatArray) -> FloatArray:
        """Fraction of the settlement reached between time 0 and `t` (years since the first epoch).

        Raises
        ------
        InputError
            When a function of the caller's returns another shape or numbers that are not finite.
        """
        if callable(self.function):
            values: FloatArray = np.asarray(self.function(np.append(t, 0.0)), np.float64)
            if values.shape != (t.size + 1,) or not np.all(np.isfinite(values)):
                msg = (
                    "function of Bowl must return one finite number for each of the times it is given "
                    f"(shape {(t.size + 1,)}), got shape {values.shape}"
                )
                raise InputError(msg)
        else:
            values = _FUNCTIONS[self.function](np.append(t, 0.0), **self._named_parameters())
        fraction: FloatArray = values[:-1] - values[-1]
        return fraction

    def attributes(self) -> dict[str, Any]:
        """Names and numbers that a result records, under the names that models of this library use."""
        if callable(self.function):
            name = getattr(self.function, "__name__", type(self.function).__name__)
            return {"time_function": name, "settlement": float(self.settlement)}
        amplitude = {_AMPLITUDE[self.function]: float(self.settlement)}
        return {"time_function": self.function, **amplitude, **self._named_parameters()}

    def _known_parameters(self) -> dict[str, float]:
        if callable(self.function):
            return {}
        if self.function not in _DEFAULTS:
            names = ", ".join(map(repr, _DEFAULTS))
            msg = f"function of Bowl must be {names} or a function of the time in years, got {self.function!r}"
            raise InputError(msg)
        return _DEFAULTS[self.function]

    def _named_parameters(self) -> dict[str, float]:
        return {name: float(self.parameters.get(name, value)) for name, value in self._known_parameters().items()}


def _weibull(t: FloatArray, *, eta: float, lam: float, t0: float) -> FloatArray:
    values: FloatArray = -np.expm1(-eta * np.maximum(t - t0, 0.0) ** lam)
    return values


def _logistic(t: FloatArray, *, a: float, c: float) -> FloatArray:
    values: FloatArray = 1 / (1 + a * np.exp(-c * t))
    return values


def _linear(t: FloatArray, *, rate: float) -> FloatArray:
    return rate * t


_FUNCTIONS: dict[str, Callable[..., FloatArray]] = {"weibull": _weibull, "logistic": _logistic, "linear": _linear}
