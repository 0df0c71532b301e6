"""Everything that other people read."""
