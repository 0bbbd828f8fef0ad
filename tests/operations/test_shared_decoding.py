import cv2
import numpy as np
import pytest

from ffcv_hydra.beton import GrayscaleImageField, MaskField
from ffcv_hydra.beton.fields.restart_index import with_random_access
from ffcv_hydra.beton.fields.rgb_image_field import RGBImageField
from ffcv_hydra.kernels.images.windows import STORED_AS_JPEG, STORED_AS_RUNS, STORED_RAW
from ffcv_hydra.kernels.memory.mask_codec import encode_runs
from ffcv_hydra.kernels.random.generator import fold
from ffcv_hydra.operations import (
    CenterCrop,
    Chunk,
    Extents,
    FailedSample,
    ImageDecoder,
    RandomResizedCrop,
    Resize,
    ResizeShorterSide,
    decode_shared,
)
from ffcv_hydra.operations.base import Scratch
from tests.kernels.jpegs import decode_with_turbojpeg, encode
from tests.kernels.jpegs import pixels as coarse_pixels

SIZES = [(60, 80), (90, 64), (33, 33), (1, 50), (120, 7)]
MODES = {
    "rgb": [STORED_AS_JPEG, STORED_RAW, STORED_AS_JPEG, STORED_RAW, STORED_AS_JPEG],
    "gray": [STORED_AS_JPEG, STORED_RAW, STORED_AS_JPEG, STORED_RAW, STORED_AS_JPEG],
    "deep": [STORED_RAW] * 5,
    "mask": [STORED_AS_RUNS, STORED_RAW, STORED_AS_RUNS, STORED_RAW, STORED_AS_RUNS],
}
FIELDS = {
    "rgb": RGBImageField(),
    "gray": GrayscaleImageField(),
    "deep": GrayscaleImageField(bits=16),
    "mask": MaskField(),
}


def bytes_of(kind: str, index: int) -> np.ndarray:
    random = np.random.default_rng(index)
    channels = (3,) if kind == "rgb" else ()
    if kind == "deep":
        return random.integers(0, 65536, SIZES[index], dtype=np.uint16).view(np.uint8).reshape(-1)
    coarse = random.integers(0, 5 if kind == "mask" else 256, (4, 5, *channels), dtype=np.uint8)
    pixels = cv2.resize(coarse, SIZES[index][::-1], interpolation=cv2.INTER_NEAREST)
    if MODES[kind][index] == STORED_AS_JPEG:
        return cv2.imencode(".jpg", pixels)[1].reshape(-1)
    return encode_runs(pixels) if MODES[kind][index] == STORED_AS_RUNS else pixels.reshape(-1)


def stored(kind: str) -> tuple[np.ndarray, Extents]:
    """The metadata and the data of five images of different sizes, at odd addresses."""
    metadata = np.zeros(len(SIZES), dtype=RGBImageField().metadata_type)
    metadata["mode"] = MODES[kind]
    metadata["height"], metadata["width"] = np.array(SIZES).T
    parts = [np.zeros(1, dtype=np.uint8)] + [bytes_of(kind, index) for index in range(len(SIZES))]
    sizes = np.array([len(part) for part in parts])
    return metadata, Extents(np.concatenate(parts), (np.cumsum(sizes) - sizes)[1:], sizes[1:])


def bound(decoder: ImageDecoder, kind: str, metadata: np.ndarray) -> ImageDecoder:
    decoder.accept_field(FIELDS[kind])
    decoder.accept_globals(metadata, None)
    return decoder


def memory(decoder: ImageDecoder) -> np.ndarray:
    return np.full((len(SIZES), *decoder.output_size, decoder.channels), 77, dtype=decoder.dtype)


def chunks(count: int) -> list[Chunk]:
    """Of the same samples, each with keys of its own."""
    samples, scratch = np.arange(len(SIZES)), Scratch()
    return [Chunk(samples, fold(samples.astype(np.uint64), view), scratch) for view in range(count)]


def decoders(kind: str, metadata: np.ndarray) -> list[ImageDecoder]:
    return [
        bound(decoder, kind, metadata)
        for decoder in (
            RandomResizedCrop(24),
            RandomResizedCrop([9, 31], (0.05, 0.3), interpolation="bilinear"),
            CenterCrop(40, interpolation="nearest"),
            Resize([33, 33], "bilinear"),
            ResizeShorterSide(20, [50, 18]),
        )
    ]


