"""A beton that has every kind of field."""

from pathlib import Path

import pytest

from ffcv_hydra.beton import write_beton
from tests.loader.configurations import FIELDS, PLACES, PLACES_FIELDS, Scenes, ScenesWithPlaces


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 samples with the fields image, mask, depth, label, boxes and text; beside it one with places in images."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.beton"
    write_beton(ScenesWithPlaces(), path.with_name(PLACES), PLACES_FIELDS, num_workers=0)
    write_beton(Scenes(), path, FIELDS, num_workers=0, page_size=1 << 21)
    return path


@pytest.fixture(scope="session")
def raw_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with images whose pixels are stored as they are, so that masks can be compared with them."""
    path = tmp_path_factory.mktemp("scenes") / "raw.beton"
    write_beton(Scenes(), path, FIELDS | {"image": {"write_mode": "raw"}}, num_workers=0, page_size=1 << 21)
    return path
