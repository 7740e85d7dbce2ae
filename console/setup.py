"""Sign-in and the console's doors: Flask-Security, Bootstrap served from here, protection against forged requests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask, Response, current_app, request
from flask_bootstrap import Bootstrap5
from flask_login import current_user
from flask_security import Security, SQLAlchemyUserDatastore

from console import sign_in, views, words
from survey import doors
from survey.db import db
from survey.models import Role, User

SIGN_IN_HOURS = 12

SETTINGS: dict[str, Any] = {
    "BOOTSTRAP_SERVE_LOCAL": True,
    # Only the console's own forms and the sign-in are checked: customers' links and webhooks carry their own proof.
    "WTF_CSRF_CHECK_DEFAULT": False,
    "WTF_CSRF_TIME_LIMIT": None,
    "PERMANENT_SESSION_LIFETIME": timedelta(hours=SIGN_IN_HOURS),
    "SECURITY_LOGIN_URL": "/console/sign-in",
    "SECURITY_LOGOUT_URL": "/console/sign-out",
    "SECURITY_VERIFY_URL": "/console/verify",
    "SECURITY_POST_LOGIN_VIEW": "/console/",
    "SECURITY_POST_LOGOUT_VIEW": "/console/sign-in",
    "SECURITY_LOGIN_USER_TEMPLATE": "console/sign_in.html",
    "SECURITY_LOGOUT_USER_TEMPLATE": "console/sign_out.html",
    "SECURITY_VERIFY_TEMPLATE": "console/verify.html",
    "SECURITY_LOGOUT_METHODS": ["POST"],
    "SECURITY_LOGOUT_CSRF": True,
    "SECURITY_REGISTERABLE": False,
    "SECURITY_RECOVERABLE": False,
    # Whether an address has a sign-in is nobody's business who has none.
    "SECURITY_RETURN_GENERIC_RESPONSES": True,
    "SECURITY_MSG_GENERIC_AUTHN_FAILED": ("The email address or the password is wrong.", "error"),
    # Plain argon2id: a hash stays good when SECRET_KEY is changed.
    "SECURITY_PASSWORD_HASH": "argon2",
    "SECURITY_PASSWORD_SCHEMES": ["argon2"],
    "SECURITY_PASSWORD_SINGLE_HASH": {"argon2"},
    # `flask users` is ours (operations/users.py).
    "SECURITY_CLI_USERS_NAME": False,
    "SECURITY_CLI_ROLES_NAME": False,
}


def init_app(app: Flask) -> None:
    """Brings the console into the application: settings, sign-in, pages, and the words its templates use."""
    app.config.update(SETTINGS)
    Bootstrap5(app)
    views.csrf.init_app(app)
    app.register_blueprint(views.blueprint)
    security = Security(app, SQLAlchemyUserDatastore(db, User, Role), login_form=sign_in.SignInForm)
    # People sign in by the form and the cookie only: asked for JSON, the library would hand out bearer tokens.
    security.want_json(lambda _request: False)
    # Nor does it look for such tokens: it would read every body to its end, before anybody asked who sends it.
    app.login_manager.request_loader(lambda _request: None)  # type: ignore[attr-defined]
    app.jinja_env.filters.update(words.FILTERS)
    app.jinja_env.globals["may_open"] = _may_open
    app.after_request(_keep_private)


def _may_open(endpoint: str) -> bool:
    """Whether whoever is signed in may open that page: links nobody can follow are not shown."""
    view = current_app.view_functions.get(endpoint)
    mark = None if view is None else doors.mark_of(view)
    return mark is not None and any(role.name in mark[1] for role in getattr(current_user, "roles", ()))


def _keep_private(response: Response) -> Response:
    """Console pages are nobody's cache's business. The check of forged requests over https reads the referrer."""
    if request.blueprint in {"console", "security"} and request.endpoint != "console.static":
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Referrer-Policy"] = "same-origin"
    return response
