"""Attempts on other machines: the node, the link to it, and the pool that joins all machines."""
