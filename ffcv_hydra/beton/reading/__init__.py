"""From a file to its tables."""
