"""Changes of values, pixel by pixel or by a small neighbourhood."""
