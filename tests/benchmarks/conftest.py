from pathlib import Path

import pytest

from benchmarks import photos

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def made_photos(tmp_path_factory):
    """A folder with eight photographs, so that the children need not fetch any."""
    folder = tmp_path_factory.mktemp("benchmarks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photos, "FOLDER", folder / photos.FOLDER)
        patch.setattr(photos, "PACKAGES", ())
        photos.jpeg_photos(8)
        photos.masks(8)
    return folder


@pytest.fixture
def children(made_photos, monkeypatch):
    """Where children run."""
    monkeypatch.chdir(made_photos)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
