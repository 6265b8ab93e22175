"""Sweeps: every cell where it belongs, the same in processes as here, failures told, interrupted ones taken up."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subsidence._blocks import worker_count
from subsidence.errors import FormatError, InputError, SubsidenceError
from subsidence.sweeps import sweep_call
from subsidence.sweeps._fingerprint import fingerprint
from subsidence.sweeps._grid import function_name

SERIES = xr.Dataset(
    {"displacement": (("time", "point"), np.arange(12.0).reshape(4, 3), {"units": "m"})},
    {"time": np.arange("2018-01", "2018-05", dtype="M8[M]").astype("M8[ns]"), "wavelength": 0.055},
    {"component": "los", "kind": "SERIES"},
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


# Module-level, so that worker processes find them.
def scaled(data: xr.Dataset, *, factor: float, kind: str | None = None, offset: float = 0.0) -> xr.Dataset:
    if kind == "bad" and factor == 2.0:
        msg = f"no {kind} at {factor}"
        raise ValueError(msg)
    displacement = data["displacement"] * factor + offset
    count = xr.Variable(("point",), np.array([1, 2, 3], np.int16), {"units": "1"})
    return data.assign(displacement=displacement, count=count, process=os.getpid())


def product(data: float, *, a: float, b: float = 1.0) -> float:
    return data * a * b


def report_worker(data: xr.Dataset, *, cell: int) -> xr.Dataset:
    if cell == 1:
        time.sleep(0.6)  # finishes last
    if cell == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory ends
    if cell == 4:
        raise SystemExit(3)
    return xr.Dataset(
        {
            "cell": cell,
            "process": os.getpid(),
            "threads": worker_count(None, "threads"),
            "environment": ("variable", [os.environ.get(name, "") for name in THREADS]),
            "sum": data["displacement"].sum(),
        }
    ).rename(cell="own")


def growing(data: Any, *, n: int) -> xr.DataArray:
    return xr.DataArray(np.ones(n), dims="point")


def count_calls(data: Path, *, a: int, b: int) -> float:
    calls = data / f"{a}-{b}"
    calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
    if a == 2 and not (data / "cured").exists():
        msg = "not yet"
        raise RuntimeError(msg)
    return a * 10.0 + b


def everything(data: Any, *, a: int) -> xr.Dataset:
    """One variable of each dtype that comes back from a function."""
    return xr.Dataset(
        {
            "complex": ("t", np.array([1 + 2j, np.nan], "c8")),
            "boolean": ("t", [True, a > 1]),
            "text": ("t", ["a", "é" * a]),
            "short": ((), np.int16(a)),
            "single": ("t", np.array([a, np.nan], "f4"), {"units": "days"}),
            "status": ("t", np.array([1, 2], "u1"), {"flag_values": [1, 2], "flag_meanings": "ok bad"}),
        },
        {
            "t": np.array(["2018-01-06T01:02:03.123456789", "2019-01-01"], "M8[ns]"),
            "elapsed": ("t", np.array([1, 2 * a], "m8[ns]")),
            "wavelength": 0.055,
        },
        {"component": "los", "number": 3, "own": a},
    )


def test_every_cell_lies_where_its_parameters_say():
    runs = sweep_call(product, 2.0, grid={"a": [1.0, 3.0, 5.0], "b": [10.0, 100.0]}, processes=1)
    assert runs["result"].dims == ("a", "b")
    for a in (1.0, 3.0, 5.0):
        for b in (10.0, 100.0):
            assert runs["result"].sel(a=a, b=b) == 2 * a * b
    assert (runs["error"] == "").all()
    assert runs.attrs["function"].endswith("test_sweeps.product")


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True),
)
def test_a_sweep_is_the_outer_product(a, b):
    runs = sweep_call(product, 3.0, grid={"b": b, "a": a}, processes=1)
    np.testing.assert_array_equal(runs["result"].transpose("a", "b"), 3.0 * np.array(a)[:, None] * np.array(b))
    np.testing.assert_array_equal(runs["a"], a)


def test_datasets_keep_dims_coordinates_units_and_common_attributes():
    runs = sweep_call(scaled, SERIES, grid={"factor": [1.0, 4.0]}, processes=1, offset=0.5)
    assert runs["displacement"].dims == ("factor", "time", "point")
    xr.testing.assert_equal(runs["displacement"].sel(factor=4.0, drop=True), SERIES["displacement"] * 4 + 0.5)
    assert runs["displacement"].attrs["units"] == "m"
    assert runs["count"].dtype == np.int16
    assert runs["time"].identical(SERIES["time"].drop_vars("wavelength").assign_coords(wavelength=0.055))
    assert runs["wavelength"].dims == ()
    assert "wavelength" in runs.coords
    assert runs.attrs["component"] == "los"
    assert "kind" not in runs.attrs, "with further dims it is no SERIES any more"


def test_failures_are_told_and_nan():
    runs = sweep_call(scaled, SERIES, grid={"factor": [1.0, 2.0], "kind": ["good", "bad", None]}, processes=1)
    failed = runs["error"] != ""
    assert failed.sum() == 1
    assert runs["error"].sel(factor=2.0, kind="bad") == "ValueError: no bad at 2.0"
    lost = runs["displacement"].isnull().all(["time", "point"])
    xr.testing.assert_equal(lost, failed.rename(None))
    assert runs["count"].dtype == np.float32, "a whole number cannot say that there is none"
    assert runs["count"].sel(factor=1.0, kind="None").values.tolist() == [1, 2, 3]


def test_all_cells_failing_is_an_error_with_the_first_message():
    with pytest.raises(
        InputError, match=r"all 1 cells failed; the first \(factor=2.0, kind=bad\) with ValueError: no bad"
    ):
        sweep_call(scaled, SERIES, grid={"factor": [2.0], "kind": ["bad"]}, processes=1)
    with pytest.raises(InputError, match="returned list, expected a number, a DataArray or a Dataset"):
        sweep_call(lambda data, *, a: [a], 0, grid={"a": [1]}, processes=1)
    with pytest.raises(InputError, match="a variable or dimension 'a', a name that the sweep needs"):
        sweep_call(lambda data, *, a: xr.DataArray([a], dims="a"), 0, grid={"a": [1]}, processes=1)


def test_results_of_another_size_are_failures_not_padding():
    runs = sweep_call(growing, None, grid={"n": [3, 4, 2]}, processes=1)
    assert runs["error"].values.tolist()[0] == ""
    assert "the result has 4 along 'point', those of cells before it have 3" in runs["error"].values[1]
    assert runs["result"].isnull().sum("point").values.tolist() == [0, 3, 3]


def test_results_on_another_grid_are_failures():
    def shifted(data, *, a):
        return xr.DataArray([1.0, 2.0], {"x": [0.0 + a, 1.0 + a]}, "x")

    runs = sweep_call(shifted, None, grid={"a": [0, 1]}, processes=1)
    assert "coordinate 'x' of the result differs" in runs["error"].values[1]


def test_variables_that_only_some_cells_have_are_nan_elsewhere():
    def some(data, *, residual_height):
        result = xr.Dataset({"velocity": ("point", [1.0, 2.0])})
        return result.assign(residual_height_m=("point", [5, 6])) if residual_height else result

    runs = sweep_call(some, None, grid={"residual_height": [False, True]}, processes=1)
    np.testing.assert_array_equal(runs["residual_height_m"], [[np.nan, np.nan], [5, 6]])
    assert runs["velocity"].sel(residual_height=True).values.tolist() == [1, 2]


def test_coordinates_that_differ_get_the_new_dimensions():
    def dated(data, *, a):
        return xr.DataArray([1.0], {"days": ("point", [a * 2]), "kept": 7.0, "a": a}, "point")

    runs = sweep_call(dated, None, grid={"a": [1, 2]}, processes=1)
    assert runs.coords["days"].values.tolist() == [[2], [4]]
    assert runs.coords["kept"].dims == ()


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["variance", None], ["variance", "None"]),
        ([(-0.1, 0.1), (-0.2, 0.2)], ["(-0.1, 0.1)", "(-0.2, 0.2)"]),
        ([{"row": 9}, "max_coherence"], ["{'row': 9}", "max_coherence"]),
        ([True, False], [True, False]),
        ([1, 2.5], [1.0, 2.5]),
        (np.array([0.25, 0.5]), [0.25, 0.5]),
        (xr.DataArray([1, 2], dims="k"), [1, 2]),
        (range(2), [0, 1]),
        ([np.mean, np.median], ["numpy.mean", "numpy.median"]),
    ],
)
def test_labels(values, labels):
    seen = []
    runs = sweep_call(lambda data, *, a: seen.append(a) or len(seen), None, grid={"a": values}, processes=1)
    assert runs["a"].values.tolist() == labels
    assert seen == list(values), "the function gets the values, not their labels"


def test_dates_label_themselves():
    dates = [np.datetime64("2018-01-06"), np.datetime64("2019-01-06")]
    runs = sweep_call(lambda data, *, origin: 1.0, None, grid={"origin": dates}, processes=1)
    assert runs["result"].sel(origin="2019-01-06") == 1


def test_long_values_are_labelled_by_position():
    masks = [xr.DataArray(np.arange(4) > k, dims="point") for k in range(2)]
    runs = sweep_call(lambda data, *, mask: mask.sum(), None, grid={"mask": masks}, processes=1)
    assert runs["mask"].values.tolist() == [0, 1]
    assert runs["result"].values.tolist() == [3, 2]
    assert all("xarray.DataArray" in text for text in runs["mask"].attrs["values"])


def test_the_data_stay_as_they_are():
    def careless(data, *, a):
        data["displacement"] = data["displacement"] * 0
        data.attrs["touched"] = a
        return data["displacement"].sum()

    before = SERIES.copy(deep=True)
    sweep_call(careless, SERIES, grid={"a": [1, 2]}, processes=1)
    xr.testing.assert_identical(SERIES, before)


def test_progress_is_told():
    told = []
    sweep_call(product, 1.0, grid={"a": [1, 2, 3]}, processes=1, progress=lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_lazy_results_come_back_computed():
    pytest.importorskip("dask", reason="chunked data")
    runs = sweep_call(scaled, SERIES.chunk(point=1), grid={"factor": [1.0, 3.0]}, processes=1)
    assert isinstance(runs["displacement"].variable._data, np.ndarray)
    np.testing.assert_array_equal(runs["displacement"][1], 3 * SERIES["displacement"])


class Untouchable:
    def __reduce__(self):
        msg = "not this one"
        raise TypeError(msg)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {}}, "grid must map names of parameters"),
        ({"grid": [("a", [1])]}, "grid must map names of parameters"),
        ({"grid": {"a": []}}, r"grid\['a'\] is empty"),
        ({"grid": {"a": 3}}, r"grid\['a'\] must be a sequence of values, got 3"),
        ({"grid": {"a": "plane"}}, r"grid\['a'\] must be a sequence of values, got 'plane'"),
        ({"grid": {"a": np.ones((2, 2))}}, r"grid\['a'\] must be a sequence"),
        ({"grid": {"a": {1, 2}}}, r"grid\['a'\] must be a sequence"),
        ({"grid": {"a": [1, 2, 1]}}, r"grid\['a'\] has the value 1 twice"),
        ({"grid": {"a": [1, 1.0]}}, r"grid\['a'\] has the value 1.0 twice"),
        ({"grid": {"a": [None, None]}}, r"grid\['a'\] has the value None twice"),
        ({"grid": {3: [1]}}, "grid has the key 3"),
        ({"grid": {"error": [1]}}, "that name is taken"),
        ({"grid": {"c": [1]}}, "product has no parameter 'c'; besides the data it has 'a', 'b'"),
        ({"grid": {"a": [1]}, "c": 2}, "product has no parameter 'c'"),
        ({"grid": {"data": [1], "a": [1]}}, "product has no parameter 'data'"),
        ({"grid": {"b": [1]}}, "product needs 'a' too"),
        ({"grid": {"a": [1]}, "a": 2}, "'a' is in the grid and given as a fixed argument too"),
        ({"grid": {"a": [1]}, "processes": 0}, "processes must be a positive whole number or None"),
        ({"grid": {"a": [1]}, "processes": 1.5}, "processes must be a positive whole number or None"),
        ({"grid": {"a": [1]}, "processes": True}, "processes must be a positive whole number or None"),
        ({"grid": {"a": [1]}, "function": "product"}, "function must be callable"),
        ({"grid": {"a": [1, 2]}, "processes": 2, "b": Untouchable()}, "fixed cannot be sent to worker processes"),
        ({"grid": {"a": [1, Untouchable()]}, "processes": 2}, "grid cannot be sent to worker processes"),
        ({"grid": {"a": [1]}, "processes": 2, "data": Untouchable()}, "data cannot be sent to worker processes"),
        (
            {"grid": {"a": [1, 2]}, "processes": 2, "function": lambda data, *, a: a},
            "use a module-level function, not a lambda or one defined in another, or give processes=1",
        ),
    ],
)
def test_bad_input(options, message):
    function, data = options.pop("function", product), options.pop("data", 1.0)
    with pytest.raises(InputError, match=message):
        sweep_call(function, data, **{"processes": 1, **options})


def test_a_function_of_a_notebook_is_refused_before_any_process_starts():
    code = """
        from subsidence.errors import InputError
        from subsidence.sweeps import sweep_call
        def mine(data, *, a): return a
        try:
            sweep_call(mine, 0, grid={"a": [1, 2]}, processes=2)
        except InputError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "function 'mine' lives in a notebook or at a prompt" in done.stdout


