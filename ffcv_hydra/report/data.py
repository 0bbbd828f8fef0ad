"""What a run read: how many samples of which class, by stage."""

from collections.abc import Mapping, Sequence

from ffcv_hydra.report.evaluation import Data, class_name
from ffcv_hydra.report.markup import MOST_LISTED, Html, folded, join, table, text

_MOST_CLASSES = 30
"""That are listed at once; of more, the most and the least frequent ones."""


def data_table(data: Mapping[str, Data], class_names: Sequence[str] | None) -> Html:
    """The stages with their betons, and a bar for each class and stage; empty if nothing is known."""
    if not data:
        return Html()
    stages = table(
        ("stage", "samples", "from"),
        [
            (stage, one["samples"], Html("<br>".join(text(path, 300) for path in one["betons"])))
            for stage, one in data.items()
        ],
    )
    counts = {stage: one["counts"] for stage, one in data.items() if one["counts"]}
    if not counts:
        return stages
    num_classes = max(map(len, counts.values()))
    most = {stage: max(found) for stage, found in counts.items()}

    def row(number: int) -> list[object]:
        cells: list[object] = [class_name(class_names, number)]
        for stage, found in counts.items():
            count = found[number] if number < len(found) else 0
            cells.append(Html(f'<span class=bar style="--w:{100 * count / most[stage]:.1f}%">{count:,}</span>'))
        return cells

    headings = ["class", *counts]
    if num_classes <= _MOST_CLASSES:
        return join([stages, table(headings, map(row, range(num_classes)))])
    first = next(iter(counts.values()))
    order = sorted(range(len(first)), key=lambda number: -first[number])
    half = _MOST_CLASSES // 2
    return join(
        [
            stages,
            f"<h3>{num_classes:,} classes: the {half} most frequent</h3>",
            table(headings, map(row, order[:half])),
            f"<h3>The {half} least frequent</h3>",
            table(headings, map(row, order[-half:])),
            folded("All classes", table(headings, map(row, order[:MOST_LISTED]))),
        ]
    )
