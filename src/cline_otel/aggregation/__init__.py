"""Aggregation: measurements become totals per series, and totals the points that a destination is sent. Pure.

A cumulative destination gets each series' total, and a point 0 at its start before the first one. A delta destination
gets what each series has grown by since it was last told. Either way whatever it adds up is what was measured.
"""
