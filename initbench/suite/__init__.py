"""The suite language: reading, checking and changing suites, and expanding them into plans."""
