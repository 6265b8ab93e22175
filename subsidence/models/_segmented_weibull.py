"""The Weibull time function in two segments, as frost and thaw call for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from subsidence.errors import InputError
from subsidence.models._base import TimeModel
from subsidence.models._segmented_kernel import TINY, fill_curve, fill_rates, hazard_of, joins
from subsidence.timescale import TimeUnit, unit_days
from subsidence.typing import FloatArray

__all__ = ["Breakpoint", "Continuity", "SegmentedWeibull"]

#: How the second segment is joined to the first.
Continuity: TypeAlias = Literal["conditional", "equivalent_age", "printed"]
#: Where the second segment begins: at the peak of the first, wherever a fit finds it, or at a given time.
Breakpoint: TypeAlias = Literal["peak", "free"] | float


class SegmentedWeibull(TimeModel):
    r"""
    Weibull settlement that changes its law at a breakpoint, as where the ground freezes and thaws.

    Parameters
    ----------
    time_unit
        Unit of ``t``: "year" (365.25 days), "month", "week", "day" or a timedelta.
    continuity
        How the segments meet: "conditional" or "equivalent_age", both continuous, or "printed", the paper's
        equation, which jumps (see the notes).
    breakpoint
        "peak": at the greatest velocity of the first segment, as in the paper; "free": the parameter ``eps``,
        for :func:`subsidence.fit_breakpoint`; or a number, the time at which ``eps`` is held, in `time_unit`.
    prefix
        Put before every parameter's name, to tell models in a sum apart.
    nan_policy
        "omit" leaves out epochs without a value, "raise" refuses them.

    Raises
    ------
    InputError
        When `time_unit`, `continuity` or `breakpoint` is none of these.

    Notes
    -----
    With :math:`s = \max(t - t_0, 0)`, :math:`F_1(s) = 1 - e^{-\eta s^\lambda}`,
    :math:`F_2(s) = 1 - e^{-\eta_2 s^{\lambda_2}}` and :math:`e = \epsilon - t_0`, the curve is
    :math:`w = c + w_m F_1(s)` until :math:`t = \epsilon`, and then

    .. math::

        \text{conditional:} \quad & w = c + w_m \Bigl[F_1(e)
            + \bigl(1 - F_1(e)\bigr) \frac{F_2(s) - F_2(e)}{1 - F_2(e)}\Bigr] \\
        \text{equivalent age:} \quad & w = c + w_m F_2(s - e + e'), \qquad F_2(e') = F_1(e) \\
        \text{printed:} \quad & w = c + w_m F_2(s)

    Eq. 9 of the paper, "printed", has :math:`\eta, \lambda` = 0.068, 2.5 and 0.048, 2.3: at
    :math:`\epsilon` = 2.389 it falls by 15 % of :math:`w_m` in no time, and is back at its level at 2.999.
    Both other forms are continuous and end at :math:`w_m`; the velocity jumps in all three. In the
    *conditional* form what is left to settle, :math:`w_m - w + c`, shrinks from :math:`\epsilon` on at the rate
    at which the printed curve's does at the same time. In the *equivalent age* form the curve goes on along
    the printed one, moved in time to where that has settled as much. The first is what you get unless you ask:
    with the parameters of eq. 9 it is closer to the printed curve after the breakpoint (6 % of :math:`w_m`
    r.m.s. until t = 8, against 9 %), a series says more about it (85 epochs until t = 7 determine
    :math:`\lambda_2` 2.6 and a free :math:`\epsilon` 1.7 times better), and it is smooth where the second segment
    stands still.

    The parameters, as lmfit sees them:

    ``w_m``
        final settlement, in the unit of the data, of either sign (negative for InSAR displacement).
    ``eta``, ``lam``
        rate and shape of the first segment, as of :class:`Weibull`; with ``breakpoint="peak"`` `lam` is above
        1, since without an inflection there is no breakpoint.
    ``eta_2``, ``lam_2``
        rate, in time to the power of -lam_2, and shape of the second.
    ``t0``
        onset. It stays at 0 unless freed.
    ``eps``
        breakpoint, a time as ``t`` is, which t = eps still belongs to the first segment of. Not there with
        ``breakpoint="peak"``, where it is :math:`t_0 + ((\lambda - 1) / (\eta \lambda))^{1/\lambda}`;
        :meth:`breakpoint_time` is it in any case.
    ``offset``
        :math:`c`, level before the onset.

    The curve has a kink where `eps` passes an epoch, and the printed one does not change between epochs: a
    plain ``fit`` finds no better breakpoint than the one it starts near. Use ``fit_breakpoint``.

    References
    ----------
    Wei et al. (2024), Dynamic subsidence law of surface in alpine mining area based on time function,
    Science Technology and Engineering 24(16), eqs. 8 and 9.

    Examples
    --------
    Eqs. 8 and 9 of the paper, the share of the settlement that has happened:

    >>> import numpy as np
    >>> from subsidence.models import Weibull
    >>> t = np.array([1.0, 2.0, 3.0, 5.0])
    >>> Weibull().eval(t=t, w_m=1.0, eta=0.068, lam=2.5).round(3).tolist()
    [0.066, 0.319, 0.654, 0.978]
    >>> paper = {"w_m": 1.0, "eta": 0.068, "lam": 2.5, "eta_2": 0.048, "lam_2": 2.3}
    >>> printed = SegmentedWeibull(continuity="printed")
    >>> round(printed.breakpoint_time(paper), 3)
    2.389
    >>> printed.eval(t=t, **paper).round(3).tolist()
    [0.066, 0.319, 0.452, 0.857]
    >>> SegmentedWeibull().eval(t=t, **paper).round(3).tolist()
    [0.066, 0.319, 0.57, 0.888]
    """

    units: Mapping[str, str] = {
        "w_m": "data",
        "eta": "time**-lam",
        "lam": "1",
        "eta_2": "time**-lam_2",
        "lam_2": "1",
        "t0": "time",
        "eps": "time",
        "offset": "data",
    }
    nonlinear: tuple[str, ...] = ("eta", "lam", "eta_2", "lam_2", "t0", "eps")
    final = "w_m"
    positive = frozenset({"eta", "lam", "eta_2", "lam_2"})
    bounds: Mapping[str, tuple[float, float]] = {"lam": (0.3, 8.0), "lam_2": (0.3, 8.0)}
    fixed: Mapping[str, float] = {"t0": 0.0}

    def __init__(
        self,
        time_unit: TimeUnit = "year",
        *,
        continuity: Continuity = "conditional",
        breakpoint: Breakpoint = "peak",  # noqa: A002  # the word of the field
        prefix: str = "",
        nan_policy: str = "omit",
    ) -> None:
        if continuity not in get_args(Continuity):
            msg = f"continuity must be one of {', '.join(map(repr, get_args(Continuity)))}, got {continuity!r}"
            raise InputError(msg)
        self.continuity: Continuity = continuity
        self.breakpoint: Breakpoint = _checked_breakpoint(breakpoint)
        self._form = get_args(Continuity).index(continuity)
        if breakpoint == "peak":
            self.nonlinear = type(self).nonlinear[:-1]
            self.units = {name: unit for name, unit in type(self).units.items() if name != "eps"}
            self.bounds = {**type(self).bounds, "lam": (1.0, 8.0)}
        elif not isinstance(self.breakpoint, str):
            self.fixed = {**type(self).fixed, "eps": self.breakpoint}
        super().__init__(time_unit, prefix=prefix, nan_policy=nan_policy)

    def curve(self, t: FloatArray, p: FloatArray, columns: FloatArray, gradient: FloatArray) -> None:
        """Fill the column and its derivatives; that by `eps` at an epoch is the one from the right."""
        fill_curve(t, p, columns, gradient, self._form)

    def rates(self, t: FloatArray, p: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """Fill the derivatives in time; those at the breakpoint are the ones from the left."""
        fill_rates(t, p, velocity, acceleration, self._form)

    def options(self) -> dict[str, Any]:
        """`continuity` and `breakpoint`."""
        return {"continuity": self.continuity, "breakpoint": self.breakpoint}

    def with_unit(self, time_unit: TimeUnit) -> SegmentedWeibull:
        """Return the same family with another unit of time; hints of parameters are not carried over."""
        place = self.breakpoint
        if not isinstance(place, str):
            place *= unit_days(self.time_unit) / unit_days(time_unit)
        return SegmentedWeibull(
            time_unit, continuity=self.continuity, breakpoint=place, prefix=self.prefix, nan_policy=self.nan_policy
        )

    def breakpoint_time(self, params: Mapping[str, Any]) -> float:
        """
        Time at which the second segment begins; the onset when it would begin before it.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            In the model's unit; infinite when it is tied to the peak of a first segment that does not move.
        """
        value = self.values(params)
        end, _, _ = self._join(value)
        return value["t0"] + end

    def time_of_peak(self, params: Mapping[str, Any]) -> float:
        """
        Time of the greatest velocity, that of the faster segment; NaN when nothing moves.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Notes
        -----
        A segment is fastest where its own Weibull curve is, or at the breakpoint when that lies outside of it.

        Examples
        --------
        >>> paper = {"w_m": 1.0, "eta": 0.068, "lam": 2.5, "eta_2": 0.048, "lam_2": 2.3}
        >>> SegmentedWeibull().time_of_peak(paper)
        2.3892244...
        """
        time, rate = self._peak(self.values(params))
        return time if rate > 0 else float("nan")

    def peak_velocity(self, params: Mapping[str, Any]) -> float:
        """
        Greatest velocity, in units of the data per unit of time, with the sign of `w_m`.

        Parameters
        ----------
        params
            :class:`lmfit.Parameters` of a fit, or a mapping of names to numbers.

        Returns
        -------
        float
            The limit from the right where it is greatest just after the breakpoint; infinite when `lam` is
            below 1.
        """
        value = self.values(params)
        return value["w_m"] * self._peak(value)[1] if value["w_m"] else 0.0

    def candidates(self, t: FloatArray, held: Mapping[str, float]) -> dict[str, FloatArray]:
        """First segments as of :class:`Weibull`, second ones somewhat slower or faster, breakpoints among `t`."""
        first, last = float(t.min()), float(t.max())
        span = (last - first) or 1.0
        free = "t0" not in held
        onsets = first + span * np.linspace(-0.3, 0.6, 6) if free else np.array([held["t0"]])
        lams = [1.2, 1.6, 2.0, 2.5, 3.2, 4.5] if free else [0.8, 1.1, 1.4, 1.7, 2.0, 2.5, 3.0, 3.6, 4.5]
        if self.breakpoint == "peak":
            lams = [lam for lam in lams if lam > 1]
        # The time in which 63 % of the settlement happens has a natural range; eta, whose unit holds lam, has none.
        scales = np.geomspace(0.1, 3.0, 8 if free else 16) * max(last - onsets.min(), span)
        breaks = np.quantile(t, np.linspace(0.15, 0.85, 5 if free else 8))
        axes = {
            "t0": onsets,
            "lam": np.array([held["lam"]] if "lam" in held else lams),
            "scale": scales,
            "ratio": np.array([0.7, 1.0, 1.4, 2.0]),
            "lam_ratio": np.array([0.8, 1.0, 1.25]),
            "eps": np.array([held["eps"]]) if "eps" in held else breaks,
        }
        if "eta" in held and "eta_2" in held:
            axes["scale"] = axes["scale"][:1]
        if "eta_2" in held:
            axes["ratio"] = axes["ratio"][:1]
        if "lam_2" in held:
            axes["lam_ratio"] = axes["lam_ratio"][:1]
        if "eps" not in self.nonlinear:
            axes["eps"] = np.zeros(1)
        values = np.stack([axis.ravel() for axis in np.meshgrid(*axes.values(), indexing="ij")])
        grid = dict(zip(axes, values, strict=True))
        grid["lam_2"] = np.clip(grid["lam"] * grid.pop("lam_ratio"), *self.bounds["lam_2"])
        scale = grid.pop("scale")
        grid["eta"], grid["eta_2"] = scale ** -grid["lam"], (scale * grid.pop("ratio")) ** -grid["lam_2"]
        grid |= {name: np.full(scale.size, held[name]) for name in ("eta", "eta_2", "lam_2") if name in held}
        return {name: grid[name] for name in self.nonlinear}

    def _join(self, value: Mapping[str, float]) -> tuple[float, float, float]:
        """Breakpoint after the onset, and base and shift of the second segment."""
        ends, places, _, _ = joins(self.rows(value), self._form)
        return float(ends[0]), float(places[0, 0]), float(places[1, 0])

    def _peak(self, value: Mapping[str, float]) -> tuple[float, float]:
        """Time and size of the greatest velocity per final settlement."""
        end, base, shift = self._join(value)
        eta, lam, eta_2, lam_2 = (value[name] for name in ("eta", "lam", "eta_2", "lam_2"))
        since = min(_weibull_peak(eta, lam), end)
        found = (value["t0"] + since, _weibull_rate(since, eta, lam, 0.0))
        if not np.isfinite(end) or not np.isfinite(shift):
            return found
        later = max(_weibull_peak(eta_2, lam_2), end + shift)
        rate = _weibull_rate(later, eta_2, lam_2, base)
        return (value["t0"] + later - shift, rate) if rate > found[1] else found


def _checked_breakpoint(place: object) -> Breakpoint:
    if place == "peak":
        return "peak"
    if place == "free":
        return "free"
    if isinstance(place, (int, float, np.number)) and not isinstance(place, bool) and np.isfinite(place):
        return float(place)
    msg = f"breakpoint must be 'peak', 'free' or a time in the model's unit, got {place!r}"
    raise InputError(msg)


def _weibull_peak(eta: float, lam: float) -> float:
    """Time after the onset at which a Weibull curve is fastest."""
    if eta <= TINY or lam <= 1:
        return 0.0
    return math.exp(min((math.log((lam - 1) / lam) - math.log(eta)) / lam, 700.0))


def _weibull_rate(x: float, eta: float, lam: float, base: float) -> float:
    """Velocity of a segment per final settlement."""
    if eta <= TINY or lam <= 0:
        return 0.0
    if x <= 0:
        return math.inf if lam < 1 else eta * math.exp(-base) if lam == 1 else 0.0
    hazard = float(hazard_of(x, eta, lam))
    left = math.exp(min(-base - hazard, 0.0))
    return lam * hazard / x * left if left else 0.0
