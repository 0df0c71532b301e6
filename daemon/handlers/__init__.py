"""One module per kind of job, imported in workers only; ``contract`` is for all to know."""
