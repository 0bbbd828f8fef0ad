"""The pages of the site that are made of the sources. `make docs` builds all of it, and takes no warning."""

import ast
import importlib

import pytest
import yaml

from tests.docs.blocks import ROOT
from tools.docs_site import API, api, on_post_page, options, public_names

NAV = (ROOT / "mkdocs.yml").read_text()


def test_every_option_of_every_group_is_there_with_its_keys():
    page = options()
    for path in (ROOT / "conf").rglob("*.yaml"):
        if path.parent != ROOT / "conf/hydra/help":
            where = path.relative_to(ROOT)
            assert f'title="{where}"' in page or not yaml.safe_load(path.read_text()), where
    assert "patience: " in page and "| `on_error` | raise, skip or zero |" in page


@pytest.mark.parametrize("name", API)
def test_a_page_of_the_api_has_what_the_module_offers(name):
    module = importlib.import_module("ffcv_hydra" if name == "ffcv_hydra" else f"ffcv_hydra.{name}")
    documented = [line.rpartition(".")[2] for line in api(name).splitlines() if line.startswith("::: ")]
    assert documented and all(hasattr(module, public) for public in documented)
    assert documented == sorted(getattr(module, "__all__", documented))
    assert f"reference/api/{name}.md" in NAV


def test_what_a_module_offers_is_in_its_list_or_imported_as_itself_or_its_own():
    assert public_names(ast.parse("__all__ = ['b', 'a']\nfrom x import c as c")) == ["a", "b"]
    assert public_names(ast.parse("from x import c as c\nfrom x import d\nclass E: pass")) == ["c"]
    assert public_names(ast.parse("from x import d\nclass E: pass\ndef f(): pass\ndef _g(): pass\nH = 1")) == ["E", "f"]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://unpkg.com/x"></script>',
        "<script src=//unpkg.com/x></script>",
        '<link rel="stylesheet" href="https://fonts.example/x.css">',
        "<link rel=preconnect href=https://fonts.example crossorigin>",
        '<img alt="" src="http://example.org/x.png">',
    ],
)
def test_a_page_that_loads_something_from_elsewhere_is_refused(html):
    from mkdocs.exceptions import PluginError
    from mkdocs.structure.files import File
    from mkdocs.structure.pages import Page

    file = File("index.md", "docs", "site", False)
    page = Page("Home", file, {"repo_url": None, "edit_uri": None, "edit_uri_template": None, "site_url": None})
    with pytest.raises(PluginError, match=r"index\.md loads something from elsewhere"):
        on_post_page(html, page, {})
    harmless = '<a href="https://x.org">x</a><script src="a.js"></script><img src="../x.png">'
    assert on_post_page(harmless, page, {}) == harmless
