"""The command line; it acts through files and never opens the queue."""
