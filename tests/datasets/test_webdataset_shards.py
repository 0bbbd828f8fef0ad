import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.datasets import WebDatasetShards
from ffcv_hydra.errors import ConfigError, ConversionError, SourceMissingError

pytestmark = pytest.mark.timeout(60)


def jpeg(value):
    file = io.BytesIO()
    Image.fromarray(np.full((16, 24, 3), value, dtype=np.uint8)).save(file, "jpeg", quality=95)
    return file.getvalue()


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def write_shards(folder, number=3, mode="w", suffix="tar"):
    for shard in range(number):
        files = {}
        for sample in range(4):
            key = f"./train/{shard}{sample}"
            files[f"{key}.jpg"] = jpeg(40 * shard + 10 * sample)
            files[f"{key}.cls"] = str(10 * shard + sample).encode()
        write_tar(folder / f"train-{shard:03}.{suffix}", files, mode)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(("mode", "suffix"), [("w", "tar"), ("w:gz", "tar.gz")])
def test_shards_become_a_beton_in_their_order(tmp_path, num_workers, mode, suffix):
    write_shards(tmp_path, 3, mode, suffix)
    shards = WebDatasetShards(str(tmp_path / f"train-*.{suffix}"))
    write_beton(shards, tmp_path / "a.beton", {"image": None, "label": None}, num_workers=num_workers)
    beton = Beton(tmp_path / "a.beton")
    assert beton.field_metadata("label").tolist() == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]


def test_W10_jpegs_in_shards_are_stored_as_they_are(tmp_path):
    write_shards(tmp_path)
    write_beton(WebDatasetShards(str(tmp_path / "train-*.tar")), tmp_path / "a.beton", num_workers=0)
    offsets, sizes = Beton(tmp_path / "a.beton").extents("image")
    stored = (tmp_path / "a.beton").read_bytes()[int(offsets[5]) : int(offsets[5] + sizes[5])]
    assert stored == jpeg(50)


def test_files_are_decoded_by_their_extension(tmp_path):
    array = io.BytesIO()
    np.save(array, np.arange(3.0))
    content = {"json": json.dumps({"a": 1}).encode(), "npy": array.getvalue(), "txt": b"hello", "seg.cls": b" 7\n"}
    write_tar(tmp_path / "a.tar", {f"one.{name}": data for name, data in content.items()})
    dataset = WebDatasetShards(str(tmp_path / "a.tar"), ["json", "npy", "txt", "seg.cls"])
    ((facts, numbers, text, label),) = dataset.read_shard(0)
    assert (facts, numbers.tolist(), text.tobytes(), label) == ({"a": 1}, [0, 1, 2], b"hello", 7)


def test_F51_all_that_pillow_reads_is_an_image(tmp_path):
    files = {}
    for suffix in ("gif", "jp2", "tga"):
        content = io.BytesIO()
        Image.new("RGB", (16, 16)).save(content, {"jp2": "jpeg2000"}.get(suffix, suffix))
        files[f"one.{suffix}"] = content.getvalue()
    write_tar(tmp_path / "a.tar", files)
    ((first, second, third),) = WebDatasetShards(str(tmp_path / "a.tar"), ["gif", "jp2", "tga"]).read_shard(0)
    assert (first.format, second.format, third.format) == ("GIF", "JPEG2000", "TGA")


def test_F1_the_manifest_names_the_shards_and_their_sizes(tmp_path):
    write_shards(tmp_path)
    found = WebDatasetShards(str(tmp_path / "train-*.tar")).manifest()
    assert found.names == ["train-000.tar", "train-001.tar", "train-002.tar"]
    assert found.sizes == [(tmp_path / name).stat().st_size for name in found.names]


def test_the_first_of_several_extensions_counts(tmp_path):
    write_tar(tmp_path / "a.tar", {"1.PNG": b"png", "1.cls": b"0", "2.b": b"b", "2.a": b"a", "2.cls": b"1"})
    dataset = WebDatasetShards(str(tmp_path / "a.tar"), ["a;b;cls", "cls"])
    (only_cls, _), (first, _) = dataset.read_shard(0)
    assert (only_cls, first.tobytes()) == (0, b"a")


