"""Data that are of the right kind by name and of another by their values."""

from __future__ import annotations

import warnings

import numpy as np

from subsidence.errors import InputError, SuspiciousDataWarning
from subsidence.typing import AnyArray

__all__ = ["check_values"]

#: Values looked at; a sample of this size finds what is wrong with a whole stack.
_SAMPLE = 100_000
_RUNS = 32


def check_values(phase: AnyArray, coherence: AnyArray | None) -> None:
    """
    Look at a sample of a stack in memory, ``(pair, place)``.

    Raises
    ------
    InputError
        When the phase is wrapped or the coherence is not between 0 and 1.

    Warns
    -----
    SuspiciousDataWarning
        When zeros seem to stand for "no data".
    """
    sample = _sample(phase)
    finite = sample[np.isfinite(sample)]
    size = np.abs(finite)
    # A wrapped phase never exceeds pi but comes close to it all the time; an unwrapped one does neither.
    if finite.size >= 1000 and size.max() <= np.pi * (1 + 1e-6) and (size > 0.97 * np.pi).mean() > 0.003:
        msg = (
            "unwrapped_phase lies between -pi and pi and fills that range: it looks wrapped. "
            "Name it 'phase' and use subsidence.unwrap"
        )
        raise InputError(msg)
    zeros = (sample == 0).mean(axis=0)
    if zeros.size > 1:
        # A float phase is hardly ever 0 by chance, but at the reference place it may always be.
        share = np.delete(zeros, zeros.argmax()).mean()
        if share > 1e-3:
            msg = (
                f"{share:.1%} of unwrapped_phase is exactly 0: if 0 stands for no data, "
                "mask it with stack.where(stack.unwrapped_phase != 0)"
            )
            warnings.warn(msg, SuspiciousDataWarning, stacklevel=4)
    if coherence is None:
        return
    values = _sample(coherence)
    values = values[np.isfinite(values)]
    if values.size and (values.max() > 1.01 or values.min() < -1e-6):
        msg = f"coherence must lie between 0 and 1, got {values.min():g} to {values.max():g}"
        if values.max() > 1.01:
            msg += ": divide by 255 if it is stored as a byte"
        raise InputError(msg)


def _sample(values: AnyArray) -> AnyArray:
    """Runs of neighbouring places, spread evenly: places taken singly would each cost a trip to memory."""
    values = values.reshape(values.shape[0], -1)
    places = values.shape[1]
    run = max(1, _SAMPLE // values.shape[0] // _RUNS)
    if places <= run * _RUNS:
        return values
    starts = np.linspace(0, places - run, _RUNS).astype(np.intp)
    return np.concatenate([values[:, start : start + run] for start in starts], axis=1)
