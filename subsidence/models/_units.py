"""Parameters in another unit of time: the same curve, other numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["converted", "time_power"]


def time_power(unit: str, values: Mapping[str, Any]) -> Any:
    """
    Power of time in a parameter's unit: 1 for "time", -1 for "1/time", -lam for "time**-lam".

    Parameters
    ----------
    unit
        As in ``TimeModel.units``: "1", "data", "time", "1/time", "data/time", "data/time**2", "time**-lam".
    values
        Parameters by name, for powers that are themselves a parameter; numbers or arrays.
    """
    if "time" not in unit:
        return 0.0
    sign = -1.0 if "/time" in unit else 1.0
    power = unit.partition("**")[2]
    if not power:
        return sign
    name = power.removeprefix("-")
    if name in values:
        return (-sign if power.startswith("-") else sign) * values[name]
    return sign * float(power)


def converted(values: Mapping[str, Any], units: Mapping[str, str], factor: float) -> dict[str, Any]:
    """`values` where one old unit of time is `factor` new ones; numbers or arrays, names as in `units`."""
    return {name: value * factor ** time_power(units[name], values) for name, value in values.items()}
