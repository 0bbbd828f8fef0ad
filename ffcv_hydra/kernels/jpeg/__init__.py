"""JPEGs: markers, entropy decoding, transform and colour of a part; baseline ones and restart markers of others."""
