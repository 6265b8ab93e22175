"""Schemas: every fault at once, units written on results, nothing changed in place."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from subsidence import schema
from subsidence.errors import InputError, SchemaError


def interferograms(**changes):
    """A valid INTERFEROGRAMS dataset of three pairs on 2 x 4 pixels; `changes` replace or (None) drop variables."""
    days = np.array(["2018-01-06", "2018-01-18", "2018-01-30"], "datetime64[ns]")
    variables = {
        "unwrapped_phase": (("pair", "y", "x"), np.zeros((3, 2, 4), "float32"), {"units": "rad"}),
        "coherence": (("pair", "y", "x"), np.full((3, 2, 4), 0.5, "float32")),
        "reference": ("pair", days[[0, 0, 1]]),
        "secondary": ("pair", days[[1, 2, 2]]),
        "perpendicular_baseline": ("pair", [10.0, -20.0, -30.0], {"units": "m"}),
        "wavelength": ((), 0.0555, {"units": "m"}),
        "incidence": ((), 39.0, {"units": "degree"}),
        "slant_range": ((), 880e3),
        "heading": ((), -12.0),
        "x": ("x", np.arange(4.0)),
        "y": ("y", np.arange(2.0)),
    }
    variables |= changes
    ds = xr.Dataset({name: value for name, value in variables.items() if value is not None})
    names = {"reference", "secondary", "perpendicular_baseline", "wavelength", "incidence", "slant_range", "heading"}
    return ds.set_coords(names & set(ds.data_vars))


def series(**changes):
    time = np.array(["2018-01-06", "2018-01-18"], "datetime64[ns]")
    variables = {
        "displacement": (("time", "y", "x"), np.zeros((2, 2, 4), "float32")),
        "time": ("time", time),
    } | changes
    return xr.Dataset(variables)


def test_a_valid_dataset_has_no_faults():
    assert schema.INTERFEROGRAMS.faults(interferograms()) == ()
    schema.INTERFEROGRAMS.check(interferograms())
    schema.SERIES.check(series())


def test_every_fault_is_listed_at_once():
    broken = interferograms(
        unwrapped_phase=(("pair", "y", "x"), np.zeros((3, 2, 4)), {"units": "m"}),
        coherence=(("y", "x"), np.zeros((2, 4))),
        wavelength=None,
        incidence=((), 0.68),
        slant_range=((), 880.0),
        secondary=("pair", [20180118, 20180130, 20180130]),
        perpendicular_baseline=("pair", [1.0, 2.0, 3.0], {"units": "km"}),
    )
    with pytest.raises(SchemaError) as caught:
        schema.INTERFEROGRAMS.check(broken, argument="stack")
    assert set(caught.value.faults) == {
        "'unwrapped_phase' is in 'm', expected 'rad'",
        "'coherence' has dims ('y', 'x'), expected ('pair', 'y', 'x') or ('pair', 'point')",
        "'wavelength' is missing (radar wavelength in m, dims ())",
        "'incidence' lies between 0.68 and 0.68 degree: it looks like radians, use np.rad2deg",
        "'slant_range' lies between 880 and 880, expected 1000..1e+08 m",
        "'secondary' has dtype int64, expected datetime64",
        "'perpendicular_baseline' is in 'km', expected 'm'",
    }
    message = str(caught.value)
    assert message.startswith("stack: not a valid INTERFEROGRAMS dataset:\n  - ")
    assert all(f"\n  - {fault}" in message for fault in caught.value.faults)


def test_one_of_several_variables_is_enough():
    assert (
        schema.INTERFEROGRAMS.faults(
            interferograms(unwrapped_phase=None, phase=(("pair", "y", "x"), np.zeros((3, 2, 4))))
        )
        == ()
    )
    faults = schema.INTERFEROGRAMS.faults(interferograms(unwrapped_phase=None))
    assert faults == ("one of 'phase', 'unwrapped_phase' is needed, none is there",)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"wavelength": ((), 55.5)}, r"'wavelength' lies between 55.5 and 55.5, expected 0.005..2 m"),
        ({"wavelength": ((), np.nan)}, r"'wavelength' is nan, expected a finite number in m"),
        ({"incidence": ((), 130.0)}, r"'incidence' lies between 130 and 130, expected 0..90 degree"),
        ({"incidence": ((), -39.0)}, r"angles count from the vertical, without a sign"),
        ({"incidence": (("y", "x"), np.full((2, 4), 0.6))}, r"looks like radians, use np.rad2deg"),
        ({"lat": ("y", [95.0, 96.0])}, r"'lat' lies between 95 and 96, expected -90..90 degrees_north"),
        ({"looks": ((), -1.0)}, r"'looks' lies between -1 and -1, expected above 0"),
        ({"looks": ((), 0)}, r"'looks' lies between 0 and 0, expected above 0"),
        ({"looks": ((), np.nan)}, r"'looks' is nan, expected a finite number$"),
        ({"heading": ((), np.nan)}, r"'heading' is nan, expected a finite number in degree"),
        ({"row": ((), -1)}, r"'row' lies between -1 and -1, expected 0\.\.$"),
        ({"wavelength": ((), 1)}, r"'wavelength' has dtype int64, expected float"),
        ({"incidence": ((), 130)}, r"'incidence' lies between 130 and 130, expected 0..90 degree"),
        ({"looks": ((), "many")}, r"'looks' has dtype <U4, expected float or integer or unsigned integer"),
        ({"x": ("x", np.arange(4.0), {"units": "feet"})}, r"'x' is in 'feet', expected 'm'"),
        ({"los_up": ((), 1.5)}, r"'los_up' lies between 1.5 and 1.5, expected 0..1$"),
    ],
)
def test_a_coordinate_outside_its_range_is_a_fault(changes, fault):
    changed = interferograms(**changes)
    changed = changed.set_coords(set(changes) & set(changed.data_vars))
    with pytest.raises(SchemaError, match=fault):
        schema.INTERFEROGRAMS.check(changed)


@pytest.mark.parametrize(
    ("name", "units", "written"),
    [
        ("x", "metre", "m"),  # rioxarray's
        ("y", "metres", "m"),
        ("x", "degree_east", "degrees_east"),
        ("x", "unitless", "1"),
        ("slant_range", "meter", "m"),
        ("perpendicular_baseline", "meters", "m"),
        ("incidence", "degrees", "degree"),
        ("heading", "deg", "degree"),
        ("lon", "degrees", "degrees_east"),
        ("lat", "degree_north", "degrees_north"),
        ("unwrapped_phase", "radian", "rad"),
        ("unwrapped_phase", "radians", "rad"),
        ("coherence", "", "1"),
        ("coherence", "dimensionless", "1"),
        ("coherence", 1, "1"),
    ],
)
def test_another_spelling_of_the_unit_is_accepted_and_written_anew(name, units, written):
    ds = interferograms(lon=("x", np.arange(4.0)), lat=("y", np.arange(2.0)))
    ds[name].attrs["units"] = units
    assert schema.INTERFEROGRAMS.faults(ds) == ()
    assert schema.INTERFEROGRAMS.stamp(ds)[name].attrs["units"] == written
    assert ds[name].attrs["units"] == units


@pytest.mark.parametrize("units", ["m/yr", "m/a", "m yr-1", "m year-1", "m/year"])
def test_spellings_of_metres_per_year(units):
    ds = series(velocity=(("y", "x"), np.zeros((2, 4)), {"units": units}))
    assert schema.SERIES.faults(ds) == ()
    assert schema.SERIES.stamp(ds).velocity.attrs["units"] == "m/year"


@pytest.mark.parametrize(
    ("name", "units", "expected"),
    [
        ("perpendicular_baseline", "mm", "m"),
        ("slant_range", "km", "m"),
        ("incidence", "rad", "degree"),
        ("unwrapped_phase", "degrees", "rad"),
        ("unwrapped_phase", "", "rad"),
        ("x", "degrees", "m"),  # of which axis?
        ("coherence", "percent", "1"),
        ("coherence", ["1"], "1"),
    ],
)
def test_a_spelling_of_another_unit_is_a_fault(name, units, expected):
    ds = interferograms()
    ds[name].attrs["units"] = units
    assert schema.INTERFEROGRAMS.faults(ds) == (f"{name!r} is in {units!r}, expected {expected!r}",)


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint16"])
def test_coordinates_may_be_whole_numbers(dtype):
    ds = interferograms(
        lon=("x", np.arange(4)),
        lat=("y", np.arange(2)),
        height=(("y", "x"), np.full((2, 4), 2240)),
        incidence=((), 39),
        heading=((), 348),
        slant_range=((), 60_000),
        looks=((), 20),
        perpendicular_baseline=("pair", [10, 20, 30]),
    )
    whole = ["x", "y", "lon", "lat", "height", "incidence", "heading", "looks", "perpendicular_baseline"]
    whole += ["slant_range"] if dtype != "int16" else []
    changed = ds.assign({name: ds[name].astype(dtype) for name in whole})
    assert schema.INTERFEROGRAMS.faults(changed) == ()
    assert schema.INTERFEROGRAMS.stamp(changed).height.dtype == dtype
    assert schema.SERIES.faults(series(displacement=(("time", "y", "x"), np.zeros((2, 2, 4), dtype)))) != ()


def test_no_data_at_one_place_is_not_a_fault():
    ds = series(velocity_std=(("y", "x"), np.full((2, 4), np.nan)), height=(("y", "x"), np.full((2, 4), np.nan)))
    one = ds.set_coords("height").isel(y=0, x=0)
    assert schema.SERIES.faults(one) == ()


def test_pixel_values_of_lazy_data_are_not_looked_at():
    da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")

    def explode(block):
        raise AssertionError

    lazy = da.ones((3, 2, 4), chunks=1).map_blocks(explode, meta=np.empty((0, 0, 0)))
    schema.INTERFEROGRAMS.check(interferograms(unwrapped_phase=(("pair", "y", "x"), lazy)))


def test_what_a_function_needs_is_asked_for_once():
    with pytest.raises(SchemaError, match=r"'coherence' is missing \(coherence\): this function needs it") as caught:
        schema.INTERFEROGRAMS.check(interferograms(coherence=None), needs=("coherence",))
    assert len(caught.value.faults) == 1


@pytest.mark.parametrize("value", [np.zeros(3), xr.DataArray([0.0]), None, "stack.nc"])
def test_what_is_no_dataset_is_refused_by_type(value):
    with pytest.raises(InputError, match=r"stack must be an xarray.Dataset \(INTERFEROGRAMS\), got"):
        schema.INTERFEROGRAMS.check(value, argument="stack")


def test_the_error_survives_pickling():
    with pytest.raises(SchemaError) as caught:
        schema.SERIES.check(xr.Dataset(), argument="series")
    back = pickle.loads(pickle.dumps(caught.value))
    assert (str(back), back.faults, back.kind) == (str(caught.value), caught.value.faults, "SERIES")


@given(order=st.permutations(["pair", "y", "x"]))
def test_the_order_of_dimensions_does_not_matter(order):
    assert schema.INTERFEROGRAMS.faults(interferograms().transpose(*order)) == ()


def test_points_are_a_place_too():
    ds = interferograms().stack(point=("y", "x")).reset_index("point").drop_vars(["x", "y"])
    assert schema.INTERFEROGRAMS.faults(ds) == ()
    assert schema.spatial_dims(ds) == ("point",)
    assert schema.spatial_dims(series().displacement) == ("y", "x")
    with pytest.raises(InputError, match=r"series must have dims \('y', 'x'\) or \('point',\), got \('time',\)"):
        schema.spatial_dims(series().isel(x=0, y=0, drop=True), argument="series")


def test_stamp_writes_units_over_what_arithmetic_left():
    squared = interferograms().assign_attrs(note="kept")
    squared["unwrapped_phase"] = (squared.unwrapped_phase**2).assign_attrs(
        units="rad2", standard_name="wrong", comment="old", grid_mapping="spatial_ref"
    )
    stamped = schema.INTERFEROGRAMS.stamp(squared)
    attrs = stamped.unwrapped_phase.attrs
    assert (attrs["units"], attrs["long_name"]) == ("rad", "unwrapped interferometric phase")
    assert attrs["comment"].startswith("positive away")
    assert attrs["grid_mapping"] == "spatial_ref"
    assert "standard_name" not in attrs
    assert stamped.attrs == {"note": "kept", "Conventions": "CF-1.11", "kind": "INTERFEROGRAMS"}


def test_stamp_changes_nothing_of_its_input():
    ds = interferograms()
    for variable in ds.variables.values():
        if isinstance(variable.data, np.ndarray):
            variable.values.flags.writeable = False
    before = ds.copy(deep=True)
    schema.INTERFEROGRAMS.stamp(ds)
    xr.testing.assert_identical(ds, before)
    assert "long_name" not in ds.x.attrs


def test_stamp_makes_coordinates_of_what_results_carry():
    ds = interferograms().reset_coords(["wavelength", "perpendicular_baseline"])
    stamped = schema.INTERFEROGRAMS.stamp(ds)
    assert {"wavelength", "perpendicular_baseline"} <= set(stamped.coords)
    assert set(stamped.data_vars) == {"unwrapped_phase", "coherence"}


def test_stamp_keeps_degrees_of_a_geographic_grid_and_writes_no_unit_on_dates():
    ds = series(x=("x", np.linspace(99.1, 99.2, 4), {"units": "degrees_east", "standard_name": "longitude"}))
    stamped = schema.SERIES.stamp(ds)
    assert stamped.x.attrs["units"] == "degrees_east"
    assert stamped.x.attrs["standard_name"] == "longitude"
    assert "units" not in stamped.time.attrs
    assert stamped.displacement.attrs["units"] == "m"


def test_the_sign_follows_the_component():
    towards = schema.SERIES.stamp(series().assign_attrs(component="los")).displacement.attrs["comment"]
    up = schema.SERIES.stamp(series().assign_attrs(component="up")).displacement.attrs["comment"]
    assert (towards[:16], up[:11]) == ("positive towards", "positive up")
    levelled = xr.Dataset({"displacement": (("time", "benchmark"), [[0.0], [-0.1]])}, {"time": series().time})
    assert schema.LEVELLING.stamp(levelled).displacement.attrs["comment"] == up


def test_stamp_leaves_unknown_variables_alone():
    ds = series(colour=("x", np.arange(4), {"units": "1", "note": "mine"}))
    assert schema.SERIES.stamp(ds).colour.attrs == {"units": "1", "note": "mine"}


@pytest.mark.parametrize("kind", schema.KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_is_well_formed(kind):
    names = [item.name for item in kind.fields]
    assert len(names) == len(set(names))
    assert all(item.variable is schema.VARIABLES[item.name] for item in kind.fields)
    assert all(name in names for group in kind.one_of for name in group)
    assert kind[names[0]].name == names[0]
    with pytest.raises(KeyError):
        kind["no such variable"]
    assert hash(kind) == hash(pickle.loads(pickle.dumps(kind)))
    # An empty Dataset lacks everything that is required, and only that.
    faults = kind.faults(xr.Dataset())
    assert len(faults) == len(kind.one_of) + sum(item.required for item in kind.fields)


def test_every_variable_has_a_unit_and_a_name():
    unitless = {"status", "estimate", "estimate_std", "optimum", "covariance"}  # of as many units as parameters
    for name, variable in schema.VARIABLES.items():
        assert variable.name == name
        assert variable.long_name
        assert variable.units or variable.kinds in {"M", "b", "UOT"} or name in unitless
        if variable.minimum is not None and variable.maximum is not None:
            assert variable.minimum < variable.maximum


def test_status_flags_follow_cf():
    flags = schema.STATUS
    assert flags["flag_values"] == [int(status) for status in schema.Status]
    meanings = str(flags["flag_meanings"]).split()
    assert [schema.Status[meaning.upper()] for meaning in meanings] == list(schema.Status)
    assert schema.Status.OK == 0
