"""From a dataset to a file."""
