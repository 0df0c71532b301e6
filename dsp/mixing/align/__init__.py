"""Where each stem stands in time."""
