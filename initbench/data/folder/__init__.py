"""The data folder: which files are there, whether they are official, and how to get them."""
