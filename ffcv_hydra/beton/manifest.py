"""What a dataset looked like when it was converted: names, sizes and classes of its items, as a value."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffcv_hydra.beton.packed_lists import MAGIC, PackedLists, of_bytes, pack
from ffcv_hydra.errors import BetonError, ConversionError

DAMAGED = "the manifest of its source is damaged; restore or convert it again"
LISTS = ("names", "sizes", "labels", "hashes", "order")  # of which there may be as many entries as samples
PLAIN = (("names", str), ("classes", str), ("sizes", int), ("labels", int), ("hashes", int), ("order", int))


@dataclass(frozen=True)
class Manifest:
    """A dataset's items, without their content.

    A dataset whose method `manifest()` returns one lets a beton notice that the dataset has changed since; splits that
    are drawn by fractions then stay what they are when items are added or removed.

    Args:
        names: What each item is called, for good and unlike all others: a path relative to the dataset, an id.
        sizes: Bytes of each item.
        labels: The number of each item's class.
        classes: The classes' names, by number.
        kind: What errors call items, such as `images`.
        num_items: How many there are, where they have no names.
        digests: Where they have none: by index, the hash of a few items.
        environment: The libraries and the processor that `digests` hold for; None: for any.
        order: Of a beton: the index of each sample's item, where that is not the sample's own.
        hashes: A number per item that is another one when what its size does not tell has changed, as its boxes.

    Raises:
        ConversionError: if the numbers of values differ, one is not plain, a name comes twice, or a label has no class.
    """

    names: Sequence[str] | None = None
    sizes: Sequence[int] | None = None
    labels: Sequence[int] | None = None
    classes: Sequence[str] | None = None
    kind: str = "items"
    num_items: int = 0
    digests: Mapping[str, str] | None = None
    environment: str | None = None
    order: Sequence[int] | None = None
    hashes: Sequence[int] | None = None

    def __post_init__(self) -> None:
        try:
            for name, plain in PLAIN:
                if getattr(self, name) is not None:
                    object.__setattr__(self, name, list(map(plain, getattr(self, name))))
        except (TypeError, ValueError) as error:
            raise ConversionError(f"manifest: {error}; give names as str, sizes and labels as int") from error
        if self.names is not None:
            object.__setattr__(self, "num_items", len(self.names))
            name, count = max(Counter(self.names).items(), key=lambda found: found[1], default=("", 1))
            if count > 1:
                raise ConversionError(f"manifest: the name {name!r} comes twice; give every item a name of its own")
        for what, values in (("sizes", self.sizes), ("labels", self.labels), ("hashes", self.hashes)):
            if values is not None and len(values) != self.num_items:
                raise ConversionError(f"manifest: {len(values)} {what} for {self.num_items} items; give one for each")
        if self.labels and self.classes is not None and max(self.labels) >= len(self.classes):
            raise ConversionError(f"manifest: label {max(self.labels)} has no name; {len(self.classes)} classes have")

    def sample_names(self, num_samples: int) -> list[str]:
        """What the item of each of a beton's samples is called: its name, or without one its index."""
        order = range(num_samples) if self.order is None else self.order
        has_names = self.names is not None and (self.order is not None or len(self.names) == num_samples)
        return [self.names[index] if has_names else str(index) for index in order]  # type: ignore[index]

    def of_samples(self, ids: Sequence[int], num_samples: int) -> Manifest:
        """Of a beton of `num_samples`, what a beton of some of its samples has: their names, sizes, labels, hashes."""
        order = range(num_samples) if self.order is None else self.order
        if self.order is None and self.num_items != num_samples:
            return Manifest(num_items=len(ids), classes=self.classes, kind=self.kind)
        chosen = {
            name: None if values is None else [values[order[sample]] for sample in ids]
            for name, values in vars(self).items()
            if name in LISTS and name != "order"
        }
        return Manifest(**chosen, classes=self.classes, kind=self.kind, num_items=len(ids))  # type: ignore[arg-type]

    def class_of(self, item: int) -> str | int | None:
        """An item's class, by its name where classes have names."""
        label = None if self.labels is None else self.labels[item]
        return label if label is None or self.classes is None else self.classes[label]

    def encode(self) -> bytes:
        """As packed lists, of which single names can be read; the same bytes for the same values."""
        content = {name: value for name, value in vars(self).items() if value is not None}
        lists = {name: content.pop(name) for name in LISTS if name in content}
        return pack(content, lists)


def decode(encoded: bytes) -> Manifest:
    """The manifest that was encoded, also by earlier versions as one JSON. Raises `BetonError` for damaged bytes."""
    try:
        if not encoded.startswith(MAGIC):
            return Manifest(**json.loads(zlib.decompress(encoded)))
        packed = PackedLists(of_bytes(encoded))
        return Manifest(**(packed.values | {name: packed.entries(name) for name in packed.lengths}))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, ConversionError) as error:
        raise BetonError(DAMAGED) from error
