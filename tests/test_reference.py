"""The place that a reference names."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from subsidence._reference import resolve
from subsidence.errors import InputError


@pytest.fixture
def raster() -> xr.Dataset:
    return xr.Dataset(
        {"height": (("y", "x"), np.arange(12.0).reshape(3, 4))},
        {
            "x": [100.0, 110.0, 120.0, 130.0],
            "y": [50.0, 40.0, 30.0],
            "lon": ("x", [10.0, 10.1, 10.2, 10.3]),
            "lat": ("y", [5.2, 5.1, 5.0]),
        },
    )


@pytest.fixture
def points() -> xr.Dataset:
    rng = np.random.default_rng(3)
    return xr.Dataset(
        {"height": ("point", np.arange(20.0))},
        {
            "x": ("point", rng.uniform(0, 1000, 20)),
            "y": ("point", rng.uniform(0, 1000, 20)),
            "row": ("point", np.arange(20)),
            "col": ("point", np.arange(20) * 2),
        },
    )


@pytest.mark.parametrize(
    ("reference", "row", "col"),
    [
        ({"row": 1, "col": 2}, 1, 2),
        ({"col": np.int64(3), "row": 0.0}, 0, 3),
        ({"x": 121.0, "y": 44.0}, 1, 2),
        ({"x": 95.0, "y": 25.0}, 2, 0),  # half a pixel outside the centres
        ({"lon": 10.29, "lat": 5.19}, 0, 3),
        ({"lon": 370.1, "lat": 5.0}, 2, 1),  # the same meridian
    ],
)
def test_a_place_on_a_raster(raster, reference, row, col):
    words, attrs, place = resolve(raster, reference)
    assert words == attrs["reference"] == f"pixel row {row}, col {col}"
    assert place == {"y": row, "x": col}
    assert (attrs["reference_row"], attrs["reference_col"]) == (row, col)
    assert attrs["reference_x"] == raster.x.values[col]
    assert attrs["reference_lat"] == raster.lat.values[row]
    assert all(type(value) in (int, float, str) for value in attrs.values())


def test_two_dimensional_longitudes(raster):
    lon, lat = np.meshgrid(raster.lon.values, raster.lat.values)
    turned = raster.drop_vars(["lon", "lat"]).assign_coords(lon=(("y", "x"), lon + 0.01 * lat), lat=(("y", "x"), lat))
    _, _, place = resolve(turned, {"lon": 10.152, "lat": 5.1})
    assert place == {"y": 1, "x": 1}
    with pytest.raises(InputError, match=r"lon=10\.9, lat=5 lies outside the dataset: \d+ m from its nearest place"):
        resolve(turned, {"lon": 10.9, "lat": 5.0})


def test_points(points):
    words, attrs, place = resolve(points, {"point": 7})
    assert (words, place, attrs["reference_point"]) == ("point 7", {"point": 7}, 7)
    assert attrs["reference_x"] == points.x.values[7]
    near = {"x": points.x.values[4] + 1.0, "y": points.y.values[4] - 1.0}
    assert resolve(points, near)[2] == {"point": 4}
    assert resolve(points, {"row": 5, "col": 10})[2] == {"point": 5}
    labelled = points.isel(point=[3, 9]).assign_coords(point=[3, 9])
    assert resolve(labelled, {"point": 9})[::2] == ("point 9", {"point": 1})


def test_mask_in_any_order_of_dimensions(raster):
    chosen = (raster.height > 9).transpose("x", "y")
    words, attrs, place = resolve(raster, chosen)
    assert words == attrs["reference"] == "mean of 2 pixels"
    assert attrs["reference_count"] == 2
    assert place.dims == ("y", "x")
    np.testing.assert_array_equal(place.values, raster.height.values > 9)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"row": 3, "col": 0}, r"reference\['row'\] is 3, outside the dataset: it has 3, counted 0\.\.2"),
        ({"row": -1, "col": 0}, r"reference\['row'\] is -1, outside"),
        ({"row": 0.5, "col": 0}, r"reference\['row'\] must be a whole number, got 0\.5"),
        ({"row": "a", "col": 0}, r"reference\['row'\] must be a finite number, got 'a'"),
        ({"x": np.nan, "y": 0}, r"reference\['x'\] must be a finite number"),
        ({"x": 151.0, "y": 50.0}, r"reference\['x'\] is 151, more than one pixel \(10\) outside.*100\.\.130"),
        ({"lon": 10.0, "lat": 6.0}, r"reference\['lat'\] is 6, more than one pixel \(0\.1\) outside"),
        ({"longitude": 1.0, "latitude": 2.0}, r"reference has keys \('longitude', 'latitude'\), expected"),
        ({"point": 1}, "names a point, but the dataset is a raster"),
        ("nearest", "reference must be .* got 'nearest'"),
        (None, "reference must be .* got None"),
        (np.ones((3, 4), bool), "reference must be .* got ndarray"),
    ],
)
def test_refused_on_a_raster(raster, reference, message):
    with pytest.raises(InputError, match=message):
        resolve(raster, reference)


def test_refused_masks(raster):
    with pytest.raises(InputError, match="area is a mask of dtype float64, expected boolean"):
        resolve(raster, raster.height, argument="area")
    with pytest.raises(InputError, match="mask without any True"):
        resolve(raster, raster.height > 99)
    with pytest.raises(InputError, match=r"mask with sizes \{'y': 3, 'x': 3\}, expected \{'y': 3, 'x': 4\}"):
        resolve(raster, (raster.height > 3).isel(x=slice(3)))
    with pytest.raises(InputError, match="mask whose coordinate 'x' differs"):
        resolve(raster, (raster.height > 3).assign_coords(x=raster.x + 10))


def test_numbers_of_a_place_with_whole_coordinates(raster):
    whole = raster.assign_coords(x=[100, 110, 120, 130], y=[50, 40, 30])
    attrs = resolve(whole, {"x": 121.0, "y": 44.0})[1]
    assert (attrs["reference_x"], attrs["reference_y"]) == (120.0, 40.0)


def test_refused_on_points(points):
    with pytest.raises(InputError, match=r"reference\['point'\] is 20, outside"):
        resolve(points, {"point": 20})
    with pytest.raises(InputError, match="no point lies on row 5, col 11"):
        resolve(points, {"row": 5, "col": 11})
    with pytest.raises(InputError, match="these points have no 'row' and 'col'"):
        resolve(points.drop_vars(["row", "col"]), {"row": 5, "col": 10})
    with pytest.raises(InputError, match="lies outside the dataset"):
        resolve(points, {"x": 1e5, "y": 0.0})
    with pytest.raises(InputError, match="the dataset has no 'lon' and 'lat'"):
        resolve(points, {"lon": 1.0, "lat": 0.0})
    with pytest.raises(InputError, match="no point is labelled 4"):
        resolve(points.isel(point=[3, 9]).assign_coords(point=[3, 9]), {"point": 4})
    with pytest.raises(InputError, match="NaN everywhere"):
        resolve(points.assign_coords(x=points.x * np.nan), {"x": 1.0, "y": 1.0})
