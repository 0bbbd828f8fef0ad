"""Writes `report.html`: a run's folder as one page that needs no network and runs no code."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ffcv_hydra.atomic_file import write_whole
from ffcv_hydra.errors import ConfigError, WriteError, describe_error
from ffcv_hydra.redaction import redacted, redacted_command, redacted_text, redacted_words
from ffcv_hydra.report.confusion import confusion
from ffcv_hydra.report.curves import STAGES, curves, measured_in
from ffcv_hydra.report.data import data_table
from ffcv_hydra.report.evaluation import Evaluation, read_evaluation
from ffcv_hydra.report.markup import MOST_LISTED, Html, facts, folded, join, number, section, table, text
from ffcv_hydra.report.mistakes import mistakes
from ffcv_hydra.report.style import STYLE
from ffcv_hydra.run_folder import COMPLETED, KILLED, METRICS, RUNNING, RunFolder, read_run
from ffcv_hydra.sizes import shown_size

FILE = "report.html"

_MOST_TEXT = 200_000
"""Characters of a config."""

_MUCH_WAITING = 0.2
"""Of a training's time: more, and reading the data is what bounds it."""

# no script, no style, font or picture from anywhere: also what an oversight let through does nothing
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_report(run_dir: str | Path) -> Path:
    """Write the report of a run, however it ended, and return where it is.

    Raises:
        ConfigError: it is no run's folder, or what is in it is damaged.
        WriteError: the page cannot be written.
    """
    run = read_run(run_dir)
    path = run.path / FILE
    evaluation = read_evaluation(run.path)
    try:
        page = _page(run, evaluation)
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:  # of files somebody changed
        raise ConfigError(f"{run.path}: what the run has left there is damaged: {describe_error(error)}") from error
    try:
        write_whole(path, page)
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _page(run: RunFolder, evaluation: Evaluation) -> str:
    dataset = run.config.get("dataset")
    name = dataset.get("name", "run") if isinstance(dataset, Mapping) else "run"
    title = f"{redacted_text(str(name))}, {run.path.name}"
    run, of_epochs = _with_last_metrics(run)
    class_names, found = evaluation["class_names"], evaluation["evaluations"]
    # the test is the last word on a run; the other evaluation is there to be opened
    stages = sorted(found)
    parts = [
        _header(run, title),
        section("Results", of_epochs, _results(run)),
        section("Curves", curves(run.metrics, run.metrics_by_step)),
    ]
    for place, stage in enumerate(stages):
        content = [
            confusion(found[stage], class_names),
            _other_metrics(found[stage].get("metrics", {})),
        ]
        worst = mistakes(found[stage], evaluation["data"].get(stage), class_names)
        epoch = found[stage].get("epoch")
        when = f", after epoch {epoch}" if epoch else ""
        if worst:
            content.append(Html(f"<h3>The worst mistakes</h3>{worst}"))
        shown = join(one for one in content if one)
        if shown and place:
            shown = folded("Show", shown)
        parts.append(section(f"Which class is confused: {stage}{when}", shown))
    parts += [
        section("Boxes that were found", _boxes(run.path)),
        section("Data", data_table(evaluation["data"], class_names)),
        section("Speed and memory", _speed(run.result)),
        section("What it was made with", _origin(run)),
        section("Config", _config(run)),
    ]
    return (
        '<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f'<meta http-equiv=Content-Security-Policy content="{_POLICY}"><title>{text(title)}</title>'
        f"<style>{STYLE}</style></head><body><main>\n{join(parts)}\n"
        f"<footer>{text(run.path, 500)}<br>python -m ffcv_hydra report makes this page anew.</footer>"
        "</main></body></html>\n"
    )


def boxes_file(run_dir: Path, stage: str) -> Path:
    """Where the picture of a stage's true and predicted boxes is, if a run has made one."""
    return run_dir / f"boxes_{stage}.png"


def _boxes(run_dir: Path) -> Html:
    pictures = [path.read_bytes() for stage in ("test", "val") if (path := boxes_file(run_dir, stage)).is_file()]
    return join(
        Html(f'<img src="data:image/png;base64,{base64.b64encode(content).decode()}" alt="true and predicted boxes">')
        for content in pictures
    )


