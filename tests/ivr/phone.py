"""A hand-held Twilio for tests: signs and posts webhooks, and reads the TwiML it gets back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urldefrag, urlsplit

from flask.testing import FlaskClient
from sqlalchemy import inspect
from twilio.request_validator import RequestValidator
from werkzeug.test import TestResponse

from survey import clock, lifecycle
from survey.db import db
from survey.models import Attempt, AttemptState, Channel
from tests import factories

BASE = "https://survey.example.com"
TOKEN = "12345"
SID = "CA" + "1" * 32
BETWEEN_KEYS = timedelta(seconds=2)


def signed(url: str, params: Mapping[str, str], token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, params))


@dataclass
class Webhook:
    """One webhook, to be sent as often as wanted."""

    url: str
    params: dict[str, str]

    def post(self, client: FlaskClient, signature: str | None = None) -> TestResponse:
        address = urldefrag(self.url).url
        parts = urlsplit(address)
        signature = signed(address, self.params) if signature is None else signature
        return client.post(
            parts.path + (f"?{parts.query}" if parts.query else ""),
            data=self.params,
            headers={"X-Twilio-Signature": signature},
        )


class Call:
    """One call of an attempt: `press` sends a key to wherever the last document waits for one.

    A customer takes BETWEEN_KEYS from key to key, whether the clock stands or not.
    """

    def __init__(self, client: FlaskClient, attempt_id: int, sid: str = SID) -> None:
        self.client, self.attempt_id, self.sid = client, attempt_id, sid
        self.sent: list[Webhook] = []
        self.document = ET.Element("Response")
        self.at = clock.now()

    def answered(self) -> Call:
        return self._fetch(Webhook(self._url("voice"), {"CallSid": self.sid}))

    def press(self, keys: str, after: timedelta = BETWEEN_KEYS) -> Call:
        """Each key in turn; "-" is a silence."""
        for key in keys:
            self.at = max(self.at, clock.now()) + after
            digits = "" if key == "-" else key
            with clock.standing_at(self.at):
                self._fetch(Webhook(self.action, {"CallSid": self.sid, "Digits": digits}))
        return self

    def fallback(self) -> Call:
        return self._fetch(Webhook(self._url("fallback"), {"CallSid": self.sid, "ErrorCode": "11200"}))

    def status(self, status: str = "completed", sequence: int = 1, **more: str) -> TestResponse:
        params = {"CallSid": self.sid, "CallStatus": status, "SequenceNumber": str(sequence), **more}
        webhook = Webhook(self._url("status"), params)
        self.sent.append(webhook)
        return webhook.post(self.client)

    @property
    def action(self) -> str:
        gather = self.document.find("Gather")
        assert gather is not None, "nobody waits for a key"
        return gather.attrib["action"]

    @property
    def said(self) -> str:
        return " ".join(say.text or "" for say in self.document.iter("Say"))

    @property
    def languages(self) -> list[str]:
        return [say.attrib["language"] for say in self.document.iter("Say")]

    @property
    def hung_up(self) -> bool:
        return self.document.find("Hangup") is not None and self.document.find("Gather") is None

    def _url(self, place: str) -> str:
        return f"{BASE}/ivr/attempts/{self.attempt_id}/{place}"

    def _fetch(self, webhook: Webhook) -> Call:
        self.sent.append(webhook)
        response = webhook.post(self.client)
        assert response.status_code == 200, response.data
        assert response.content_type.startswith("text/xml")
        self.document = ET.fromstring(response.data)
        return self


def dialled(**given: Any) -> Attempt:
    """A committed phone attempt whose intent is out: `dialling`. `survey`: the survey it belongs to."""
    of = given.pop("survey", None) or factories.survey()
    row = factories.attempt(of, Channel.IVR, **{"state": AttemptState.DIALLING} | given)
    db.session.commit()
    db.session.refresh(row)
    return row


def id_of(row: Any) -> int:
    """The row's id, also after its session has been released."""
    identity = inspect(row).identity
    assert identity is not None
    return int(identity[0])


def reloaded(row: Any) -> Any:
    """The row as the database has it now."""
    identity = id_of(row)
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(type(row), identity)


def values_of(survey_id: int) -> dict[str, str]:
    """The customer's latest answer to each question of a survey."""
    return {key: row.value for key, row in lifecycle.latest_values(lifecycle.answers_of(survey_id)).items()}
