"""Bytes to blocks and blocks to bytes."""
