"""What has become of a dataset since it was converted, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ffcv_hydra.beton.manifest import Manifest

SHOWN = 3  # names of each kind
COMPARED = ("names", "sizes", "labels", "hashes", "classes", "num_items", "digests")


def compare(stored: Manifest, now: Manifest) -> str:
    """What was added, removed, changed or renumbered, in one line; empty if nothing was.

    Items are known by their names, in any order; a class by its name, too. Without names, the number of items and the
    hashes of those that both have are compared; the hashes only if both were made where they hold.
    """
    if all(getattr(stored, name) == getattr(now, name) for name in COMPARED):  # of a million items in no time
        return ""
    items = _without_names if stored.names is None or now.names is None else _by_name
    return ", ".join(part for part in (*items(stored, now), *_classes(stored, now)) if part)


def losses(stored: Manifest, now: Manifest) -> str:
    """What was removed, changed or renumbered of items with names, in one line; empty if items were added at most."""
    return ", ".join(part for part in (*_by_name(stored, now)[1:], *_classes(stored, now)[1:]) if part)


def _by_name(stored: Manifest, now: Manifest) -> list[str]:
    before = {name: item for item, name in enumerate(stored.names or ())}
    after = {name: item for item, name in enumerate(now.names or ())}
    changed = []
    for name, item in after.items():
        then = before.get(name)
        if then is not None and _item_differs(stored, then, now, item):
            changed.append(name)
    return [
        listed(now.kind, [name for name in after if name not in before], "added"),
        listed(now.kind, [name for name in before if name not in after], "removed"),
        listed(now.kind, changed, "changed"),
    ]


def _item_differs(stored: Manifest, then: int, now: Manifest, item: int) -> bool:
    for before, after in ((stored.sizes, now.sizes), (stored.hashes, now.hashes)):
        if before is not None and after is not None and before[then] != after[item]:
            return True
    known = stored.class_of(then), now.class_of(item)
    return None not in known and known[0] != known[1]


def _without_names(stored: Manifest, now: Manifest) -> list[str]:
    if stored.num_items != now.num_items:
        return [f"number of {now.kind}: {now.num_items:,}, was {stored.num_items:,}"]
    digests = now.digests or {} if stored.environment == now.environment else {}
    changed = [index for index, digest in (stored.digests or {}).items() if digests.get(index, digest) != digest]
    return [listed(now.kind, changed, f"changed among {len(digests)} looked at")]


def _classes(stored: Manifest, now: Manifest) -> list[str]:
    if stored.classes is None or now.classes is None:
        return []
    before, after = set(stored.classes), {name: number for number, name in enumerate(now.classes)}
    moved = [
        f"{name} from {number} to {after[name]}"
        for number, name in enumerate(stored.classes)
        if after.get(name, number) != number
    ]
    return [
        listed("classes", [name for name in now.classes if name not in before], "added"),
        listed("classes", [name for name in stored.classes if name not in after], "removed"),
        listed("classes", moved, "renumbered"),
    ]


def listed(kind: str, names: Sequence[str], what: str) -> str:
    """How many there are and the first of them; empty if there are none."""
    rest = ", ..." if len(names) > SHOWN else ""
    return f"{kind} {what}: {len(names):,} ({', '.join(names[:SHOWN])}{rest})" if names else ""
