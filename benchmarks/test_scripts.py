"""Each benchmark script runs, at the smallest size, and prints its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("network.py --pixels 300 --repeats 1 --peers none --cases 2", "| uniform, no NaN | subsidence | 300 |"),
        ("memory.py --rows 30 --cols 50 --side 20", "| 30 x 50 x 174 |"),
        ("recovery.py --seeds 1", "residual height (m), atmosphere on"),
        ("coverage_velocity.py --draws 40", "flicker"),
        ("foshan.py --points 500 --seeds 1", "velocity RMSE (mm/yr)"),
        ("chain.py --points 400 --epochs 40", "peak memory"),
        ("coverage_forecast.py --seeds 3", "Not identifiable"),
        ("coverage_breakpoint.py --seeds 2 --tests 1 --kinds clear", "clear"),
        ("coverage_breaks.py --series 2 --cases 1", "|"),
        ("import_time.py --repeats 1", "imported though it should not be: []"),
    ],
)
def test_script(arguments, said, tmp_path):
    script, *options = arguments.split()
    if script == "memory.py":
        options += ["--scratch", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), *options], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert list(tmp_path.iterdir()) == []
