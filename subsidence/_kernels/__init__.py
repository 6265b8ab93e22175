"""Numerical kernels: arrays in, arrays out.

No labels, units, files or threads; no exceptions either: a kernel returns NaN and a status code.
"""
