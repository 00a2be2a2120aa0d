"""Published results: what the source papers state, and how a suite is laid beside it.

`table` is what the papers say, `links` is which part of it a suite repeats, `claims` is how what
they say in words is checked. What comes out for a suite is made in `reporting/published.py`.
"""
