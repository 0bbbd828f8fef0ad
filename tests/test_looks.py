"""Iterators that are only looked at."""

from ffcv_hydra import looks


def test_whoever_may_look_is_asked(monkeypatch):
    monkeypatch.setattr(looks, "_askers", [])
    assert not looks.is_only_looked_at(7)
    looks.may_look(lambda iterable: False)
    assert not looks.is_only_looked_at(7)
    looks.may_look(lambda iterable: iterable == 7)
    assert looks.is_only_looked_at(7)
    assert not looks.is_only_looked_at(8)
