"""The command line: the demo against its own truth, and the inversion against the functions it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import xarray as xr

from subsidence import __version__, simulate
from subsidence.__main__ import main
from subsidence._demo import run_demo
from subsidence._demo._interferograms import solve_interferograms, tell_interferograms
from subsidence.io import open_interferograms, open_native, save
from subsidence.sbas import invert_network
from subsidence.series import estimate_velocity

#: Images of the demo's second half.
SMALL = (60, 200)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    lines = []
    run_demo(folder, say=lines.append, shape=(64, 72), image_shape=SMALL)
    return folder, lines


def numbers(lines, start):
    """Numbers in the columns of the line that begins so."""
    (line,) = (line for line in lines if line.startswith(start))
    return [float(word) for word in line[42:].replace("%", "").split()]


def test_demo_writes_what_it_says(demo):
    folder, lines = demo
    names = ["demo.png", "demo_matched.nc", "demo_points.nc", "demo_points.png", "demo_series.nc"]
    assert sorted(line.strip() for line in lines[-5:]) == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name in ("demo.png", "demo_points.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    series = open_native(folder / "demo_series.nc")
    assert {"velocity", "velocity_std", "displacement_std", "atmospheric_std"} <= set(series.variables)
    assert open_native(folder / "demo_matched.nc").attrs["kind"] == "MATCHED"
    points = open_native(folder / "demo_points.nc")
    assert {"velocity", "velocity_std", "velocity_internal_std", "atmosphere", "source"} <= set(points.variables)
    assert set(points.displacement.dims) == {"time", "point"}


def test_demo_replaces_its_own_files_only(tmp_path):
    for name in ("series.nc", "matched.nc", "demo_series.nc"):
        (tmp_path / name).write_text("mine")
    run_demo(tmp_path, say=lambda _: None, shape=(40, 40), epochs=25, image_shape=SMALL)
    assert [(tmp_path / name).read_text() for name in ("series.nc", "matched.nc")] == ["mine", "mine"]
    assert open_native(tmp_path / "demo_series.nc").attrs["kind"] == "SERIES"
    assert len(list(tmp_path.iterdir())) == 2 + 5  # nothing half-written lies about


def test_demo_that_is_stopped_while_a_figure_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure", reason="needs the extra 'plot'").Figure
    (tmp_path / "demo.png").write_text("old")

    def stopped(self, path, **_):
        path.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path, say=lambda _: None, shape=(40, 40), epochs=25, image_shape=SMALL)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("demo.png", "old")]


def test_demo_is_silent(tmp_path, capfd):
    run_demo(tmp_path, say=lambda _: None, shape=(40, 40), epochs=25, image_shape=SMALL)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cause", ["folder in the way", "points in the way", "not writable", "no h5netcdf"])
def test_demo_that_cannot_write_does_not_begin(tmp_path, monkeypatch, capsys, cause):
    monkeypatch.setattr("subsidence._demo.solve_interferograms", begun)
    if cause == "folder in the way":
        (tmp_path / "demo.png").mkdir()
    elif cause == "points in the way":
        (tmp_path / "demo_points.nc").mkdir()
    elif cause == "not writable":
        monkeypatch.setattr(os, "access", lambda *_: False)
    else:
        monkeypatch.setitem(sys.modules, "h5netcdf", None)
    assert main(["demo", "--out", str(tmp_path)]) == 1
    message = {"no h5netcdf": "subsidence[io]", "points in the way": "folder in the way"}.get(cause, cause)
    assert message in capsys.readouterr().err


def begun(*_, **__):
    """Stands where the work begins."""
    pytest.fail("the work began")


def test_demo_tells_of_a_fit_without_standard_errors():
    outcome = solve_interferograms((40, 40), 25, 4, say=lambda _: None)
    for parameter in outcome.fit.params.values():
        parameter.stderr = None
    lines = list(tell_interferograms(outcome))
    for start in ("Weibull: final", "Weibull: rate", "Weibull: shape"):
        estimate, std, truth = numbers(lines, start)
        assert np.isnan(std), start
        assert np.isfinite([estimate, truth]).all(), start


def test_demo_recovers_its_truth(demo):
    _, lines = demo
    for start in ("displacement until", "slope of", "Weibull: final", "Weibull: rate", "Weibull: shape"):
        estimate, std, truth = numbers(lines, start)
        assert abs(estimate - truth) < 4 * std, start
        assert std < 0.25 * abs(truth), start
    estimate, truth = numbers(lines, "Weibull: greatest")
    assert estimate == pytest.approx(truth, rel=0.15)
    error, std, within = numbers(lines, "root mean square")
    assert error < 3 * std
    assert within > 30
    for start, largest in (("velocity (mm/yr)", 15.0), ("displacement (mm)", 30.0)):
        bias, std, r2 = numbers(lines, start)
        assert abs(bias) < largest, start
        assert std < largest, start
        assert r2 > 0.8, start


def test_demo_recovers_the_truth_of_its_points(demo):
    folder, lines = demo
    for kind in ("classic", "multilook"):
        candidates, solved, joined = numbers(lines, kind)
        assert candidates >= solved >= joined > 0, kind
        assert joined > 0.8 * candidates, kind
    estimate, std, truth = numbers(lines, "point: velocity")
    assert truth < -10
    assert abs(estimate - truth) < 4 * std
    error, std, once, twice = numbers(lines, "points: root mean square")
    assert error < 3 * std
    assert std < 3
    assert 30 < once < twice
    assert twice > 80
    (internal,) = numbers(lines, "points: internal precision")
    assert internal < 3
    points = open_native(folder / "demo_points.nc")
    assert set(points.source.values.tolist()) == {"classic", "multilook"}


@pytest.fixture(scope="module")
def scene():
    pytest.importorskip("rasterio", reason="needs the extra 'geo'")
    return simulate.interferogram_scene(shape=(12, 15), epochs=8, seed=2, relief=0.0)[0]


def write_rasters(stack, path, *, nodata=np.nan, dtype="float32"):
    """GeoTIFFs of phase and coherence; `nodata` as the phases declare it, `dtype` of the coherence."""
    import rasterio

    transform = rasterio.Affine(50.0, 0.0, 500_000.0, 0.0, -50.0, 2_100_000.0)
    options = {"driver": "GTiff", "width": 15, "height": 12, "count": 1, "crs": "EPSG:32614", "transform": transform}
    for k in range(stack.sizes["pair"]):
        dates = [
            np.datetime_as_string(stack[name].values[k], unit="D").replace("-", "")
            for name in ("reference", "secondary")
        ]
        for name, end, own in (
            ("unwrapped_phase", "unw", {"dtype": "float32", "nodata": nodata}),
            ("coherence", "cc", {"dtype": dtype}),
        ):
            with rasterio.open(path / f"{'_'.join(dates)}_{end}.tif", "w", **options, **own) as raster:
                raster.write(stack[name].isel(pair=k).values.astype(own["dtype"]), 1)


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    """A small simulated stack as GeoTIFFs."""
    path = tmp_path_factory.mktemp("stack")
    write_rasters(scene, path)
    return path


def test_invert_is_what_the_functions_give(folder, tmp_path, capsys):
    out = tmp_path / "series.nc"
    common = ["invert", str(folder), "--format", "geotiff", "--wavelength", "0.0555", "--out", str(out)]
    options = ["--reference", "3", "4", "--weights", "coherence", "--seasonal", "--noise", "white"]
    assert main([*common, *options]) == 0
    told = capsys.readouterr()
    assert "18 interferograms of 12 x 15 pixels" in told.out
    assert f"wrote {out}" in told.out
    assert "inversion 100 %" in told.err
    stack = open_interferograms(folder, format="geotiff", wavelength=0.0555, chunks=None)
    series = invert_network(stack, weights="coherence", reference={"row": 3, "col": 4})
    save(estimate_velocity(series, seasonal=True, noise="white"), tmp_path / "expected.nc")
    xr.testing.assert_identical(open_native(out), open_native(tmp_path / "expected.nc"))

    assert main(common) == 1
    assert "exists already: add --overwrite" in capsys.readouterr().err
    assert main([*common, "--overwrite", "--weights", "none", "--sign", "towards"]) == 0
    assert "reference: pixel row" in capsys.readouterr().out


def test_nodata_and_scale_of_coherence_are_passed_on(scene, tmp_path, capsys):
    gap = np.zeros((12, 15), bool)
    gap[:2, :9] = True
    phase = scene["unwrapped_phase"].where(~xr.DataArray(gap, dims=("y", "x")), 0.0)
    write_rasters(
        scene.assign(unwrapped_phase=phase, coherence=scene["coherence"] * 255), tmp_path, nodata=None, dtype="uint8"
    )
    common = ["invert", str(tmp_path), "--wavelength", "0.0555", "--noise", "white", "--reference", "6", "7"]
    out = tmp_path / "series.nc"
    assert main([*common, "--out", str(out)]) == 1
    assert "pass coherence_scale" in capsys.readouterr().err
    assert main([*common, "--out", str(out), "--nodata", "0", "--coherence-scale", "255"]) == 0
    assert "warning" not in capsys.readouterr().err
    series = open_native(out)
    np.testing.assert_array_equal(series["velocity"].isnull(), gap)
    stack = open_interferograms(
        tmp_path, format="geotiff", wavelength=0.0555, nodata=0, coherence_scale=255, chunks=None
    )
    expected = estimate_velocity(invert_network(stack, reference={"row": 6, "col": 7}), noise="white")
    xr.testing.assert_equal(series["velocity"], expected["velocity"])


def test_without_coherence_the_options_to_give_are_named(folder, tmp_path, capsys):
    for path in folder.glob("*_unw.tif"):
        shutil.copy(path, tmp_path)
    common = ["invert", str(tmp_path), "--wavelength", "0.0555", "--out", str(tmp_path / "series.nc")]
    assert main(common) == 1
    assert "add --weights none --reference ROW COL" in capsys.readouterr().err
    assert main([*common, "--weights", "none"]) == 1
    assert "add --reference ROW COL" in capsys.readouterr().err
    assert main([*common, "--reference", "3", "4", "--weights", "coherence"]) == 1
    assert capsys.readouterr().err.endswith("add --weights none\n")
    assert main([*common, "--reference", "3", "4", "--weights", "none", "--noise", "white"]) == 0


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        ("not writable", "not writable"),
        ("exists", "add --overwrite"),
        ("no h5netcdf", "subsidence[io]"),
        ("no zarr", "subsidence[io]"),
        ("folder in the way", "not replaced"),
    ],
)
def test_a_result_that_cannot_be_written_is_refused_before_the_stack_is_opened(
    tmp_path, monkeypatch, capsys, cause, message
):
    monkeypatch.setattr("subsidence.__main__.open_interferograms", begun)
    out, more = tmp_path / ("series.zarr" if cause == "no zarr" else "series.nc"), []
    if cause == "not writable":
        monkeypatch.setattr(os, "access", lambda *_: False)
    elif cause == "exists":
        out.write_text("mine")
    elif cause == "folder in the way":
        out.mkdir()
        more = ["--overwrite"]
    else:
        monkeypatch.setitem(sys.modules, cause.removeprefix("no "), None)
    assert main(["invert", str(tmp_path), "--out", str(out), *more]) == 1
    assert message in capsys.readouterr().err


def test_a_large_stack_that_is_in_memory_needs_no_dask(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("subsidence.__main__._IN_MEMORY", 0)
    monkeypatch.setattr("subsidence.__main__.open_interferograms", partial(open_interferograms, chunks=None))
    monkeypatch.setitem(sys.modules, "dask.diagnostics", None)
    arguments = ["invert", str(folder), "--wavelength", "0.0555", "--noise", "white"]
    assert main([*arguments, "--out", str(tmp_path / "series.nc")]) == 0
    assert "velocity 100 %" in capsys.readouterr().err


def test_a_stack_larger_than_memory_is_worked_off_in_pieces(folder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("dask", reason="needs the extra 'dask'")
    monkeypatch.setattr("subsidence.__main__._IN_MEMORY", 0)
    arguments = ["invert", str(folder), "--wavelength", "0.0555", "--reference", "3", "4", "--noise", "white"]
    assert main([*arguments, "--out", str(tmp_path / "lazy.nc")]) == 0
    assert "100% Completed" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*arguments, "--out", str(tmp_path / "series.nc")]) == 0
    xr.testing.assert_identical(open_native(tmp_path / "lazy.nc"), open_native(tmp_path / "series.nc"))


def test_mexico(mexico_dir, tmp_path):
    # The independent answer was made with this wavelength, not with that of the headers' radar frequency.
    options = ["--wavelength", "0.05550415767769124", "--weights", "none", "--noise", "white", "--reference", "9", "8"]
    assert main(["invert", str(mexico_dir), "--format", "gamma", "--out", str(tmp_path / "mexico.nc"), *options]) == 0
    expected = np.load(mexico_dir / "reference" / "vel_mmyr_none.npy")
    series = open_native(tmp_path / "mexico.nc")
    # NaN in the same places; the reference has none where not every epoch can be reached, status says so here.
    found = series["velocity"].where(series["status"] == 0).values * 1000
    np.testing.assert_allclose(found, expected, atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["invert", "{stack}/nowhere", "--out", "{out}.nc"], "nowhere"),
        (["invert", "{stack}", "--format", "geotiff", "--out", "{out}.nc"], "wavelength"),
        (
            ["invert", "{stack}", "--wavelength", "0.0555", "--reference", "99", "0", "--out", "{out}.nc"],
            "99, outside",
        ),
        (["demo", "--out", "{stack}/file"], "file"),
    ],
)
def test_errors_are_one_message_and_leave_nothing(folder, tmp_path, capsys, arguments, message):
    (tmp_path / "file").write_text("in the way")
    places = {"stack": tmp_path if arguments[0] == "demo" else folder, "out": tmp_path / "series"}
    assert main([argument.format(**places) for argument in arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith("subsidence: ")
    assert message in told
    assert "Traceback" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("out", ["series.tif", "no-such-folder/series.nc"])
def test_a_result_that_cannot_be_written_is_refused_before_the_work(folder, capsys, out):
    with pytest.raises(SystemExit, match="2"):
        main(["invert", str(folder), "--out", out])
    assert "must end in .nc or .zarr and lie in a folder that exists" in capsys.readouterr().err


def test_warnings_are_one_line(folder, tmp_path, capsys, monkeypatch):
    def warns(*_, **__):
        warnings.simplefilter("always")
        warnings.warn("looks odd", UserWarning, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr("subsidence.__main__.open_interferograms", warns)
    assert main(["invert", str(folder), "--out", str(tmp_path / "series.nc")]) == 130
    assert capsys.readouterr().err.split("\n")[:3] == ["subsidence: warning: looks odd", "", "subsidence: interrupted"]


def test_version_from_a_fresh_process():
    done = subprocess.run([sys.executable, "-m", "subsidence", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["subsidence", __version__]


def test_per_cent_on_a_terminal(capsys):
    from subsidence.__main__ import _Percent

    percent = _Percent("inversion")
    percent.terminal = True
    for done in (1, 1, 50, 100):
        percent(done, 100)
    assert capsys.readouterr().err == "\rinversion   1 %\rinversion  50 %\rinversion 100 %\n"
