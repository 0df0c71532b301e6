"""Numbers to a page: charts, SVG, HTML."""
