"""Unwrapping with SNAPHU: a known smooth phase comes back, and nothing else is left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from subsidence import schema
from subsidence._blocks import each
from subsidence.errors import InputError, MissingExtraError, SchemaError, SubsidenceError
from subsidence.unwrapping import unwrap

CYCLE = 2 * np.pi
SHAPE = (64, 72)


def make_stack(*, pairs: int = 2, noise: float = 0.4, seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    """Wrapped bowls of several cycles with noise, and their phase before noise and wrapping."""
    random = np.random.default_rng(seed)
    dates = np.datetime64("2018-01-06", "ns") + np.arange(pairs + 1) * np.timedelta64(12, "D")
    y, x = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    bowl = 25 * np.exp(-3 * ((x - 0.2) ** 2 + y**2)) + 4 * x
    truth = bowl * np.linspace(0.7, 1.3, pairs)[:, None, None]
    wrapped = np.angle(np.exp(1j * (truth + noise * random.normal(size=truth.shape))))
    stack = xr.Dataset(
        {
            "phase": (("pair", "y", "x"), wrapped.astype(np.float32)),
            "coherence": (("pair", "y", "x"), np.full(truth.shape, 0.8, np.float32)),
        },
        {"reference": ("pair", dates[:-1]), "secondary": ("pair", dates[1:]), "wavelength": 0.0555, "looks": 12.0},
    )
    return stack, truth


@pytest.fixture(autouse=True)
def _needs_snaphu() -> None:
    pytest.importorskip("snaphu", reason="unwrapping needs the extra 'unwrap'")


@pytest.mark.parametrize("options", [{}, {"cost": "defo", "init": "mst"}])
def test_a_noisy_smooth_phase_is_recovered(options):
    stack, truth = make_stack()
    assert np.ptp(truth[0]) > 2.5 * CYCLE
    found = unwrap(stack, **options)
    for pair in range(2):
        misfit = found.unwrapped_phase[pair].values - truth[pair]
        constant = CYCLE * np.rint(np.median(misfit) / CYCLE)
        # Noise of 0.4 rad: every pixel is on the right cycle, but for the noise itself.
        assert abs(misfit - constant).max() < np.pi
        assert (misfit - constant).std() == pytest.approx(0.4, rel=0.05)
    assert found.connected_component.min() >= 0
    assert (found.connected_component == 1).mean() > 0.99


def test_mexico_city_is_unwrapped_as_by_gamma(mexico_dir):
    # The stack was unwrapped by another program; wrapped again, SNAPHU must find the same cycles.
    rasterio = pytest.importorskip("rasterio")
    names = ["20180106-20180130", "20180319-20180623", "20180331-20180717"]
    layers: dict[str, list[np.ndarray]] = {"unw": [], "flat_eqa_cc": []}
    for name, layer in itertools.product(names, layers):
        (path,) = (mexico_dir / "geotiffs").glob(f"*{name}*{layer}.tif")
        with rasterio.open(path) as raster:
            layers[layer].append(raster.read(1))
    gamma = np.where(np.array(layers["unw"]) == 0, np.nan, layers["unw"])
    dates = np.array([[f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in name.split("-")] for name in names], "M8[ns]")
    dims = ("pair", "y", "x")
    stack = xr.Dataset(
        {"phase": (dims, np.angle(np.exp(1j * gamma))), "coherence": (dims, np.array(layers["flat_eqa_cc"]))},
        {"reference": ("pair", dates[:, 0]), "secondary": ("pair", dates[:, 1]), "wavelength": 0.05550415767769124},
    )
    found = unwrap(stack, looks=20).unwrapped_phase.values
    cycles = np.rint(((found - found[:, 9:10, 8:9]) - (gamma - gamma[:, 9:10, 8:9])) / CYCLE)
    valid = np.isfinite(gamma)
    np.testing.assert_array_equal(np.isfinite(found), valid)
    assert (cycles[valid] == 0).mean() > 0.999


def test_the_result_is_congruent_with_the_wrapped_phase():
    stack, _ = make_stack(noise=1.2)
    found = unwrap(stack)
    cycles = (found.unwrapped_phase.astype(float) - stack.phase) / CYCLE
    np.testing.assert_allclose(cycles, np.rint(cycles), atol=1e-6)
    assert abs(cycles).max() >= 1


def test_no_data_and_masked_places_are_nan():
    stack, truth = make_stack(pairs=3)
    stack.phase[0, :10, :12] = np.nan
    stack.coherence[1, 40:, 60:] = np.nan
    stack.phase[2] = np.nan
    mask = xr.DataArray(np.ones(SHAPE, bool), dims=("y", "x"))
    mask[20:30, 5:15] = False
    found = unwrap(stack, mask=mask)
    valid = stack.phase.notnull() & stack.coherence.notnull() & mask
    np.testing.assert_array_equal(found.unwrapped_phase.notnull(), valid)
    assert (found.connected_component.where(~valid, 0) == 0).all()
    misfit = (found.unwrapped_phase - truth).isel(pair=[0, 1])
    misfit = misfit - CYCLE * np.rint(misfit.median(("y", "x")) / CYCLE)
    assert abs(misfit).max() < np.pi


def test_chunked_data_give_the_same():
    pytest.importorskip("dask")
    stack, _ = make_stack(pairs=1)
    np.testing.assert_array_equal(unwrap(stack.chunk(y=20)).unwrapped_phase, unwrap(stack).unwrapped_phase)


def test_permuted_pairs_threads_and_layout_give_the_same():
    stack, _ = make_stack(pairs=3)
    one = unwrap(stack, threads=1)
    told: list[tuple[int, int]] = []
    two = unwrap(stack.isel(pair=[2, 0, 1]), threads=2, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_array_equal(two.unwrapped_phase, one.unwrapped_phase[[2, 0, 1]])
    assert told == [(1, 3), (2, 3), (3, 3)]
    turned = unwrap(stack.transpose("y", "x", "pair"))
    np.testing.assert_array_equal(turned.unwrapped_phase.transpose("pair", "y", "x"), one.unwrapped_phase)


def test_results_are_stamped_and_inputs_left_alone():
    stack, _ = make_stack(pairs=1)
    before = stack.copy(deep=True)
    stack.phase.values.flags.writeable = False
    found = unwrap(stack, looks=5)
    xr.testing.assert_identical(stack, before)
    schema.INTERFEROGRAMS.check(found)
    assert found.unwrapped_phase.dtype == np.float32
    assert found.unwrapped_phase.attrs["units"] == "rad"
    assert found.connected_component.dtype.kind == "i"
    np.testing.assert_array_equal(found.phase, before.phase)


def test_it_prints_nothing_and_leaves_no_files(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    unwrap(make_stack(pairs=1)[0])
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_names_the_pair_and_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("subsidence.unwrapping._snaphu._LEAST_SIDE", 1)
    stack, _ = make_stack()
    with pytest.raises(
        SubsidenceError, match=r"could not unwrap pair 2018-01-06 to 2018-01-18 \(number 0\): .*too large"
    ):
        unwrap(stack.isel(y=slice(0, 2)), threads=1)
    assert list(tmp_path.iterdir()) == []


def test_each_cancels_what_others_are_at():
    stop = threading.Event()
    begun = time.monotonic()

    def work(number: int) -> None:
        if number == 0:
            msg = "the first fails"
            raise ValueError(msg)
        assert stop.wait(20)

    with pytest.raises(ValueError, match="the first fails"):
        each(work, 50, threads=2, cancel=stop.set)
    assert time.monotonic() - begun < 10


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX's")
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(tmp_path):
    # Noise without structure on a large grid keeps SNAPHU busy far longer than this test waits.
    program = """
