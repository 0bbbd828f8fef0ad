import io
from pathlib import Path

from rich.console import Console

from ffcv_hydra.beton import BetonSummary, print_summary


def test_summary_shows_fields_samples_size_and_time():
    output = io.StringIO()
    summary = BetonSummary(Path("toy.beton"), {"image": "image", "label": "int"}, 1234, 5_600_000, 2.0)
    print_summary(summary, Console(file=output, width=80))
    for text in ("toy.beton", "image: image", "label: int", "1,234", "5.6 MB", "2.0 s (617 samples/s)"):
        assert text in output.getvalue()


def test_a_long_path_is_printed_whole():
    output, path = io.StringIO(), Path("/data") / ("long name " * 20).strip() / "toy.beton"
    print_summary(BetonSummary(path, {"image": "image"}, 1, 1, 1.0), Console(file=output, width=80))
    assert output.getvalue().splitlines()[0] == str(path)
