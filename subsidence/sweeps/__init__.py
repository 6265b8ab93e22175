"""Any function over a grid of parameters: in processes, failures recorded, resumable."""

from subsidence.sweeps._call import sweep_call

__all__ = ["sweep_call"]
