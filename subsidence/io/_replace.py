"""Writing under a temporary name and renaming, so that an interrupted write leaves the old file."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from subsidence.errors import FormatError

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A free name beside `path`; what lies there when the block ends takes the place of `path`.

    When the block fails in any way, Ctrl-C included, it is removed and `path` stays as it was. A folder
    (Zarr) takes two renames; the old folder comes back when the second fails.

    Raises
    ------
    FormatError
        When the operating system refuses.
    """
    temporary = path.with_name(f".{path.stem[:32]}-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield temporary
        _move(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise FormatError(path, f"cannot be written ({error.strerror or error})") from error
    except BaseException:
        _remove(temporary)
        raise


def _move(new: Path, path: Path) -> None:
    if not path.is_dir():
        os.replace(new, path)  # noqa: PTH105 - one call that replaces on every system, Path.rename does not on Windows
        return
    old = path.with_name(f"{new.name}.old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    """Remove a file or folder; a thread that still writes when Ctrl-C came may put a file back meanwhile."""
    for _ in range(20):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if not path.exists():
            return
        time.sleep(0.05)
