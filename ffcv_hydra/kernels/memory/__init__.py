"""Bytes and arrays, whatever they mean: copies, checksums, chains of functions over one image."""
