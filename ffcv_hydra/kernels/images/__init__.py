"""Whole images: decoded and resampled, mixed, changed by a policy."""
