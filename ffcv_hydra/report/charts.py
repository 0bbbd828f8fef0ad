"""Lines over epochs or steps, as SVG that takes its colours from the page."""

import math
from collections.abc import Mapping, Sequence

from ffcv_hydra.report.markup import Html, number, text

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 460, 256
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 34, 40
_MOST_POINTS = 400
"""Of a line: more than there are pixels for are thinned out."""

_MOST_LINES = 6
"""In one chart, as many as there are colours."""


def line_chart(title: str, lines: Mapping[str, Points], x_title: str, colours: Sequence[int] = range(6)) -> Html:
    """A chart of lines by name; what is no number is a gap. Empty if there is no point to draw.

    Args:
        title: what the lines are of.
        lines: by name, (x, y) with ascending x; of more than six, the first ones are drawn.
        x_title: what x is.
        colours: of each line, from 0 to 5.
    """
    shown = {name: _finite(points) for name, points in list(lines.items())[:_MOST_LINES]}
    shown = {name: points for name, points in shown.items() if any(y is not None for _, y in points)}
    if not shown:
        return Html()
    values = [(x, y) for points in shown.values() for x, y in points if y is not None]
    x_ticks = _ticks(min(x for x, _ in values), max(x for x, _ in values), whole=True)
    y_ticks = _ticks(min(y for _, y in values), max(y for _, y in values))
    x_low, x_high = min(x_ticks[0], min(x for x, _ in values)), max(x_ticks[-1], max(x for x, _ in values))

    def across(x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * ((x - x_low) / (x_high - x_low) if x_high > x_low else 0.5)

    def up(y: float) -> float:
        part = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * part

    parts = [f"<text class=title x={_LEFT} y=16>{text(title, 48)}</text>"]
    for tick in y_ticks:
        parts.append(f"<path class=grid d='M{_LEFT} {up(tick):.1f}H{_WIDTH - _RIGHT}'/>")
        parts.append(f"<text x={_LEFT - 8} y={up(tick) + 4:.1f} text-anchor=end>{number(tick)}</text>")
    for tick in x_ticks:
        parts.append(f"<text x={across(tick):.1f} y={_HEIGHT - 22} text-anchor=middle>{number(tick)}</text>")
    parts.append(f"<text x={_WIDTH - _RIGHT} y={_HEIGHT - 5} text-anchor=end>{text(x_title)}</text>")
    legend = []
    for (name, points), colour in zip(shown.items(), colours, strict=False):
        parts.append(f"<g class='line c{colour}'>{_drawn([(across(x), y, up) for x, y in points])}</g>")
        last = next(y for _, y in reversed(points) if y is not None)
        legend.append(f"<span><i class=c{colour}></i>{text(name, 40)} <b>{number(float(f'{last:.4g}'))}</b></span>")
    picture = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="{text(title)}">{"".join(parts)}</svg>'
    return Html(f"<figure class=chart>{picture}<figcaption>{''.join(legend)}</figcaption></figure>")


def _finite(points: Points) -> list[tuple[float, float | None]]:
    kept = points if len(points) <= _MOST_POINTS else _thinned(points)
    return [(x, y if math.isfinite(y) else None) for x, y in kept if math.isfinite(x)]


def _thinned(points: Points) -> list[tuple[float, float]]:
    """The mean of each part of a line."""
    size = math.ceil(len(points) / _MOST_POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _drawn(points: Sequence[tuple]) -> str:
    """A path with a gap where there is no number; points that stand alone, and few of them, as dots."""
    path, dots, is_down = [], [], False
    for place, (x, y, up) in enumerate(points):
        if y is None:
            is_down = False
            continue
        path.append(f"{'L' if is_down else 'M'}{x:.1f} {up(y):.1f}")
        follows = place + 1 < len(points) and points[place + 1][1] is not None
        if len(points) <= 20 or not (is_down or follows):
            dots.append(f"<circle cx={x:.1f} cy={up(y):.1f} r=2.5 />")
        is_down = True
    return f"<path d='{''.join(path)}'/>{''.join(dots)}"


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers from about `low` to about `high`: on the axis of values they include both."""
    if whole and high - low < 1:
        return [low]
    span = high - low
    if span <= abs(high) * 1e-9:
        low, high = low - (abs(low) * 0.5 or 0.5), high + (abs(high) * 0.5 or 0.5)
        span = high - low
    exponent = math.floor(math.log10(span / 4))
    step = next(size for size in (1, 2, 2.5, 5, 10) if size * 10.0**exponent * 5 >= span) * 10.0**exponent
    if whole:
        step = max(1, round(step))
        first, last = math.ceil(low / step), math.floor(high / step)
    else:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{place * step:.10g}") for place in range(first, last + 1)]
