"""What of a URL is told, and what lies beside it."""

import pytest

from ffcv_hydra.urls import has_secrets, is_url, joined, name_of, shown, without_user


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://bucket/a@b/train.beton", "s3://bucket/a@b/train.beton"),
        ("http://host:8000/a@b", "http://host:8000/a@b"),
        ("https://ana:pass@host/a.beton", "https://***@host/a.beton"),
        ("https://ana:pa/s?s@host/a.beton", "https://***@host/a.beton"),
        ("https://ana:12@host/a.beton", "https://***@host/a.beton"),
        ("https://host/a.beton?X-Amz-Signature=ab\ncd", "https://host/a.beton?..."),
        ("data/a?b@c", "data/a?b@c"),
    ],
)
def test_users_passwords_and_queries_are_not_shown(url, told):
    assert shown(url) == told
    assert has_secrets(url) is (url != told)


def test_a_file_of_a_folder_is_beside_it_or_where_its_url_says():
    assert joined("s3://bucket/train.beton", "00001.beton") == "s3://bucket/train.beton/00001.beton"
    assert joined("s3://bucket/all.beton/", "../train.beton/0.beton") == "s3://bucket/train.beton/0.beton"
    assert joined("s3://bucket/a", "../../other/0.beton") == "s3://bucket/other/0.beton"
    assert joined("memory://a", "0.beton") == "memory://a/0.beton"
    assert joined("http://host/a?sas=1", "index.json") == "http://host/a/index.json?sas=1"
    assert joined("file:///data/a", "0.beton") == "file:///data/a/0.beton"
    assert joined("s3://bucket/a", "https://host/b.beton") == "https://host/b.beton"


def test_names_are_of_files():
    assert name_of("https://ana:a/b@host/..%2f/a b.beton?x=/etc") == "a_b.beton"
    assert name_of("s3://bucket/..") == "file"
    assert without_user("ftp://ana:secret@host/a") == "ftp://host/a"
    assert is_url("s3://a") and not is_url("a.beton") and not is_url(None)
