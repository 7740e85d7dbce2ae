"""Who may pass with an API key, and what those are told who may not."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import keys
from operations.users import add_user
from survey import doors
from survey.clock import ManualClock
from survey.db import db
from survey.models import ApiKey, Call, ImportRecord
from tests import factories
from tests.api.batches import URL, Program, at_north, call, fates, program
from tests.intake import samples
from tests.statements import counted

UNKNOWN = "ac_" + "A" * 43


def sent(app: Flask, authorization: str | None) -> TestResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    return app.test_client().post(URL, json={"source": "pbx", "site": "north", "calls": [call()]}, headers=headers)


@pytest.fixture
def pbx(app: Flask, at_noon: ManualClock) -> Program:
    return at_north(app)


def test_every_keyed_door_asks_for_a_scope_that_keys_can_have_and_refuses_strangers(app: Flask) -> None:
    keyed = [
        (rule, mark[1])
        for rule in app.url_map.iter_rules()
        if (mark := doors.mark_of(app.view_functions[rule.endpoint])) is not None and mark[0] == "keyed"
    ]
    assert [str(rule) for rule, _ in keyed] == [URL]
    for rule, scopes in keyed:
        assert len(scopes) == 1 and set(scopes) <= keys.SCOPES.keys()
        for method in (rule.methods or set()) - {"OPTIONS"}:
            assert app.test_client().open(str(rule), method=method).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_key_in_force_passes(app: Flask, pbx: Program, scheme: str) -> None:
    answer = sent(app, f"{scheme} {pbx.secret}")
    assert answer.status_code == 200 and fates(answer) == ["new"]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {UNKNOWN}",
        "Bearer ac_",
        "Bearer ünknöwn",
        f"Basic {UNKNOWN}",
        "Basic YWM6YWM=",
        UNKNOWN,
        f"Bearer {'x' * 5000}",
        "Digest username=ac",
    ],
)
def test_without_a_known_key_nothing_passes(app: Flask, pbx: Program, authorization: str | None) -> None:
    answer = sent(app, authorization)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert answer.is_json and {"error", "how"} == answer.get_json().keys()
    assert db.session.query(Call).count() == 0


@pytest.mark.parametrize("scheme", ["", "Token ", "Basic ", "Digest "])
def test_a_key_is_taken_as_a_bearers_only(app: Flask, pbx: Program, scheme: str) -> None:
    assert sent(app, f"{scheme}{pbx.secret}").status_code == 401


def test_the_hash_is_no_key(app: Flask, pbx: Program) -> None:
    kept = db.session.query(ApiKey).one().key_hash
    assert sent(app, f"Bearer {kept.hex()}").status_code == 401


def test_an_unknown_key_and_a_revoked_one_are_told_the_same(app: Flask, pbx: Program) -> None:
    keys.revoke("acme", "pbx", actor="test")
    db.session.commit()
    answers = []
    for secret in (pbx.secret, UNKNOWN):
        with counted() as statements:
            answer = sent(app, f"Bearer {secret}")
        headers = {name: value for name, value in answer.headers.items() if name != "Date"}
        answers.append((answer.status_code, answer.data, headers, statements))
    assert answers[0] == answers[1] and answers[0][0] == 401
    assert 'error="invalid_token"' in answers[0][2]["WWW-Authenticate"]


def test_a_revoked_key_is_refused_from_the_next_request_on(app: Flask, pbx: Program) -> None:
    assert pbx.send([call()]).status_code == 200
    keys.revoke("acme", "pbx", actor="test")
    db.session.commit()
    assert pbx.send([call()]).status_code == 401


def test_a_key_without_the_scope_is_forbidden(app: Flask, pbx: Program) -> None:
    db.session.query(ApiKey).one().scopes = ["something:else"]
    db.session.commit()
    answer = pbx.send([call()])
    assert answer.status_code == 403 and "calls:write" in answer.get_json()["error"]
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert db.session.query(Call).count() == 0


def test_the_key_is_asked_for_before_the_body_is_looked_at(app: Flask, pbx: Program) -> None:
    class Unread(io.BytesIO):
        def read(self, *_size: object) -> bytes:
            raise AssertionError("the body was read")

    headers = {"Authorization": f"Bearer {UNKNOWN}", "Content-Type": "application/json"}
    answer = app.test_client().post(URL, input_stream=Unread(b"{}"), content_length=2, headers=headers)
    assert answer.status_code == 401
    assert Program(app, UNKNOWN).post("x", Content_Type="text/plain").status_code == 401


def test_no_session_is_opened_and_no_form_secret_asked_for(app: Flask, pbx: Program) -> None:
    answer = pbx.send([call()])
    assert answer.status_code == 200 and "Set-Cookie" not in answer.headers


def test_a_sign_in_is_no_key(app: Flask, at_noon: ManualClock, pbx: Program) -> None:
    user, _ = add_user("ada@example.com", "administrator")
    db.session.commit()
    browser = app.test_client()
    with browser.session_transaction() as session:
        session.update({"_user_id": user.fs_uniquifier, "_fresh": True})
    assert browser.get("/console/", base_url="https://localhost").status_code == 200
    body = {"source": "pbx", "site": "north", "calls": [call()]}
    assert browser.post(URL, json=body, base_url="https://localhost").status_code == 401
    assert db.session.query(Call).count() == 0


def test_asking_for_a_key_takes_one_statement_and_leaves_no_transaction_open(app: Flask, pbx: Program) -> None:
    db.session.remove()
    with counted() as statements, app.test_request_context(headers={"Authorization": f"Bearer {pbx.secret}"}):
        assert keys.admit(keys.CALLS_WRITE) is None
        assert not db.session().in_transaction()
    assert len(statements) == 1


def test_when_a_key_was_used_last_is_not_kept(app: Flask, at_noon: ManualClock, pbx: Program) -> None:
    before = db.session.execute(db.text("SELECT k::text FROM api_keys k")).all()
    at_noon.move_to(at_noon() + timedelta(hours=1))
    pbx.send([call()])
    assert db.session.execute(db.text("SELECT k::text FROM api_keys k")).all() == before


def test_a_key_reaches_its_own_organisation_only(app: Flask, pbx: Program) -> None:
    other = factories.organisation(key="other")
    south = factories.site(organisation=other, key="south", name="South")
    factories.agent(south, key="zed", name="Zed")
    db.session.commit()
    theirs = program(app, "other")
    assert pbx.send([call()]).status_code == 200
    refused = theirs.send([call()])
    assert refused.status_code == 404 and "is no site" in refused.get_json()["error"]
    assert "south" in refused.get_json()["how"] and "north" not in refused.get_json()["how"]
    assert fates(pbx.send([call("c2", site="south")])) == ["rejected"]
    assert fates(pbx.send([call("c3", agent="zed")])) == ["rejected"]
    # The same source and id are another call there.
    assert fates(theirs.send([call(agent="zed")], site="south")) == ["new"]
    assert len(samples.stored()) == 1 and db.session.query(Call).count() == 2
    actors = db.session.query(ImportRecord.organisation_id, ImportRecord.actor).distinct().all()
    assert {actor for _, actor in actors} == {"api:pbx"} and len(actors) == 2
