"""Doors for machines that watch over this one: health, readiness and figures."""

from __future__ import annotations

from flask import Blueprint, Response, redirect
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from survey import breakers, standstill
from survey.db import db
from survey.doors import public
from survey.models import Attempt, Channel, Survey

blueprint = Blueprint("operations", __name__)


@blueprint.get("/")
@public
def front() -> ResponseReturnValue:
    """The front door leads to what the public may see."""
    return redirect("/registry")


@blueprint.get("/healthz")
@public
def health() -> ResponseReturnValue:
    """The process answers; says nothing of what it depends on."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@public
def ready() -> ResponseReturnValue:
    """Whether this process can serve: its database answers.

    A standstill and channels that are left alone are told, but do not make it unready: answers still come in.
    """
    try:
        db.session.execute(text("SELECT 1"))
        stopped = standstill.in_force() is not None
        left_alone = {breaker.channel for breaker in breakers.open_now()}
    except SQLAlchemyError:
        return {"status": "the database does not answer"}, 503
    return {
        "status": "ok",
        "contact": "stopped" if stopped else "going on",
        "channels": {channel.value: "failing" if channel in left_alone else "working" for channel in Channel},
    }


@blueprint.get("/metrics")
@public
def metrics() -> ResponseReturnValue:
    """Counts for Prometheus: no names, numbers or scores."""
    registry = CollectorRegistry()
    _count(registry, "aftercall_surveys", "Surveys by disposition (open ones as open)", Survey.disposition, "open")
    _count(registry, "aftercall_attempts", "Attempts by state", Attempt.state, "none")
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _count(registry: CollectorRegistry, name: str, says: str, column: object, if_null: str) -> None:
    gauge = Gauge(name, says, ["state"], registry=registry)
    for state, count in db.session.execute(select(column, func.count()).group_by(column)):  # type: ignore[call-overload]
        gauge.labels(if_null if state is None else str(state)).set(count)
