"""Comparisons with other programs. They skip where a program is missing, unless SUBSIDENCE_REQUIRE_PEERS is set."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# The programs' adapters and the problem they are measured on live with the benchmarks.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.fixture
def peer(request):
    """Adapter of the program named by the test's parameter."""
    from peers import PEERS

    found = PEERS[request.param]
    reason = found.missing()
    if reason is not None and os.environ.get("SUBSIDENCE_REQUIRE_PEERS"):
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)
    return found
