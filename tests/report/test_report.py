"""The page of a run: what it says, that text stays text, and that it is there however the run ended."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from PIL import Image

from ffcv_hydra.cli.inspection import main
from ffcv_hydra.errors import ConfigError
from ffcv_hydra.process_identity import this_process
from ffcv_hydra.report import write_report

HOSTILE = "<script>document.title='owned'</script><img src=http://evil.example/x onerror=alert(1)>\"'&\u202e\x1b[31m"


class Elements(HTMLParser):
    """The tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


def page_of(run_dir):
    return Elements(write_report(run_dir).read_text())


def test_it_says_what_a_run_was_and_what_came_out(make_run, evaluation, photos):
    found = evaluation(names=["cat", "dog", "wolf", "fox"], betons=[photos])
    path = write_report(make_run(found=found))
    page = Elements(path.read_text())
    for said in (
        "photos", "completed", "Classifier of resnet18", "val_loss 0.58", "/runs/1/checkpoints/best.ckpt",  # results
        "360 of 406 are right", "cat taken for dog", "99.0% sure", "photos/cat/000.jpg", "after epoch 9",  # evaluation
        str(photos), "3,654", "927",  # data
        "2,144", "reading the data: 31%", "3.4 GB",  # speed
        "9e849c0a1b2c3d4e5f60718293a4b5c6d7e8f901 with uncommitted changes", "torch 2.9.0", "A Processor, 8 cores",
        "python run.py experiment=photos", "12:34 min", "torchvision.models.resnet18", "trainer.max_epochs=9",
    ):  # fmt: skip
        assert said in page.text, said
    pictures = [value for name, value in page.attributes if name == "src"]
    assert [picture.partition(";")[0] for picture in pictures] == ["data:image/png"] * 4 + ["data:image/jpeg"] * 4
    assert "svg" in page.tags and "script" not in page.tags
    assert path.name == "report.html" and path.stat().st_size < 200_000


def test_text_of_strangers_stays_text(make_run, evaluation):
    found = evaluation(names=[HOSTILE] * 4, betons=[HOSTILE])
    for mistake in found["evaluations"]["val"]["mistakes"]:
        mistake["name"] = HOSTILE
    facts = ("status", "error", "mode", "command", "folder", "host", "best_checkpoint")
    result = dict.fromkeys(facts, HOSTILE) | {
        "overrides": [HOSTILE], "metrics": {HOSTILE: 1.0, f"val_a/{HOSTILE}": 2.0}, "versions": {HOSTILE: HOSTILE},
        "commit": {"hash": HOSTILE, "dirty": True}, "machine": {"processor": HOSTILE, "cores": 1, "system": HOSTILE},
        "gpus": [HOSTILE], "not_finite": {HOSTILE: 1}, "failed_samples": {HOSTILE: {"count": 1, "indices": [1]}},
    }  # fmt: skip
    model = {"_target_": HOSTILE, "backbone": {"_target_": HOSTILE}}
    folder = make_run(
        "<b>run",
        result,
        {"dataset": {"name": HOSTILE}, "model": model, HOSTILE: HOSTILE, "optimized_metric": HOSTILE},
        found,
    )
    (folder / "metrics.csv").write_text('epoch,"<script>x</script>"\n1,2\n2,3\n')
    page = page_of(folder)
    assert not page.tags & {"script", "b-", "iframe", "object", "link", "base"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert all((value or "").startswith("data:") for name, value in page.attributes if name == "src")
    assert not [value for name, value in page.attributes if name == "href"]
    assert "<script>document.title='owned'</script>" in page.text
    assert not set(page.text) & {"\u202e", "\x1b"}


def test_pictures_come_from_whichever_of_several_betons(make_run, evaluation, photos, tmp_path):
    second = shutil.copy(photos, tmp_path / "second.beton")
    found = evaluation(betons=[photos, second])
    for mistake in found["evaluations"]["val"]["mistakes"]:
        mistake["id"] += 8
    page = page_of(make_run(found=found))
    assert sum(name == "src" for name, _ in page.attributes) == 8 and "missing" not in page.text


def test_a_detectors_boxes_are_shown(make_run):
    folder = make_run(found={"class_names": None, "data": {}, "evaluations": {}})
    assert "Boxes that were found" not in page_of(folder).text
    Image.new("RGB", (4, 4)).save(folder / "boxes_val.png")
    page = page_of(folder)
    assert "Boxes that were found" in page.text
    [source] = [value for name, value in page.attributes if name == "src"]
    assert source.startswith("data:image/png;base64,iVBOR")


def test_the_pictures_are_missing_where_the_beton_is_gone(make_run, evaluation):
    page = page_of(make_run(found=evaluation(betons=["/gone/photos.beton"])))
    assert "The pictures are missing: " in page.text and "/gone/photos.beton" in page.text
    assert "0 taken for 1" in page.text and "img" not in page.tags


@pytest.mark.parametrize(
    ("status", "error"), [("failed", "ValueError: bad luck (model.py:12)"), ("interrupted", "stopped by SIGINT")]
)
def test_a_run_that_came_to_nothing_has_a_page(make_run, status, error):
    folder = make_run(
        result={"status": status, "error": error, "metrics": {}, "samples_per_second": None, "commit": None},
        config={"model": {}, "dataset": {}}, metrics=False,
    )  # fmt: skip
    (folder / "evaluation.json").unlink()
    page = page_of(folder)
    assert status in page.text and error in page.text and "not in a git repository" in page.text
    assert "Curves" not in page.text


def test_a_run_that_was_killed_has_the_last_values_of_its_epochs(make_run):
    process = {**this_process(), "started": 5}
    folder = make_run(
        result={"status": "running", "process": process, "metrics": {}, "samples_per_second": None, "seconds": 0.01}
    )
    rows = ["epoch,train_loss,val_loss,samples_per_second,step", "1,0.5,0.75,99,10", "2,0.25,,101,20", "3,nan,,,30"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    text = page_of(folder).text
    assert "killed" in text and "As of epoch 3, the last one in metrics.csv, val_loss of epoch 1" in text
    assert re.search(r"loss\s*not a number\s*0.75\s", text) and "images/s101" in text
    assert "duration" not in text
    (folder / "metrics.csv").write_text("step\n1\n")
    assert "As of" not in page_of(folder).text


def test_a_folder_with_little_in_it_is_enough(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"status": "failed"}))
    assert "failed" in page_of(tmp_path).text


