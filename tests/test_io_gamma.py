"""Reading a folder of GAMMA: the Mexico City stack as it lies, and small folders made for the purpose."""

from __future__ import annotations

import importlib.util
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subsidence import plot
from subsidence.errors import FormatError, SuspiciousDataWarning
from subsidence.geometry import height_to_phase, look_vector
from subsidence.io import open_interferograms, open_native, save
from subsidence.io._gamma import image_headers, scene_geometry, table_baseline, vector_baseline
from subsidence.sbas import invert_network
from subsidence.schema import INTERFEROGRAMS
from subsidence.series import estimate_velocity
from subsidence.validation import match

rasterio = pytest.importorskip("rasterio", reason="the extra 'geo' reads GeoTIFFs")

FIRST = "20180106-20180130"


@pytest.fixture(scope="module")
def mexico(mexico_dir: Path) -> xr.Dataset:
    return open_interferograms(mexico_dir, format="gamma", chunks=None)


def _raw(folder: Path, pattern: str) -> np.ndarray:
    (path,) = folder.rglob(pattern)
    with rasterio.open(path) as source:
        return source.read(1)


def _par(folder: Path, name: str) -> dict[str, str]:
    text = (folder / "headers" / name).read_text()
    return {key.strip(): value for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_mexico_is_30_pairs_of_13_epochs(mexico: xr.Dataset) -> None:
    INTERFEROGRAMS.check(mexico)
    assert dict(mexico.sizes) == {"pair": 30, "y": 60, "x": 100}
    assert np.unique([mexico.reference, mexico.secondary]).size == 13
    assert (mexico.reference < mexico.secondary).all()
    order = list(zip(mexico.reference.values, mexico.secondary.values, strict=True))
    assert order == sorted(order)
    assert mexico.unwrapped_phase.dtype == mexico.coherence.dtype == np.float32


def test_values_are_those_of_the_files(mexico: xr.Dataset, mexico_dir: Path) -> None:
    for number in (0, 13, 29):
        pair = mexico.isel(pair=number)
        dates = "-".join(
            np.datetime_as_string(pair[n].values, "D").replace("-", "") for n in ("reference", "secondary")
        )
        phase = _raw(mexico_dir, f"*{dates}*unw.tif")
        coherence = _raw(mexico_dir, f"*{dates}*cc.tif")
        np.testing.assert_array_equal(pair.unwrapped_phase, np.where(phase == 0, np.nan, phase))
        nothing = (phase == 0) | (coherence == 0)
        np.testing.assert_array_equal(pair.coherence, np.where(nothing, np.nan, coherence))


def test_pixels_without_data_are_the_documented_ones(mexico: xr.Dataset) -> None:
    missing = mexico.unwrapped_phase.isnull().sum("pair")
    assert int((missing == 30).sum()) == 96
    assert int(((missing > 0) & (missing < 30)).sum()) == 22
    assert not mexico.coherence.where(mexico.unwrapped_phase.isnull()).notnull().any()


def test_heights_and_place(mexico: xr.Dataset, mexico_dir: Path) -> None:
    np.testing.assert_array_equal(mexico.height, _raw(mexico_dir, "*dem.tif"))
    dem = _par(mexico_dir, "cropA_20180106_VV_8rlks_eqa_dem.par")
    corner = {key: float(dem[key].split()[0]) for key in ("corner_lat", "corner_lon", "post_lat", "post_lon")}
    # The GeoTIFFs of this set were written with the corner of dem.par as the outer corner of the first pixel.
    assert float(mexico.lon[0]) == pytest.approx(corner["corner_lon"] + corner["post_lon"] / 2, abs=1e-9)
    assert float(mexico.lat[0]) == pytest.approx(corner["corner_lat"] + corner["post_lat"] / 2, abs=1e-9)
    assert float(mexico.lat[-1]) == pytest.approx(corner["corner_lat"] + 59.5 * corner["post_lat"], abs=1e-6)
    np.testing.assert_array_equal(mexico.lon, mexico.x)
    np.testing.assert_array_equal(mexico.lat, mexico.y)
    assert mexico.x.attrs["units"] == "degrees_east"
    assert mexico.spatial_ref.dtype == np.int64
    assert rasterio.crs.CRS.from_wkt(mexico.spatial_ref.attrs["crs_wkt"]).to_epsg() == 4326
    assert mexico.unwrapped_phase.attrs["grid_mapping"] == "spatial_ref"


# affine's own advice to rioxarray, not to us
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_rioxarray_understands_the_place(mexico: xr.Dataset, mexico_dir: Path) -> None:
    pytest.importorskip("rioxarray", reason="the extra 'geo' has rioxarray")
    with rasterio.open(next(mexico_dir.rglob("*unw.tif"))) as source:
        assert mexico.unwrapped_phase.rio.crs == source.crs
        assert mexico.unwrapped_phase.rio.transform().almost_equals(source.transform, precision=1e-12)


def test_wavelength_uses_the_exact_speed_of_light(mexico: xr.Dataset) -> None:
    assert float(mexico.wavelength) == pytest.approx(299_792_458 / 5.4050005e9, rel=1e-12)
    assert float(mexico.wavelength) != pytest.approx(3e8 / 5.4050005e9, rel=1e-4)


class Orbit:
    """Ranges and angles from a header's state vectors and the WGS 84 ellipsoid, nothing of GAMMA's."""

    def __init__(self, header: dict[str, str]) -> None:
        self.header = header
        self.centre = self.numbers("center_time")[0]
        start, step = self.numbers("time_of_first_state_vector")[0], self.numbers("state_vector_interval")[0]
        times = start + step * np.arange(6) - self.centre
        vectors = [[self.numbers(f"state_vector_{what}_{n}") for n in range(1, 7)] for what in ("position", "velocity")]
        self.position, self.velocity = (np.polyfit(times, np.array(values), 4) for values in vectors)

    def numbers(self, key: str) -> np.ndarray:
        return np.array([float(word) for word in self.header[key].split()[:3] if not word.isalpha()])

    def at(self, coefficients: np.ndarray, time: np.ndarray) -> np.ndarray:
        return np.stack([np.polyval(coefficients[:, axis], time) for axis in range(3)], axis=-1)

    def see(self, lat: np.ndarray, lon: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, ...]:
        """Zero-Doppler time (s after the centre), slant range (m) and incidence (degree) of places."""
        lat, lon = np.deg2rad(lat), np.deg2rad(lon)
        a, f = 6378137.0, 1 / 298.257223563
        e2 = f * (2 - f)
        n = a / np.sqrt(1 - e2 * np.sin(lat) ** 2)
        up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
        across = np.stack([n + height, n + height, n * (1 - e2) + height], axis=-1)
        time = np.zeros(np.shape(lat))
        for _ in range(15):
            sight, flight = self.at(self.position, time) - across * up, self.at(self.velocity, time)
            time = time - (sight * flight).sum(-1) / (flight**2).sum(-1)
        distance = np.linalg.norm(sight, axis=-1)
        return time, distance, np.rad2deg(np.arccos((sight * up).sum(-1) / distance))


@pytest.fixture(scope="module")
def orbit(mexico_dir: Path) -> Orbit:
    return Orbit(_par(mexico_dir, "r20180106_VV_8rlks_mli.par"))


def test_scene_centre_agrees_with_orbit_and_ellipsoid(mexico: xr.Dataset, mexico_dir: Path, orbit: Orbit) -> None:
    headers = image_headers((mexico_dir / "headers").glob("*.par"))
    scene = scene_geometry(mexico_dir, headers)
    place = [orbit.numbers(f"center_{name}")[0] for name in ("latitude", "longitude")]
    _, distance, incidence = orbit.see(*map(np.array, place), np.array(0.0))
    assert scene.slant_range == pytest.approx(float(distance), abs=200.0)
    assert scene.incidence == pytest.approx(float(incidence), abs=0.05)
    satellite, velocity = (orbit.at(values, np.array(0.0)) for values in (orbit.position, orbit.velocity))
    azimuth = np.arctan2(satellite[1], satellite[0])
    colatitude = np.arcsin(satellite[2] / np.linalg.norm(satellite))
    east = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    north = np.array([-np.sin(colatitude) * np.cos(azimuth), -np.sin(colatitude) * np.sin(azimuth), np.cos(colatitude)])
    # clockwise from north; the direction of flight turns by some tenths of a degree between nadir and target
    assert float(mexico.heading) == pytest.approx(np.rad2deg(np.arctan2(velocity @ east, velocity @ north)), abs=1.0)
    assert np.sign(float(mexico.heading)) == -1


def test_every_pixel_agrees_with_orbit_and_ellipsoid(mexico: xr.Dataset, orbit: Orbit) -> None:
    height = mexico.height.values.astype(float)
    lat, lon = np.broadcast_arrays(mexico.lat.values[:, np.newaxis], mexico.lon.values)
    _, distance, incidence = orbit.see(lat, lon, height)
    seen = np.isfinite(mexico.incidence.values)
    for name in ("incidence", "slant_range"):
        assert mexico[name].dims == ("y", "x")
        np.testing.assert_array_equal(np.isfinite(mexico[name].values), seen)
    assert np.abs(mexico.incidence.values - incidence)[seen].max() < 0.03
    # a few metres of geoid height and the DEM's own resolution
    assert np.abs(mexico.slant_range.values - distance)[seen].max() < 50.0
    assert np.median(np.abs(mexico.slant_range.values - distance)[seen]) < 5.0
    assert float(mexico.incidence.median()) == pytest.approx(31.68, abs=0.02)
    assert float(mexico.slant_range.median()) == pytest.approx(802.8e3, abs=100.0)


def test_lookup_table_has_no_place_where_there_are_no_phases(mexico: xr.Dataset) -> None:
    """The crop reaches over the near edge of the swath: what lies outside the image cannot have a phase."""
    outside = mexico.incidence.isnull()
    assert int(outside.sum()) == 84
    assert not (outside & mexico.unwrapped_phase.notnull().any("pair")).any()


def test_pixel_centres_are_where_the_lookup_table_has_them(mexico: xr.Dataset, mexico_dir: Path, orbit: Orbit) -> None:
    """The GeoTIFFs' place is right to a tenth of a pixel; half a pixel would be 1.6 samples and 3.2 lines."""
    (path,) = mexico_dir.rglob("*.lt")
    table = np.fromfile(path, ">f4").reshape(60, 100, 2)
    lat, lon = np.broadcast_arrays(mexico.lat.values[:, np.newaxis], mexico.lon.values)
    time, distance, _ = orbit.see(lat, lon, mexico.height.values.astype(float))
    near, spacing = (orbit.numbers(key)[0] for key in ("near_range_slc", "range_pixel_spacing"))
    first, step = (orbit.numbers(key)[0] for key in ("start_time", "azimuth_line_time"))
    assert abs(np.median(table[..., 0] - (distance - near) / spacing)) < 0.3
    assert abs(np.median(table[..., 1] - (time + orbit.centre - first) / step)) < 0.7


def test_independent_looks_are_fewer_than_nominal(mexico: xr.Dataset) -> None:
    # 8 x 2 looks; resolution c / (2 * 56.5 MHz) in range, one over 327 Hz in azimuth time
    in_range = 8 * 2.329562 / (299_792_458 / (2 * 56.5e6))
    in_azimuth = 2 * 2.0555563e-3 * 327.0
    assert float(mexico.looks) == pytest.approx(in_range * in_azimuth, rel=1e-3)


def test_baseline_of_one_pair_by_hand(mexico: xr.Dataset, mexico_dir: Path) -> None:
    text = (mexico_dir / "geometry" / f"{FIRST}_VV_8rlks_bperp.par").read_text()
    assert "interferogram lines: 4541   range samples/line: 8514" in text

    def bperp(line: int, sample: int) -> float:
        (row,) = re.findall(rf"^\s*{line}\s+{sample}\s+(.*)$", text, flags=re.MULTILINE)
        return float(row.split()[-2])

    down, right = (4541 / 2 - 2000) / 500, (8514 / 2 - 4200) / 200
    upper = bperp(2000, 4200) * (1 - right) + bperp(2000, 4400) * right
    lower = bperp(2500, 4200) * (1 - right) + bperp(2500, 4400) * right
    expected = upper * (1 - down) + lower * down
    assert float(mexico.perpendicular_baseline[0]) == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx(30.19, abs=0.01)


def test_tables_and_vectors_agree_on_every_pair(mexico: xr.Dataset, mexico_dir: Path) -> None:
    look = np.rad2deg(np.arcsin(6375868.94 / 7073899.2 * np.sin(np.deg2rad(39.7044))))
    tables = sorted((mexico_dir / "geometry").glob("*bperp.par"))
    assert len(tables) == 30
    for number, path in enumerate(tables):
        vector = vector_baseline(path.with_name(path.name.replace("bperp", "base")), look)
        assert vector == pytest.approx(table_baseline(path), abs=0.1)
        assert float(mexico.perpendicular_baseline[number]) == table_baseline(path)


def test_baselines_close_around_triplets(mexico: xr.Dataset) -> None:
    """A wrong sign for some pairs would break the sums; the precision refinement leaves a metre at most."""
    known = {
        (first, second): float(value)
        for first, second, value in zip(
            mexico.reference.values, mexico.secondary.values, mexico.perpendicular_baseline.values, strict=True
        )
    }
    sums = [known[a, b] + known[b, c] - known[a, c] for a, b in known for x, c in known if x == b and (a, c) in known]
    assert len(sums) > 5
    assert np.abs(sums).max() < 1.5


def test_lazy_equals_memory_and_survives_schedulers(mexico: xr.Dataset, mexico_dir: Path) -> None:
    dask = pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = open_interferograms(mexico_dir, chunks={"y": 25, "x": 40})
    assert lazy.unwrapped_phase.chunksizes == {"pair": (30,), "y": (25, 25, 10), "x": (40, 40, 20)}
    xr.testing.assert_identical(lazy.compute(), mexico)
    with dask.config.set(scheduler="processes", num_workers=1):
        xr.testing.assert_identical(
            lazy.isel(pair=3, y=slice(20, 30), x=slice(50, 0, -7)).compute(),
            mexico.isel(pair=3, y=slice(20, 30), x=slice(50, 0, -7)),
        )


def test_lazy_reads_on_a_cluster_of_processes(mexico: xr.Dataset, mexico_dir: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' brings distributed")
    lazy = open_interferograms(mexico_dir, chunks={"y": 30})
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        xr.testing.assert_identical(lazy.compute(), mexico)


def test_auto_is_lazy_and_whole_pairs_in_one_chunk(mexico_dir: Path) -> None:
    pytest.importorskip("dask", reason="the extra 'dask' makes reading lazy")
    lazy = open_interferograms(mexico_dir)
    assert lazy.unwrapped_phase.chunks is not None
    assert lazy.unwrapped_phase.chunksizes["pair"] == (30,)
    assert isinstance(lazy.perpendicular_baseline.data, np.ndarray)


def test_mexico_as_plain_geotiffs_is_the_same(mexico: xr.Dataset, mexico_dir: Path) -> None:
    plain = open_interferograms(mexico_dir, format="geotiff", wavelength=0.0555, chunks=None)
    np.testing.assert_array_equal(plain.unwrapped_phase, mexico.unwrapped_phase)
    np.testing.assert_array_equal(plain.coherence, mexico.coherence)
    assert float(plain.wavelength) == 0.0555
    assert "perpendicular_baseline" not in plain.variables


def test_what_the_caller_gives_goes_before_headers_and_lookup_table(mexico: xr.Dataset, mexico_dir: Path) -> None:
    stack = open_interferograms(mexico_dir, wavelength=0.0556, incidence=31.0, slant_range=803e3, chunks=None)
    assert [float(stack[name]) for name in ("wavelength", "incidence", "slant_range")] == [0.0556, 31.0, 803e3]
    stack = open_interferograms(mexico_dir, incidence=31.0, chunks=None)
    assert stack.incidence.dims == ()
    xr.testing.assert_identical(stack.slant_range.drop_vars("incidence"), mexico.slant_range.drop_vars("incidence"))


# --- downstream of incidence and slant range by pixel -------------------------------------------------


def test_residual_heights_follow_the_range_of_each_pixel(mexico: xr.Dataset) -> None:
    """Same series, other lever arm: heights are in proportion to slant range times sine of incidence."""
    options = {"weights": None, "reference": {"row": 9, "col": 8}, "residual_height": True}
    centre = mexico.assign_coords(incidence=39.7044, slant_range=878.3e3)
    own, other = (invert_network(stack, **options) for stack in (mexico, centre))
    np.testing.assert_array_equal(own.displacement, other.displacement)
    solved = own.residual_height.notnull()
    assert int(solved.sum()) > 5800
    assert not (other.residual_height.notnull() & ~solved).any()
    reach = mexico.slant_range * np.sin(np.deg2rad(mexico.incidence))
    expected = other.residual_height * reach / (878.3e3 * np.sin(np.deg2rad(39.7044)))
    np.testing.assert_allclose(own.residual_height.where(solved), expected.where(solved), rtol=1e-5, atol=1e-6)
    assert float((other.residual_height / own.residual_height).median()) == pytest.approx(1.33, abs=0.01)


def test_fields_of_geometry_survive_saving_matching_and_plotting(mexico: xr.Dataset, tmp_path: Path) -> None:
    stack = mexico
    series = estimate_velocity(invert_network(stack, weights=None, reference={"row": 9, "col": 8}))
    assert int(series.incidence.isnull().sum()) == 84
    for suffix in ("nc", "zarr") if importlib.util.find_spec("zarr") else ("nc",):
        save(series, tmp_path / f"series.{suffix}")
        xr.testing.assert_identical(open_native(tmp_path / f"series.{suffix}", chunks=None), series)
    here = series.isel(y=20, x=30)
    levelling = xr.Dataset(
        {"height": (("time", "benchmark"), [[2240.0], [2239.9]])},
        {
            "time": series.time.values[[0, -1]],
            "lon": ("benchmark", [float(here.x)]),
            "lat": ("benchmark", [float(here.y)]),
        },
    )
    matched = match(series, levelling, radius=10.0)
    vertical = float(here.displacement[-1]) / np.cos(np.deg2rad(float(here.incidence)))
    assert float(matched.insar_displacement[-1, 0]) == pytest.approx(vertical, rel=1e-6)
    if importlib.util.find_spec("matplotlib") is not None:
        plot.velocity_map(series)
    phase = height_to_phase(
        stack.perpendicular_baseline,
        wavelength=float(stack.wavelength),
        slant_range=stack.slant_range,
        incidence=stack.incidence,
    )
    lever = float(stack.slant_range[20, 30]) * np.sin(np.deg2rad(float(stack.incidence[20, 30])))
    by_hand = -4 * np.pi / float(stack.wavelength) * float(stack.perpendicular_baseline[0]) / lever
    assert float(phase[0, 20, 30]) == pytest.approx(by_hand, rel=1e-5)
    up = look_vector(stack.incidence, stack.heading).los_up
    assert float(up[20, 30]) == pytest.approx(np.cos(np.deg2rad(float(stack.incidence[20, 30]))), rel=1e-5)


# --- small folders ------------------------------------------------------------------------------------

HEADER = """Gamma Interferometric SAR Processor (ISP) - Image Parameter File
date:      2018 01 06
azimuth_line_time:     4.1111126e-03   s
range_samples:                 8514
azimuth_lines:                 4541
range_looks:                       8
azimuth_looks:                     2
heading:                 -12.2742586   degrees
range_pixel_spacing:       18.636496   m
near_range_slc:           798988.2904  m
center_range_slc:         878314.5356  m
incidence_angle:             39.7036   degrees
radar_frequency:        5.4050005e+09  Hz
chirp_bandwidth:        5.6500000e+07  Hz
azimuth_proc_bandwidth:     327.00000  Hz
sar_to_earth_center:             7073899.1954   m
earth_radius_below_sensor:       6375868.9414   m
"""
VECTOR = """initial_baseline(TCN):         -0.1  100.0  10.0   m   m   m
initial_baseline_rate:          0.0  0.06  0.01   m/s m/s m/s
precision_baseline(TCN):        0.0  {c}  {n}   m   m   m
"""
COS, SIN = np.cos(np.deg2rad(35.1526)), np.sin(np.deg2rad(35.1526))


def write_tif(path: Path, values: np.ndarray, **options: object) -> Path:
    profile = {"crs": "EPSG:32614", "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 2.1e6), **options}
    values = np.atleast_2d(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", "GTiff", values.shape[1], values.shape[0], 1, dtype=values.dtype.name, **profile
    ) as file:
        file.write(values, 1)
    return path


@pytest.fixture
def gamma(tmp_path: Path) -> Path:
    """Two pairs, one of them reversed in its name, with base.par only."""
    rng = np.random.default_rng(1)
    for name in (FIRST, "20180211-20180130"):
        write_tif(tmp_path / f"{name}_unw.tif", rng.normal(0, 5, (4, 5)).astype("float32"))
        write_tif(tmp_path / f"{name}_cc.tif", rng.uniform(0.1, 1, (4, 5)).astype("float32"))
        (tmp_path / f"{name}_base.par").write_text(VECTOR.format(c=50.0, n=-20.0))
    (tmp_path / "r20180106.mli.par").write_text(HEADER)
    return tmp_path


def _opened(folder: Path, **options: float) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_interferograms(folder, chunks=None, **options)


def test_reversed_pair_is_put_in_order(gamma: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of 2 names give the later date first \(20180211-20180130_unw.tif\)"):
        stack = open_interferograms(gamma, chunks=None)
    assert stack.secondary.values[1] == np.datetime64("2018-02-11")
    np.testing.assert_array_equal(stack.unwrapped_phase[1], -_raw(gamma, "20180211*unw.tif"))
    forward = 50.0 * COS + 20.0 * SIN
    np.testing.assert_allclose(stack.perpendicular_baseline, [forward, -forward], atol=1e-3)
    assert stack.attrs["swapped_pairs"] == "2018-01-30 2018-02-11"


def test_initial_baseline_when_precision_was_never_set(gamma: Path) -> None:
    (gamma / f"{FIRST}_base.par").write_text(VECTOR.format(c=0.0, n=0.0))
    assert float(_opened(gamma).perpendicular_baseline[0]) == pytest.approx(100 * COS - 10 * SIN, abs=1e-2)


@pytest.mark.parametrize("last", ["rate:          0.0  0.06  0.01   m/s m/s m/s", "(TCN):", "50.0", "-20", "-20.0"])
def test_vector_cut_before_its_precision_is_whole_is_refused(gamma: Path, last: str) -> None:
    path = gamma / f"{FIRST}_base.par"
    text = VECTOR.format(c=50.0, n=-20.0)
    path.write_text(text[: text.rindex(last) + len(last)])
    with pytest.raises(FormatError, match=rf"{path.name}: .*precision_baseline\(TCN\) is absent or cut off: copy"):
        _opened(gamma)


def test_vector_is_whole_without_units_and_without_the_lines_after_it(gamma: Path) -> None:
    for words in ("-20.0\n", "-20.0   m"):
        text = VECTOR.format(c=50.0, n=-20.0)
        (gamma / f"{FIRST}_base.par").write_text(text[: text.rindex("-20.0")] + words)
        assert float(_opened(gamma).perpendicular_baseline[0]) == pytest.approx(50 * COS + 20 * SIN, abs=1e-3)


def test_initial_baseline_must_be_whole_too(gamma: Path) -> None:
    text = VECTOR.format(c=0.0, n=0.0).replace("100.0  10.0   m   m   m", "100.0")
    (gamma / f"{FIRST}_base.par").write_text(text)
    with pytest.raises(FormatError, match=r"no baseline vector: initial_baseline\(TCN\) is absent or cut off"):
        _opened(gamma)


def test_zero_is_no_data_even_when_undeclared(gamma: Path) -> None:
    values = np.arange(20, dtype="float32").reshape(4, 5)
    write_tif(gamma / f"{FIRST}_unw.tif", values)
    stack = _opened(gamma)
    assert np.isnan(stack.unwrapped_phase.values[0, 0, 0])
    assert np.isnan(stack.coherence.values[0, 0, 0])
    assert int(stack.unwrapped_phase[0].isnull().sum()) == 1


def test_baselines_are_optional_but_not_for_some_pairs_only(gamma: Path) -> None:
    (gamma / f"{FIRST}_base.par").unlink()
    with pytest.raises(FormatError, match=r"1 of 2 pairs have no base.par or bperp.par \(2018-01-06 to 2018-01-30\)"):
        _opened(gamma)
    (gamma / "20180211-20180130_base.par").unlink()
    assert "perpendicular_baseline" not in _opened(gamma).variables


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda f: (f / "r20180106.mli.par").write_text(HEADER.replace("radar_frequency", "colour")),
            "cannot tell its",
        ),
        (
            lambda f: (f / "r2.slc.par").write_text(HEADER.replace("5.4050005e+09", "1.27e+09")),
            "two sensors in one stack",
        ),
        (
            lambda f: (f / "r2.mli.par").write_text(HEADER.replace("incidence_angle", "angle")),
            "incidence_angle is miss",
        ),
        (
            lambda f: (f / "r20180106.mli.par").write_text(HEADER.replace("39.7036", "0.692959")),
            r"r20180106.mli.par: incidence_angle is 0.692959, .*degrees",
        ),
        (lambda f: (f / "r20180106.mli.par").write_text(HEADER.replace("sar_to", "far_to")), "look angle"),
        (
            lambda f: (f / f"{FIRST}_base.par").write_text(
                VECTOR.format(c=0, n=0).replace("-0.1  100.0  10.0", "0 0 0")
            ),
            "are 0",
        ),
        (lambda f: (f / f"{FIRST}_base.par").write_text("nothing\n"), "holds no baseline vector"),
        (lambda f: (f / f"{FIRST}_bperp.par").write_text("nothing\n"), "not a table of perpendicular baselines"),
        (lambda f: (f / f"{FIRST}_cc.tif").unlink(), "1 of 2 pairs have a phase but no coherence"),
        (lambda f: [write_tif(f / f"{n}_dem.tif", np.ones((4, 5), "float32")) for n in "ab"], "2 rasters of height"),
        (lambda f: write_tif(f / "a_dem.tif", np.ones((3, 5), "float32")), "3 x 5 pixels, expected 4 x 5"),
        (lambda f: [p.unlink() for p in f.glob("*.tif")], "cannot tell|no GeoTIFF"),
    ],
)
def test_bad_folders_are_refused(gamma: Path, change: object, reason: str) -> None:
    change(gamma)  # type: ignore[operator]  # a callable from the table above
    with pytest.raises(FormatError, match=reason):
        _opened(gamma)


@pytest.mark.parametrize(
    ("key", "old", "wrong", "near"),
    [
        ("incidence_angle", "39.7036", "29.7036", "39.1036"),
        ("heading", "-12.2742586", "-167.7", "-11.5"),
        ("heading", "-12.2742586", "-10.9", "347.2"),
        ("center_range_slc", "878314.5356", "800314.5356", "874000.0"),
    ],
)
@pytest.mark.parametrize("alike", [1, 3])
def test_headers_that_contradict_each_other_are_refused(
    gamma: Path, key: str, old: str, wrong: str, near: str, alike: int
) -> None:
    (gamma / "r20180106.mli.par").unlink()
    for day in range(alike):
        (gamma / f"r2018020{day}.mli.par").write_text(HEADER)
    odd = gamma / "r20180130.mli.par"
    odd.write_text(HEADER.replace(old, wrong))
    named = odd.name if alike > 1 else r"r201\d+.mli.par"  # of two, nobody knows which is right
    with pytest.raises(FormatError, match=rf"{named}: {key} is .*, but .*mli.par"):
        _opened(gamma)
    odd.write_text(HEADER.replace(old, near))
    assert _opened(gamma).sizes["pair"] == 2


def test_headings_around_north_agree(gamma: Path) -> None:
    for name, heading in (("r20180106", "359.9"), ("r20180130", "0.2")):
        (gamma / f"{name}.mli.par").write_text(HEADER.replace("-12.2742586", heading))
    assert float(_opened(gamma).heading) == pytest.approx(0.05, abs=1e-6)


def test_folder_of_raw_binaries_is_refused(gamma: Path) -> None:
    for path in gamma.glob("*.tif"):
        path.rename(path.with_suffix(".unw"))
    with pytest.raises(
        FormatError, match=r"no GeoTIFF \(.tif\) in the folder: GAMMA's raw binary rasters are not read"
    ):
        open_interferograms(gamma)


def test_gamma_without_header_is_refused(gamma: Path) -> None:
    (gamma / "r20180106.mli.par").unlink()
    with pytest.raises(FormatError, match=r"no parameter file .* radar_frequency, so the wavelength is unknown"):
        open_interferograms(gamma, format="gamma")


def test_truncated_table_is_refused(mexico_dir: Path, tmp_path: Path) -> None:
    name = f"{FIRST}_VV_8rlks_bperp.par"
    lines = (mexico_dir / "geometry" / name).read_text().splitlines(keepends=True)
    (tmp_path / name).write_text("".join(lines[:200]))
    with pytest.raises(FormatError, match="its table is not whole"):
        table_baseline(tmp_path / name)


def test_truncated_phase_in_mexico_is_refused(mexico_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mexico"
    shutil.copytree(mexico_dir, folder, copy_function=shutil.copyfile)
    victim = next((folder / "geotiffs").glob("*unw.tif"))
    (folder / "geotiffs").chmod(0o755)
    victim.write_bytes(victim.read_bytes()[:-500])
    with pytest.raises(FormatError, match=rf"{victim.name}: truncated"):
        open_interferograms(folder)


# --- lookup tables of small folders -------------------------------------------------------------------

SPACING, NEAR, SATELLITE, EARTH = 18.636496, 798988.2904, 7073899.1954, 6375868.9414


def lookup(path: Path, sample: object, line: object = 100.0, shape: tuple[int, int] = (4, 5)) -> Path:
    """A table as GAMMA writes it: pairs of range and azimuth, big-endian float32."""
    pairs = np.empty((*shape, 2), ">f4")
    pairs[..., 0], pairs[..., 1] = sample, line
    path.write_bytes(pairs.tobytes())
    return path


def half_angle_incidence(distance: float, target: float) -> float:
    """180 degrees less the angle at the target, from the half-angle formula of the triangle's three sides."""
    half = (distance + target + SATELLITE) / 2
    tangent = np.sqrt((half - distance) * (half - target) / (half * (half - SATELLITE)))
    return float(180 - 2 * np.rad2deg(np.arctan(tangent)))


@pytest.fixture
def tabled(gamma: Path) -> Path:
    """The small folder with a lookup table whose pixels march across the swath."""
    lookup(gamma / "20180106_VV_8rlks_eqa_to_rdc.lt", np.arange(20).reshape(4, 5) * 400.0)
    return gamma


def test_fields_by_hand(tabled: Path) -> None:
    write_tif(tabled / "a_dem.tif", np.linspace(0, 3800, 20, dtype="float32").reshape(4, 5))
    stack = _opened(tabled)
    for row, col in ((0, 0), (0, 3), (2, 2), (3, 4)):
        number = 5 * row + col
        distance = NEAR + 400 * number * SPACING
        assert float(stack.slant_range[row, col]) == pytest.approx(distance, abs=0.1)
        expected = half_angle_incidence(distance, EARTH + 200 * number)
        assert float(stack.incidence[row, col]) == pytest.approx(expected, abs=1e-4)
    assert stack.incidence.attrs["units"] == "degree"
    assert stack.incidence.attrs["grid_mapping"] == "spatial_ref"


def test_missing_heights_are_those_of_the_ellipsoid_or_near_ones(tabled: Path) -> None:
    expected = half_angle_incidence(NEAR + 400 * SPACING, EARTH)
    assert float(_opened(tabled).incidence[0, 1]) == pytest.approx(expected, abs=1e-4)
    heights = np.full((4, 5), 2000, "float32")
    heights[0, 1] = np.nan
    write_tif(tabled / "a_dem.tif", heights)
    expected = half_angle_incidence(NEAR + 400 * SPACING, EARTH + 2000)
    assert float(_opened(tabled).incidence[0, 1]) == pytest.approx(expected, abs=1e-4)


def test_headers_own_centre_comes_out(tabled: Path) -> None:
    lookup(next(tabled.glob("*.lt")), (8514 - 1) / 2)
    stack = _opened(tabled)
    assert float(stack.slant_range[1, 1]) == pytest.approx(878314.5356, abs=0.1)
    assert float(stack.incidence[1, 1]) == pytest.approx(39.7036, abs=0.05)


def test_look_angles_of_the_baseline_table_come_out(tabled: Path, mexico_dir: Path) -> None:
    """base_perp lists look angles from its own orbit model, 27.5 degrees in near and 40.5 in far range."""
    text = (mexico_dir / "geometry" / f"{FIRST}_VV_8rlks_bperp.par").read_text()
    rows = [[float(word) for word in row.split()] for row in text.splitlines() if re.match(r"\s*2500\s+\d", row)]
    samples, looks = np.array(rows)[[1, 10, 20, 30, 40], 1], np.array(rows)[[1, 10, 20, 30, 40], 5]
    lookup(next(tabled.glob("*.lt")), samples[np.newaxis])
    incidence = _opened(tabled).incidence.values[0].astype(float)
    np.testing.assert_allclose(
        np.rad2deg(np.arcsin(EARTH / SATELLITE * np.sin(np.deg2rad(incidence)))), looks, atol=0.05
    )


def test_places_without_data_or_outside_the_image_are_nan(tabled: Path) -> None:
    sample, line = np.full((4, 5), 1000.0), np.full((4, 5), 100.0)
    sample[0, 0] = line[0, 0] = 0.0
    sample[0, 1], sample[0, 2], line[0, 3], line[0, 4], sample[1, 0] = -3.0, 8514.0, -0.5, 4541.0, np.nan
    sample[1, 1] = 0.0  # a place in the first column, not one without data
    lookup(next(tabled.glob("*.lt")), sample, line)
    stack = _opened(tabled)
    expected = np.zeros((4, 5), bool)
    expected[0] = expected[1, 0] = True
    np.testing.assert_array_equal(np.isnan(stack.incidence), expected)
    np.testing.assert_array_equal(np.isnan(stack.slant_range), expected)
    INTERFEROGRAMS.check(stack)


def test_blocks_of_rows_join(tabled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _opened(tabled)
    monkeypatch.setattr("subsidence.io._lookup._BLOCK", 12)
    xr.testing.assert_identical(_opened(tabled), whole)


def test_table_of_the_other_byte_order_is_told_of(mexico_dir: Path, tabled: Path) -> None:
    (real,) = mexico_dir.rglob("*.lt")
    for start in range(0, 12000, 400):
        table = np.fromfile(real, ">f4", 40, offset=4 * start)
        table[-2:] = 0.0
        next(tabled.glob("*.lt")).write_bytes(table.tobytes())
        assert _opened(tabled).incidence.dims == ("y", "x")
        next(tabled.glob("*.lt")).write_bytes(table.byteswap().tobytes())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stack = open_interferograms(tabled, chunks=None)
        assert any("is it big-endian float32?" in str(warning.message) for warning in caught)
        assert {warning.category for warning in caught} == {SuspiciousDataWarning}
        assert stack.incidence.dims == ()


def _write(folder: Path, name: str, old: str, new: str) -> None:
    (folder / name).write_text(HEADER.replace(old, new))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda f: lookup(next(f.glob("*.lt")), 1.0, shape=(6, 5)),
            r"no lookup table fits its grid, 4 x 5 pixels need 160 bytes \(\w+_to_rdc.lt with 240 bytes\)",
        ),
        (lambda f: lookup(f / "b.UTM_TO_RDC", 1.0), "2 lookup tables fit its grid"),
        (
            lambda f: lookup(next(f.glob("*.lt")), 0.0, 0.0),
            "its places do not lie in the image of 4541 lines and 8514",
        ),
        (lambda f: lookup(next(f.glob("*.lt")), 9000.0), "its places do not lie in the image"),
        (
            lambda f: next(f.glob("*.lt")).rename(f / "20180106_VV_4rlks_eqa_to_rdc.lt"),
            "no image header has the 4 range looks",
        ),
        (
            lambda f: (
                next(f.glob("*.lt")).rename(f / "20180106_eqa_to_rdc.lt"),
                _write(f, "r20180106_4.mli.par", "range_looks:                       8", "range_looks: 4"),
            ),
            "images of 4 and 8 range looks",
        ),
        (lambda f: _write(f, "r20180106.mli.par", "near_range_slc", "nearest"), "near_range_slc is missing"),
        (
            lambda f: _write(f, "r20180106.mli.par", "range_looks", "image_geometry: GROUND_RANGE\nrange_looks"),
            "image_geometry is GROUND_RANGE, expected SLANT_RANGE",
        ),
    ],
)
def test_unusable_tables_are_told_of(tabled: Path, change: object, reason: str) -> None:
    change(tabled)  # type: ignore[operator]  # a callable from the table above
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stack = open_interferograms(tabled, chunks=None)
    told = [str(warning.message) for warning in caught if issubclass(warning.category, SuspiciousDataWarning)]
    assert any(re.search(reason, message) and "those of the scene's centre instead" in message for message in told)
    assert (float(stack.incidence), float(stack.slant_range)) == (39.7036, 878314.5356)


