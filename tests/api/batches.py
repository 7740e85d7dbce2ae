"""Batches of calls for the API, the key to send them with, and the place they belong to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from api import keys
from survey.db import db
from tests.intake import samples

URL = "/api/v1/calls"
PHONE, EMAIL = "+1 212 555 0101", "jo@example.com"


@dataclass
class Program:
    """Something that sends calls, with a key of its own."""

    app: Flask
    secret: str

    def send(self, calls: list[Any], /, **beside: Any) -> TestResponse:
        """A batch of the site "north"'s calls; `beside` adds or (None) takes away what stands beside the calls."""
        body = {"source": "pbx", "site": "north", "calls": calls} | beside
        return self.post(json.dumps({name: value for name, value in body.items() if value is not None}))

    def post(self, body: str | bytes, **headers: str) -> TestResponse:
        """A body as it is; `headers` replaces or adds some, Content_Type for Content-Type."""
        given = {"Content-Type": "application/json", "Authorization": f"Bearer {self.secret}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().post(URL, data=body, headers=given)


def program(app: Flask, organisation: str = "acme", name: str = "pbx") -> Program:
    """A program with a fresh key of an organisation that is there already."""
    _, secret = keys.create(organisation, name, [keys.CALLS_WRITE], actor="test")
    db.session.commit()
    return Program(app, secret)


def at_north(app: Flask) -> Program:
    """The site "north" of "acme" (see tests/intake/samples.py), and a program that may send its calls."""
    samples.place()
    return program(app)


def call(id: object = "c1", **given: Any) -> dict[str, Any]:
    """A call that can be taken; `given` adds fields, or takes one away (None)."""
    row = {"external_id": id, "agent": "amy", "started_at": "2026-03-11T15:00:00", "talk_seconds": 143} | given
    return {name: value for name, value in row.items() if value is not None}


def fates(answer: TestResponse) -> list[str]:
    """Each call's result, in order, after checking that there is one for each and that the counts agree."""
    told = answer.get_json()
    results = told["results"]
    assert [result["row"] for result in results] == list(range(told["read"]))
    assert told["read"] == told["new"] + told["updated"] + told["unchanged"] + told["rejected"]
    assert told["rejected"] == sum(result["result"] == "rejected" for result in results)
    assert all((result["result"] == "rejected") == bool(result["reason"]) for result in results)
    return [result["result"] for result in results]


def reasons(answer: TestResponse) -> list[tuple[str, str]]:
    """(column, reason) of each call."""
    return [(result["column"], result["reason"]) for result in answer.get_json()["results"]]
