"""API keys from the command line: made once, kept as a hash, listed, revoked, written down."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from click.testing import Result
from flask import Flask

from api import keys
from api.cli import api_keys
from survey.clock import ManualClock
from survey.db import db
from survey.errors import AftercallError, InputError
from survey.models import ApiKey, AuditEntry
from tests import factories


def run(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(api_keys, list(args))


def made(app: Flask, name: str = "pbx", *args: str) -> dict[str, object]:
    done = run(app, "create", "--organisation", "acme", "--name", name, "--json", *args)
    assert done.exit_code == 0, done.output
    report: dict[str, object] = json.loads(done.output)
    return report


@pytest.fixture(autouse=True)
def acme(app: Flask, at_noon: ManualClock) -> None:
    factories.organisation(key="acme")
    db.session.commit()


def test_a_key_is_256_random_bits_shown_once_and_kept_as_their_sha_256(app: Flask) -> None:
    secret = str(made(app)["key"])
    assert secret.startswith("ac_") and len(base64.urlsafe_b64decode(secret.removeprefix("ac_") + "=")) == 32
    key = db.session.query(ApiKey).one()
    assert key.key_hash == hashlib.sha256(secret.encode()).digest()
    assert (key.name, key.scopes, key.created_by, key.revoked_at) == ("pbx", ["calls:write"], "command line", None)
    kept = str(
        [list(row) for row in db.session.execute(db.text("SELECT k::text, a::text FROM api_keys k, audit_entries a"))]
    )
    told = run(app, "list").output + run(app, "list", "--json").output
    assert "pbx" in told and secret not in told + kept
    assert made(app, "second")["key"] != secret


def test_making_and_revoking_are_written_down(app: Flask) -> None:
    made(app, "pbx", "--actor", "ada")
    assert run(app, "revoke", "--organisation", "acme", "--name", "pbx", "--actor", "bob").exit_code == 0
    key = db.session.query(ApiKey).one()
    entries = db.session.query(AuditEntry).order_by(AuditEntry.id).all()
    assert [(entry.actor, entry.action, entry.subject_type, entry.subject_id) for entry in entries] == [
        ("ada", "API key created", "api_keys", key.id),
        ("bob", "API key revoked", "api_keys", key.id),
    ]
    assert entries[0].detail == {"name": "pbx", "organisation": "acme", "scopes": ["calls:write"]}


def test_a_revoked_key_stays_on_the_list_and_frees_its_name(app: Flask) -> None:
    first = made(app)
    twice = run(app, "create", "--organisation", "acme", "--name", "pbx")
    assert twice.exit_code == 1 and "has a key 'pbx' already" in twice.output
    assert "is revoked" in run(app, "revoke", "--organisation", "acme", "--name", "pbx").output
    assert run(app, "revoke", "--organisation", "acme", "--name", "pbx").exit_code == 1
    assert made(app)["key"] != first["key"]
    listed = run(app, "list", "--organisation", "acme").output.splitlines()
    assert len(listed) == 2 and "revoked 2026-03-12T17:00:00Z" in listed[0] and "revoked" not in listed[1]


def test_each_organisation_has_its_own_names(app: Flask) -> None:
    factories.organisation(key="other")
    db.session.commit()
    made(app)
    assert run(app, "create", "--organisation", "other", "--name", "pbx").exit_code == 0
    assert run(app, "revoke", "--organisation", "other", "--name", "pbx").exit_code == 0
    assert [row["revoked_at"] is None for row in json.loads(run(app, "list", "--json").output)] == [True, False]
    assert len(json.loads(run(app, "list", "--organisation", "other", "--json").output)) == 1


@pytest.mark.parametrize(
    ("args", "exit_code", "says"),
    [
        (["create", "--organisation", "nobody", "--name", "pbx"], 1, "no organisation 'nobody'"),
        (["create", "--organisation", "acme", "--name", " "], 1, "cannot be a key's name"),
        (["create", "--organisation", "acme", "--name", "a\nb"], 1, "cannot be a key's name"),
        (["create", "--organisation", "acme", "--name", "x" * 101], 1, "cannot be a key's name"),
        (["create", "--organisation", "acme", "--name", "pbx", "--scope", "everything"], 2, "--scope"),
        (["create", "--organisation", "acme"], 2, "--name"),
        (["revoke", "--organisation", "acme", "--name", "pbx"], 1, "no key in force is called 'pbx'"),
        (["list", "--organisation", "nobody"], 1, "no organisation 'nobody'"),
    ],
)
def test_what_cannot_be_is_refused(app: Flask, args: list[str], exit_code: int, says: str) -> None:
    refused = run(app, *args)
    assert refused.exit_code == exit_code and says in refused.output
    assert db.session.query(ApiKey).count() == 0


@pytest.mark.parametrize("scopes", [[], ["calls:read"], ["calls:write", ""]])
def test_a_key_has_known_scopes_and_at_least_one(app: Flask, scopes: list[str]) -> None:
    with pytest.raises(InputError):
        keys.create("acme", "pbx", scopes, actor="test")


def test_an_empty_list_says_what_to_do(app: Flask) -> None:
    assert "flask api-keys create" in run(app, "list").output


def test_two_keys_of_one_name_at_once_are_one(app: Flask) -> None:
    together = Barrier(2)

    def one() -> bool:
        with app.app_context():
            together.wait(timeout=30)
            try:
                keys.create("acme", "pbx", [keys.CALLS_WRITE], actor="test")
            except AftercallError:
                return False
            db.session.commit()
            return True

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(one) for _ in range(2)]
        assert sorted(run.result(timeout=30) for run in runs) == [False, True]
