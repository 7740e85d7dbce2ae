"""Undoing an import without keeping the browser waiting: what takes longer than a moment goes on beside the request.

The undo is one transaction, whoever waits for it: where the service ends in the midst of it, nothing was taken back.
"""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread

from flask import Flask, current_app

from intake import undo
from intake.undo import UndoReport
from survey.db import db
from survey.errors import AftercallError
from survey.faults import fault_told
from survey.logs import logger

# How long the request itself waits; most undos have ended by then.
PATIENCE_SECONDS = 2.0
# How often the page that says how far it is looks again.
LOOK_AGAIN_SECONDS = 3

log = logger("console")


def begin(import_id: int, actor: str) -> UndoReport | None:
    """Undoes the import, committed; None where that goes on after this returns (see intake.undo_steps.under_way).

    Gives the session's connection back first. Raises NotFound and Refused as the undo does, within PATIENCE_SECONDS.
    """
    db.session.rollback()
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    done: Future[UndoReport] = Future()
    Thread(target=_undo, args=(app, import_id, actor, done), name=f"undo {import_id}", daemon=True).start()
    try:
        return done.result(timeout=PATIENCE_SECONDS)
    except TimeoutError:
        return None


def _undo(app: Flask, import_id: int, actor: str, done: Future[UndoReport]) -> None:
    with app.app_context():
        try:
            report = undo.undo(import_id, actor=actor)
            db.session.commit()
            done.set_result(report)
        except AftercallError as refusal:
            # One that comes late is not lost: the page asks again whether and why the import cannot be undone.
            db.session.rollback()
            done.set_exception(refusal)
        except Exception as fault:
            db.session.rollback()
            log.error("an undo met a fault of this service", import_id=import_id, fault=fault_told(fault))
            done.set_exception(fault)
