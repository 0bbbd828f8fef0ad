"""A table that grows, is cut off, and goes on."""

import pytest

from ffcv_hydra.run_folder import read_columns
from ffcv_hydra.training.rows_file import RowsFile
from ffcv_hydra.training.step_logger import StepLogger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "metrics.csv"


def test_every_row_is_there_at_once_and_a_new_name_is_a_new_column(path):
    rows = RowsFile(path, "epoch")
    rows.add({"epoch": 1, "loss": 0.5})
    assert path.read_text() == "epoch,loss\n1,0.5\n"
    rows.add({"epoch": 2, "loss": float("nan"), "a,b": 1e-20})
    assert path.read_text() == 'epoch,loss,"a,b"\n1,0.5,\n2,nan,1e-20\n'


def test_rows_of_one_key_are_one(path):
    rows = RowsFile(path, "step")
    for row in ({"step": 1, "lr": 0.1}, {"step": 9, "lr": 0.2}, {"step": 9, "loss": 3.0}, {"step": 9, "lr": 0.3}):
        rows.add(row)
    assert path.read_text() == "step,lr,loss\n1,0.1,\n9,0.3,3\n"


def test_a_run_that_goes_on_keeps_what_was_before_and_makes_the_rest_anew(path):
    before = RowsFile(path, "epoch")
    for epoch in range(1, 5):
        before.add({"epoch": epoch, "loss": 10.0 * epoch})
    path.write_text(path.read_text()[:-3])  # the last row was not written to its end
    again = RowsFile(path, "epoch")
    again.keep_before(3)
    again.add({"epoch": 3, "loss": 1.0, "accuracy": 0.5})
    assert read_columns(path) == {"epoch": [1, 2, 3], "loss": [10, 20, 1], "accuracy": [None, None, 0.5]}


def test_what_an_earlier_run_has_left_is_kept_unless_it_is_told_otherwise(path):
    RowsFile(path, "epoch").add({"epoch": 1, "loss": 1.0})
    RowsFile(path, "epoch").add({"epoch": 2, "loss": 2.0})
    assert path.read_text() == "epoch,loss\n1,1\n2,2\n"


def test_a_file_that_cannot_be_written_is_told_once(path, capsys):
    path.mkdir(parents=True)
    rows = RowsFile(path, "epoch")
    for epoch in (1, 2):
        rows.keep_before(epoch)
        rows.add({"epoch": epoch})
    assert capsys.readouterr().err == f"{path} cannot be written: Is a directory\n"


def test_steps_are_told_as_tensorboard_does_and_epochs_from_1_on(tmp_path):
    logger = StepLogger(tmp_path)
    logger.is_training = True
    logger.log_metrics({"lr": 0.1}, 9)
    logger.log_metrics({"loss": 0.5, "epoch": 0}, 9)
    logger.log_hyperparams({"a": 1})
    assert (tmp_path / "metrics_by_step.csv").read_text() == "step,lr,loss,epoch\n9,0.1,0.5,1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics_by_step.csv"]


def test_a_row_that_was_kept_is_added_to(path):
    first = RowsFile(path, "epoch")
    first.add({"epoch": 1, "a": 1.0})
    first.add({"epoch": 2, "a": 2.0})
    again = RowsFile(path, "epoch")
    again.keep_before(3)
    again.add({"epoch": 2, "b": 0.5})
    again.add({"epoch": 3, "a": 3.0})
    assert path.read_text() == "epoch,a,b\n1,1,\n2,2,0.5\n3,3,\n"


def test_names_of_any_classes_are_columns(path):
    rows = RowsFile(path, "epoch")
    for epoch, name in enumerate(("val/a\u2028b", "val/c\nd", 'val/"e", f'), 1):
        rows.add({"epoch": epoch, name: 0.125})
    assert RowsFile(path, "epoch")._read() == [
        {"epoch": epoch, **{name: 0.125 if epoch == number else None for number, name in enumerate(rows._names[1:], 1)}}
        for epoch in (1, 2, 3)
    ]
