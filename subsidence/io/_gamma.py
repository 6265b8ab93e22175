"""GAMMA's text files: image parameters, baseline vectors, tables of perpendicular baselines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RegularGridInterpolator

from subsidence.errors import FormatError, InputError
from subsidence.geometry import SPEED_OF_LIGHT, wavelength_from_frequency
from subsidence.io._names import Date, NamedPair, by_pair, dates_in

__all__ = [
    "Geometry",
    "RadarImage",
    "baseline_files",
    "image_headers",
    "perpendicular_baselines",
    "radar_image",
    "scene_geometry",
]

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_RANGE_LOOKS = re.compile(r"(?<!\d)(\d+)rlks")
_TABLE_COLUMNS = 9
#: Headers of one stack may differ by this many degrees and by this share of the range: images of one track do by
#: some hundredths of a degree and some hundred metres.
_ANGLES_DIFFER = 1.0
_RANGES_DIFFER = 0.01
#: A parameter file is a few kB; anything much larger that ends in .par is something else.
_LARGEST_HEADER = 2**20


@dataclass(frozen=True)
class Geometry:
    """What the image headers say of the centre of the radar scene."""

    wavelength: float
    incidence: float
    slant_range: float
    #: Degrees clockwise from north.
    heading: float
    #: Angle at the satellite between nadir and line of sight, in degrees; None when the headers lack it.
    look_angle: float | None
    #: Independent looks of a multilooked pixel; None without a multilooked image's header.
    looks: float | None


@dataclass(frozen=True)
class RadarImage:
    """The image whose pixels a lookup table counts; lengths in metres."""

    samples: float
    lines: float
    #: Slant range of the centre of the first sample.
    near_range: float
    #: Slant range from one (multilooked) sample to the next.
    spacing: float
    #: From the Earth's centre to the satellite.
    satellite_radius: float
    #: From the Earth's centre to the ellipsoid below the satellite.
    earth_radius: float


def image_headers(files: Iterable[Path]) -> dict[Path, dict[str, str]]:
    """The SLC and MLI parameter files among `files`: those that name a radar frequency."""
    found = {path: _parameters(path) for path in files if path.stat().st_size <= _LARGEST_HEADER}
    return {path: parameters for path, parameters in found.items() if "radar_frequency" in parameters}


def scene_geometry(folder: Path, headers: Mapping[Path, Mapping[str, str]]) -> Geometry:
    r"""Geometry at the scene centre, the mean over the epochs' headers.

    Notes
    -----
    The wavelength is c over the radar frequency with c = 299 792 458 m/s. The look angle follows from the
    triangle of satellite, Earth's centre and target (law of cosines),

    .. math:: \cos\ell = \frac{H^2 + R^2 - r_e^2}{2 H R}

    Independent looks are the resolution cells in a multilooked pixel: its extent in azimuth time and
    slant range times the processed bandwidths, :math:`N = \Delta t\,B_a \cdot 2 \Delta r B_r / c`, which is less
    than range looks times azimuth looks because images are oversampled.

    Raises
    ------
    FormatError
        When there is no header, one lacks a value or gives the incidence in radians, or they disagree on the
        frequency, the incidence, the heading or the range.
    """
    if not headers:
        raise FormatError(
            folder,
            "no parameter file (.par) holds a radar_frequency, so the wavelength is unknown: add an SLC or MLI .par",
        )
    frequencies = {path: _number(path, header, "radar_frequency") for path, header in headers.items()}
    first = next(iter(frequencies))
    for path, frequency in frequencies.items():
        if abs(frequency - frequencies[first]) > 1e-5 * frequencies[first]:
            raise FormatError(
                path,
                f"radar_frequency is {frequency:g} Hz, but {frequencies[first]:g} in {first}: two sensors in one stack",
            )
    try:
        wavelength = wavelength_from_frequency(float(np.mean(list(frequencies.values()))))
    except InputError as error:
        raise FormatError(first, str(error)) from error
    multilooked = {path: header for path, header in headers.items() if _looks(path, header) > 1}
    used = multilooked or headers
    _check_agreement(used)

    def mean(key: str) -> float:
        return float(np.mean([_number(path, header, key) for path, header in used.items()]))

    heading = np.deg2rad([_number(path, header, "heading") for path, header in used.items()])
    slant_range = mean("center_range_slc")
    look_angle = None
    if all({"sar_to_earth_center", "earth_radius_below_sensor"} <= set(header) for header in used.values()):
        height, radius = mean("sar_to_earth_center"), mean("earth_radius_below_sensor")
        cosine = (height**2 + slant_range**2 - radius**2) / (2 * height * slant_range)
        look_angle = float(np.rad2deg(np.arccos(cosine)))
    return Geometry(
        wavelength=wavelength,
        incidence=mean("incidence_angle"),
        slant_range=slant_range,
        heading=float(np.rad2deg(np.arctan2(np.sin(heading).mean(), np.cos(heading).mean()))),
        look_angle=look_angle,
        looks=_common_looks(multilooked),
    )


def radar_image(table: Path, headers: Mapping[Path, Mapping[str, str]]) -> RadarImage:
    """The multilooked image that the lookup table called `table` points into.

    The one of the date and of the range looks ("8rlks") in the table's name; the mean over the epochs, whose
    ranges and orbits differ by some tens of metres, where the name tells no date.

    Raises
    ------
    FormatError
        When none has these looks, their looks differ, ranges are not slant ranges or a value is missing.
    """
    used = {path: header for path, header in headers.items() if _looks(path, header) > 1} or dict(headers)
    dates = set(dates_in(table.name))
    used = {path: header for path, header in used.items() if dates & set(dates_in(path.name))} or used
    looks = {path: _number(path, header, "range_looks") for path, header in used.items() if "range_looks" in header}
    named = _RANGE_LOOKS.search(table.name)
    if named is not None and looks:
        used = {path: header for path, header in used.items() if looks.get(path) == float(named[1])}
        if not used:
            raise FormatError(table, f"no image header has the {named[1]} range looks that its name tells")
    elif len(set(looks.values())) > 1:
        found = " and ".join(f"{number:g}" for number in sorted(set(looks.values())))
        raise FormatError(table, f"there are images of {found} range looks, and its name does not tell which it is of")
    for path, header in used.items():
        if header.get("image_geometry", "SLANT_RANGE") != "SLANT_RANGE":
            raise FormatError(path, f"image_geometry is {header['image_geometry']}, expected SLANT_RANGE")

    def mean(key: str) -> float:
        return float(np.mean([_number(path, header, key) for path, header in used.items()]))

    return RadarImage(
        samples=mean("range_samples"),
        lines=mean("azimuth_lines"),
        near_range=mean("near_range_slc"),
        spacing=mean("range_pixel_spacing"),
        satellite_radius=mean("sar_to_earth_center"),
        earth_radius=mean("earth_radius_below_sensor"),
    )


def baseline_files(files: Sequence[Path]) -> tuple[dict[tuple[Date, Date], NamedPair], ...]:
    """Tables (``*bperp.par``, ``*.bperp``) and vectors (``*base.par``, ``*.base``) by pair.

    Raises
    ------
    FormatError
        When a name carries no two dates or a pair comes twice.
    """
    tables = [path for path in files if path.name.endswith(("bperp.par", ".bperp"))]
    vectors = [path for path in files if path.name.endswith(("base.par", ".base"))]
    return by_pair(tables), by_pair(vectors)


def perpendicular_baselines(
    folder: Path,
    pairs: Sequence[tuple[Date, Date]],
    files: Sequence[Path],
    look_angle: float | None,
) -> npt.NDArray[np.float64] | None:
    """Perpendicular baselines (m) of `pairs` at the scene centre, None when no pair has a baseline file.

    A table is used where there is one, otherwise the vector.

    Raises
    ------
    FormatError
        When some pairs have a baseline file and others have none, or one cannot be read.
    """
    tables, vectors = baseline_files(files)
    if not any(pair in tables or pair in vectors for pair in pairs):
        return None
    missing = [pair for pair in pairs if pair not in tables and pair not in vectors]
    if missing:
        names = ", ".join(f"{first} to {second}" for first, second in missing[:3])
        raise FormatError(
            folder,
            f"{len(missing)} of {len(pairs)} pairs have no base.par or bperp.par ({names}): "
            "add them, or pass perpendicular_baseline=",
        )
    result = []
    for pair in pairs:
        named = tables.get(pair) or vectors[pair]
        value = table_baseline(named.path) if pair in tables else vector_baseline(named.path, look_angle)
        result.append(-value if named.swapped else value)
    return np.array(result)


def table_baseline(path: Path) -> float:
    """Perpendicular baseline (m) at the centre line and range of a ``bperp.par`` table.

    Raises
    ------
    FormatError
        When the table is not whole.
    """
    text = _text(path)
    size = re.search(r"interferogram lines:\s*(\d+)\s+range samples/line:\s*(\d+)", text)
    rows = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == _TABLE_COLUMNS and all(_NUMBER.fullmatch(word) for word in words):
            rows.append([float(word) for word in words])
    if size is None or not rows:
        raise FormatError(path, "not a table of perpendicular baselines as GAMMA's base_perp writes it")
    table = np.array(rows)
    lines, samples = np.unique(table[:, 0]), np.unique(table[:, 1])
    centre = (int(size[1]) / 2, int(size[2]) / 2)
    whole = len(table) == lines.size * samples.size and min(lines.size, samples.size) > 1
    if not whole or not (lines[0] <= centre[0] <= lines[-1] and samples[0] <= centre[1] <= samples[-1]):
        raise FormatError(path, f"its table is not whole: {len(table)} rows do not fill a grid around the scene centre")
    ordered = table[np.lexsort((table[:, 1], table[:, 0])), 7].reshape(lines.size, samples.size)
    return float(RegularGridInterpolator((lines, samples), ordered)(centre).item())


def vector_baseline(path: Path, look_angle: float | None) -> float:
    r"""Perpendicular baseline (m) from the vector (T, C, N) of a ``base.par`` at the scene centre.

    The precision vector, or the initial one where the precision vector was never set (all zero).

    Notes
    -----
    .. math:: B_\perp = B_C \cos\ell - B_N \sin\ell

    Raises
    ------
    FormatError
        When a vector is absent, cut off or 0, or the headers give no look angle.
    """
    text = _text(path)
    vector = _vector(path, text, "precision_baseline(TCN)")
    if not any(vector):
        vector = _vector(path, text, "initial_baseline(TCN)")
    if not any(vector):
        raise FormatError(path, "it holds no baseline vector: precision_baseline(TCN) and initial_baseline(TCN) are 0")
    if look_angle is None:
        raise FormatError(
            path,
            "no image header gives sar_to_earth_center and earth_radius_below_sensor, so the look angle that turns "
            "its vector into a perpendicular baseline is unknown",
        )
    look = np.deg2rad(look_angle)
    return float(vector[1] * np.cos(look) - vector[2] * np.sin(look))


def _check_agreement(headers: Mapping[Path, Mapping[str, str]]) -> None:
    """Refuse headers of different scenes: their mean would be the geometry of none of them."""
    for path, header in headers.items():
        incidence = _number(path, header, "incidence_angle")
        if incidence <= np.pi / 2:
            raise FormatError(path, f"incidence_angle is {incidence:g}, expected degrees: is it in radians?")
    for key, unit in (("incidence_angle", "degrees"), ("heading", "degrees"), ("center_range_slc", "m")):
        values = np.array([_number(path, header, key) for path, header in headers.items()])
        steps = values - values[0]
        if key == "heading":  # 359.9 and 0.1 degrees are neighbours
            steps = (steps + 180) % 360 - 180
        odd = int(np.argmax(np.abs(steps - np.median(steps))))
        other = int(np.argmax(np.abs(steps - steps[odd])))
        allowed = _RANGES_DIFFER * values[other] if unit == "m" else _ANGLES_DIFFER
        if abs(steps[odd] - steps[other]) > allowed:
            files = list(headers)
            raise FormatError(
                files[odd],
                f"{key} is {values[odd]:g} {unit}, but {values[other]:g} in {files[other]}: "
                "correct or remove the header that is of another scene",
            )


def _vector(path: Path, text: str, key: str) -> list[float]:
    """Three numbers after `key`; what follows the last one shows that it is whole."""
    number = rf"[ \t]+({_NUMBER.pattern})"
    found = re.search(rf"^[ \t]*{re.escape(key)}:{number * 3}\s", text, flags=re.MULTILINE)
    if found is None:
        raise FormatError(
            path,
            f"it holds no baseline vector: {key} is absent or cut off: copy the file again, "
            "or pass perpendicular_baseline=",
        )
    return [float(word) for word in found.groups()]


def _parameters(path: Path) -> dict[str, str]:
    """GAMMA's ``key:  value unit`` lines."""
    result = {}
    for line in _text(path).splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip():
            result[key.strip()] = value.strip()
    return result


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise FormatError(path, f"cannot be read ({error.strerror or error})") from error


