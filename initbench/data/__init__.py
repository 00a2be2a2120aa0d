"""Data sets: contract, splits, resizing, fingerprints, and batches on the device."""
