"""`python -m ffcv_hydra`, and its `info`, `verify` and `subset`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ffcv_hydra.beton import Beton, write_beton
from ffcv_hydra.beton.format import ALLOCATION, DESCRIPTOR, HEADER
from ffcv_hydra.beton.reading.verification import verify
from ffcv_hydra.cli.inspection import GROUPS, main
from ffcv_hydra.collection.writing import write_sharded_beton

ROOT = Path(__file__).parents[2]
NUM_SAMPLES = 20


def sample(index):
    coarse = np.random.default_rng(index).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((16 + index, 12), Image.Resampling.BICUBIC)
    return image, index, np.full(5, index, np.uint8)


@pytest.fixture
def beton(tmp_path):
    path = tmp_path / "a.beton"
    fields = dict.fromkeys(["image", "label", "data"])
    description = {"dataset": {"name": "toy"}}
    write_beton([sample(n) for n in range(NUM_SAMPLES)], path, fields, num_workers=0, description=description)
    return path


@pytest.fixture
def stock_beton(tmp_path):
    ffcv = pytest.importorskip("ffcv")
    path = tmp_path / "stock.beton"
    fields = {"image": ffcv.fields.RGBImageField("jpg"), "label": ffcv.fields.IntField()}
    writer = ffcv.DatasetWriter(str(path), fields, num_workers=1)
    writer.from_indexed_dataset([(np.asarray(sample(n)[0]), n) for n in range(NUM_SAMPLES)])
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def lines(captured):
    return captured.readouterr().out.splitlines()


def test_a_whole_file_is_called_whole(beton, capsys):
    assert main(["verify", str(beton)]) == 0
    assert lines(capsys) == [f"{beton}: whole (20 samples, 40 allocations compared with their checksums)"]
    assert main(["verify", str(beton), "--decode", "--workers", "2"]) == 0
    assert lines(capsys)[0].endswith("20 JPEGs decoded)")


@pytest.mark.parametrize("workers", ["1", "3"])
def test_each_damaged_allocation_is_one_line(beton, capsys, workers):
    found = Beton(beton)
    flip(beton, int(found.extents("data")[0][17]) + 2)
    flip(beton, int(found.extents("image")[0][3]) + 200)
    assert main(["verify", str(beton), "--decode", "--workers", workers]) == 1
    assert lines(capsys) == [
        f"{beton}: field 'image', sample 3: the stored bytes differ from their checksum",
        f"{beton}: field 'data', sample 17: the stored bytes differ from their checksum",
        f"{beton}: 2 findings (20 samples, 40 allocations compared with their checksums, 20 JPEGs decoded)",
    ]


def test_R2_a_file_that_does_not_open_is_one_finding(beton, tmp_path, capsys):
    flip(beton, HEADER.itemsize + 3 * DESCRIPTOR.itemsize)
    (tmp_path / "text").write_text("some text\n" * 100)
    for path in (beton, tmp_path / "text", tmp_path / "missing", tmp_path):
        assert main(["verify", str(path)]) == 1
        finding, summary = lines(capsys)
        assert finding.startswith(f"{path}: ")
        assert summary == f"{path}: 1 finding; nothing else in it could be checked"


def test_R2_a_file_cut_short_is_a_finding(beton, capsys):
    content = beton.read_bytes()
    for kept in (0, 10, 1000, len(content) // 2, len(content) - ALLOCATION.itemsize, len(content) - 1):
        beton.write_bytes(content[:kept])
        assert main(["verify", str(beton)]) == 1
    assert len(lines(capsys)) == 12


def test_R1_decoding_finds_damage_in_files_of_stock_ffcv(stock_beton, capsys):
    assert main(["verify", str(stock_beton), "--decode"]) == 0
    assert "not compared: the file has no checksums, 20 JPEGs decoded" in lines(capsys)[0]
    offsets, sizes = Beton(stock_beton).extents("image")
    content = bytearray(stock_beton.read_bytes())
    start, size = int(offsets[5]), int(sizes[5])
    content[start + size - 40 : start + size] = bytes(40)
    content[int(offsets[9])] = 0
    stock_beton.write_bytes(content)
    assert main(["verify", str(stock_beton)]) == 0
    capsys.readouterr()
    assert main(["verify", str(stock_beton), "--decode"]) == 1
    found = lines(capsys)
    assert found[0].startswith(f"{stock_beton}: field 'image', sample 5: the JPEG does not decode cleanly: ")
    assert found[1].startswith(f"{stock_beton}: field 'image', sample 9: the JPEG does not decode cleanly: ")
    assert len(found) == 3


def test_a_jpeg_of_another_size_than_the_metadata_say_is_a_finding(stock_beton):
    found = Beton(stock_beton)
    content = bytearray(stock_beton.read_bytes())
    start = HEADER.itemsize + 2 * DESCRIPTOR.itemsize
    metadata = np.ndarray(NUM_SAMPLES, found.metadata.dtype, content, start)
    metadata["f0"]["height"][4] = 13
    stock_beton.write_bytes(content)
    assert verify(stock_beton, decode=True).findings == [
        f"{stock_beton}: field 'image', sample 4: the JPEG does not decode cleanly: it is 20 pixels wide and 12 high, "
        "not 20 and 13"
    ]


def test_an_allocation_table_that_contradicts_itself_is_a_finding(stock_beton):
    found = Beton(stock_beton)
    content = bytearray(stock_beton.read_bytes())
    start = len(content) - NUM_SAMPLES * ALLOCATION.itemsize
    table = np.ndarray(NUM_SAMPLES, ALLOCATION, content, start)
    table["sample_id"][6] = 7
    table["size"][8] += 1
    table["size"][NUM_SAMPLES - 1] = len(content) - start  # not yet out of the page
    stock_beton.write_bytes(content)
    pointers = found.pointers
    assert verify(stock_beton).findings == [
        f"{stock_beton}: field 'image', sample 9: the allocation at {pointers[9]} overlaps the one before",
        f"{stock_beton}: field 'image', sample 6: the allocation table says that it belongs to sample 7",
    ]


def test_an_allocation_over_a_page_border_is_a_finding(stock_beton):
    content = bytearray(stock_beton.read_bytes())
    np.ndarray(1, HEADER, content)["page_size"] = 512
    stock_beton.write_bytes(content)
    findings = verify(stock_beton).findings
    assert findings
    assert all("crosses the border of a page" in finding for finding in findings)


def test_progress_ends_with_all_allocations(beton):
    seen = []
    verify(beton, num_workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)


@pytest.mark.parametrize("dataset", [[(1,)], [(1, 2.5)] * 5, [(np.zeros(0, np.uint8),)] * 3])
def test_files_with_little_in_them_are_whole_and_can_be_shown(tmp_path, capsys, dataset):
    path = tmp_path / "a.beton"
    write_beton(dataset, path, num_workers=0)
    assert main(["verify", str(path), "--decode"]) == 0
    assert "whole" in capsys.readouterr().out
    assert main(["info", str(path)]) == 0


def test_R2_a_file_without_samples_is_a_finding(beton, capsys):
    content = bytearray(beton.read_bytes())
    np.ndarray(1, HEADER, content)["num_samples"] = 0
    beton.write_bytes(content)
    assert main(["verify", str(beton)]) == 1
    assert "holds no samples" in lines(capsys)[0]


def test_info_tells_what_is_in_a_file(beton, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert main(["info", str(beton)]) == 0
    shown = capsys.readouterr().out
    for expected in (
        "20 JPEG",
        "in the metadata",
        "100 bytes",
        "8 MiB",
        "name: toy",
        "one per allocation",
        "16 – 18 px",
    ):
        assert expected in shown
    assert "12 px   ████" in shown


def test_info_of_a_file_of_stock_ffcv(stock_beton, capsys):
    assert main(["info", str(stock_beton)]) == 0
    shown = capsys.readouterr().out
    assert "none" in shown
    assert "unknown" in shown


@pytest.mark.parametrize("command", ["info", "verify"])
def test_F53_odd_paths_are_one_line_that_steers_no_terminal(tmp_path, capsys, command):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "missing\x1b[31m", os.devnull):
        assert main([command, str(tmp_path / name)]) == 1
        output = "".join(capsys.readouterr())
        assert len(output.splitlines()) == (1 if command == "info" else 2) and "\x1b" not in output, output


def test_info_of_no_beton_is_one_line(tmp_path, capsys):
    assert main(["info", str(tmp_path / "missing")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'missing'}: no such file; convert the dataset first, or correct the path"
    ]


@pytest.mark.parametrize(
    "arguments", [[], ["verify"], ["look", "a.beton"], ["verify", "a.beton", "--workers", "0"], ["info", "a", "b"]]
)
def test_bad_usage_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.timeout(120)
def test_the_module_runs_and_its_help_does_not_import_torch():
    code = "import sys, runpy\ntry: runpy.run_module('ffcv_hydra', run_name='__main__')\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'ffcv', 'numpy'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "usage" in shown.stderr
    assert shown.returncode == 0, shown.stderr


@pytest.fixture
def sharded(tmp_path):
    path = tmp_path / "s.beton"
    fields = dict.fromkeys(["image", "label", "data"])
    write_sharded_beton([sample(n) for n in range(NUM_SAMPLES)], path, fields, shards=3, num_workers=0)
    return path


def test_a_folder_of_shards_is_verified_as_a_whole(sharded, capsys):
    assert main(["verify", str(sharded), "--decode"]) == 0
    counted = "20 samples in 3 shards, 40 allocations compared with their checksums, 20 JPEGs decoded"
    assert lines(capsys) == [f"{sharded}: whole ({counted})"]


def test_each_damaged_missing_or_changed_shard_is_one_line(sharded, capsys):
    first, second, third = (sharded / f"0000{n}.beton" for n in range(3))
    flip(first, int(Beton(first).extents("data")[0][5]) + 2)
    second.unlink()
    others = [sample(n + 1) for n in range(14, 20)]
    write_beton(others, third, dict.fromkeys(["image", "label", "data"]), num_workers=0)
    assert main(["verify", str(sharded)]) == 1
    damaged, missing, changed, summary = lines(capsys)
    assert damaged == f"{first}: field 'data', sample 5: the stored bytes differ from their checksum"
    assert missing == f"{second}: no such file; convert the dataset first, or correct the path"
    assert changed.startswith(f"{third}: is not the file that the index speaks of: it has ")
    assert summary.startswith(f"{sharded}: 3 findings (13 samples in 3 shards, ")
    write_beton([(1,)], third, num_workers=0)
    assert main(["verify", str(sharded)]) == 1
    assert "the index speaks of: it has 1 samples, not 6; restore it, or convert or merge again" in lines(capsys)[2]
    shutil.copy(first, third)
    assert main(["verify", str(sharded)]) == 1
    assert f"{third}: is not the file that the index speaks of: it has 7 samples, not 6" in "\n".join(lines(capsys))


def test_a_sample_of_a_shard_is_called_as_it_is_in_the_whole(sharded, capsys):
    second = sharded / "00001.beton"
    flip(second, int(Beton(second).extents("data")[0][5]) + 2)
    assert main(["verify", str(sharded)]) == 1
    assert lines(capsys)[0].startswith(f"{second}: field 'data', sample 12 (5 of this file): the stored bytes differ")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda index: index["shards"][1]["extremes"].update(label=[7, 100]), "its extremes differ"),
        (lambda index: index["shards"][1]["extremes"].update(other=[7, 100]), "its extremes differ"),
        (lambda index: index["kinds"].update(label="float"), "its kinds of fields differ"),
        (lambda index: index["shards"][1].update(page_size=4096), "bytes of a page, not 4,096"),
    ],
)
def test_an_index_that_lies_about_a_shard_is_found(sharded, capsys, change, told):
    index = json.loads((sharded / "index.json").read_text())
    change(index)
    (sharded / "index.json").write_text(json.dumps(index))
    assert main(["verify", str(sharded)]) == 1
    assert "00001.beton: is not the file that the index speaks of: it" in (shown := capsys.readouterr().out)
    assert told in shown


def test_a_folder_without_its_index_is_not_taken_for_a_folder_to_look_in(sharded, capsys):
    (sharded / "index.json").unlink()
    assert main(["info", str(sharded)]) == 1
    assert f"{sharded}: is a folder of shards without its index.json; restore that, or" in capsys.readouterr().err


def test_an_index_that_is_damaged_is_one_finding(sharded, capsys):
    (sharded / "index.json").write_text("{}")
    assert main(["verify", str(sharded)]) == 1
    finding, summary = lines(capsys)
    assert finding.startswith(f"{sharded}/index.json: is damaged: ")
    assert summary == f"{sharded}: 1 finding; nothing else in it could be checked"


def test_info_of_a_folder_shows_what_is_in_all_shards(sharded, beton, capsys):
    def info(path):
        assert main(["info", str(path)]) == 0
        shown = [line.strip() for line in lines(capsys)]
        return shown[: shown.index("fields")], shown[shown.index("fields") :]

    (of_one, one), (overview, shown) = info(beton), info(sharded)
    assert shown == one  # kinds, sizes and histograms are those of one file
    assert any(line.startswith("shards") and " 3, of " in line for line in overview)
    assert not any(line.startswith("shards") for line in of_one)
    (sharded / "00001.beton").unlink()
    assert main(["info", str(sharded)]) == 1
    assert "00001.beton: no such file" in capsys.readouterr().err


def test_help_lists_every_command_in_its_group(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m ffcv_hydra [-h] COMMAND ...\n")
    groups = dict(re.findall(r"^(\w+):\n((?:  [\w-]+ .*\n)+)", shown, re.MULTILINE))
    names = {group: re.findall(r"^  ([\w-]+)", listed, re.MULTILINE) for group, listed in groups.items()}
    assert names == {group: [tool.name for tool in tools] for group, tools in GROUPS.items()}


@pytest.mark.parametrize("tool", [tool for tools in GROUPS.values() for tool in tools], ids=lambda tool: tool.name)
def test_each_command_has_a_help_of_its_own(tool, capsys):
    with pytest.raises(SystemExit):
        main([tool.name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m ffcv_hydra {tool.name} ")


def test_subset_copies_what_is_chosen(beton, tmp_path, capsys):
    few = tmp_path / "few.beton"
    assert main(["subset", str(beton), "--where", "label in [3, 5]", "--output", str(few)]) == 0
    assert re.fullmatch(rf"{few}: 2 samples, .* [kM]B", lines(capsys)[0])
    assert Beton(few).field_metadata("label").tolist() == [3, 5]
    (tmp_path / "ids.txt").write_text("7\n1, 2")
    np.save(tmp_path / "ids.npy", [7, 1, 2])
    for number, ids in enumerate(["7,1,2", "[7, 1, 2]", str(tmp_path / "ids.txt"), str(tmp_path / "ids.npy")]):
        assert main(["subset", str(beton), "--indices", ids, "--output", str(tmp_path / f"{number}.beton")]) == 0
        assert Beton(tmp_path / f"{number}.beton").field_metadata("label").tolist() == [7, 1, 2]
    sharded = ["subset", str(few), str(beton), "--shards", "3", "--output", str(tmp_path / "all")]
    assert main(sharded) == 0 and "22 samples in 3 shards" in lines(capsys)[-1]
    shares = ["subset", str(beton), "--fraction", "0.25", "--seed", "4", "--output", str(tmp_path / "share.beton")]
    assert main(shares) == 0 and "5 samples" in lines(capsys)[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--where", "label in [3"], "where: cannot read 'label in [3': "),
        (["--where", "label > 99"], "where: 'label > 99' is true of none of 20 samples"),
        (["--indices", "1,x"], "--indices 1,x: invalid literal for int() with base 10: 'x'; give 3,1,7, or a file"),
        (["--indices", "missing.npy"], "--indices missing.npy: "),
        (["--fraction", "2"], "fraction=2: use a share above 0, and up to 1"),
        (["--shard-size", "some"], "shard_size"),
    ],
)
def test_a_subset_that_cannot_be_is_one_line(beton, tmp_path, capsys, options, told):
    assert main(["subset", str(beton), *options, "--output", str(tmp_path / "few.beton")]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and told in captured.err and captured.err.count("\n") == 1
    assert not (tmp_path / "few.beton").exists()


def test_a_command_that_is_misspelt_is_guessed(capsys):
    with pytest.raises(SystemExit):
        main(["swepe", "outputs"])
    assert capsys.readouterr().err.splitlines()[-1].endswith("there is no command swepe: did you mean 'sweep'?")