def _number(path: Path, header: Mapping[str, str], key: str) -> float:
    found = _NUMBER.match(header.get(key, ""))
    if found is None:
        raise FormatError(path, f"{key} is missing or not a number")
    return float(found[0])


def _looks(path: Path, header: Mapping[str, str]) -> float:
    if not {"range_looks", "azimuth_looks"} <= set(header):
        return 1.0
    return _number(path, header, "range_looks") * _number(path, header, "azimuth_looks")


def _common_looks(headers: Mapping[Path, Mapping[str, str]]) -> float | None:
    """Independent looks when all multilooked images agree on them, None otherwise."""
    found = [_independent_looks(path, header) for path, header in headers.items()]
    if not found or max(found) > 1.02 * min(found):
        return None
    return float(np.mean(found))


def _independent_looks(path: Path, header: Mapping[str, str]) -> float:
    nominal = _looks(path, header)
    needed = ("azimuth_line_time", "azimuth_proc_bandwidth", "range_pixel_spacing", "chirp_bandwidth")
    if not set(needed) <= set(header):
        return nominal
    line_time, azimuth_bandwidth, spacing, chirp_bandwidth = (_number(path, header, key) for key in needed)
    cells = line_time * azimuth_bandwidth * 2 * spacing * chirp_bandwidth / SPEED_OF_LIGHT
    return min(nominal, max(1.0, cells))
