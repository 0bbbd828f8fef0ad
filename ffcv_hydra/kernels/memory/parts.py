"""What a thread decodes images with: other kernels, by their addresses, and memory that no other thread may use.

An int64 array (PARTS_LENGTH,). Kernels that few pipelines need stand there by `Kernel.deferred_address`: they are
compiled when the first image needs them. What reads raw images alone needs none of the first seven.
"""

PARTS_LENGTH = 11
(
    READ_BASELINE,  # of `jpeg_markers`
    DECODE_BOX,  # of `jpeg_decoder`
    PREPARE_TABLES,  # of `jpeg_tables`
    DECODE_REGION,  # of `jpeg_region`
    DECOMPRESSOR,  # the handle of a `jpeg.Decompressor`
    TABLES,  # the address of TABLES_BYTES bytes, zeros at first
    SMALL,  # that of as many bytes as the largest JPEG has, and `jpeg_decoder.EXTRA_BYTES`
    DECODE_RUNS,  # of `mask_codec`
    COPY_WINDOW,  # of `picked_pixels`
    NEAREST_WINDOW,  # of `picked_pixels`
    FINISH,  # of `finish`
) = range(PARTS_LENGTH)  # fmt: skip