def test_functions_that_take_anything_or_do_not_tell_are_called():
    assert sweep_call(lambda data, **rest: rest["z"], 0, grid={"z": [5]}, processes=1)["result"].item() == 5
    bound = functools.partial(product, b=3.0)
    assert sweep_call(bound, 2.0, grid={"a": [4.0]}, processes=1)["result"].item() == 24


def test_functions_are_named_without_private_modules():
    assert function_name(sweep_call) == "subsidence.sweeps.sweep_call"
    assert function_name(functools.partial(product)) == f"partial({__name__}.product)"
    assert function_name(Untouchable()) == f"{__name__}.Untouchable"


class TestProcesses:
    def test_same_as_in_one_process(self):
        before = {name: os.environ.get(name) for name in THREADS}
        grid = {"factor": [1.0, 2.0], "kind": ["bad", None]}
        here = sweep_call(scaled, SERIES, grid=grid, processes=1, offset=1.0)
        there = sweep_call(scaled, SERIES, grid=grid, processes=2, offset=1.0)
        assert os.getpid() not in there["process"].values
        assert set(np.unique(here["process"].dropna("kind"))) == {os.getpid()}
        xr.testing.assert_identical(here.drop_vars("process"), there.drop_vars("process"))
        assert {name: os.environ.get(name) for name in THREADS} == before

    def test_workers_run_one_thread_each_and_one_that_dies_fails_its_cell_alone(self):
        told = []
        runs = sweep_call(
            report_worker,
            SERIES,
            grid={"cell": [0, 1, 2, 3, 4, 5]},
            processes=2,
            progress=lambda done, cells: told.append(done),
        )
        fine = [0, 1, 2, 5]
        assert runs["own"].sel(cell=fine).values.tolist() == fine, "order of the grid, not of completion"
        assert (runs["threads"].sel(cell=fine) == 1).all()
        assert (runs["environment"].sel(cell=fine) == "1").all()
        assert (runs["sum"].sel(cell=fine) == 66).all()
        assert "worker process died" in runs["error"].sel(cell=3).item()
        assert "SystemExit: 3" in runs["error"].sel(cell=4).item()
        assert told == [1, 2, 3, 4, 5, 6]

    def test_workers_that_cannot_start_are_an_error_with_its_cure(self, tmp_path):
        script = tmp_path / "unguarded.py"
        script.write_text(
            textwrap.dedent("""
                from subsidence.sweeps import sweep_call
                def mine(data, *, a): return a
                sweep_call(mine, 0, grid={"a": [1, 2]}, processes=2)
            """)
        )
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert (
            f"{SubsidenceError.__module__}.SubsidenceError: worker processes end as soon as they start" in done.stderr
        )
        assert "if __name__ == '__main__':" in done.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of one process group is a signal of POSIX")
    def test_ctrl_c_stops_keeps_what_is_finished_and_leaves_no_process(self, tmp_path):
        script = tmp_path / "slow.py"
        script.write_text(
            textwrap.dedent("""
                import os, sys, time
                from pathlib import Path
                from subsidence.sweeps import sweep_call
                def slow(data, *, a):
                    Path(data, f"worker-{os.getpid()}").touch()
                    time.sleep(0.0 if a < 2 else 600.0)
                    return a
                if __name__ == "__main__":
                    sweep_call(slow, sys.argv[1], grid={"a": [0, 1, 2, 3, 4]}, processes=2, resume=sys.argv[2])
            """)
        )
        marks, kept = tmp_path / "marks", tmp_path / "kept"
        marks.mkdir()
        process = subprocess.Popen(
            [sys.executable, script, marks, kept], start_new_session=True, stderr=subprocess.PIPE, text=True
        )
        try:
            wanted = [kept / "cell-000000.nc", kept / "cell-000001.nc"]
            end = time.monotonic() + 60
            while not all(path.exists() for path in wanted) and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGINT)
            start = time.monotonic()
            message = process.communicate(timeout=30)[1]
            assert time.monotonic() - start < 10
        finally:
            process.kill()
        assert process.returncode != 0
        assert message.rstrip().endswith("KeyboardInterrupt")
        assert sorted(path.name for path in kept.iterdir()) == ["cell-000000.nc", "cell-000001.nc", "sweep.json"]
        for mark in marks.iterdir():
            with pytest.raises(ProcessLookupError):
                os.kill(int(mark.name.removeprefix("worker-")), 0)


