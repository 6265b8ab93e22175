"""Reading single-look complex images: files of ours, folders of rasters, what is refused and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subsidence import save, schema, simulate
from subsidence.errors import FormatError, InputError
from subsidence.io import open_native, open_slc
from subsidence.network import all_pairs
from subsidence.stack import form_interferograms

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

DATES = ("20180106", "20180118", "20180130")
SHAPE = (7, 9)
PLACE = {"crs": "EPSG:32614", "transform": rasterio.Affine(4.0, 0, 5e5, 0, -14.0, 2.1e6)}


def images(count=3, shape=SHAPE):
    random = np.random.default_rng(0)
    values = random.standard_normal((count, *shape)) + 1j * random.standard_normal((count, *shape))
    return (100 * values).astype(np.complex64)


def write(path: Path, values, **profile) -> Path:
    values = np.asarray(values)
    options = {"dtype": values.dtype.name, **profile}
    with rasterio.open(path, "w", "GTiff", values.shape[1], values.shape[0], 1, **options) as file:
        file.write(values, 1)
    return path


def folder_of(path: Path, values=None, **profile) -> Path:
    for date, image in zip(DATES, images() if values is None else values, strict=True):
        write(path / f"{date}_vv.slc.tif", image, **profile)
    return path


def raw_vrt(path: Path, image, *, cut: int = 0) -> Path:
    """A flat binary file as ISCE writes it, with its VRT."""
    data = path.with_suffix("")
    image.astype("<c8").tofile(data)
    if cut:
        with data.open("r+b") as file:
            file.truncate(image.nbytes - cut)
    rows, cols = image.shape
    path.write_text(
        f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}"><VRTRasterBand dataType="CFloat32" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="1">{data.name}</SourceFilename>'
        "<ByteOrder>LSB</ByteOrder><ImageOffset>0</ImageOffset><PixelOffset>8</PixelOffset>"
        f"<LineOffset>{8 * cols}</LineOffset></VRTRasterBand></VRTDataset>",
        encoding="utf-8",
    )
    return path


# Files of ours


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("chunks", ["auto", None, {"y": 40}])
def test_what_was_saved_comes_back(tmp_path, suffix, chunks):
    slc, _ = simulate.slc_scene(shape=(20, 30), epochs=5, seed=1, nan_fraction=0.05, phase_removed="flat_earth")
    save(slc, tmp_path / f"images{suffix}")
    back = open_slc(tmp_path / f"images{suffix}", chunks=chunks)
    assert (back.slc.chunks is None) == (chunks is None)
    xr.testing.assert_identical(back.compute(), slc)
    assert back.slc.dtype == np.complex64
    # and the other way about: what is read lazily can be saved again
    save(back, tmp_path / f"again{'.zarr' if suffix == '.nc' else '.nc'}")
    again = open_slc(tmp_path / f"again{'.zarr' if suffix == '.nc' else '.nc'}", chunks=None)
    xr.testing.assert_identical(again, slc)


def test_what_is_given_goes_before_the_file(tmp_path):
    slc, _ = simulate.slc_scene(shape=(20, 30), epochs=3, seed=1)
    save(slc, tmp_path / "images.nc")
    baselines = dict(zip(slc.time.values, [10.0, 0.0, -20.0], strict=True))
    back = open_slc(
        tmp_path / "images.nc", wavelength=0.031, perpendicular_baseline=baselines, height=12.0, conjugate=True,
        phase_removed="flat_earth topography",
    )  # fmt: skip
    assert float(back.wavelength) == 0.031
    assert back.perpendicular_baseline.values.tolist() == [10, 0, -20]
    assert back.attrs["reference_time"] == "2018-01-18T00:00:00"
    assert back.attrs["phase_removed"] == "flat_earth topography"
    assert float(back.height) == 12
    np.testing.assert_array_equal(back.slc, slc.slc.conj())
    height = write(tmp_path / "dem.tif", np.full((20, 30), 5, np.float32))
    assert float(open_slc(tmp_path / "images.nc", height=height).height.max()) == 5
    with pytest.raises(FormatError, match="it has 7 x 9 pixels"):
        open_slc(tmp_path / "images.nc", height=write(tmp_path / "small.tif", np.zeros(SHAPE, np.float32)))
    with pytest.raises(InputError, match="leave it away"):
        open_slc(tmp_path / "images.nc", pattern="*.tif")


def test_a_file_of_another_kind(tmp_path):
    stack, _ = simulate.interferogram_scene(shape=(5, 6), epochs=3)
    save(stack, tmp_path / "stack.nc")
    with pytest.raises(FormatError, match="it holds INTERFEROGRAMS"):
        open_slc(tmp_path / "stack.nc")
    with pytest.raises(FormatError, match="no such file"):
        open_slc(tmp_path / "absent.zarr")


# Rasters


@pytest.mark.parametrize("chunks", ["auto", None, {"y": 3, "x": 4, "time": 1}])
def test_a_folder_of_geotiffs(tmp_path, chunks):
    folder_of(tmp_path, tiled=False, **PLACE)
    write(tmp_path / "20180106_height.tif", np.zeros(SHAPE, np.float32), **PLACE)  # real: no image
    slc = open_slc(tmp_path, wavelength=0.0555, chunks=chunks)
    schema.SLC.check(slc)
    assert (slc.slc.chunks is None) == (chunks is None)
    np.testing.assert_array_equal(slc.slc, images())
    assert slc.slc.dtype == np.complex64
    assert slc.time.values.astype("M8[D]").astype(str).tolist() == ["2018-01-06", "2018-01-18", "2018-01-30"]
    np.testing.assert_allclose(slc.x, 5e5 + 4 * (np.arange(9) + 0.5))
    np.testing.assert_allclose(slc.y, 2.1e6 - 14 * (np.arange(7) + 0.5))
    assert "spatial_ref" in slc.coords
    assert slc.attrs["phase_removed"] == ""
    part = slc.isel(time=1, y=slice(5, 1, -2), x=[8, 0, 3])
    np.testing.assert_array_equal(part.slc, images()[1, 5:1:-2][:, [8, 0, 3]])
    save(slc, tmp_path / "images.nc")
    xr.testing.assert_identical(open_native(tmp_path / "images.nc"), slc.compute())


def test_the_sign_of_the_files(tmp_path):
    away = np.exp(-4j * np.pi / 0.0555 * np.array([0.0, 0.003, 0.006]))[:, None, None] * np.ones(SHAPE)
    for sub, values, conjugate in (("minus", away, False), ("plus", away.conj(), True)):
        (tmp_path / sub).mkdir()
        folder_of(tmp_path / sub, values.astype(np.complex64))
        slc = open_slc(tmp_path / sub, wavelength=0.0555, conjugate=conjugate, phase_removed="flat_earth topography")
        stack = form_interferograms(slc, all_pairs(slc), coherence=False)
        expected = 4 * np.pi / 0.0555 * np.array([0.003, 0.006, 0.003])
        np.testing.assert_allclose(stack.phase.mean(("y", "x")), expected, atol=1e-4)


def test_radar_coordinates_and_no_data(tmp_path):
    values = images()
    values[0, 0, 0], values[1, 2, 3], values[2, 4, 5] = 0, np.nan, np.inf
    folder_of(tmp_path, values)
    slc = open_slc(tmp_path, wavelength=0.0555, spacing=(14.0, 4.0), chunks=None)
    np.testing.assert_array_equal(np.isnan(slc.slc), ~np.isfinite(values) | (values == 0))
    assert slc.x.values.tolist() == (4.0 * np.arange(9)).tolist()
    assert slc.y.values.tolist() == (14.0 * np.arange(7)).tolist()
    assert "x" not in open_slc(tmp_path, wavelength=0.0555).variables


def test_a_fill_value_is_that_of_the_whole_sample(tmp_path):
    values = np.array([[0, 7j, 3], [-9 + 2j, -9, -9 - 9j]], np.complex64)
    for name, nodata, missing in (
        ("zero", 0, values == 0),
        ("nine", -9, (values == 0) | np.isin(values, [-9, -9 - 9j])),
    ):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "20180106.tif", values, dtype="complex_int16", nodata=nodata)
        slc = open_slc(tmp_path / name, wavelength=0.0555, chunks=None)
        np.testing.assert_array_equal(np.isnan(slc.slc[0]), missing)


def test_integers_and_tiles(tmp_path):
    values = np.rint(images(shape=(40, 70)).view(np.float32)).view(np.complex64)
    for date, image in zip(DATES, values, strict=True):
        write(tmp_path / f"{date}.tif", image, dtype="complex_int16", tiled=True, blockxsize=16, blockysize=16)
    slc = open_slc(tmp_path, wavelength=0.0555, chunks={"y": 13, "x": 29})
    np.testing.assert_array_equal(slc.slc, values)
    usual = open_slc(tmp_path, wavelength=0.0555)
    assert usual.slc.chunks == ((3,), (40,), (70,))
    assert open_slc(tmp_path, wavelength=0.0555, chunks={"time": -1, "y": -1, "x": -1}).slc.chunks == usual.slc.chunks


def test_vrts_and_dates_of_folders(tmp_path):
    for date, image in zip(DATES, images(), strict=True):
        (tmp_path / date).mkdir()
        raw_vrt(tmp_path / date / "secondary.slc.vrt", image)
    slc = open_slc(tmp_path, wavelength=0.0555)
    np.testing.assert_array_equal(slc.slc, images())
    listed = [tmp_path / date / "secondary.slc.vrt" for date in reversed(DATES)]
    xr.testing.assert_identical(open_slc(listed, wavelength=0.0555), slc)
    one = open_slc(listed[0], wavelength=0.0555)
    assert one.sizes["time"] == 1


def test_a_vrt_of_another(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write(data / "image.tif", images()[0])
    path = tmp_path / "2018-01-06.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="7"><VRTRasterBand dataType="CFloat32" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">data/image.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>",
        encoding="utf-8",
    )
    np.testing.assert_array_equal(open_slc(path, wavelength=0.0555).slc[0], images()[0])
    whole = (data / "image.tif").read_bytes()
    (data / "image.tif").write_bytes(whole[:-40])
    with pytest.raises(FormatError, match="truncated") as caught:
        open_slc(path, wavelength=0.0555)
    assert caught.value.path.name == "image.tif"
    (data / "image.tif").unlink()
    with pytest.raises(FormatError, match="missing or out of reach"):
        open_slc(path, wavelength=0.0555)


def test_a_pattern_chooses(tmp_path):
    folder_of(tmp_path)
    for date in DATES:
        write(tmp_path / f"{date}_vh.slc.tif", images()[0])
    with pytest.raises(FormatError, match="there twice, also in"):
        open_slc(tmp_path, wavelength=0.0555)
    slc = open_slc(tmp_path, wavelength=0.0555, pattern="*_vv.slc.tif")
    np.testing.assert_array_equal(slc.slc, images())


# Geometry


def test_geometry_in_every_form(tmp_path):
    folder_of(tmp_path)
    field = np.linspace(30, 40, 63).reshape(SHAPE)
    dem = write(tmp_path / "dem.tif", field.astype(np.float32))
    for incidence in (field, field.astype(np.float32), xr.DataArray(field.T, dims=("x", "y")), dem, str(dem)):
        for chunks in ("auto", None):
            slc = open_slc(
                tmp_path, wavelength=0.0555, incidence=incidence, slant_range=880e3, heading=-12, chunks=chunks
            )
            assert slc.incidence.dims == ("y", "x")
            np.testing.assert_allclose(slc.incidence, field, rtol=1e-6)
            assert (float(slc.slant_range), float(slc.heading)) == (880e3, -12)
    height = open_slc(tmp_path, wavelength=0.0555, height=dem).height
    assert height.chunks is not None
    assert float(open_slc(tmp_path, wavelength=0.0555, incidence=xr.DataArray(39.0)).incidence) == 39


def test_an_array_given_is_copied(tmp_path):
    folder_of(tmp_path)
    field = np.full(SHAPE, 35.0)
    slc = open_slc(tmp_path, wavelength=0.0555, incidence=field)
    field[:] = 20
    assert float(slc.incidence.min()) == 35


def test_baselines_in_every_form(tmp_path):
    folder_of(tmp_path)
    expected = [12.5, 0.0, -40.0]
    times = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "M8[ns]")
    table = tmp_path / "baselines.csv"
    table.write_text("date,baseline\n20180130,-40\n20180106,12.5\n2018-01-18,0\n20190101,7\n", encoding="utf-8")
    named = tmp_path / "named.csv"
    named.write_text(
        "date, perpendicular_baseline\n" + "".join(f"{d}, {b}\n" for d, b in zip(DATES, expected, strict=True))
    )
    forms = [
        dict(zip(DATES, expected, strict=True)),
        dict(zip(times, expected, strict=True)),
        dict(zip(times.astype("M8[D]").tolist(), expected, strict=True)),
        pd.Series(expected, pd.to_datetime(times)),
        pd.Series(expected, list(DATES)),
        xr.DataArray(expected[::-1], dims="time", coords={"time": times[::-1]}),
        table,
        str(named),
    ]
    for form in forms:
        slc = open_slc(tmp_path, wavelength=0.0555, perpendicular_baseline=form)
        assert slc.perpendicular_baseline.values.tolist() == expected
        assert slc.attrs["reference_time"] == "2018-01-18T00:00:00"
    both = open_slc(tmp_path, wavelength=0.0555, perpendicular_baseline=forms[0], parallel_baseline=forms[0])
    assert both.parallel_baseline.values.tolist() == expected
    zeros = open_slc(tmp_path, wavelength=0.0555, perpendicular_baseline=dict.fromkeys(DATES, 0.0))
    assert "reference_time" not in zeros.attrs


# Refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"wavelength": 5.5}, "wavelength"),
        ({"wavelength": "C"}, "wavelength must be a finite number"),
        ({"phase_removed": "ramp"}, "phase_removed must be"),
        ({"spacing": 4.0}, "spacing must be the size"),
        ({"spacing": (14.0, -4.0)}, "spacing must be the size"),
        ({"incidence": 0.6}, "radians"),
        ({"incidence": np.ones((2, 2))}, "incidence must be real and of the images' shape"),
        ({"height": xr.DataArray(np.ones(9), dims="x")}, "height must have the dims"),
        ({"perpendicular_baseline": {"20180106": 1.0}}, "lacks 2 of 3 dates .2018-01-18, 2018-01-30"),
        ({"perpendicular_baseline": {"soon": 1.0}}, "needs dates as keys"),
        ({"perpendicular_baseline": {20180106: 1.0}}, "needs dates as keys"),
        ({"perpendicular_baseline": {None: 1.0}}, "needs dates as keys"),
        ({"perpendicular_baseline": dict.fromkeys(DATES, np.nan)}, "finite number"),
        ({"perpendicular_baseline": {"20180106": 1.0, "2018-01-06": 2.0}}, "there twice"),
        ({"perpendicular_baseline": [1.0, 2.0, 3.0]}, "must be a mapping"),
        ({"perpendicular_baseline": xr.DataArray([1.0], dims="pair")}, "must be along 'time'"),
        ({"chunks": {"pair": 1}}, "chunks must be"),
        ({"chunks": {"y": 0}}, "chunks must be"),
        ({"chunks": {"y": 1.5}}, "chunks must be"),
        ({"chunks": 5}, "chunks must be"),
    ],
)
def test_bad_options(tmp_path, options, match):
    folder_of(tmp_path)
    with pytest.raises(InputError, match=match):
        open_slc(tmp_path, **{"wavelength": 0.0555, **options})


def test_bad_tables(tmp_path):
    folder_of(tmp_path)
    table = tmp_path / "b.csv"
    for text, match in (("day,metres\n", "expected date and baseline"), (None, "cannot be read as CSV")):
        table.unlink(missing_ok=True)
        if text is not None:
            table.write_text(text, encoding="utf-8")
        with pytest.raises(FormatError, match=match):
            open_slc(tmp_path, wavelength=0.0555, perpendicular_baseline=table)


def test_bad_places(tmp_path):
    folder_of(tmp_path, **PLACE)
    with pytest.raises(InputError, match="without a place"):
        open_slc(tmp_path, wavelength=0.0555, spacing=(14.0, 4.0))
    with pytest.raises(FormatError, match="pass wavelength="):
        open_slc(tmp_path)
    other = write(tmp_path / "dem.tif", np.zeros((3, 3), np.float32))
    with pytest.raises(FormatError, match="its grid differs"):
        open_slc(tmp_path, wavelength=0.0555, height=other)


def test_bad_paths(tmp_path):
    with pytest.raises(FormatError, match="no such file or folder"):
        open_slc(tmp_path / "absent")
    with pytest.raises(FormatError, match="found 0 rasters"):
        open_slc(tmp_path)
    with pytest.raises(FormatError, match="no such file"):
        open_slc([tmp_path / "absent.tif"])
    for bad in ([], 5, [5]):
        with pytest.raises(InputError, match="path must be"):
            open_slc(bad)
    real = write(tmp_path / "20180106.tif", np.zeros(SHAPE, np.float32))
    with pytest.raises(FormatError, match="found 1 rasters, none of complex"):
        open_slc(tmp_path)
    with pytest.raises(FormatError, match="its values are real"):
        open_slc(real)


@pytest.mark.parametrize("name", ["image.tif", "20180106_20180118.tif", "20180231.tif"])
def test_names_without_one_date(tmp_path, name):
    write(tmp_path / name, images()[0])
    with pytest.raises(FormatError, match="expected the one of an image"):
        open_slc(tmp_path, wavelength=0.0555)


def test_the_same_date_in_two_files(tmp_path):
    folder_of(tmp_path)
    write(tmp_path / "2018-01-18.tif", images()[0])
    with pytest.raises(FormatError, match="2018-01-18 is there twice") as caught:
        open_slc(tmp_path, wavelength=0.0555)
    assert caught.value.path.parent == tmp_path


def test_grids_that_differ(tmp_path):
    folder_of(tmp_path)
    write(tmp_path / "20180211.tif", images(shape=(7, 8))[0])
    with pytest.raises(FormatError, match="its grid differs from that of"):
        open_slc(tmp_path, wavelength=0.0555)


def test_several_bands_and_rotated_grids(tmp_path):
    with rasterio.open(tmp_path / "20180106.tif", "w", "GTiff", 9, 7, 2, dtype="complex64") as file:
        file.write(images()[:2])
    with pytest.raises(FormatError, match="2 bands"):
        open_slc(tmp_path, wavelength=0.0555)
    turned = {"crs": "EPSG:32614", "transform": rasterio.Affine(4.0, 1.0, 5e5, 1.0, -14.0, 2.1e6)}
    write(tmp_path / "20180106.tif", images()[0], **turned)
    with pytest.raises(FormatError, match="rotated"):
        open_slc(tmp_path, wavelength=0.0555)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.0])
def test_a_truncated_geotiff(tmp_path, keep):
    folder_of(tmp_path)
    path = tmp_path / "20180118_vv.slc.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(FormatError, match=r"truncated|not a whole GeoTIFF") as caught:
        open_slc(tmp_path, wavelength=0.0555)
    assert caught.value.path == path


def test_a_truncated_file_behind_a_vrt(tmp_path):
    raw_vrt(tmp_path / "20180106.slc.vrt", images()[0], cut=8)
    with pytest.raises(FormatError, match="truncated") as caught:
        open_slc(tmp_path, wavelength=0.0555)
    assert caught.value.path.name == "20180106.slc.vrt"
    (tmp_path / "20180106.slc.vrt").write_text("<VRTDataset", encoding="utf-8")
    with pytest.raises(FormatError, match="not a whole VRT"):
        open_slc(tmp_path, wavelength=0.0555)


def test_a_file_that_changes_after_it_was_opened(tmp_path):
    folder_of(tmp_path)
    slc = open_slc(tmp_path, wavelength=0.0555, chunks={"y": 2})
    write(tmp_path / "20180118_vv.slc.tif", images(shape=(7, 9))[1][:6])
    with pytest.raises(FormatError, match="changed since it was opened"):
        slc.slc.compute()
    (tmp_path / "20180118_vv.slc.tif").unlink()
    with pytest.raises(FormatError, match="missing or out of reach"):
        slc.slc.compute()
