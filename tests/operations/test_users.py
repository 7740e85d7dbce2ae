"""Console sign-ins from the command line."""

from __future__ import annotations

import json

import pytest
from click.testing import Result
from flask import Flask
from flask_security import verify_password

from operations.users import users_group
from survey.db import db
from survey.models import AuditEntry, User
from tests import factories

GIVEN = "a long enough password"


def run(app: Flask, *args: str, typed: str | None = None) -> Result:
    return app.test_cli_runner().invoke(users_group, list(args), input=typed)


def test_a_made_password_is_printed_once_and_kept_hashed(app: Flask) -> None:
    done = run(app, "create", "Ada@Example.com", "--role", "administrator", "--json")
    report = json.loads(done.output)
    user = db.session.query(User).one()
    assert (user.email, user.organisation_id, [role.name for role in user.roles]) == (
        "ada@example.com",
        None,
        ["administrator"],
    )
    assert user.password != report["password"] and verify_password(report["password"], user.password)
    assert report["password"] not in run(app, "list").output


def test_a_given_password_is_read_and_not_shown(app: Flask) -> None:
    done = run(app, "create", "ada@example.com", "--role", "auditor", "--password-stdin", typed=f"{GIVEN}\n")
    assert done.exit_code == 0 and GIVEN not in done.output
    assert verify_password(GIVEN, db.session.query(User).one().password)


def test_an_organisation_narrows_what_is_seen(app: Flask) -> None:
    owner = factories.organisation(key="acme")
    db.session.commit()
    assert run(app, "create", "ada@example.com", "--role", "manager", "--organisation", "acme").exit_code == 0
    assert db.session.query(User).one().organisation_id == owner.id
    assert "acme" in run(app, "list").output


@pytest.mark.parametrize(
    ("args", "typed", "says"),
    [
        (["not an address", "--role", "auditor"], None, "is not an email address"),
        (["a@example.com", "--role", "auditor", "--organisation", "nobody"], None, "no organisation 'nobody'"),
        (["a@example.com", "--role", "auditor", "--password-stdin"], "short\n", "too short"),
        (["a@example.com", "--role", "auditor", "--password-stdin"], "", "too short"),
    ],
)
def test_what_cannot_be_is_refused(app: Flask, args: list[str], typed: str | None, says: str) -> None:
    refused = run(app, "create", *args, typed=typed)
    assert refused.exit_code == 1 and says in refused.output
    assert db.session.query(User).count() == 0


def test_an_unknown_role_is_a_usage_error(app: Flask) -> None:
    assert run(app, "create", "a@example.com", "--role", "king").exit_code == 2


def test_nobody_is_made_twice(app: Flask) -> None:
    run(app, "create", "ada@example.com", "--role", "auditor")
    again = run(app, "create", "ADA@example.com", "--role", "administrator")
    assert again.exit_code == 1 and "has a sign-in already" in again.output


def test_disable_and_new_password_end_sessions_and_are_written_down(app: Flask) -> None:
    run(app, "create", "ada@example.com", "--role", "auditor")
    first = db.session.query(User).one().fs_uniquifier
    assert run(app, "password", "ada@example.com", "--password-stdin", typed=f"{GIVEN}\n").exit_code == 0
    user = db.session.query(User).one()
    second = user.fs_uniquifier
    assert second != first and verify_password(GIVEN, user.password)
    assert run(app, "disable", "ada@example.com").exit_code == 0
    user = db.session.query(User).one()
    assert not user.active and user.fs_uniquifier not in (first, second)
    assert [row.action for row in db.session.query(AuditEntry).order_by(AuditEntry.id)] == [
        "sign-in created",
        "password changed",
        "sign-in disabled",
    ]
    assert run(app, "disable", "nobody@example.com").exit_code == 1


def test_an_empty_list_says_what_to_do(app: Flask) -> None:
    assert "flask users create" in run(app, "list").output
