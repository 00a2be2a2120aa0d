"""MLflow, mirrored from records by one writer."""
