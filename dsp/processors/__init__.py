"""Processors: blocks in, blocks of the same length out."""
