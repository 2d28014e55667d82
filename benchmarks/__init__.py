"""Measurements: each reproduces a figure that the docs state. Run by `make bench`."""
