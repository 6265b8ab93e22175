"""The block layer: one kernel, the same bits in memory, over threads, with dask and across processes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import subsidence
from subsidence import _blocks
from subsidence._blocks import Output, available_cpus, run, worker_count
from subsidence._kernels.accelerate import jit
from subsidence.errors import InputError, MissingExtraError

PLACE = ("y", "x")
OUTPUTS = (Output(("time",), (4,), "float32"), Output((), (), "float64"))


@jit
def accumulate(start, stop, phase, weight, total, mean):
    """Weighted running sums of the pairs into `total` (one zero before them), their mean into `mean`."""
    for place in range(start, stop):
        running = 0.0
        total[0, place] = 0.0
        for pair in range(phase.shape[0]):
            running += phase[pair, place] * weight[place]
            total[pair + 1, place] = running
        mean[place] = running / phase.shape[0]


def doubled(start, stop, phase, out):
    out[:, start:stop] = 2 * phase[:, start:stop]


def scene(shape=(37, 53), seed=0):
    rng = np.random.default_rng(seed)
    phase = xr.Variable(("pair", *PLACE), rng.normal(size=(3, *shape)).astype("float32"))
    return phase, xr.Variable(PLACE, rng.uniform(size=shape))


def expected(phase, weight):
    sums = np.cumsum(phase.values.astype(float) * weight.values, axis=0)
    return np.concatenate([np.zeros_like(sums[:1]), sums]), sums[-1] / 3


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "_BLOCK", 100)


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
@pytest.mark.usefixtures("small_blocks")
def test_threads_give_the_bits_of_one_loop(threads):
    phase, weight = scene()
    total, mean = run(accumulate, [phase, weight], OUTPUTS, place=PLACE, threads=threads)
    assert (total.dims, total.dtype) == (("time", *PLACE), "float32")
    assert (mean.dims, mean.dtype) == (PLACE, "float64")
    truth_total, truth_mean = expected(phase, weight)
    np.testing.assert_allclose(total, truth_total, atol=1e-6)
    np.testing.assert_allclose(mean, truth_mean, rtol=1e-12)
    one_loop = np.empty((4, 37 * 53), "float32"), np.empty(37 * 53)
    accumulate(0, 37 * 53, phase.values.reshape(3, -1), weight.values.ravel(), *one_loop)
    np.testing.assert_array_equal(total.values.reshape(4, -1), one_loop[0])
    np.testing.assert_array_equal(mean.values.ravel(), one_loop[1])


CHUNKS = (
    {"y": 10, "x": 20},
    {"y": -1, "x": 7},
    {"pair": 1},
    {"pair": 2, "y": 5, "x": 53},
    {"y": (30, 7), "x": (1, 52)},
)


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("chunk_weight", [False, True])
def test_dask_gives_the_same_bits_whatever_the_chunks(chunks, chunk_weight):
    pytest.importorskip("dask", reason="needs the extra 'dask'")
    phase, weight = scene()
    in_memory = run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    # The second input may be cut elsewhere, or not at all.
    other = weight.chunk({"y": 8}) if chunk_weight else weight
    lazy = run(accumulate, [phase.chunk(chunks), other], OUTPUTS, place=PLACE)
    assert all(result.chunks is not None for result in lazy)
    for result, truth in zip(lazy, in_memory, strict=True):
        assert (result.dims, result.dtype, result.shape) == (truth.dims, truth.dtype, truth.shape)
        np.testing.assert_array_equal(result.compute(scheduler="threads"), truth)


def test_chunks_along_place_are_kept_so_that_memory_stays_bounded():
    pytest.importorskip("dask", reason="needs the extra 'dask'")
    phase, weight = scene()
    total, _ = run(accumulate, [phase.chunk({"y": 10, "x": 20}), weight], OUTPUTS, place=PLACE)
    assert total.chunksizes == {"time": (4,), "y": (10, 10, 10, 7), "x": (20, 20, 13)}


def test_chunks_along_pairs_are_joined_into_places_of_bounded_size(monkeypatch):
    pytest.importorskip("dask", reason="needs the extra 'dask'")
    monkeypatch.setattr(_blocks, "_CHUNK_BYTES", 3 * 4 * 64)
    phase, weight = scene()
    total, _ = run(accumulate, [phase.chunk({"pair": 1}), weight], OUTPUTS, place=PLACE)
    assert max(total.chunksizes["y"]) * max(total.chunksizes["x"]) <= 64


@pytest.mark.parametrize("chunked", [False, True])
def test_one_output_and_none_of_the_core_dimensions(chunked):
    phase, weight = scene()
    if chunked:
        pytest.importorskip("dask", reason="needs the extra 'dask'")
        phase = phase.chunk({"x": 11})
    (result,) = run(doubled, [phase], [Output(("pair",), (3,), "float32")], place=PLACE)
    np.testing.assert_array_equal(result, 2 * phase.values)
    (result,) = run(lambda a, b, w, out: out.__setitem__(slice(a, b), w[a:b] + 1), [weight], [OUTPUTS[1]], place=PLACE)
    np.testing.assert_array_equal(result, weight.values + 1)


@pytest.mark.skipif(find_spec("dask") is None, reason="needs the extra 'dask'")
@given(order=st.permutations(["pair", "y", "x"]), chunked=st.booleans(), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_dimensions_may_come_in_any_order(order, chunked, seed):
    phase, weight = scene((5, 7), seed)
    truth = run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    turned = phase.transpose(*order)
    results = run(accumulate, [turned.chunk({"y": 2}) if chunked else turned, weight.T], OUTPUTS, place=PLACE)
    for result, same in zip(results, truth, strict=True):
        assert result.dims == same.dims
        np.testing.assert_array_equal(result, same)


def test_points_are_a_place():
    phase, weight = scene((1, 300))
    flat = [xr.Variable((*variable.dims[:-2], "point"), variable.values[..., 0, :]) for variable in (phase, weight)]
    total, mean = run(accumulate, flat, OUTPUTS, place=("point",))
    assert (total.dims, mean.dims) == (("time", "point"), ("point",))
    np.testing.assert_allclose(mean, expected(phase, weight)[1][0], rtol=1e-12)


@pytest.mark.parametrize("chunked", [False, True])
def test_no_place_at_all_gives_empty_results(chunked):
    phase, weight = scene((0, 4))
    if chunked:
        pytest.importorskip("dask", reason="needs the extra 'dask'")
        phase = phase.chunk()
    total, mean = run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    assert (total.shape, mean.shape) == ((4, 0, 4), (0, 4))
    assert np.asarray(total).size == 0


def test_inputs_are_not_written_to():
    phase, weight = scene()
    for variable in (phase, weight):
        variable.values.flags.writeable = False
    before = phase.copy(deep=True)
    run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    run(accumulate, [phase.transpose("x", "pair", "y"), weight], OUTPUTS, place=PLACE)
    xr.testing.assert_identical(phase, before)


def test_distributed_processes_give_the_same_bits():
    distributed = pytest.importorskip("distributed", reason="needs the extra 'dask'")
    phase, weight = scene()
    truth = run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    lazy = run(accumulate, [phase.chunk({"y": 19, "x": 30}), weight], OUTPUTS, place=PLACE)
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=None
    )
    with cluster, distributed.Client(cluster) as client:
        results = [client.compute(result.data) for result in lazy]
        for future, same in zip(results, truth, strict=True):
            np.testing.assert_array_equal(future.result(timeout=120), same)
        # Two processes are the parallelism: each of them starts no threads of its own.
        assert set(client.run(_default_threads).values()) == {1}


def _default_threads():
    return worker_count(None, "threads")


# Progress


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("small_blocks")
def test_progress_is_told_of_every_place(threads):
    told = []
    phase, weight = scene()
    run(accumulate, [phase, weight], OUTPUTS, place=PLACE, threads=threads, progress=lambda *said: told.append(said))
    assert [total for _, total in told] == [37 * 53] * 20
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == 37 * 53


def test_progress_true_draws_a_bar_with_its_label(capsys):
    pytest.importorskip("tqdm", reason="needs the extra 'progress'")
    phase, weight = scene()
    run(accumulate, [phase, weight], OUTPUTS, place=PLACE, progress=True, label="inversion")
    captured = capsys.readouterr()
    assert "inversion: 100%" in captured.err
    assert captured.out == ""


def test_silence_by_default(capsys):
    phase, weight = scene()
    run(accumulate, [phase, weight], OUTPUTS, place=PLACE)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_progress_without_tqdm_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    phase, weight = scene()
    with pytest.raises(MissingExtraError, match=r"progress=True needs 'tqdm'.*subsidence\[progress\]"):
        run(accumulate, [phase, weight], OUTPUTS, place=PLACE, progress=True)


# Errors and interruption


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_threads_that_are_no_count_are_refused(threads):
    phase, weight = scene((2, 2))
    with pytest.raises(InputError, match="threads must be a positive whole number or None"):
        run(accumulate, [phase, weight], OUTPUTS, place=PLACE, threads=threads)


@pytest.mark.parametrize("error", [RuntimeError("in the kernel"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("small_blocks")
def test_an_exception_in_a_kernel_comes_out_and_stops_the_rest(error, threads):
    begun = []

    def failing(start, stop, phase, out):
        begun.append(start)
        if start == 0:
            raise error
        time.sleep(0.02)

    phase, _ = scene()
    before = set(threading.enumerate())
    with pytest.raises(type(error)):
        run(failing, [phase], [OUTPUTS[0]], place=PLACE, threads=threads)
    assert len(begun) < 10  # of 20 blocks
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot send a signal to a thread")
@pytest.mark.usefixtures("small_blocks")
def test_ctrl_c_while_waiting_stops_promptly():
    begun = []

    def slow(start, stop, phase, out):
        begun.append(start)
        if len(begun) == 3:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.1)

    phase, _ = scene()
    before = set(threading.enumerate())
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(slow, [phase], [OUTPUTS[0]], place=PLACE, threads=2)
    assert time.monotonic() - started < 0.8  # all 20 blocks would take 1 s, those at work 0.1 s
    assert len(begun) < 10
    assert set(threading.enumerate()) <= before


# CPUs, processes, and a cache that cannot be written


def test_the_default_is_every_cpu_this_process_may_use():
    assert worker_count(None, "threads") == available_cpus()
    assert worker_count(np.int64(3), "threads") == 3


def test_a_child_process_uses_one_thread_unless_told():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(worker_count, (None, "threads")) == 1
        assert pool.apply(worker_count, (2, "threads")) == 2


def python(code, **env):
    """Run `code` in a fresh interpreter and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_affinity_is_respected():
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from subsidence._blocks import available_cpus
        print(available_cpus())
    """
    assert python(code) == "1"


@pytest.mark.parametrize(("quota", "cpus"), [("150000 100000", 2), ("20000 100000", 1), ("max 100000", 8), ("odd", 8)])
def test_a_containers_quota_is_respected(monkeypatch, quota, cpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: quota)
    assert available_cpus() == cpus


def test_kernels_run_where_no_cache_can_be_written(tmp_path):
    # Numba looks for a place in turn: NUMBA_CACHE_DIR, beside the source, the user's cache folder. Here each
    # lies below a regular file, which stops even root.
    file = tmp_path / "file"
    file.write_text("not a folder")
    kernels = tmp_path / "subsidence" / "_kernels"
    shutil.copytree(
        Path(subsidence.__file__).parent, kernels.parent, ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
    )
    (kernels / "__pycache__").write_text("not a folder")
    (kernels / "doubling.py").write_text(
        textwrap.dedent("""
            from subsidence._kernels.accelerate import jit

            @jit
            def double(start, stop, values, out):
                for place in range(start, stop):
                    out[place] = 2 * values[place]
        """)
    )
    code = """
        import numba, numpy, xarray
        import subsidence
        from subsidence._blocks import Output, run
        from subsidence._kernels.doubling import double
        try:
            numba.njit(cache=True)(double.py_func)
        except RuntimeError as error:
            assert "no locator available" in str(error)
        else:
            raise AssertionError("the cache could be written after all")
        (out,) = run(double, [xarray.Variable("point", numpy.arange(5.0))], [Output((), (), float)], place=("point",))
        print(subsidence.__file__, out.values.tolist(), double.signatures != [])
    """
    printed = python(
        code,
        PYTHONPATH=str(tmp_path),
        PYTHONDONTWRITEBYTECODE="1",
        NUMBA_CACHE_DIR=str(file / "cache"),
        XDG_CACHE_HOME=str(file / "cache"),
        HOME=str(file),
    )
    assert printed == f"{tmp_path / 'subsidence' / '__init__.py'} [0.0, 2.0, 4.0, 6.0, 8.0] True"
