"""One module per kind of job, imported in workers only."""
