"""Tests, intervals, corrections, effect sizes, equivalence and power: arrays in, numbers out.

scipy and statsmodels do the statistics and are imported when a function is called. What is done
where they have no answer (one value, no variance, infinite values) is written in
`docs/statistics.md`; "rule 9" in this room means rule 9 there.
"""