@pytest.mark.parametrize("kind", FIELDS)
def test_decoders_that_share_an_image_give_what_each_gives_alone(kind):
    metadata, source = stored(kind)
    together = decoders(kind, metadata)
    targets, chunks_ = [memory(decoder) for decoder in together], chunks(len(together))
    decode_shared(together, source, targets, chunks_)
    for decoder, target, chunk in zip(together, targets, chunks_, strict=True):
        alone = memory(decoder)
        decoder.run(source, alone, chunk)
        assert np.array_equal(target, alone)
        for n in range(len(SIZES)):  # and one image at a time
            decoder.run(source.part(n, n + 1), alone[n : n + 1], chunk.part(n, n + 1))
        assert np.array_equal(target, alone)


def test_views_of_the_same_decoder_are_drawn_from_their_own_keys():
    metadata, source = stored("rgb")
    views = [bound(RandomResizedCrop(16), "rgb", metadata) for _ in range(3)]
    targets = [memory(view) for view in views]
    decode_shared(views, source, targets, chunks(3))
    assert not np.array_equal(targets[0], targets[1])
    assert not np.array_equal(targets[1], targets[2])


def left_out(random_access: bool) -> tuple[np.ndarray, Extents]:
    """The same as JPEGs, most of which no kernel decodes."""
    kinds = [
        {"progressive": True}, {}, {"subsampling": "4:1:1"}, {"subsampling": "gray", "progressive": True},
        {"subsampling": "4:4:0"},
    ]  # fmt: skip
    sizes = [(240, 320), (90, 640), (330, 210), (100, 50), (480, 480)]
    parts = [np.zeros(1, dtype=np.uint8)]
    for index, (size, kind) in enumerate(zip(sizes, kinds, strict=True)):
        jpeg = encode(coarse_pixels(*size, index), **kind)
        indexed = with_random_access(jpeg) if random_access and "progressive" not in kind else None
        parts.append(jpeg if indexed is None else indexed)
    metadata = np.zeros(len(sizes), dtype=RGBImageField().metadata_type)
    metadata["mode"], (metadata["height"], metadata["width"]) = STORED_AS_JPEG, np.array(sizes).T
    lengths = np.array([len(part) for part in parts])
    return metadata, Extents(np.concatenate(parts), (np.cumsum(lengths) - lengths)[1:], lengths[1:])


@pytest.mark.parametrize("random_access", [True, False])
def test_jpegs_that_kernels_leave_out_give_each_decoder_what_it_gets_alone(random_access):
    metadata, source = left_out(random_access)
    together = [
        *decoders("rgb", metadata),
        *(
            bound(decoder, "rgb", metadata)
            for decoder in (
                Resize([20, 20], scaled_decoding=True),
                RandomResizedCrop(16, scaled_decoding=True),
                RandomResizedCrop(16, interpolation="bilinear", scaled_decoding=True),
                Resize([60, 60], "nearest", scaled_decoding=True),
            )
        ),
    ]
    targets, chunks_ = [memory(decoder) for decoder in together], chunks(len(together))
    decode_shared(together, source, targets, chunks_)
    whole = [
        decode_with_turbojpeg(source.data[begin:][:size])
        for begin, size in zip(source.offsets, source.sizes, strict=True)
    ]
    for decoder, target, chunk in zip(together, targets, chunks_, strict=True):
        alone = memory(decoder)
        for n in range(len(SIZES)):
            decoder.run(source.part(n, n + 1), alone[n : n + 1], chunk.part(n, n + 1))
        assert np.array_equal(target, alone)
        if decoder.scaled_decoding:
            continue
        pixels, raw = metadata.copy(), np.concatenate([image.reshape(-1) for image in whole])
        pixels["mode"], sizes = STORED_RAW, np.array([image.size for image in whole])
        decoder.accept_globals(pixels, None)
        decoder.run(Extents(raw, np.cumsum(sizes) - sizes, sizes), alone, chunk)
        assert np.array_equal(target, alone)