def _with_last_metrics(run: RunFolder) -> tuple[RunFolder, Html]:
    """A run that has recorded no metrics, as far as it came, and of which epochs they are; else the run as it is."""
    last = run.last_metrics
    if run.result.get("metrics") or not last:
        return run, Html()
    _, newest = last.pop("epoch")
    earlier = "".join(f", {name} of epoch {epoch}" for name, (_, epoch) in last.items() if epoch < newest)
    note = f"As of epoch {newest}, the last one in {METRICS}{earlier}."
    metrics = {name: value for name, (value, _) in last.items()}
    speed = metrics.pop("samples_per_second", None)
    result = {**run.result, "metrics": metrics, "samples_per_second": run.result.get("samples_per_second") or speed}
    return replace(run, result=result), Html(f"<p class=note>{text(note, 1000)}</p>")


def _header(run: RunFolder, title: str) -> Html:
    result = run.result
    config = run.config.get("model")
    model, backbone = _name(config), _name(config.get("backbone")) if isinstance(config, Mapping) else ""
    about = [result.get("mode"), f"{model} of {backbone}" if backbone else model, _date(result.get("started"))]
    about += [result.get("task_name"), *result.get("tags", ())]
    line = " · ".join(str(part) for part in about if part)
    why = redacted_text(str(result.get("error") or run.ending))
    ended = "" if run.status == COMPLETED else f"<p class=ended>{text(why, 5000)}</p>"
    return Html(
        f"<header><h1>{text(title)}<span class='status {text(run.status)}'>{text(run.status)}</span></h1>"
        f"<p class=about>{text(line)}</p>{ended}{_key_numbers(run)}</header>"
    )


def _name(node: Any) -> str:
    """What a part of a config builds; of one that is no mapping, what it says."""
    return str(node.get("_target_", "") if isinstance(node, Mapping) else node or "").rpartition(".")[2]


def _key_numbers(run: RunFolder) -> Html:
    result = run.result
    metrics = _scalars(result)
    first = [name for name in metrics if name.startswith("test_")] or [name for name in metrics if "val_" in name]
    shown = [(name, number(float(f"{metrics[name]:.4g}"))) for name in first[:3]]
    if (speed := result.get("samples_per_second")) is not None:
        shown.append(("images/s", number(round(speed))))
    if (seconds := result.get("seconds")) is not None and run.status not in (RUNNING, KILLED):
        shown.append(("duration", text(_duration(seconds))))
    return Html(
        f"<div class=key>{join(f'<div><b>{value}</b><span>{text(name)}</span></div>' for name, value in shown)}</div>"
    )


def _scalars(result: Mapping[str, Any]) -> dict[str, float]:
    metrics = result.get("metrics") or {}
    return {name: value for name, value in metrics.items() if value is not None and not name.startswith("lr-")}


def _results(run: RunFolder) -> Html:
    """All metrics, a column for each stage; those of single classes, `val_recall/dog`, in a table of their own."""
    result = run.result
    metrics = result.get("metrics") or {}
    measured: dict[str, dict[str, Any]] = {}
    of_classes: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        metric, slash, of_class = name.partition("/")
        if slash:
            of_classes.setdefault(of_class, {})[metric] = value
        elif not name.startswith("lr-"):
            what, stage = measured_in(name)
            measured.setdefault(what, {})[stage] = "not a number" if value is None else value
    stages = [stage for stage in (*STAGES, "") if any(stage in values for values in measured.values())]
    rows = [(what, *(values.get(stage) for stage in stages)) for what, values in measured.items()]
    parts: list[str] = [table(("", *stages), rows)] if rows else []
    best, watched = result.get("optimized_metric"), run.config.get("optimized_metric")
    of_best = None if best is None else f"{watched} {best:.4g}"
    checkpoint = str(result.get("best_checkpoint") or "").removeprefix(f"{run.path}/")
    predictions = str(result.get("predictions") or "").removeprefix(f"{run.path}/")
    parts.append(facts([("best", of_best), ("best checkpoint", checkpoint), ("predictions", predictions)]))
    if of_classes:
        names = list(dict.fromkeys(name for values in of_classes.values() for name in values))
        listed = list(of_classes.items())[:MOST_LISTED]
        by_class = table(("class", *names), [(one, *(values.get(name) for name in names)) for one, values in listed])
        if len(listed) < len(of_classes):
            more = f"<p class=note>{len(of_classes) - len(listed):,} more classes are in {METRICS}.</p>"
            by_class = join([by_class, more])
        parts.append(folded("By class", by_class, is_open=len(of_classes) <= 20))
    for name, epoch in (result.get("not_finite") or {}).items():
        parts.append(f"<p class=note>{text(name)} was no number from epoch {text(epoch)} on.</p>")
    for stage, failed in (result.get("failed_samples") or {}).items():
        ids = ", ".join(map(str, failed["indices"][:20]))
        parts.append(f"<p class=note>{text(failed['count'])} damaged samples in {text(stage)}: {text(ids)}</p>")
    return join(part for part in parts if part)


