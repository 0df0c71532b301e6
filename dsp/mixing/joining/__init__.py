"""Recorded chunks to one recording: where they join, and the sound from the first to the last."""
