"""What every test shares: figures drawn to memory, and the folders of real data."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests draw without a screen, whether matplotlib is already imported (by a plugin) or not yet.
os.environ["MPLBACKEND"] = "Agg"
if "matplotlib" in sys.modules:
    sys.modules["matplotlib"].use("Agg")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets: SUBSIDENCE_DATA, or ../shared/data beside the repository."""
    named = os.environ.get("SUBSIDENCE_DATA")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set SUBSIDENCE_DATA to the folder that holds 'mexico-city'")
    return path


@pytest.fixture(scope="session")
def mexico_dir(data_dir: Path) -> Path:
    """Folder of the Mexico City stack (30 Sentinel-1 interferograms of GAMMA)."""
    path = data_dir / "mexico-city"
    if not path.is_dir():
        pytest.skip(f"the Mexico City stack is not at {path}")
    return path


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    """Close what a test drew, so that no figure outlives its test."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
