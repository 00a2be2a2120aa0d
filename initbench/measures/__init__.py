"""Measures: one module each; a measure turns the record of a trial into a number."""
