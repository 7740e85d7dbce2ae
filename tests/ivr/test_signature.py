"""Who may speak to the webhooks: only who signs with the account's token, for the address we gave out."""

from __future__ import annotations

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

from survey import doors
from survey.models import AttemptState
from tests.ivr.phone import BASE, SID, TOKEN, Webhook, dialled, reloaded, signed

PLACES = ("voice", "menu", "answer", "machine", "message", "status", "fallback")


def test_twilios_published_vector() -> None:
    params = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert signed(url, params) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="
    assert RequestValidator(TOKEN).validate(url, params, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")


def _rules(app: Flask) -> list[str]:
    return [str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith("/ivr")]


def test_every_webhook_is_here_and_only_posts(app: Flask) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if str(rule).startswith("/ivr")]
    assert {str(rule).rsplit("/", 1)[1] for rule in rules} == {*PLACES, "inbound", "key"}
    for rule in rules:
        assert rule.methods is not None and rule.methods - {"OPTIONS"} == {"POST"}
        assert doors.mark_of(app.view_functions[rule.endpoint]) == ("signed", ())


@pytest.mark.parametrize(
    "signature", ["", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", "é", None], ids=["empty", "other", "odd", "missing"]
)
def test_unsigned_is_refused_everywhere(app: Flask, client: FlaskClient, signature: str | None) -> None:
    attempt = dialled()
    rules = _rules(app)
    assert rules
    for rule in rules:
        path = rule.replace("<int:attempt_id>", str(attempt.id))
        headers = {} if signature is None else {"X-Twilio-Signature": signature.encode().decode("latin-1")}
        response = client.post(path, data={"CallSid": SID, "CallStatus": "completed"}, headers=headers)
        assert response.status_code == 403, path
    assert reloaded(attempt).state is AttemptState.DIALLING


@pytest.mark.parametrize("place", PLACES)
def test_signed_is_taken(client: FlaskClient, place: str) -> None:
    webhook = Webhook(f"{BASE}/ivr/attempts/{dialled().id}/{place}?step=0", {"CallSid": SID, "Digits": "*"})
    assert webhook.post(client).status_code in (200, 204)


@pytest.mark.parametrize(
    ("url", "params"),
    [
        ("http://survey.example.com/ivr/attempts/{id}/menu?a=1&b=2", {"Digits": "1"}),
        ("https://elsewhere.example.com/ivr/attempts/{id}/menu?a=1&b=2", {"Digits": "1"}),
        ("https://survey.example.com:8443/ivr/attempts/{id}/menu?a=1&b=2", {"Digits": "1"}),
        ("https://survey.example.com/ivr/attempts/{id}/menu?b=2&a=1", {"Digits": "1"}),
        ("https://survey.example.com/ivr/attempts/{id}/menu", {"Digits": "1"}),
        ("https://survey.example.com/ivr/attempts/{id}/answer?a=1&b=2", {"Digits": "1"}),
        ("https://survey.example.com/ivr/attempts/{id}/menu?a=1&b=2", {"Digits": "2"}),
        ("https://survey.example.com/ivr/attempts/{id}/menu?a=1&b=2", {}),
    ],
    ids=["scheme", "host", "port", "order", "no query", "path", "digits", "missing digits"],
)
def test_signed_for_something_else_is_refused(client: FlaskClient, url: str, params: dict[str, str]) -> None:
    attempt = dialled()
    sent = Webhook(f"{BASE}/ivr/attempts/{attempt.id}/menu?a=1&b=2", {"CallSid": SID, "Digits": "1"})
    signature = signed(url.format(id=attempt.id), {"CallSid": SID, **params})
    assert sent.post(client, signature).status_code == 403


def test_another_token_is_refused(client: FlaskClient) -> None:
    webhook = Webhook(f"{BASE}/ivr/attempts/{dialled().id}/voice", {"CallSid": SID})
    assert webhook.post(client, signed(webhook.url, webhook.params, "54321")).status_code == 403


def test_without_a_token_nobody_passes(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = app.config["SETTINGS"]
    empty = settings.model_copy(update={"twilio_auth_token": type(settings.twilio_auth_token)("")})
    monkeypatch.setitem(app.config, "SETTINGS", empty)
    webhook = Webhook(f"{BASE}/ivr/attempts/{dialled().id}/voice", {"CallSid": SID})
    assert webhook.post(client, signed(webhook.url, webhook.params, "")).status_code == 403


def test_a_proxy_that_changes_host_and_scheme_does_no_harm(client: FlaskClient) -> None:
    attempt = dialled()
    params = {"CallSid": SID}
    response = client.post(
        f"/ivr/attempts/{attempt.id}/voice",
        data=params,
        base_url="http://10.0.0.7:8000",
        headers={"X-Twilio-Signature": signed(f"{BASE}/ivr/attempts/{attempt.id}/voice", params)},
    )
    assert response.status_code == 200


NAMES = st.sampled_from(["CallSid", "Digits", "From", "To", "Called", "digits", "Empty", "A B"])
VALUES = st.one_of(
    st.sampled_from(["", "1", SID, "+12125550100", "é ü", "a&b=c", "#", "%2B"]), st.text("01 +%é", max_size=5)
)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
QUERIES = st.sampled_from(["", "?a=1&b=2", "?b=2&a=1", "?a=%20x&a=", "?a=+", "?q=%C3%A9"])
PLACES_SIGNED = st.sampled_from(
    [
        BASE,
        "http://survey.example.com",
        "https://survey.example.com:443",
        "https://survey.example.com:8443",
        "https://x.test",
    ]
)


@hypothesis.settings(max_examples=200, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@given(signed_for=PAIRS, data=st.data(), base=PLACES_SIGNED, queries=st.tuples(QUERIES, QUERIES), same=st.booleans())
def test_it_is_taken_exactly_where_twilios_own_validator_takes_it(
    client: FlaskClient,
    signed_for: list[tuple[str, str]],
    data: st.DataObject,
    base: str,
    queries: tuple[str, str],
    same: bool,
) -> None:
    """Parameters missing, added, reordered, repeated and empty, another host, port, scheme or query."""
    sent = data.draw(st.permutations(signed_for))
    if not same:
        sent = [pair for pair in sent if data.draw(st.booleans())] + data.draw(PAIRS)
    path, (query_signed, query_sent) = "/ivr/attempts/999999999/status", queries
    validator = RequestValidator(TOKEN)
    signature = validator.compute_signature(base + path + query_signed, MultiDict(signed_for))
    expected = validator.validate(BASE + path + query_sent, MultiDict(sent), signature)
    response = client.post(
        path + query_sent, data=MultiDict(sent), headers={"X-Twilio-Signature": signature}, base_url="http://10.0.0.7"
    )
    assert (response.status_code != 403) == expected
    if same and base == BASE and query_signed == query_sent:
        assert expected, "in whatever order"
