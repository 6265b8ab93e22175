"""Amplitudes of coregistered images: calibrated, and how much they vary."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from subsidence import schema
from subsidence._blocks import Output, Progress, run
from subsidence._extras import require
from subsidence._kernels.dispersion import disperse
from subsidence.errors import InputError
from subsidence.typing import AnyArray, FloatArray

__all__ = ["LEAST_EPOCHS", "amplitude_dispersion", "calibrate_amplitude", "calibration_factors", "least_samples"]

#: Images without which there is no statistic of time.
LEAST_EPOCHS = 4
#: Patches of the scene, on each side, that calibration looks at, and rows and columns of each: few enough to be
#: read quickly from a stack on disk, however that is cut.
_PATCHES = 8
_SIDE = 24
#: Passes of the calibration where samples are missing: their means then depend on the factors. One does otherwise.
_PASSES = 4


def calibrate_amplitude(slc: xr.Dataset, *, mask: xr.DataArray | None = None) -> xr.Dataset:
    r"""
    Images whose amplitudes are on one scale.

    Parameters
    ----------
    slc
        SLC.
    mask
        Boolean (y, x): pixels whose amplitudes are to agree, such as a town; None for the whole scene.

    Returns
    -------
    xarray.Dataset
        SLC with each image divided by its factor, which the coordinate ``amplitude_factor`` (time) holds; their
        geometric mean is 1, NaN that of an image without data. Phases are as they were. Lazy where `slc` is.

    Raises
    ------
    SchemaError
        When `slc` is not SLC.
    InputError
        When there are fewer than 4 images, or `mask` is not of the scene's shape or True nowhere.

    Notes
    -----
    The factor of an image is the median, over pixels, of its amplitude over the pixel's geometric mean of all
    calibrated images:

    .. math:: \log f_t = \mathrm{median}_p \left[ \log a_{tp} - \mathrm{mean}_s \log (a_{sp} / f_s) \right]

    on at most 37,000 pixels in patches over the scene. The median keeps the many pixels that changed, or that are
    bright in one image, from mattering.

    References
    ----------
    Ferretti, A., C. Prati and F. Rocca (2001), Permanent scatterers in SAR interferometry, IEEE Trans. Geosci. Remote
    Sens. 39(1), 8-20, doi:10.1109/36.898661

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(40, 60), epochs=8, calibration_std=0.2, seed=1)
    >>> found = calibrate_amplitude(slc).amplitude_factor
    >>> bool((abs(found / truth.calibration - (found / truth.calibration).mean()) < 0.1).all())
    True
    """
    check_images(slc)
    images = slc["slc"].variable.transpose("time", "y", "x")
    factors = calibration_factors(slc, mask=mask)
    attrs = {"units": "1", "long_name": "factor that the amplitudes of an image were divided by"}
    calibrated = images.copy(data=images.data * (1 / factors)[:, np.newaxis, np.newaxis].astype(np.float32))
    result = slc.assign(slc=calibrated).assign_coords(amplitude_factor=xr.Variable("time", factors, attrs))
    return schema.SLC.stamp(result)


def amplitude_dispersion(
    slc: xr.Dataset,
    *,
    calibrate: bool = True,
    mask: xr.DataArray | None = None,
    threads: int | None = None,
    progress: Progress = False,
) -> xr.DataArray:
    r"""
    Amplitude dispersion of each pixel: the standard deviation of its amplitude over the mean.

    Parameters
    ----------
    slc
        SLC.
    calibrate
        Whether the images are brought to one scale first, see :func:`calibrate_amplitude`.
    mask
        Pixels that calibration looks at.
    threads
        Threads for data in memory, all CPUs by default. Chunked (dask) data stay lazy.
    progress
        True for a progress bar, or a function told (pixels done, pixels in all).

    Returns
    -------
    xarray.DataArray
        Float32 (y, x). NaN in pixels with data in fewer than half of the images, or in fewer than 4.

    Raises
    ------
    SchemaError
        When `slc` is not SLC, such as one of amplitudes (real numbers).
    InputError
        When there are fewer than 4 images.

    Notes
    -----
    .. math:: D_A = \frac{1}{\bar a} \sqrt{\frac{1}{n - 1} \sum_t (a_t - \bar a)^2}

    over the n images in which the pixel has data: neither NaN nor exactly zero. Below about 0.25 it is near the
    standard deviation of the phase in radians; of clutter alone it is 0.52.

    References
    ----------
    Ferretti, A., C. Prati and F. Rocca (2001), Permanent scatterers in SAR interferometry, IEEE Trans. Geosci. Remote
    Sens. 39(1), 8-20, doi:10.1109/36.898661

    Examples
    --------
    >>> from subsidence import simulate
    >>> slc, truth = simulate.slc_scene(shape=(40, 60), epochs=20, seed=1)
    >>> dispersion = amplitude_dispersion(slc)
    >>> steady = truth.phase_noise_std.where(truth.point_kind == 1) < 0.1
    >>> bool(dispersion.where(steady).median() < 0.2 < dispersion.median())
    True
    """
    check_images(slc)
    images = slc["slc"].variable.transpose("time", "y", "x").astype(np.complex64, copy=False)
    scale = np.ones(images.sizes["time"], np.float32)
    if calibrate and images.chunks is None:
        scale = (1 / calibration_factors(slc, mask=mask)).astype(np.float32)
    elif calibrate:
        images = calibrate_amplitude(slc, mask=mask)["slc"].variable
    kernel = partial(disperse, least_samples(images.sizes["time"]), scale)
    outputs = [Output((), (), np.float32)] * 2
    found, _ = run(
        kernel, [images], outputs, place=("y", "x"), threads=threads, progress=progress, label="amplitude dispersion"
    )
    known = schema.VARIABLES["amplitude_dispersion"]
    found.attrs = {"units": known.units, "long_name": known.long_name}
    coords = {name: coord.variable for name, coord in slc.coords.items() if "time" not in coord.dims}
    return xr.DataArray(found, coords, name="amplitude_dispersion")


def check_images(slc: xr.Dataset) -> None:
    """Refuse what is not a stack of images over time."""
    schema.SLC.check(slc, argument="slc")
    count = slc.sizes["time"]
    if count < LEAST_EPOCHS:
        msg = f"slc holds {count} images, at least {LEAST_EPOCHS} are needed to tell what stays from what changes"
        raise InputError(msg)


def least_samples(count: int) -> int:
    """Images in which a pixel must have data, of `count`."""
    return max(LEAST_EPOCHS, (count + 1) // 2)


def calibration_factors(slc: xr.Dataset, *, mask: xr.DataArray | None = None) -> Any:
    """Factor of each image, float64 along time, NaN for one without data; lazy where the images are."""
    images = slc["slc"].variable.transpose("time", "y", "x")
    if mask is None:
        rows, cols = (_patches(images.sizes[dim]) for dim in ("y", "x"))
        data = images.data
        lazy = images.chunks is not None  # dask takes one list of numbers at a time
        sample = data[:, rows][:, :, cols] if lazy else data[:, rows[:, np.newaxis], cols]
    else:
        rows, cols = _masked(mask, slc)
        data = images.data
        sample = data[:, rows, cols] if images.chunks is None else data.vindex[:, rows, cols].T
    sample = sample.reshape(sample.shape[0], -1)
    if images.chunks is None:
        return _factors(np.asarray(sample))
    da = require("dask.array", extra="dask", purpose="a chunked dataset")
    later = require("dask", extra="dask", purpose="a chunked dataset").delayed(_factors)(sample)
    return da.from_delayed(later, (sample.shape[0],), np.float64)


def _patches(size: int) -> AnyArray:
    """Numbers of the rows, or columns, of evenly spread patches; all where these would meet."""
    if size <= _PATCHES * _SIDE:
        return np.arange(size)
    starts = np.rint(np.linspace(0, size - _SIDE, _PATCHES)).astype(np.int64)
    return (starts[:, np.newaxis] + np.arange(_SIDE)).ravel()


def _masked(mask: xr.DataArray, slc: xr.Dataset) -> tuple[AnyArray, AnyArray]:
    """Rows and columns of pixels in a mask, evenly thinned."""
    shape = {dim: slc.sizes[dim] for dim in ("y", "x")}
    if not isinstance(mask, xr.DataArray) or dict(mask.sizes) != shape or mask.dtype != bool:
        got = f"{mask.dtype} {dict(mask.sizes)}" if isinstance(mask, xr.DataArray) else type(mask).__name__
        msg = f"mask must be a boolean DataArray over {shape}, got {got}"
        raise InputError(msg)
    chosen = np.flatnonzero(mask.transpose("y", "x").values)
    if chosen.size == 0:
        msg = "mask is True nowhere: there is no pixel to calibrate by"
        raise InputError(msg)
    chosen = chosen[:: -(-chosen.size // (_PATCHES * _SIDE) ** 2)]
    return np.divmod(chosen, shape["x"])


def _factors(sample: AnyArray) -> FloatArray:
    """Calibration factors of images (epoch, pixel)."""
    amplitude = np.abs(sample).astype(np.float32)
    amplitude[~((amplitude > 0) & np.isfinite(amplitude))] = np.nan
    factors = np.full(len(amplitude), np.nan)
    epochs = np.isfinite(amplitude).any(axis=1)
    held = np.isfinite(amplitude).sum(axis=0) >= max(1, 0.5 * epochs.sum())
    # a pixel seldom seen has a mean of its own
    epochs &= np.isfinite(amplitude[:, held]).any(axis=1)
    chosen = amplitude[epochs][:, held]
    if chosen.size == 0:
        return factors
    logarithm = np.log(chosen)
    found = np.zeros((len(chosen), 1), np.float32)
    if np.isfinite(logarithm).all():  # numpy takes five times as long to look for NaN
        found[:, 0] = np.median(logarithm - logarithm.mean(axis=0), axis=1)
    else:
        for _ in range(_PASSES):
            mean = np.nanmean(logarithm - found, axis=0)
            found[:, 0] = np.nanmedian(logarithm - mean, axis=1)
            found -= found.mean()
    found = np.exp((found[:, 0] - found.mean()).astype(np.float64))
    factors[epochs] = found
    return factors
