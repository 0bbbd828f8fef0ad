"""Fixtures of the loader's tests."""

from tests.loader.conftest import scenes as scenes
