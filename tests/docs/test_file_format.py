"""The reader of `docs/how/file-format.md`, which knows nothing of this package, reads what it writes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ffcv_hydra.beton import (
    Beton,
    BoundingBoxesField,
    GrayscaleImageField,
    ImageArrayField,
    KeypointsField,
    MaskField,
    PolygonsField,
    RaggedArrayField,
    write_beton,
)
from tests.docs.blocks import ROOT, blocks_of

(READER,) = [
    block.text for block in blocks_of(ROOT / "docs/how/file-format.md") if block.text.startswith("# read_beton.py")
]
FIELDS = {
    "image": None, "label": None, "weight": None, "array": None, "record": None, "text": None, "tensor": None,
    "mask": MaskField(), "gray": GrayscaleImageField(), "ragged": RaggedArrayField("float32", [4]), "half": None,
    "bands": ImageArrayField(5, "int16", tile=16),
    "boxes": BoundingBoxesField(), "points": KeypointsField(), "polygons": PolygonsField(),
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven samples with a field of each kind."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (7, 40, 50, 3), dtype=np.uint8)
    samples = [
        (
            Image.fromarray(image), n, n / 2, np.full((2, 3), n, np.float32), {"n": n}, "text" * (n % 3),
            torch.full((3,), n), image[..., 0] // 64, image[..., 1], np.ones((n % 2, 4), np.float32),
            torch.ones(2, dtype=torch.bfloat16), np.full((20, 30, 5), n, np.int16),
            np.ones((n % 3, 4)), np.ones((2, 3)), [np.ones((3, 2))],
        )
        for n, image in enumerate(pixels)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("format") / "all.beton"
    write_beton(samples, path, FIELDS, num_workers=0, description={"made": "here"})
    return path


def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["read_beton.py", str(path)])
    exec(compile(READER, "read_beton.py", "exec"), {})


def test_it_reads_every_kind_of_field_and_compares_all_checksums(path, monkeypatch, capsys):
    read(path, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    beton = Beton(path)
    assert lines[:2] == [f"7 samples, {beton.num_allocations} allocations", "all checksums are right"]
    assert [line.partition(":")[0] for line in lines[2:]] == list(FIELDS)
    for name in ("image", "mask", "gray"):
        assert f"{name}: {beton.extents(name)[1].sum()} bytes" in "\n".join(lines)


@pytest.mark.parametrize(
    ("where", "message"), [("first_data", "sample 0 is damaged"), ("metadata", "header or tables are damaged")]
)
def test_it_finds_a_byte_that_was_changed(path, tmp_path, monkeypatch, where, message):
    content = bytearray(path.read_bytes())
    places = {"first_data": int(Beton(path).pointers[0]), "metadata": 24 + 1041 * len(FIELDS) + 8}
    content[places[where]] ^= 1
    damaged = tmp_path / "damaged.beton"
    damaged.write_bytes(content)
    with pytest.raises(AssertionError, match=message):
        read(damaged, monkeypatch)
