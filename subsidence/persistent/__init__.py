"""Persistent scatterers in one call; a new epoch appended."""

from subsidence.persistent._append import append_epoch
from subsidence.persistent._chain import persistent_scatterers

__all__ = ["append_epoch", "persistent_scatterers"]
