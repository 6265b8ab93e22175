"""Persistent scatterers in one call."""
