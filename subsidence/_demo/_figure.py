"""The demo's figures: a map and a series side by side, in a file that is whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from subsidence._extras import require
from subsidence.io._replace import replacing

__all__ = ["draw"]


@contextmanager
def draw(path: Path, *, widths: tuple[float, float] = (1, 1.15)) -> Iterator[tuple[Any, Any]]:
    """Axes of a map and of a series; what is drawn in the block is then written to `path`."""
    figures = require("matplotlib.figure", extra="plot", purpose="the demo's figure")
    figure = figures.Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=widths)
    yield left, right
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
