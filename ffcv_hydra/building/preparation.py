"""Making a run's betons: those that are there are compared with their sources, those that are missing are converted."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ffcv_hydra.beton import BetonSummary
from ffcv_hydra.beton.appendix import MANIFEST_VERSION, Appendix
from ffcv_hydra.beton.inspection.manifest_difference import compare, losses
from ffcv_hydra.beton.manifest import Manifest
from ffcv_hydra.beton.writing.source_manifest import LOOK_SECONDS, is_constant, keep_classes
from ffcv_hydra.beton_path import beton_exists
from ffcv_hydra.building.conversion_config import (
    BetonConfig,
    build_to_look,
    convert_beton,
    dataset_class,
    distinct_betons,
)
from ffcv_hydra.building.source_look import look
from ffcv_hydra.collection.facts import joined_classes, read_facts, read_manifest
from ffcv_hydra.collection.sharing import WorkerSummary
from ffcv_hydra.conversion import check_description
from ffcv_hydra.errors import BetonError
from ffcv_hydra.stages import STAGES

log = logging.getLogger(__name__)


def convert_betons(
    config: Mapping[str, Any], stages: Iterable[str] = STAGES
) -> Iterator[tuple[BetonConfig, BetonSummary | WorkerSummary | None]]:
    """Write the betons that the splits of `stages` read, each as `convert_beton` does; give each and what it returns.

    The sources of those that are kept are looked at before, for at most 10 s together.

    Raises:
        BetonError: also if the source of one that is kept has changed, unless `if_source_changed` accepts that.
        ConfigError: also if a split would be drawn by names beside one that an earlier version drew by another rule.
    """
    betons, conversion = distinct_betons(config, stages), config["conversion"]
    if_exists = conversion.get("if_exists", "keep")  # as `convert` has it
    paths = {beton.path for beton in betons}
    there = [beton for beton in distinct_betons(config) if beton.source is not None and beton_exists(beton.path)]
    earlier = [beton for beton in there if _is_earlier(beton.path)]
    if if_exists == "overwrite":
        earlier = [beton for beton in earlier if beton.path not in paths]
    if if_exists == "keep":
        _check_kept([beton for beton in there if beton.path in paths], earlier, conversion.get("if_source_changed"))
    by_target = {str((beton.source or {}).get("_target_")): beton.path for beton in earlier}
    kept = there if if_exists != "overwrite" else [beton for beton in there if beton.path not in paths]
    for beton in betons:
        yield beton, convert_beton(beton, conversion, by_target, partial(_classes_beside, beton, kept))


def _classes_beside(beton: BetonConfig, kept: Sequence[BetonConfig]) -> list[str]:
    """The classes of betons of the same dataset that are there, by number: one that is converted now has to have them.

    Raises:
        BetonError: where one number of a class has two names.
    """
    dataset = _without_split(beton)
    others = [other.path for other in kept if _without_split(other) == dataset]
    return joined_classes({path: read_manifest(path) for path in others})[0]


def _without_split(beton: BetonConfig) -> dict[str, Any]:
    return {name: value for name, value in (beton.source or {}).items() if name != "split"}


def _check_kept(kept: Sequence[BetonConfig], earlier: Sequence[BetonConfig], if_source_changed: str | None) -> None:
    for beton in kept:
        check_description(beton.path, beton.description)
    if told := [str(beton.path) for beton in kept if beton in earlier]:
        log.warning(
            "%s: made by an earlier version; changes of the source are not seen, and splits stay drawn by the rule of"
            " then; conversion.if_exists=overwrite makes it anew",
            ", ".join(told),
        )
    if if_source_changed != "ignore":
        _compare([beton for beton in kept if beton not in earlier], if_source_changed)


def _compare(betons: Sequence[BetonConfig], if_source_changed: str | None) -> None:
    stored = [(beton, read_manifest(beton.path)) for beton in betons if not is_constant(dataset_class(beton.source))]
    pairs = [(beton, manifest) for beton, manifest in stored if manifest is not None]
    if not pairs:
        return
    changed, can_grow = [], True
    looks = look([partial(_built_as_stored, *pair) for pair in pairs])
    for (beton, manifest), found in zip(pairs, looks, strict=True):
        if found.warning is not None:
            log.warning("%s: looking at its source: %s", beton.path, found.warning)
        if found.missing is not None:
            log.info("%s: taken as it is; its source cannot be looked at (%s)", beton.path, found.missing)
        elif found.failure is not None:
            changed.append(f"{beton.path}: it cannot be looked at any more ({found.failure})")
            can_grow = False
        elif found.stopped_at is not None:
            log.warning(
                "%s: its source was looked at for %g s, as far as %s (it had %s %s); whether it has changed is told by"
                " python -m ffcv_hydra verify --source %s",
                beton.path, LOOK_SECONDS, found.stopped_at, f"{manifest.num_items:,}", manifest.kind, beton.path,
            )  # fmt: skip
        elif found.manifest is not None and (difference := compare(manifest, found.manifest)):
            changed.append(f"{beton.path}: {difference}")
            can_grow &= manifest.names is not None and not losses(manifest, found.manifest)
    if not changed:
        return
    line = f"the source has changed since it was converted: {'; '.join(changed)}"
    if if_source_changed == "warn":
        log.warning("%s; kept, as conversion.if_source_changed=warn says", line)
    else:
        append = "conversion.if_exists=append to add what is new, or " if can_grow else ""
        raise BetonError(
            f"{line}; use {append}conversion.if_exists=overwrite to convert it anew, or"
            " conversion.if_source_changed=warn to go on with what was converted"
        )


def _built_as_stored(beton: BetonConfig, stored: Manifest) -> Any:
    dataset = build_to_look(beton.source or {}, beton.path)
    keep_classes(dataset, stored)
    return dataset


def _is_earlier(path: Path) -> bool:
    try:
        facts = read_facts(path)
    except BetonError:  # told when it is opened
        return False
    return isinstance(facts, Appendix) and facts.description is not None and facts.version < MANIFEST_VERSION
