"""Candidates for persistent scatterers."""
