"""Measures of agreement between two arrays: plain functions, NaN pairs left out.

Residuals are estimate minus truth throughout. Two quantities go by the name of R2, and each has a name
of its own here: :func:`r2_pearson` asks whether the points lie on *some* line, :func:`r2_one_to_one`
whether they lie on the line where estimate and truth are equal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from subsidence.errors import InputError
from subsidence.typing import FloatArray

__all__ = ["bias", "count", "mae", "pearson_r", "r2_one_to_one", "r2_pearson", "rmse", "std"]


def count(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> int:
    """
    Number of pairs of which both values are known.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    int
        Pairs.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> count([1.0, 2.0, float("nan")], [1.0, 1.0, 1.0])
    2
    """
    return _pairs(estimate, truth)[0].size


def bias(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """
    Mean residual; NaN without any pair.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        In the unit of the two.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> bias([1.0, 2.0, 6.0], [1.0, 1.0, 4.0])
    1.0
    """
    return _mean(_residuals(estimate, truth))


def std(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    r"""
    Standard deviation of the residuals about their mean, divided by n: :math:`rmse^2 = bias^2 + std^2`.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        In the unit of the two.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> std([1.0, 2.0, 6.0], [1.0, 1.0, 4.0])
    0.8164...
    """
    residuals = _residuals(estimate, truth)
    return float(np.sqrt(_mean((residuals - _mean(residuals)) ** 2)))


def rmse(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """
    Root mean square of the residuals, divided by n.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        In the unit of the two.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> rmse([1.0, 2.0, 6.0], [1.0, 1.0, 4.0])
    1.2909...
    """
    return float(np.sqrt(_mean(_residuals(estimate, truth) ** 2)))


def mae(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """
    Mean absolute residual.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        In the unit of the two.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> mae([1.0, 2.0, 2.0], [1.0, 1.0, 4.0])
    1.0
    """
    return _mean(np.abs(_residuals(estimate, truth)))


def pearson_r(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """
    Coefficient of linear correlation; NaN where one of the two does not vary or pairs are fewer than two.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        Without a unit.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> pearson_r([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    1.0
    """
    first, second = _pairs(estimate, truth)
    if not (_varies(first) and _varies(second)):
        return float("nan")
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(np.clip((first @ second) / scale, -1.0, 1.0)) if scale > 0 else float("nan")


def r2_pearson(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """
    Square of :func:`pearson_r`: blind to a bias and to a wrong scale; NaN where that is.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        Without a unit.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Examples
    --------
    >>> r2_pearson([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    1.0
    """
    return pearson_r(estimate, truth) ** 2


def r2_one_to_one(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    r"""
    Share of the truth's variance that the estimate explains **as it is**; negative when worse than the mean.

    NaN where the truth does not vary or pairs are fewer than two.

    Parameters
    ----------
    estimate, truth
        Of one shape and one unit; a pair with NaN in either is left out.

    Returns
    -------
    float
        Without a unit.

    Raises
    ------
    InputError
        When the two arrays differ in shape.

    Notes
    -----
    .. math:: 1 - \frac{\sum_i (e_i - t_i)^2}{\sum_i (t_i - \bar t)^2}

    Examples
    --------
    >>> r2_one_to_one([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    -6.0
    """
    first, second = _pairs(estimate, truth)
    if not _varies(second):
        return float("nan")
    about_mean = float(np.sum((second - second.mean()) ** 2))
    return 1.0 - float(np.sum((first - second) ** 2)) / about_mean if about_mean > 0 else float("nan")


def _pairs(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if first.shape != second.shape:
        msg = f"estimate and truth must have one shape, got {first.shape} and {second.shape}"
        raise InputError(msg)
    both = np.isfinite(first) & np.isfinite(second)
    return first[both], second[both]


def _varies(values: FloatArray) -> bool:
    """Whether values differ by more than rounding: the mean of equal ones may lie beside them."""
    if values.size < 2:
        return False
    return bool(np.ptp(values) > 4 * np.finfo(np.float64).eps * np.abs(values).max())


def _residuals(estimate: npt.ArrayLike, truth: npt.ArrayLike) -> FloatArray:
    first, second = _pairs(estimate, truth)
    return first - second


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")
