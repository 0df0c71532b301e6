"""From the first sighting of a drop to its place in ``work/``."""
