"""The script that times the unwrapping of residual phases runs, at the smallest size, and prints its tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "residual_unwrapping.py"


def test_script(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--points", "400", "--epochs", "9", "--repeats", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "| 400 points, " in done.stdout
    assert "| auto, 2 % NaN | " in done.stdout