def test_table_smaller_than_the_grid_is_refused_unless_it_is_not_needed(tabled: Path) -> None:
    table = next(tabled.glob("*.lt"))
    table.write_bytes(table.read_bytes()[:-32])
    with pytest.raises(FormatError, match=r"_to_rdc.lt: truncated, .* it has 128 bytes, 4 x 5 pixels need 160"):
        _opened(tabled)
    stack = _opened(tabled, incidence=31.0, slant_range=8e5)
    assert (float(stack.incidence), float(stack.slant_range)) == (31.0, 8e5)


def test_other_tables_do_not_disturb(tabled: Path) -> None:
    expected = _opened(tabled)
    lookup(tabled / "20180106_rdc_to_eqa.lt", 1.0)
    lookup(tabled / ".20180106_eqa_to_rdc.lt", 1.0)
    lookup(tabled / "uncropped.lt", 1.0, shape=(40, 50))
    xr.testing.assert_identical(_opened(tabled), expected)


def test_the_image_is_the_one_of_the_tables_date_and_looks(tabled: Path) -> None:
    """Images of other dates and looks lie beside it, with other ranges."""
    expected = _opened(tabled).slant_range
    _write(tabled, "r20180130.mli.par", "near_range_slc:           798988", "near_range_slc: 799988")
    _write(tabled, "r20180106_4.mli.par", "range_looks:                       8", "range_looks: 4")
    _write(tabled, "r20180106.slc.par", "looks:                       ", "looks: 1  #")
    np.testing.assert_array_equal(_opened(tabled).slant_range, expected)
    next(tabled.glob("*.lt")).rename(tabled / "VV_8rlks_eqa_to_rdc.lt")
    np.testing.assert_allclose(_opened(tabled).slant_range, expected + 500, atol=0.2)
