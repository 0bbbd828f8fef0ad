"""What detectors are trained with, from several libraries: photographs and the boxes on them."""
