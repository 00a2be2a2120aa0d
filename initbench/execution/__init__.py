"""Execution: jobs, workers, devices, the scheduler; the only room that knows processes."""
