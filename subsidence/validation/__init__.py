"""Comparison of InSAR with measurements on the ground."""

from __future__ import annotations

from subsidence.validation import metrics
from subsidence.validation._agreement import agreement
from subsidence.validation._match import match

__all__ = ["agreement", "match", "metrics"]
