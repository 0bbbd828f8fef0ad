"""A run's metrics over its epochs, a chart for each thing that was measured."""

from collections.abc import Iterable, Mapping, Sequence

from ffcv_hydra.report.charts import Points, line_chart
from ffcv_hydra.report.markup import Html, join

STAGES = ("train", "val", "test")
_MOST_CHARTS = 24

Columns = Mapping[str, Sequence[float | None]]


def curves(by_epoch: Columns, by_step: Columns) -> Html:
    """Charts of what was logged; over steps where there were not two epochs. `train_loss` and `val_loss` share one."""
    axis, columns = ("epoch", by_epoch) if len(by_epoch.get("epoch", ())) > 1 else ("step", by_step)
    charts: dict[str, dict[str, Points]] = {}
    for name, values in columns.items():
        if name in ("epoch", "step", "time"):
            continue
        points = [(x, y) for x, y in zip(columns[axis], values, strict=True) if x is not None and y is not None]
        if points:
            charts.setdefault(_chart_of(name), {})[name] = points
    order = sorted(charts, key=_rank)
    drawn = [
        line_chart(measured, charts[measured], axis, _colours(charts[measured])) for measured in order[:_MOST_CHARTS]
    ]
    return Html(f"<div class=charts>{join(drawn)}</div>") if any(drawn) else Html()


def _colours(names: Iterable[str]) -> Sequence[int]:
    """One for each stage, the same in all charts; in the order of lines where one stage has several."""
    stages = [measured_in(name)[1] for name in names]
    of_stages = [STAGES.index(stage) for stage in stages if stage]
    return of_stages if len(set(of_stages)) == len(stages) else range(6)


def measured_in(name: str) -> tuple[str, str]:
    """What a metric measures and in which stage: `loss` and `val` for `val_loss`; no stage where none is named."""
    stage, _, rest = name.partition("_")
    return (rest, stage) if stage in STAGES and rest else (name, "")


def _chart_of(name: str) -> str:
    """What the chart shows that a metric belongs to: `recall` for `val_recall/dog`."""
    if name == "samples_per_second":
        return "images per second"
    return "learning rate" if name.startswith("lr-") else measured_in(name)[0].partition("/")[0]


def _rank(measured: str) -> int:
    """Losses first, what says nothing of the model last."""
    first = [place for place, word in enumerate(("loss", "acc")) if word in measured]
    last = ("learning rate", "images per second")
    return first[0] if first else 3 + last.index(measured) if measured in last else 2
