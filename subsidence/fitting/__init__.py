"""Time functions of many series at once: fit, compare, predict, sweep, join."""

from __future__ import annotations

__all__: list[str] = []