class TestResume:
    grid = {"a": [1, 2], "b": [3, 4]}  # noqa: RUF012 - read only

    def calls(self, folder: Path) -> dict[str, int]:
        return {path.name: len(path.read_text()) for path in folder.iterdir() if "-" in path.name}

    def test_finished_cells_are_not_computed_again_failed_ones_are(self, tmp_path):
        calls, kept = tmp_path / "calls", tmp_path / "deep" / "kept"
        calls.mkdir()
        first = sweep_call(count_calls, calls, grid=self.grid, processes=1, resume=kept)
        assert (first["error"] != "").values.tolist() == [[False, False], [True, True]]
        (calls / "cured").touch()
        told = []
        again = sweep_call(
            count_calls, calls, grid=self.grid, processes=1, resume=kept, progress=lambda *n: told.append(n)
        )
        assert again["result"].values.tolist() == [[13, 14], [23, 24]]
        assert self.calls(calls) == {"1-3": 1, "1-4": 1, "2-3": 2, "2-4": 2}
        assert told == [(2, 4), (3, 4), (4, 4)]
        third = sweep_call(count_calls, calls, grid=self.grid, processes=2, resume=kept)
        xr.testing.assert_identical(third, again)
        assert sum(self.calls(calls).values()) == 6

    def test_results_come_back_as_they_were(self, tmp_path):
        fresh = sweep_call(everything, 0, grid={"a": [1, 2, 3]}, processes=1)
        first = sweep_call(everything, 0, grid={"a": [1, 2, 3]}, processes=1, resume=tmp_path)
        again = sweep_call(everything, 0, grid={"a": [1, 2, 3]}, processes=1, resume=tmp_path)
        for other in (first, again):
            xr.testing.assert_identical(fresh, other)
            assert {k: v.dtype for k, v in fresh.variables.items()} == {k: v.dtype for k, v in other.variables.items()}
        assert fresh.attrs == {"component": "los", "number": 3, "function": fresh.attrs["function"]}

    def test_attributes_come_back_as_they_were(self, tmp_path):
        fresh = sweep_call(described, 0, grid={"a": [1, 2]}, processes=1)
        runs = [sweep_call(described, 0, grid={"a": [1, 2]}, processes=1, resume=tmp_path) for _ in range(2)]
        for found in (fresh, *runs):
            assert (found["error"] == "").all()
            assert {key: value for key, value in found.attrs.items() if key != "function"} == ATTRIBUTES
            assert "settled" not in found.attrs, "only what all share"
            for owner in (found.attrs, found["v"].attrs):
                types = {key: type(value) for key, value in owner.items() if key != "function"}
                assert types == {key: type(value) for key, value in ATTRIBUTES.items()}
        with xr.open_dataset(tmp_path / "cell-000001.nc", engine="h5netcdf") as cell:
            assert cell["v"].item() == 2.0, "other programs read the cells"

    def test_half_written_cells_do_not_count(self, tmp_path):
        calls, kept = tmp_path / "calls", tmp_path / "kept"
        calls.mkdir()
        (calls / "cured").touch()
        first = sweep_call(count_calls, calls, grid=self.grid, processes=1, resume=kept)
        whole = (kept / "cell-000001.nc").read_bytes()
        (kept / "cell-000001.nc").write_bytes(whole[: len(whole) // 2])
        (kept / "cell-000002.nc").rename(kept / ".cell-000002-99.part")
        again = sweep_call(count_calls, calls, grid=self.grid, processes=1, resume=kept)
        xr.testing.assert_identical(again, first)
        assert self.calls(calls) == {"1-3": 1, "1-4": 2, "2-3": 2, "2-4": 1}

    @pytest.mark.parametrize(
        ("function", "data", "grid", "fixed", "told"),
        [
            (scaled, SERIES, {"factor": [1.0, 3.0]}, {}, r"grid: factor=\['1.0', '2.0'\] there"),
            (scaled, SERIES, {"factor": [2.0, 1.0]}, {}, "grid: "),
            (scaled, SERIES, {"factor": [1.0, 2.0]}, {"offset": 1.0}, "fixed: "),
            (scaled, SERIES * 2, {"factor": [1.0, 2.0]}, {}, "data: "),
            (scaled, SERIES.assign_attrs(component="up"), {"factor": [1.0, 2.0]}, {}, "data: "),
            (functools.partial(scaled, kind="good"), SERIES, {"factor": [1.0, 2.0]}, {}, "function: .*scaled there"),
        ],
    )
    def test_another_sweep_is_refused(self, tmp_path, function, data, grid, fixed, told):
        sweep_call(scaled, SERIES, grid={"factor": [1.0, 2.0]}, processes=1, resume=tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(InputError, match=rf"holds another sweep \({told}.*give another folder"):
            sweep_call(function, data, grid=grid, processes=1, resume=tmp_path, **fixed)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_folder_of_something_else_is_left_alone(self, tmp_path):
        (tmp_path / "thesis.txt").write_text("years")
        with pytest.raises(InputError, match="holds other files and no sweep"):
            sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
        with pytest.raises(FormatError, match="cannot be used to resume"):
            sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path / "thesis.txt")

    @pytest.mark.parametrize("manifest", ["{", json.dumps({"format": "another"}), "[]"])
    def test_a_manifest_that_cannot_be_read(self, tmp_path, manifest):
        (tmp_path / "sweep.json").write_text(manifest)
        with pytest.raises(FormatError, match="is not the manifest of a sweep"):
            sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)

    def test_functions_without_a_name_of_their_own_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="resume needs a function with a name of its own"):
            sweep_call(lambda data, *, a: a, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_results_that_cannot_be_stored_fail_alone_and_leave_no_file(self, tmp_path):
        runs = sweep_call(unstorable, 1.0, grid={"a": [0, 1, 2, 3]}, processes=1, resume=tmp_path)
        errors = runs["error"].values.tolist()
        assert errors[0] == errors[3] == ""
        assert "the result cannot be kept in the folder of resume: attribute 'what' of dataset is <" in errors[1]
        assert "make it text, a number, a list or a dict of those" in errors[1]
        assert "the result cannot be kept in the folder of resume: dataset has the MultiIndex 'p'" in errors[2]
        assert runs["v"].isnull().values.tolist() == [False, True, True, False]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cell-000000.nc", "cell-000003.nc", "sweep.json"]
        again = sweep_call(unstorable, 1.0, grid={"a": [0, 1, 2, 3]}, processes=1, resume=tmp_path)
        assert (again["error"] != "").values.tolist() == [False, True, True, False]

    def test_a_folder_that_cannot_be_written_ends_the_sweep(self, tmp_path, monkeypatch):
        def refused(self: Path, target: Path) -> Path:
            raise PermissionError(13, "Permission denied")

        sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)
        (tmp_path / "cell-000000.nc").unlink()
        monkeypatch.setattr(Path, "replace", refused)
        with pytest.raises(FormatError, match=r"the result of a=1 cannot be stored: .*Permission denied"):
            sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]

    def test_cells_of_another_version_are_refused(self, tmp_path):
        sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)
        manifest = json.loads((tmp_path / "sweep.json").read_text())
        assert manifest["subsidence"] == importlib.metadata.version("subsidence")
        (tmp_path / "sweep.json").write_text(json.dumps({**manifest, "subsidence": "0.0.1"}))
        with pytest.raises(InputError, match=r"holds another sweep \(subsidence: 0.0.1 there, .* here\): give another"):
            sweep_call(product, 1.0, grid={"a": [1]}, processes=1, resume=tmp_path)

    def test_data_without_a_fingerprint_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="cannot be told apart"):
            sweep_call(product, Untouchable(), grid={"a": [1]}, processes=1, resume=tmp_path)


