"""A look at the datasets that betons were made from, before a run: short, and without any effect on the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing.isolated import Send, run_isolated
from ffcv_hydra.beton.writing.source_manifest import LOOK_SECONDS, manifest_of
from ffcv_hydra.datasets import progress
from ffcv_hydra.errors import SourceMissingError, root_cause


@dataclass(frozen=True)
class Look:
    """What was seen of one dataset.

    Attributes:
        manifest: How it looks; None if it was not seen, or says nothing.
        warning: Why not all of it was seen.
        missing: Why it is not there to be looked at, as on a machine that has only the beton.
        failure: Why it cannot be looked at though it is there.
        stopped_at: How far the look came when the time was up.
    """

    manifest: Manifest | None = None
    warning: str | None = None
    missing: str | None = None
    failure: str | None = None
    stopped_at: str | None = None


def look(builders: Sequence[Callable[[], Any]], seconds: float = LOOK_SECONDS) -> list[Look]:
    """Build datasets and see how they look, one after the other, for at most `seconds` together.

    This happens in a process of its own: what a dataset draws, prints or keeps in memory does not reach the run.
    """

    def work(send: Send) -> None:
        progress.listen(send)
        for build in builders:
            told: list[str] = []
            try:
                found = manifest_of(build(), isolated=False, warn=told.append)
                send(Look(found, "; ".join(told) or None))
            except SourceMissingError as error:
                send(Look(missing=str(error)))
            except Exception as error:  # whatever a dataset raises
                send(Look(failure=root_cause(error)))

    messages, is_late = run_isolated(work, seconds)
    looks = [message for message in messages if isinstance(message, Look)]
    if len(looks) == len(builders):
        return looks
    at = messages[-1] if messages and isinstance(messages[-1], str) else "its first items"
    unseen = (
        Look(stopped_at=at) if is_late else Look(warning="it ends its process; whether it has changed is not known")
    )
    rest = Look(stopped_at="its beginning") if is_late else unseen
    return [*looks, unseen, *[rest] * (len(builders) - len(looks) - 1)]
