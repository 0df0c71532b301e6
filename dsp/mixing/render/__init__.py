"""From a plan to samples: strips, mixdown, master, verification."""
