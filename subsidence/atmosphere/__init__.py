"""Atmosphere apart from non-linear motion."""
