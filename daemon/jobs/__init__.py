"""What may follow what, how long to wait, and the only SQL."""
