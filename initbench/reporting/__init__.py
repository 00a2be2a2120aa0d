"""What a suite's records amount to: rows, comparisons, curves, coverage, cost and notes.

Everything here is computed from records, without training anything.
"""

from initbench.reporting.export import published_to_json, to_csv, to_json
from initbench.reporting.summary import results_of, summarise

__all__ = ["published_to_json", "results_of", "summarise", "to_csv", "to_json"]
