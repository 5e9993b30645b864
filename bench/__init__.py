"""Measurements; `make bench` runs them all. Every comparison is a ratio within one run."""
