"""Which class was taken for which: a matrix of few classes, the most frequent pairs of many."""

from collections import Counter
from collections.abc import Sequence

from ffcv_hydra.report.evaluation import Found, class_name
from ffcv_hydra.report.markup import MOST_LISTED, Html, folded, join, share, table, text

MOST_IN_MATRIX = 20
MOST_PAIRS = 30


def confusion(found: Found, class_names: Sequence[str] | None) -> Html:
    """The confusions of one evaluation; empty for one that has counted none."""
    counts = found.get("counts")
    if not counts or not sum(counts):
        return Html()
    total, correct = sum(counts), sum(found["correct"])
    line = f"<p>{correct:,} of {total:,} are right, {correct / total:.2%}.</p>"
    if len(counts) <= MOST_IN_MATRIX and found.get("confused") is not None:
        return join([line, _matrix(found, class_names), _by_class(found, class_names, is_open=False)])
    return join([line, _pairs(found, class_names), _by_class(found, class_names, is_open=True)])


def matrix_of(found: Found) -> list[list[int]]:
    """Counts, a row for each true class and a column for each predicted one."""
    size = len(found["counts"])
    rows = [[0] * size for _ in range(size)]
    for number, count in enumerate(found["correct"]):
        rows[number][number] = count
    for label, predicted, count in found.get("confused") or ():
        rows[label][predicted] = count
    return rows


def _matrix(found: Found, class_names: Sequence[str] | None) -> Html:
    names = [text(class_name(class_names, number), 24) for number in range(len(found["counts"]))]
    head = "".join(f"<th scope=col><span>{name}</span></th>" for name in names)
    rows = []
    for number, row in enumerate(matrix_of(found)):
        cells = "".join(
            _cell(count, count / max(1, found["counts"][number]), number == place) for place, count in enumerate(row)
        )
        rows.append(f"<tr><th scope=row>{names[number]}</th>{cells}</tr>")
    return Html(
        "<div class=wide><table class=matrix><thead><tr><td class=axes>true ↓ &nbsp;predicted →</td>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, part: float, is_right: bool) -> str:
    if not count:
        return "<td></td>"
    kind = ("right" if is_right else "wrong") + (" strong" if part > 0.5 else "")
    # what is rare has to be seen, too: the colour goes with the root of the share
    return f'<td class="{kind}" style="--a:{0.08 + 0.92 * part**0.5:.2f}">{count:,}</td>'


def _pairs(found: Found, class_names: Sequence[str] | None) -> Html:
    confused = found.get("confused")
    if confused is None:
        return Html("<p>Pairs are counted of at most 1,000 classes.</p>")
    rows = [
        (
            class_name(class_names, label),
            class_name(class_names, predicted),
            count,
            share(count / max(1, found["counts"][label])),
        )
        for label, predicted, count in confused[:MOST_PAIRS]
    ]
    if not rows:
        return Html()
    return Html("<h3>Most confused</h3>" + table(("true", "taken for", "samples", "of the true class"), rows))


def _by_class(found: Found, class_names: Sequence[str] | None, is_open: bool) -> Html:
    """Recall, and precision where all pairs are known, by class; the weakest first."""
    counts, correct, confused = found["counts"], found["correct"], found.get("confused")
    predicted = Counter(dict(enumerate(correct)))
    for _, taken_for, count in confused or ():
        predicted[taken_for] += count
    knows_all = confused is not None and sum(predicted.values()) == sum(counts)
    order = sorted((number for number, count in enumerate(counts) if count), key=lambda one: correct[one] / counts[one])
    rows = [
        (
            class_name(class_names, number),
            counts[number],
            share(correct[number] / counts[number]),
            *([share(correct[number] / predicted[number]) if predicted[number] else ""] if knows_all else []),
        )
        for number in order[:MOST_LISTED]
    ]
    headings = ("class", "samples", "recall", *(["precision"] if knows_all else []))
    listed = table(headings, rows[:MOST_PAIRS] if is_open else rows)
    if not is_open:
        return folded("By class, the weakest first", listed)
    rest = folded(f"All {len(rows)} classes", table(headings, rows)) if len(rows) > MOST_PAIRS else ""
    return Html(f"<h3>Weakest classes</h3>{listed}{rest}")
