"""Exceptions and warnings, one tree each.

A message names the argument, the value, what was expected and the cure.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

__all__ = [
    "DisconnectedNetworkWarning",
    "FormatError",
    "InputError",
    "MissingExtraError",
    "SchemaError",
    "SubsidenceError",
    "SubsidenceWarning",
    "SuspiciousDataWarning",
]


class SubsidenceError(Exception):
    """Base of every error this library raises on purpose."""


class InputError(SubsidenceError, ValueError):
    """An argument does not make sense; the message says which, and what would."""


class SchemaError(InputError):
    """A Dataset is not of the kind a function works on.

    Attributes
    ----------
    kind : str
        The kind that was expected.
    faults : tuple of str
        Every fault found, not only the first.
    argument : str or None
        Name of the caller's argument.
    """

    def __init__(self, kind: str, faults: tuple[str, ...], *, argument: str | None = None) -> None:
        self.kind = kind
        self.faults = faults
        self.argument = argument
        name = f"{argument}: " if argument else ""
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{name}not a valid {kind} dataset:\n{lines}")

    def __reduce__(self) -> tuple[partial[SchemaError], tuple[str, tuple[str, ...]]]:
        """Survive pickling, so that the error reaches the caller from a worker process."""
        return (partial(type(self), argument=self.argument), (self.kind, self.faults))


class FormatError(SubsidenceError, ValueError):
    """A file or folder cannot be read or written as asked; nothing half-read is returned.

    Attributes
    ----------
    path : pathlib.Path
        The file or folder at fault.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")

    def __reduce__(self) -> tuple[type[FormatError], tuple[Path, str]]:
        """Survive pickling, so that the error reaches the caller from a worker process."""
        return (type(self), (self.path, self.reason))


class MissingExtraError(SubsidenceError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


class SubsidenceWarning(UserWarning):
    """Base of every warning this library gives."""


class DisconnectedNetworkWarning(SubsidenceWarning):
    """The network, of pairs in time or of arcs in space, falls into parts that nothing joins."""


class SuspiciousDataWarning(SubsidenceWarning):
    """The data are usable but look like something else: another unit, wrapped phase, zeros for no data."""
