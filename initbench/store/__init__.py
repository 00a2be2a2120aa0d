"""Keys, records, artifacts, and every path inside the results folder."""
