"""Pieces of HTML in which all text is text: names, configs and errors come from strangers' files."""

from collections.abc import Iterable, Sequence
from html import escape

from ffcv_hydra.printable import printable

MOST_LISTED = 1000
"""Classes, in a list of all of them."""

_MOST_CHARACTERS = 120


class Html(str):
    """A text that is markup, and is taken as it is."""


def text(value: object, most: int = _MOST_CHARACTERS) -> Html:
    """What a value says, as text; cut where it is long. `Html` stays what it is."""
    if isinstance(value, Html):
        return value
    whole = str(value)
    return Html(escape(printable(whole if len(whole) <= most else f"{whole[:most]}…")))


def join(parts: Iterable[str]) -> Html:
    """Pieces of markup one after another."""
    return Html("\n".join(parts))


def section(title: str, *parts: str) -> Html:
    """A section with a heading; nothing if there is nothing in it."""
    content = join(part for part in parts if part)
    return Html(f"<section><h2>{text(title)}</h2>\n{content}\n</section>") if content else Html()


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Names and values, a line each; those without a value are left out."""
    rows = [
        f"<tr><th scope=row>{text(name)}</th><td>{text(value, 2000)}</td></tr>"
        for name, value in pairs
        if value not in (None, "")
    ]
    return Html(f"<table class=facts>{''.join(rows)}</table>") if rows else Html()


def table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table: texts on the left of their cells, numbers (int and float) on the right."""
    rows = list(rows)
    is_number = [any(isinstance(row[place], int | float) for row in rows) for place in range(len(headings))]
    head = "".join(
        f"<th scope=col{' class=n' if right else ''}>{text(heading)}</th>"
        for heading, right in zip(headings, is_number, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return Html(
        f"<div class=wide><table class=list><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    is_number = isinstance(value, int | float)
    shown = number(value) if isinstance(value, int | float) else text("" if value is None else value)
    return f"<td{' class=n' if is_number else ''}>{shown}</td>"


def number(value: float) -> Html:
    """A number as people read it: thousands apart, four digits of what is no whole number."""
    if isinstance(value, int) or (abs(value) >= 10_000 and value == value and abs(value) != float("inf")):
        return Html(f"{value:,.0f}")
    return Html(f"{value:.4g}")


def share(value: float) -> Html:
    """A part of 1 as percents, with a bar behind it."""
    percent = min(1.0, max(0.0, value)) * 100
    return Html(f'<span class=bar style="--w:{percent:.1f}%">{percent:.1f} %</span>')


def folded(summary: str, content: str, is_open: bool = False) -> Html:
    """What is shown when it is asked for."""
    return Html(f"<details{' open' if is_open else ''}><summary>{text(summary)}</summary>{content}</details>")
