"""What a file of sound says about itself, in pure Python: for the daemon and for the engine."""