import numpy as np, xarray as xr
from subsidence.unwrapping import unwrap
dates = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
phase = np.random.default_rng(0).uniform(-3, 3, (2, 1500, 1500)).astype("f4")
stack = xr.Dataset(
    {"phase": (("pair", "y", "x"), phase), "coherence": (("pair", "y", "x"), phase * 0 + 0.3)},
    {"reference": ("pair", dates[:2]), "secondary": ("pair", dates[1:]), "wavelength": 0.0555, "looks": 4.0},
)
print("begun", flush=True)
unwrap(stack, threads=2)
"""
    environment: dict[str, Any] = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        until = time.monotonic() + 20
        while not list(tmp_path.glob("subsidence-unwrap-*/snaphu.config.*")) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert child.wait(30) != 0
        assert time.monotonic() - begun < 10
    assert list(tmp_path.iterdir()) == []
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "snaphu", None)
    with pytest.raises(MissingExtraError, match=r'unwrap needs .snaphu., .*"subsidence\[unwrap\]"'):
        unwrap(make_stack(pairs=1)[0])


def test_bad_input_is_refused():
    stack, truth = make_stack(pairs=1)
    with pytest.raises(InputError, match="no wrapped 'phase': its 'unwrapped_phase' is unwrapped already"):
        unwrap(stack.rename(phase="unwrapped_phase"))
    unwrapped = stack.assign(phase=(("pair", "y", "x"), truth))
    with pytest.raises(
        InputError, match=r"phase of pair 2018-01-06 to 2018-01-18 \(number 0\) reaches .* rad: it is not"
    ):
        unwrap(unwrapped)
    with pytest.raises(SchemaError, match="'coherence' is missing"):
        unwrap(stack.drop_vars("coherence"))
    with pytest.raises(
        InputError, match=r"coherence of pair .* lies between 204 and 204, expected 0 to 1: divide by 255"
    ):
        unwrap(stack.assign(coherence=stack.coherence * 255))
    with pytest.raises(InputError, match="too small to unwrap: 3 x 72 pixels, expected 4 x 4 or more"):
        unwrap(stack.isel(y=slice(0, 3)))
    with pytest.raises(InputError, match="unwrap works on a raster"):
        unwrap(stack.stack(point=("y", "x")).drop_vars(["point", "y", "x"]))
    with pytest.raises(InputError, match="looks is not given and stack has no 'looks'"):
        unwrap(stack.drop_vars("looks"))
    with pytest.raises(InputError, match=r"looks must be a number of independent looks, 1 or more, got 0\.5"):
        unwrap(stack, looks=0.5)
    with pytest.raises(InputError, match="cost must be 'smooth' or 'defo', got 'topo'"):
        unwrap(stack, cost="topo")
    with pytest.raises(InputError, match="init must be 'mcf' or 'mst', got 'mean'"):
        unwrap(stack, init="mean")
    with pytest.raises(InputError, match="mask must be a boolean"):
        unwrap(stack, mask=np.ones(SHAPE, bool))
    with pytest.raises(InputError, match="threads must be a positive whole number"):
        unwrap(stack, threads=0)
    with pytest.raises(InputError, match="must be earlier than its secondary"):
        unwrap(stack.assign_coords(reference=stack.secondary.variable, secondary=stack.reference.variable))
