"""NVIDIA DALI: random crops are decoded alone, and it reads its files itself; on a GPU it decodes there, too."""

from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.pytorch import DALIGenericIterator, LastBatchPolicy

from benchmarks.contenders.opencv_image import as_torch_images
from benchmarks.work import CENTER_RATIO, RANDOM_CROP, RATIO, SCALE, Epochs, Work

PACKAGES = ("nvidia-dali-cuda120",)


def batches(work: Work) -> Epochs:
    """Epochs of the iterator; its last batch is filled up with images of the next epoch."""
    pipeline = _photos(
        work, batch_size=work.batch_size, num_threads=work.workers, device_id=None if work.device == "cpu" else 0
    )
    iterator = DALIGenericIterator(
        [pipeline], ["images"], reader_name="files", last_batch_policy=LastBatchPolicy.FILL, auto_reset=True
    )
    return Epochs(lambda: (as_torch_images(batch["images"]) for (batch,) in iterator))


@pipeline_def
def _photos(work: Work):
    paths = [str(path) for path in work.paths()]
    jpegs, _ = fn.readers.file(files=paths, random_shuffle=True, initial_fill=work.photos, name="files")
    device = "cpu" if work.device == "cpu" else "mixed"
    if work.name == RANDOM_CROP:
        images = fn.decoders.image_random_crop(
            jpegs, device=device, output_type=types.RGB, random_area=SCALE, random_aspect_ratio=RATIO
        )
        images = fn.resize(images, size=(work.size, work.size), interp_type=types.INTERP_LINEAR, antialias=True)
        return fn.flip(images, horizontal=fn.random.coin_flip())
    shape = fn.peek_image_shape(jpegs)
    side = CENTER_RATIO * fn.reductions.min(fn.cast(fn.slice(shape, 0, 2, axes=[0]), dtype=types.FLOAT))
    extent = fn.stack(side, side)
    start = (fn.cast(fn.slice(shape, 0, 2, axes=[0]), dtype=types.FLOAT) - extent) / 2
    images = fn.decoders.image_slice(
        jpegs, start, extent, axes=[0, 1], device=device, output_type=types.RGB,
        normalized_anchor=False, normalized_shape=False,
    )  # fmt: skip
    return fn.resize(images, size=(work.size, work.size), interp_type=types.INTERP_LINEAR, antialias=True)
