"""Time functions of settlement as lmfit models.

lmfit takes a second to import and brings matplotlib with it, so a family is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subsidence.models._base import TimeModel
    from subsidence.models._milestones import Estimate
    from subsidence.models._sum import SumModel
    from subsidence.models._weibull import Weibull

__all__ = ["Estimate", "SumModel", "TimeModel", "Weibull"]

_MODULES = {"Estimate": "_milestones", "SumModel": "_sum", "TimeModel": "_base", "Weibull": "_weibull"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
