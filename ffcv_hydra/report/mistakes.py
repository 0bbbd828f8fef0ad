"""The worst mistakes: pictures with what they are, what they were taken for, and the file they came from."""

from collections.abc import Sequence

from ffcv_hydra.report.evaluation import Data, Found, class_name
from ffcv_hydra.report.markup import Html, join, text
from ffcv_hydra.report.pictures import data_uri, stored_pictures


def mistakes(found: Found, data: Data | None, class_names: Sequence[str] | None) -> Html:
    """A figure for each mistake that the evaluation kept; without pictures where these are gone, which is said."""
    kept = found.get("mistakes")
    if not kept:
        return Html()
    pictures, missing = stored_pictures(data, [mistake["id"] for mistake in kept])
    figures = []
    for place, mistake in enumerate(kept):
        label, predicted = (class_name(class_names, mistake[key]) for key in ("label", "predicted"))
        name = mistake["name"] or f"sample {mistake['id']}"
        image = ""
        if pictures:
            height, width = pictures[place].shape[:2]
            small = " class=small" if max(height, width) <= 64 else ""
            image = f'<img src="{data_uri(pictures[place])}"{small} width={width} height={height} alt="{text(label)}">'
        figures.append(
            f"<figure>{image}<figcaption><b>{text(label, 60)}</b> taken for <b>{text(predicted, 60)}</b>"
            f"<small>{mistake['probability']:.1%} sure, {mistake['of_label']:.1%} for what is true</small>"
            f"<small class=name>{text(name, 200)}</small></figcaption></figure>"
        )
    note = f"<p class=note>The pictures are missing: {text(missing, 500)}</p>" if missing else ""
    return join([note, f"<div class=mistakes>{''.join(figures)}</div>"])
