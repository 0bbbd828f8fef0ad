"""What a thread decodes images with: other kernels, by their addresses, and memory that no other thread may use.

An int64 array (PARTS_LENGTH,). Kernels that few pipelines need stand there by `Kernel.deferred_address`: they are
compiled when the first image needs them. What reads raw images alone needs none of the first five.
"""

PARTS_LENGTH = 14
(
    READ_BASELINE,  # of `jpeg.markers`
    DECODE_BOX,  # of `jpeg.decoder`
    PREPARE_TABLES,  # of `jpeg.tables`
    TABLES,  # the address of TABLES_BYTES bytes, zeros at first
    SMALL,  # that of as many bytes as the largest JPEG has, and `jpeg.decoder.EXTRA_BYTES`
    DECODE_RUNS,  # of `mask_codec`
    COPY_WINDOW,  # of `picked_pixels`
    NEAREST_WINDOW,  # of `picked_pixels`
    FILL_AROUND,  # of `picked_pixels`
    RUN_FUNCTIONS,  # of `image_chain`
    REDUCE,  # of `jpeg.reduction`
    RESAMPLE,  # of `geometry.resample`, of the images' dtype; 0 for uint8 of 1 or 3 channels
    READ_TILES,  # of `memory.tiles`
    TILE,  # the side of a tile, in pixels
) = range(PARTS_LENGTH)  # fmt: skip
