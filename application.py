"""create_app(): the one place that wires the rooms together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import click
from flask import Flask, Response, abort, current_app, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_migrate import Migrate
from werkzeug.exceptions import HTTPException

import explain
from api import calls as api_calls
from api import cli as api_cli
from api import keys as api_keys
from api import views as api_views
from certification import assessments, certificates
from certification import cli as certification_cli
from certification import views as certification_views
from console import setup as console_setup
from console import uploads
from intake import cli as intake_cli
from intake.drop_folder import DropFolder
from ivr import inbound_views
from ivr import views as ivr_views
from ivr.channel import IvrChannel
from operations import cli as operations_cli
from operations import views as operations_views
from scheduler import cli as scheduler_cli
from scheduler.jobs import Queue
from simulator import cli as simulator_cli
from survey import connections, doors, embedded, logs, vault
from survey.db import db
from survey.errors import AftercallError
from survey.models import Channel
from survey.settings import Settings, load_settings
from websurvey import views as websurvey_views
from websurvey.channel import WebChannel


class AskingChannel(Protocol):
    """What the scheduler is handed for each way of asking."""

    def deliver(self, attempt_id: int) -> None:
        """Places the call or sends the email of an attempt whose intent is committed."""

    def reconcile(self) -> int:
        """Adopts or closes attempts whose delivery is in doubt; returns how many it settled."""


def create_app(settings: Settings | None = None) -> Flask:
    """The application, for the web server, the command line and the tests alike.

    Starts the embedded PostgreSQL when the settings name no database. Raises SettingsError with every fault listed.
    """
    settings = settings or load_settings()
    logs.configure(settings.log_level)
    app = Flask(__name__, template_folder="templates", static_folder="static")
    app.config.update(_flask_settings(settings))
    vault.configure(settings.keys.data_key)
    db.init_app(app)
    with app.app_context():
        connections.try_quiet_ones(db.engine)
    Migrate(app, db, directory="migrations")
    channels: Mapping[Channel, AskingChannel] = {Channel.IVR: IvrChannel(), Channel.WEB: WebChannel()}
    app.extensions["aftercall_channels"] = channels
    app.extensions["aftercall_queue"] = Queue(app, channels)
    # What rooms do by themselves when its time has come; the scheduler's clockwork beats it, and knows no more. The
    # drop folder comes last: a large file must not keep a decision waiting.
    app.extensions["aftercall_chores"] = (
        assessments.Decisions().beat,
        certificates.withdraw_closed_sites,
        uploads.sweep,
        DropFolder().beat,
    )
    console_setup.init_app(app)
    _open_doors(app)
    _register_commands(app)
    return app


def _flask_settings(settings: Settings) -> dict[str, Any]:
    url = settings.database_url or embedded.start(settings.aftercall_data)
    return {
        "SETTINGS": settings,
        "SECRET_KEY": settings.keys.secret_key,
        "SQLALCHEMY_DATABASE_URI": url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_size": settings.worker_concurrency,
            "max_overflow": 10,
            # The connection used last again: it has the statements prepared.
            "pool_use_lifo": True,
            # A failed statement is told and logged without its values: they may be a customer's.
            "hide_parameters": True,
        },
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.public_base_url.startswith("https://"),
        "MAX_CONTENT_LENGTH": 16 * 1024 * 1024,
    }


def _open_doors(app: Flask) -> None:
    for blueprint in (
        ivr_views.blueprint,
        inbound_views.blueprint,
        websurvey_views.blueprint,
        certification_views.blueprint,
        api_views.blueprint,
        api_calls.blueprint,
        operations_views.blueprint,
    ):
        app.register_blueprint(blueprint)
    app.before_request(_guard)
    app.after_request(_security_headers)
    app.register_error_handler(AftercallError, _answer_refusal)
    app.register_error_handler(HTTPException, _answer_http_error)


def _guard() -> ResponseReturnValue | None:
    """Deny by default: a route without a mark answers nobody, one for people only those with its roles.

    One for programs asks for an API key; the browser's session and sign-in are not looked at.
    """
    if request.endpoint is None or request.endpoint == "static" or request.blueprint in {"security", "bootstrap"}:
        return None
    mark = doors.mark_of(current_app.view_functions[request.endpoint])
    if mark is None:
        abort(403)
    kind, roles = mark
    if kind in ("public", "signed"):
        return None
    if kind == "keyed":
        return api_keys.admit(*roles)
    if kind != "signed_in":
        abort(403)
    if not current_user.is_authenticated:
        response: ResponseReturnValue = current_app.login_manager.unauthorized()  # type: ignore[attr-defined]
        return response
    if not any(role.name in roles for role in current_user.roles):
        abort(403)
    return None


def _security_headers(response: Response) -> Response:
    response.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _answer_refusal(error: AftercallError) -> ResponseReturnValue:
    db.session.rollback()
    return _answer(error.status, error.what, error.as_dict())


def _answer_http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    db.session.rollback()
    return _answer(error.code or 500, error.name, {"error": error.name})


def _answer(status: int, title: str, body: Mapping[str, str]) -> ResponseReturnValue:
    if request.path.startswith(("/api/", "/ivr/")) or request.accept_mimetypes.best == "application/json":
        return jsonify(body), status
    return render_template("error.html", status=status, title=title, body=body), status


def _register_commands(app: Flask) -> None:
    """Two click groups of one name replace each other silently: a second one is refused at the start."""
    for room in (intake_cli, scheduler_cli, certification_cli, api_cli, operations_cli, simulator_cli, explain):
        for command in room.commands:
            if command.name in app.cli.commands:
                raise click.UsageError(f"two rooms register the command {command.name!r}")
            app.cli.add_command(command)