ATTRIBUTES: dict[str, Any] = {
    "one": [1],
    "several": [0.5, 1.5],
    "none": None,
    "settings": {"ramp": "plane", "degree": 2, "mask": None},
    "words": ["a", "b"],
    "word": ["a"],
    "flag": True,
    "count": 3,
    "single": np.float32(0.25),
    "empty": "",
    "ragged": [[1, 2], [3]],
}


def described(data: Any, *, a: int) -> xr.Dataset:
    return xr.Dataset({"v": ((), float(a), ATTRIBUTES)}, attrs={**ATTRIBUTES, "settled": [[1], [2, a]]})


def unstorable(data: Any, *, a: int) -> xr.Dataset:
    result = xr.Dataset({"v": float(a)}, attrs={"what": object()} if a == 1 else {})
    if a != 2:
        return result
    index = pd.MultiIndex.from_product([[1, 2], [3, 4]], names=("i", "j"))
    return result.assign_coords(xr.Coordinates.from_pandas_multiindex(index, "p"))


class TestFingerprint:
    def test_every_part_of_the_data_counts(self):
        changed = SERIES.copy(deep=True)
        changed["displacement"][2, 1] += 1e-9
        others = [
            changed,
            SERIES.assign_attrs(component="up"),
            SERIES.rename(displacement="velocity"),
            SERIES.assign_coords(wavelength=0.056),
            SERIES.reset_coords("wavelength"),
            SERIES.astype("f4"),
            SERIES.transpose("point", "time"),
            SERIES["displacement"],
            SERIES["displacement"].values,
            None,
        ]
        prints = [fingerprint(value) for value in [SERIES, *others]]
        assert len(set(prints)) == len(prints)
        assert fingerprint(SERIES.copy(deep=True)) == prints[0]

    def test_equal_values_have_equal_prints(self):
        assert fingerprint(np.float64(0.25)) == fingerprint(0.25)
        assert fingerprint({"b": 1, "a": (2, None)}) == fingerprint({"a": (2, None), "b": 1})
        assert fingerprint(np.array(["a", None], object)) == fingerprint(np.array(["a", None], object))
        assert fingerprint((1, 2)) != fingerprint((12,))
        assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])

    def test_chunked_data_is_read_by_blocks(self):
        pytest.importorskip("dask", reason="chunked data")
        lazy = SERIES.chunk(point=1)
        assert fingerprint(lazy) == fingerprint(SERIES.copy(deep=True).chunk(point=1))
        assert fingerprint(lazy) != fingerprint((SERIES + 1).chunk(point=1))
