"""`python -m ffcv_hydra fetch|upload`: betons from URLs to this machine, and from it to URLs."""

import argparse

from ffcv_hydra.cli.tool import Tool
from ffcv_hydra.printable import printable
from ffcv_hydra.urls import is_url, shown


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="of a beton, or of the folder of a sharded one")
    parser.add_argument("--anew", action="store_true", help="take what is there now, if it has changed")


def _add_upload(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a beton, or the folder of a sharded one")
    parser.add_argument("url", metavar="URL", help="where to, such as s3://bucket/train.beton")
    parser.add_argument("--overwrite", action="store_true", help="write what is there, too, and over another beton")


def _fetch(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.collection.fetching import local
    from ffcv_hydra.errors import RemoteError

    if not is_url(chosen.url):
        raise RemoteError(f"{chosen.url} is no URL; write it with its protocol, such as s3://bucket/train.beton")
    print(printable(str(local(chosen.url, anew=chosen.anew))))
    return 0


def _upload(chosen: argparse.Namespace) -> int:
    from ffcv_hydra.collection.uploading import upload

    written, were_there = upload(chosen.path, chosen.url, chosen.overwrite)
    rest = f", {were_there} were there already" if were_there else ""
    print(printable(f"{shown(chosen.url)}: {written} file{'s'[: written != 1]} written{rest}"))
    return 0


FETCH = Tool(
    "fetch",
    "copy a beton from a URL into this machine's data cache",
    _add_fetch,
    _fetch,
    "Copy a beton into the data cache, where runs and loaders that are given its URL find it, without a network too."
    " Says where it is.",
)
UPLOAD = Tool(
    "upload",
    "copy a beton to a URL; goes on where it was",
    _add_upload,
    _upload,
    "Copy a beton to a URL, its index last. Files that are there and the same are left; another beton is not replaced.",
)
