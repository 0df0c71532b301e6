"""What runs in a worker process: its loop, its confinement, its result."""
