"""JPEGs: markers, entropy decoding, transform and colour of a part, and restart markers for those without."""
