"""No draw while a file is going in: the legs of one call may stand in two of its batches."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from flask import Flask

from survey import turns
from survey.db import db
from survey.turns import begin_draw, import_under_way, waiting, waits_told


def test_a_draw_waits_for_imports_of_its_organisation_and_for_no_other(app: Flask) -> None:
    with import_under_way(1), import_under_way(1):
        assert not begin_draw(1, wait=False)
        assert begin_draw(2, wait=False)
    assert begin_draw(1, wait=False)


def test_an_import_waits_for_a_draw_and_a_waiting_draw_goes_first(app: Flask) -> None:
    def draw() -> bool:
        with app.app_context():
            return begin_draw(1, wait=True)

    def take_in() -> None:
        with app.app_context(), import_under_way(1):
            pass

    with ThreadPoolExecutor(2) as threads:
        with import_under_way(1):
            drawing = threads.submit(draw)
            wait([drawing], timeout=0.5)
            assert not drawing.done()
        assert drawing.result(timeout=30)
        assert begin_draw(1, wait=True)
        importing = threads.submit(take_in)
        wait([importing], timeout=0.5)
        assert not importing.done()
        db.session.rollback()
        importing.result(timeout=30)


def test_the_share_ends_with_whoever_held_it(app: Flask) -> None:
    try:
        with import_under_way(1):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert begin_draw(1, wait=False)


# --- telling of waits ---


def timers() -> list[threading.Timer]:
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_long_wait_is_told_once_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SILENT_SECONDS", 0)
    told: list[str] = []
    with waits_told(told.append):
        for what in ("a draw", "a draw", "another import"):
            with waiting(what):
                for timer in timers():
                    timer.join(timeout=30)
    assert told == ["waiting for a draw to finish", "waiting for another import to finish"]


def test_a_short_wait_is_not_told_and_leaves_no_timer() -> None:
    told: list[str] = []
    with waits_told(told.append), waiting("a draw"):
        (timer,) = timers()
    timer.join(timeout=1)
    assert not timer.is_alive() and told == []


def test_where_nobody_is_told_no_timer_runs() -> None:
    with waits_told(print):
        pass
    with waiting("a draw"):
        assert timers() == []
