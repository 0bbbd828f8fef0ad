import os

import pytest

from ffcv_hydra.beton.whole_file import whole_file


def test_the_file_appears_at_the_end_of_the_block(tmp_path):
    with whole_file(tmp_path / "new" / "a") as file:
        file.write(b"data")
        assert not (tmp_path / "new" / "a").exists()
    assert (tmp_path / "new" / "a").read_bytes() == b"data"
    assert os.listdir(tmp_path / "new") == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_if_the_block_raises(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(error), whole_file(tmp_path / "a") as file:
        file.write(b"new")
        raise error
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "other").touch()
    with whole_file(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode
