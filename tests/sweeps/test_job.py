"""What is read of a job's files."""

from ffcv_hydra.sweeps.job import last_lines


def test_last_lines_are_those_of_the_last_attempt(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("$ python run.py\nfirst\n\nerror\n$ python run.py\nsecond\nerror\n")
    assert last_lines(log, 20) == ["second", "error"]
    assert last_lines(log, 1) == ["error"]
    log.write_text("no command\n")
    assert last_lines(log, 20) == ["no command"]
