"""Imports of optional dependencies, with a message that names the extra when one is missing."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from subsidence.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import `module`, or say which extra brings it.

    Raises
    ------
    MissingExtraError
        When the module's top-level package is not installed. An error inside an installed package is
        passed on as it is: hiding it would hide a broken installation.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        msg = f'{purpose} needs {top!r}, which is not installed: python -m pip install "subsidence[{extra}]"'
        raise MissingExtraError(msg, name=top) from error


def available(module: str) -> bool:
    """Whether `module` is installed, without importing it."""
    return importlib.util.find_spec(module) is not None
