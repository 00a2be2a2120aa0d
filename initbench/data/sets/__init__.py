"""The data sets that suites can name: one module each, and the bases that some share."""