def test_ranges_and_lists_keep_their_order(tmp_path):
    write_shards(tmp_path)
    names = [str(tmp_path / f"train-00{number}.tar") for number in range(3)]
    assert WebDatasetShards(str(tmp_path / "train-{000..002}.tar")).shard_names == names
    assert WebDatasetShards([names[2], str(tmp_path / "train-{000..001}.tar")]).shard_names == [names[2], *names[:2]]


@pytest.mark.parametrize(
    ("shards", "items", "message"),
    [
        ("none-*.tar", ["jpg"], "there is no file"),
        ("train-{000..009}.tar", ["jpg"], "there is no file .*train-003.tar"),
        ("train-{2..1}.tar", ["jpg"], "holds no number"),
        ("train-000.tar", [], "list the extension"),
        ("train-000.tar", "jpg", "list the extension"),
    ],
)
def test_impossible_options_are_refused(tmp_path, shards, items, message):
    write_shards(tmp_path)
    with pytest.raises(ConfigError, match=message):
        WebDatasetShards(str(tmp_path / shards), items)


@pytest.mark.parametrize(("shards", "is_here"), [("none-{0..3}.tar", False), ("train-{000..009}.tar", True)])
def test_F1_shards_are_not_here_only_if_none_is(tmp_path, shards, is_here):
    write_shards(tmp_path)
    with pytest.raises(ConfigError) as caught:
        WebDatasetShards(str(tmp_path / shards))
    assert isinstance(caught.value, SourceMissingError) is not is_here


def test_W12_a_sample_that_lacks_an_item_is_named_with_its_key(tmp_path):
    write_tar(tmp_path / "a.tar", {"x/1.jpg": jpeg(1), "x/1.cls": b"1", "x/2.jpg": jpeg(2)})
    with pytest.raises(ConversionError) as caught:
        write_beton(WebDatasetShards(str(tmp_path / "a.tar")), tmp_path / "a.beton", num_workers=1)
    where = f"sample 1 of {tmp_path}/a.tar: key 'x/2'"
    assert str(caught.value) == f"{where} has no cls, only jpg; correct items"


def test_what_cannot_be_decoded_is_named_with_its_key(tmp_path):
    write_tar(tmp_path / "a.tar", {"1.jpg": jpeg(1), "1.cls": b"one"})
    with pytest.raises(ConversionError, match="key '1': cannot decode its cls: ValueError: invalid literal"):
        list(WebDatasetShards(str(tmp_path / "a.tar")).read_shard(0))


@pytest.mark.parametrize("compression", ["", ":gz"])
def test_a_tar_file_that_was_cut_short_is_never_taken_for_a_whole_one(tmp_path, compression):
    write_tar(
        tmp_path / "whole.tar", {"1.jpg": jpeg(1), "1.cls": b"1", "2.jpg": jpeg(2), "2.cls": b"2"}, f"w{compression}"
    )
    content = (tmp_path / "whole.tar").read_bytes()
    dataset = WebDatasetShards(str(tmp_path / "whole.tar"))
    assert len(list(dataset.read_shard(0))) == 2
    end = len(content) if compression else content.rindex(b"2.cls") + 2 * tarfile.BLOCKSIZE
    for num_bytes in range(0, end, 7 if compression else 64):
        (tmp_path / "whole.tar").write_bytes(content[:num_bytes])
        try:
            samples = list(dataset.read_shard(0))
        except (ConversionError, tarfile.ReadError, EOFError):
            continue
        assert compression  # only what fills up the end of the file was lost
        assert len(samples) == 2
    with pytest.raises(ConversionError, match="sample 0 of .*whole.tar: "):
        (tmp_path / "whole.tar").write_bytes(content[:300])
        write_beton(dataset, tmp_path / "a.beton", num_workers=0)
