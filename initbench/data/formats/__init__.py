"""File formats: readers that take nothing on trust and know nothing of data sets."""
