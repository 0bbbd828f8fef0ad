"""Changes of place: crops, warps, resampling, boxes."""
