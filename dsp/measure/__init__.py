"""Meters: update with blocks, ask at any time."""
