"""The benchmark of the separation runs at the smallest size and prints its tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_script(tmp_path):
    script = Path(__file__).parent / "atmosphere.py"
    options = ["--points", "300", "--scene", "150", "--seeds", "1", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "| 300 | 85 | 5% | gaussian |" in done.stdout
    assert "| seasonal 5 mm | 0.0% |" in done.stdout
    assert "| 10 |" in done.stdout