def test_secrets_of_the_config_are_not_shown_round(make_run):
    folder = make_run(
        result={"overrides": ["logger.api_key=abc123"], "command": "run.py logger.api_key=abc123 seed=1"},
        config={"logger": {"wandb": {"api_key": "abc123", "nested": [{"password": "abc123"}]}}},
    )
    page = write_report(folder).read_text()
    assert "abc123" not in page and page.count("(hidden)") == 4 and "seed=1" in page


def test_no_part_of_the_page_has_secrets(make_run):
    url = "https://ana:hunter2@host.org/x?X-Amz-Signature=hunter2"
    folder = make_run(
        result={
            "overrides": [f"a.url={url}", "+logger.w={api_key: hunter2}"], "error": f"no answer from {url}",
            "command": f"run.py a.url={url} 'w.api_key=abc hunter2'", "status": "failed",
        },
        config={"dataset": {"name": url}, "a": {url: [url]}, "tokens": ["hunter2"], "h": {"Authorization": "hunter2"}},
    )  # fmt: skip
    page = write_report(folder).read_text()
    assert "hunter2" not in page and "host.org" in page


@pytest.mark.parametrize(
    ("model", "said"),
    [({"_target_": "a.Net", "backbone": "resnet18"}, "Net of resnet18"), ("a.Net", "Net"), (None, "fit")],
)
def test_any_model_is_named_as_far_as_it_can_be(make_run, model, said):
    assert said in page_of(make_run(config={"model": model, "dataset": None})).text


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        ({"hash": "abc123", "dirty": False}, "abc123 (clean)"),
        ({"hash": "abc123", "dirty": None}, "abc123"),
        ({"error": "dubious ownership"}, "unknown: dubious ownership"),
    ],
)
def test_of_the_commit_it_says_what_is_known(make_run, commit, said):
    text = page_of(make_run(result={"commit": commit})).text
    assert said in text and ("(clean)" in text) == ("(clean)" in said) and "not in a git" not in text


def test_the_largest_run_stays_below_five_megabytes(make_run, evaluation, photos):
    names = [f"a class of which the name is as long as they come, number {n}" for n in range(1000)]
    found = evaluation(1000, names=names, betons=[photos])
    found["evaluations"]["test"] = found["evaluations"]["val"]
    folder = make_run(
        config={"long": ["x" * 1000] * 300}, found=found, result={"error": "e" * 10**6, "status": "failed"}
    )
    rows = [",".join(["step", *(f"metric {n}" for n in range(60))])]
    rows += [",".join(str(step + n / 7) for n in range(61)) for step in range(5000)]
    (folder / "metrics.csv").unlink()
    (folder / "metrics_by_step.csv").write_text("\n".join(rows))
    assert write_report(folder).stat().st_size < 3_000_000


def test_a_hundred_classes_are_a_list_of_pairs(make_run, evaluation):
    page = page_of(make_run(found=evaluation(100)))
    assert "Most confused" in page.text and "Weakest classes" in page.text
    assert ("class", "matrix") not in page.attributes


def test_classes_without_pairs_are_told_as_far_as_they_are_known(make_run, evaluation):
    found = evaluation(30)
    found["evaluations"]["val"]["confused"] = None
    assert "Weakest classes" in page_of(make_run(found=found)).text


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("result.json", '{"status": "compl', "result.json"),
        ("config.yaml", "a: [", "config.yaml"),
        ("evaluation.json", '{"class_names": 5}', "evaluation.json is damaged"),
        ("evaluation.json", "", "evaluation.json is damaged"),
        (
            "evaluation.json",
            '{"class_names": null, "data": {}, "evaluations":'
            ' {"val": {"counts": [1], "correct": [0], "confused": [[0, 9, 1]]}}}',
            "is damaged: IndexError",
        ),
        ("result.json", '{"status": "completed", "commit": {"hash": 5}}', "is damaged: TypeError"),
        ("result.json", '{"status": "completed", "commit": [1]}', "is damaged: AttributeError"),
    ],
)
def test_a_damaged_folder_is_one_line(make_run, capsys, file, content, said):
    folder = make_run()
    (folder / file).write_text(content)
    assert main(["report", str(folder)]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (folder / "report.html").exists()


def test_a_folder_that_is_no_run_is_one_line(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ConfigError, match=re.escape(str(folder))):
            write_report(folder)
    assert main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_says_where_the_page_is(make_run, capsys):
    folder = make_run()
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