def _other_metrics(metrics: Mapping[str, Any]) -> Html:
    """What the model measured and is neither a number nor one per class: by its size only."""
    sizes = {name: _size(value) for name, value in metrics.items()}
    rows = [(name, " x ".join(map(str, size))) for name, size in sizes.items() if len(size) > 1]
    return folded("More metrics, in evaluation.json", table(("metric", "values"), rows)) if rows else Html()


def _size(value: Any) -> list[int]:
    """Of lists of lists."""
    return [len(value), *_size(value[0] if value else None)] if isinstance(value, list) else []


def _speed(result: Mapping[str, Any]) -> Html:
    speed, waiting = result.get("samples_per_second"), result.get("waiting")
    memory = result.get("memory") or {}
    bound = None
    if waiting is not None:
        by = "reading the data" if waiting >= _MUCH_WAITING else "the model"
        bound = f"{by}: {waiting:.0%} of the training's time was waiting for batches"
        if waiting >= _MUCH_WAITING:
            bound += "; python -m ffcv_hydra bench says what limits them"
    return facts(
        [
            ("images/s", None if speed is None else number(round(speed))),
            ("bounded by", bound),
            ("memory, at most", shown_size(memory["resident"]) if memory.get("resident") else None),
            ("GPU memory, at most", shown_size(memory["cuda"]) if memory.get("cuda") else None),
        ]
    )


def _origin(run: RunFolder) -> Html:
    result = run.result
    commit, machine, versions = (result.get(name) or {} for name in ("commit", "machine", "versions"))
    is_dirty = commit.get("dirty")
    tree = "" if is_dirty is None else " with uncommitted changes" if is_dirty else " (clean)"
    unknown = f"unknown: {commit['error']}" if commit.get("error") else "not in a git repository"
    cores = f"{machine['processor']}, {machine['cores']} cores" if machine.get("processor") else None
    return facts(
        [
            ("command", redacted_command(result.get("command") or "")),
            ("started in", result.get("folder")),
            ("git commit", commit["hash"] + tree if commit.get("hash") else unknown),
            ("host", result.get("host")),
            ("processor", cores),
            ("GPUs", ", ".join(result.get("gpus") or ())),
            ("memory", shown_size(machine["memory_bytes"]) if machine.get("memory_bytes") else None),
            ("system", machine.get("system")),
            ("versions", ", ".join(f"{name} {found}" for name, found in versions.items() if found)),
            ("seed", result.get("seed")),
        ]
    )


def _config(run: RunFolder) -> Html:
    import yaml

    overrides = redacted_words([str(one) for one in run.result.get("overrides") or ()])
    parts = [facts([("overrides", " ".join(overrides))])]
    if run.config:
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is not everywhere
        whole = yaml.dump(redacted(run.config), Dumper=dumper, sort_keys=False, allow_unicode=True, width=100)
        parts.append(folded("config.yaml", f"<pre>{text(whole, _MOST_TEXT)}</pre>"))
    return join(part for part in parts if part)


def _date(started: float | None) -> str | None:
    return None if started is None else datetime.fromtimestamp(started).strftime("%-d %B %Y, %H:%M")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
