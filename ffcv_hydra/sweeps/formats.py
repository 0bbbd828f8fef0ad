"""Numbers and times as people read them."""


def number(value: float | None) -> str:
    """Return four significant digits, thousands separated; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def shortened(text: str, most: int) -> str:
    """Return at most so many characters of a text: its beginning and, behind an ellipsis, its end."""
    end = most // 3
    return text if len(text) <= most else f"{text[: most - 1 - end]}…{text[-end:]}"


def duration(seconds: float | None) -> str:
    """Return `42 s`, `3:07` (minutes) or `1:03:07`; empty for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