def test_a_damaged_jpeg_among_those_that_kernels_leave_out_is_named_and_the_rest_can_be_decoded():
    metadata, source = left_out(random_access=False)
    source.data[source.offsets[2] + source.sizes[2] - 60 : source.offsets[2] + source.sizes[2]] = 0
    decoder = bound(Resize([16, 16]), "rgb", metadata)
    target = memory(decoder)
    with pytest.raises(FailedSample, match=r"the JPEG \(.+\) cannot be decoded as 330 x 210 pixels") as error:
        decoder.run(source, target, chunks(1)[0])
    assert error.value.position == 2 and (target[3:] == 77).all()
    decoder.run(source.part(3, 5), target[3:], chunks(1)[0].part(3, 5))
    assert (target != 77).any(axis=(1, 2, 3))[[0, 1, 3, 4]].all()


@pytest.mark.parametrize("kind, damaged, reason", [
    ("rgb", 2, r"the JPEG \(.+\) cannot be decoded as 33 x 33 pixels"),
    ("gray", 0, r"the JPEG \(.+\) cannot be decoded as 60 x 80 pixels"),
    ("deep", 3, "the raw image cannot be decoded as 1 x 50 pixels"),
    ("mask", 4, "the run-length coded mask cannot be decoded as 120 x 7 pixels"),
])  # fmt: skip
def test_a_damaged_image_is_named_by_its_position(kind, damaged, reason):
    metadata, source = stored(kind)
    source.sizes[damaged] -= 20 if kind == "rgb" else 1
    if kind == "gray":
        source.data[source.offsets[damaged] : source.offsets[damaged] + 4] = 0
    several = decoders(kind, metadata)
    with pytest.raises(FailedSample, match=reason) as error:
        decode_shared(several, source, [memory(decoder) for decoder in several], chunks(len(several)))
    assert error.value.position == damaged


def test_an_unknown_mode_is_named():
    metadata, source = stored("rgb")
    metadata["mode"][1] = 9
    decoder = bound(CenterCrop(8), "rgb", metadata)
    with pytest.raises(FailedSample, match="the image of the unknown mode 9 cannot be decoded"):
        decoder.run(source, memory(decoder), chunks(1)[0])


def test_images_without_pixels_are_reported():
    metadata, source = stored("rgb")
    metadata["height"][3] = 0
    for decoder in decoders("rgb", metadata):
        with pytest.raises(FailedSample, match="cannot be decoded as 0 x 50 pixels"):
            decoder.run(source, memory(decoder), chunks(1)[0])


def test_memory_that_does_not_fit_is_refused():
    metadata, source = stored("rgb")
    decoder = bound(CenterCrop(8), "rgb", metadata)
    fitting = memory(decoder)
    for wrong in (fitting[:, :7], fitting[:-1], fitting.astype(np.uint16), fitting[:, :, ::-1]):
        with pytest.raises(TypeError, match="contiguous and have 192 bytes per image"):
            decoder.run(source, wrong, chunks(1)[0])


def test_no_samples_are_no_work():
    metadata, source = stored("rgb")
    decoder = bound(CenterCrop(8), "rgb", metadata)
    decoder.run(source.part(0, 0), memory(decoder)[:0], chunks(1)[0].part(0, 0))


def test_an_image_and_its_mask_of_the_same_size_keep_the_same_box():
    """Each pixel of the mask is the column it came from, and each of the image about twice that."""
    columns = np.tile(np.arange(100, dtype=np.uint8), (70, 1))
    results = {}
    for kind, pixels in (("mask", columns), ("rgb", np.repeat(2 * columns[:, :, None], 3, axis=2))):
        metadata = np.zeros(30, dtype=RGBImageField().metadata_type)
        metadata["mode"], metadata["height"], metadata["width"] = STORED_RAW, 70, 100
        zeros = np.zeros(30, dtype=np.int64)
        source = Extents(np.ascontiguousarray(pixels).reshape(-1), zeros, zeros + pixels.size)
        decoder = bound(RandomResizedCrop(25, interpolation="bilinear"), kind, metadata)
        target = np.empty((30, 25, 25, decoder.channels), dtype=np.uint8)
        decoder.run(source, target, Chunk(np.arange(30), fold(np.arange(30, dtype=np.uint64), 5), Scratch()))
        results[kind] = target[..., 0].astype(int)
    assert np.abs(results["rgb"] / 2 - results["mask"]).max() <= 3
    assert len(np.unique(results["mask"][:, 0, 0])) > 5
