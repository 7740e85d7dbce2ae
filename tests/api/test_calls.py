"""Calls over the API: taken once, told one by one, each judged by itself."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from flask import Flask

from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Call, Customer, ImportRecord
from tests import factories
from tests.api.batches import EMAIL, PHONE, Program, at_north, call, fates, reasons
from tests.conftest import PROJECT
from tests.factories import utc
from tests.intake import samples
from tests.statements import counted


@pytest.fixture
def pbx(app: Flask, at_noon: ManualClock) -> Program:
    return at_north(app)


def record() -> ImportRecord:
    return db.session.query(ImportRecord).order_by(ImportRecord.id.desc()).populate_existing().limit(1).one()


# --- what is taken, and what is told ---


def test_a_batch_is_taken_and_every_call_told(pbx: Program) -> None:
    calls = [call("c1", queue="sales", phone=PHONE, email=EMAIL), call("c2", agent="nobody"), call("c3")]
    answer = pbx.send(calls)
    assert answer.status_code == 200 and answer.is_json
    told = answer.get_json()
    assert {name: told[name] for name in ("read", "new", "updated", "unchanged", "rejected", "dry_run")} == {
        "read": 3,
        "new": 2,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
        "dry_run": False,
    }
    assert fates(answer) == ["new", "rejected", "new"] and told["ignored"] == [] and told["notes"] == {}
    assert told["results"][0] == {
        "row": 0,
        "external_id": "c1",
        "result": "new",
        "column": "",
        "reason": "",
        "how": "",
    }
    bad = told["results"][1]
    assert (bad["external_id"], bad["column"]) == ("c2", "agent")
    assert "nobody" in bad["reason"] and '"agents": "create"' in bad["how"]
    stored = samples.stored()["c1"]
    assert (stored.source, stored.talk_seconds, stored.queue) == ("pbx", 143, "sales")
    assert stored.started_at == utc(2026, 3, 11, 19)


def test_the_import_has_its_record(pbx: Program) -> None:
    told = pbx.send([call("c1"), call("c2", talk_seconds="long"), "nothing"]).get_json()
    kept = record()
    assert told["import"] == kept.id
    assert (kept.file_name, kept.source, kept.actor, len(kept.sha256)) == ("-", "pbx", "api:pbx", 64)
    assert (kept.read, kept.new, kept.rejected) == (3, 1, 2) and kept.finished_at is not None
    assert kept.rejected_by == {"talk_seconds: not a duration": 1, "is text, no object": 1}


def test_the_same_batch_twice_changes_nothing(pbx: Program) -> None:
    calls = [call(f"c{n}", phone=PHONE, email=EMAIL, queue="sales", internal=False) for n in range(20)]
    assert fates(pbx.send(calls)) == ["new"] * 20
    before = db.session.execute(db.text("SELECT c::text FROM calls c ORDER BY id")).all()
    assert fates(pbx.send(calls)) == ["unchanged"] * 20
    assert fates(pbx.send(list(reversed(calls)))) == ["unchanged"] * 20
    assert db.session.execute(db.text("SELECT c::text FROM calls c ORDER BY id")).all() == before
    assert db.session.query(Customer).count() == 1


def test_a_later_record_updates_until_the_draw_and_is_kept_beside_after_it(pbx: Program) -> None:
    assert fates(pbx.send([call(talk_seconds=10)])) == ["new"]
    assert fates(pbx.send([call(talk_seconds=20)])) == ["updated"]
    taken = samples.stored()["c1"]
    factories.draw(taken, factories.campaign([db.session.get(Call, taken.id).site]))  # type: ignore[union-attr]
    db.session.commit()
    answer = pbx.send([call(talk_seconds=30)])
    assert fates(answer) == ["kept_beside"] and answer.get_json()["unchanged"] == 1
    assert samples.stored()["c1"].talk_seconds == 20


def test_a_call_that_comes_twice_in_a_batch_is_one_call(pbx: Program) -> None:
    assert fates(pbx.send([call(talk_seconds=10), call(talk_seconds=20), call(talk_seconds=20)])) == [
        "new",
        "updated",
        "unchanged",
    ]
    assert samples.stored()["c1"].talk_seconds == 20


@pytest.mark.parametrize("beside", [[], [call("c2", queue="billing", internal=False, topic="bills")]])
def test_what_its_neighbours_give_changes_no_call(pbx: Program, beside: list[Any]) -> None:
    pbx.send([call(queue="sales", internal=True)])
    assert fates(pbx.send([call(), *beside]))[0] == "unchanged"
    assert (samples.stored()["c1"].queue, samples.stored()["c1"].internal) == ("sales", True)
    # One with a newer stamp counts as a whole: what it leaves out is empty.
    assert fates(pbx.send([call(recorded_at="2026-03-11T16:00:00"), *beside]))[0] == "updated"
    assert (samples.stored()["c1"].queue, samples.stored()["c1"].internal) == (None, False)


def test_legs_are_one_call_and_each_has_its_result(pbx: Program) -> None:
    legs = [call(leg="a"), call(leg="b", started_at="2026-03-11T15:05:00")]
    answer = pbx.send(legs)
    assert len(fates(answer)) == 2 and "rejected" not in fates(answer)
    assert len(samples.stored()) == 1
    assert set(fates(pbx.send(legs))) == {"unchanged"}


def test_nothing_taken_is_422_with_the_same_body(pbx: Program) -> None:
    answer = pbx.send([call(talk_seconds="long"), "nothing"])
    assert answer.status_code == 422 and fates(answer) == ["rejected", "rejected"]
    assert record().rejected == 2 and db.session.query(Call).count() == 0


def test_an_empty_batch_is_nothing_to_do(pbx: Program) -> None:
    assert pbx.send([], site=None).status_code == 200
    answer = pbx.send([])
    assert answer.status_code == 200 and answer.get_json()["import"] is None and fates(answer) == []


def test_a_dry_run_tells_and_writes_nothing(pbx: Program) -> None:
    answer = pbx.send([call("c1", agent="Zed"), call("c2", talk_seconds="long")], dry_run=True, agents="create")
    assert fates(answer) == ["new", "rejected"]
    told = answer.get_json()
    assert told["dry_run"] is True and told["import"] is None
    assert db.session.query(Call).count() == db.session.query(ImportRecord).count() == 0
    assert db.session.query(Agent).count() == 1


def test_agents_are_made_only_when_asked_for(pbx: Program) -> None:
    assert fates(pbx.send([call(agent="Zed")])) == ["rejected"]
    assert fates(pbx.send([call(agent="Zed")], agents="refuse")) == ["rejected"]
    assert fates(pbx.send([call(agent="Zed")], agents="create")) == ["new"]
    assert db.session.query(Agent).count() == 2


def test_calls_may_name_their_site(pbx: Program) -> None:
    answer = pbx.send([call("c1", site="north"), call("c2"), call("c3", site="nowhere")], site=None)
    assert fates(answer) == ["new", "rejected", "rejected"]
    assert reasons(answer)[1] == ("site", "is missing") and "nowhere" in reasons(answer)[2][1]


def test_without_a_source_it_is_the_sites_key(pbx: Program) -> None:
    assert pbx.send([call()], source=None).status_code == 200
    assert samples.stored()["c1"].source == "north" and record().source == "north"


def test_local_times_are_the_sites_or_the_zones(pbx: Program) -> None:
    pbx.send([call("c1")])
    pbx.send([call("c2")], zone="UTC")
    pbx.send([call("c3", started_at="2026-03-11T15:00:00+01:00")], zone="UTC")
    hours = {id: each.started_at.hour for id, each in samples.stored().items()}
    assert hours == {"c1": 19, "c2": 15, "c3": 14}


def test_dates_that_begin_with_day_or_month_need_an_order(pbx: Program) -> None:
    odd = call("c1", started_at="03/02/2026 15:00:00")
    # Its neighbour does not decide for it, and it does not stop its neighbour.
    answer = pbx.send([odd, call("c2", started_at="31/01/2026 15:00:00"), call("c3")])
    assert fates(answer) == ["rejected", "rejected", "new"]
    assert reasons(answer)[0][0] == "started_at" and "date_order" in answer.get_json()["results"][0]["how"]
    assert fates(pbx.send([odd], date_order="dmy")) == ["new"]
    assert samples.stored()["c1"].started_at == utc(2026, 2, 3, 20)
    assert fates(pbx.send([odd], date_order="mdy")) == ["updated"]
    assert samples.stored()["c1"].started_at == utc(2026, 3, 2, 20)


# --- how calls may be written ---


@pytest.mark.parametrize("name", ["external_id", "call_id", "id", "Call Id", "CALL-ID"])
def test_the_calls_id_has_several_names(pbx: Program, name: str) -> None:
    answer = pbx.send([call(None) | {name: "c1"}])
    assert fates(answer) == ["new"] and answer.get_json()["results"][0]["external_id"] == "c1"


@pytest.mark.parametrize(
    "given",
    [
        {"external_id": 1, "talk_seconds": 143},
        {"external_id": "1", "talk_seconds": "143"},
        {"external_id": 1, "talk_seconds": 143.2},
        {"external_id": 1, "talk_seconds": "0:02:23"},
        {"external_id": 1, "answered": True, "duration": 143},
        {"external_id": 1, "answered": "yes", "duration": 143},
        {"external_id": 1, "answered": 1, "ended_at": "2026-03-11T15:02:23"},
        {"external_id": 1, "started_at": None, "date": "2026-03-11", "time": "15:00", "talk_seconds": 143},
        {"external_id": 1, "started_at": None, "date": 20260311, "time": "15:00", "talk_seconds": 143},
    ],
)
def test_one_call_in_many_ways(pbx: Program, given: dict[str, Any]) -> None:
    row = {"started_at": "2026-03-11T15:00:00", "agent": "amy"} | given
    assert fates(pbx.send([{name: value for name, value in row.items() if value is not None}])) == ["new"]
    stored = samples.stored()["1"]
    assert (stored.answered, stored.talk_seconds, stored.started_at) == (True, 143, utc(2026, 3, 11, 19))


def test_calls_of_one_batch_may_give_their_start_in_different_ways(pbx: Program) -> None:
    second = call("c2", started_at=None, date="11-Mar-26", time="3:00 PM")
    assert fates(pbx.send([call("c1"), second])) == ["new", "new"]
    assert {each.started_at for each in samples.stored().values()} == {utc(2026, 3, 11, 19)}
    assert fates(pbx.send([second])) == fates(pbx.send([second, call("c1")]))[:1] == ["unchanged"]


def test_null_is_as_good_as_nothing(pbx: Program) -> None:
    row = call() | {"phone": None, "email": None, "queue": None, "answered": None, "site": None, "wait_seconds": None}
    assert fates(pbx.send([row])) == ["new"]
    assert fates(pbx.send([call() | {"started_at": None}])) == ["rejected"]


@pytest.mark.parametrize(
    ("change", "column", "says"),
    [
        ({"external_id": None}, "external_id", "is missing"),
        ({"external_id": "  "}, "external_id", "is missing"),
        ({"started_at": None}, "started_at or date", "is missing"),
        ({"started_at": None, "date": "2026-03-11"}, "time", "is missing"),
        ({"talk_seconds": None}, "answered or talk_seconds", "is missing"),
        ({"talk_seconds": None, "answered": True}, "talk_seconds or duration or ended_at", "is missing"),
        ({"talk_seconds": "", "answered": " "}, "answered or talk_seconds", "is missing"),
        ({"external_id": 1.5}, "external_id", "a number with a fraction where text or a whole number"),
        ({"external_id": True}, "external_id", "is true or false where text"),
        ({"phone": [PHONE]}, "phone", "is a list where text"),
        ({"phone": 12125550101.0}, "phone", "a number with a fraction where text"),
        ({"email": {"address": EMAIL}}, "email", "is an object where text"),
        ({"talk_seconds": True}, "talk_seconds", "is true or false where a number"),
        ({"answered": 0.5}, "answered", "where true or false is wanted"),
        ({"answered": "maybe"}, "answered", "neither yes nor no"),
        ({"queue": ["a"]}, "queue", "is a list"),
        ({"queue": "a\0b"}, "queue", "NUL"),
        ({"queue": "\ud800"}, "queue", "half a character"),
        ({"external_id": "\udfff"}, "external_id", "half a character"),
        ({"queue": "x" * 1001}, "queue", "longer than 1,000"),
        ({"started_at": "2026-02-30T10:00:00"}, "started_at", "no such day"),
        ({"started_at": "2026-03-13T10:00:00"}, "", "in the future"),
        ({"talk_seconds": -5}, "talk_seconds", "negative"),
        ({"talk_seconds": 1e400}, "", ""),
    ],
)
def test_one_bad_call_is_one_rejected_call(pbx: Program, change: dict[str, Any], column: str, says: str) -> None:
    if change == {"talk_seconds": 1e400}:  # written as no number JSON knows by the standard library
        body = json.dumps({"source": "pbx", "site": "north", "calls": [call(), call("c2", talk_seconds=7)]})
        answer = pbx.post(body.replace(": 7", ": 1e400"))
        column, says = "talk_seconds", "not a duration"
    else:
        answer = pbx.send([call(), call("c2") | change])
    assert fates(answer) == ["new", "rejected"]
    assert reasons(answer)[1][0] == column and says in reasons(answer)[1][1]
    assert samples.stored().keys() == {"c1"}


@pytest.mark.parametrize("row", [None, 1, 1.5, "text", True, [], [call()], ["external_id", "c2"], {}])
def test_what_is_no_call_is_one_rejected_row(pbx: Program, row: object) -> None:
    for calls, expected in (([call(), row], ["new", "rejected"]), ([row, call("c3")], ["rejected", "new"])):
        answer = pbx.send(calls)
        assert fates(answer) == expected
        assert answer.get_json()["results"][expected.index("rejected")]["external_id"] is None
    assert samples.stored().keys() == {"c1", "c3"}


def test_a_field_given_twice_is_not_chosen_between(pbx: Program) -> None:
    answer = pbx.send([call("c1") | {"id": "7"}, call("c2")])
    assert fates(answer) == ["rejected", "new"]
    assert reasons(answer)[0] == ("id", "is given twice (also as external_id)")
    body = json.dumps({"source": "pbx", "site": "north", "calls": [call("c3"), call("c4")]})
    answer = pbx.post(body.replace('"c3",', '"c3", "talk_seconds": 1,'))
    assert fates(answer) == ["rejected", "new"] and reasons(answer)[0] == ("talk_seconds", "is given twice")


def test_unknown_names_are_told_once_and_the_calls_taken(pbx: Program) -> None:
    answer = pbx.send([call("c1", agnet="bob", colour="red"), call("c2", agnet="bob"), call("c3", queu=["x"])])
    assert fates(answer) == ["new"] * 3
    assert answer.get_json()["ignored"] == ["agnet", "colour", "queu"]
    many = pbx.send([call("c4") | {f"name{n}": n for n in range(500)}])
    assert fates(many) == ["new"] and len(many.get_json()["ignored"]) == 100
    assert list(many.get_json()["notes"].values()) == [400]


@pytest.mark.parametrize(
    ("beside", "where", "says"),
    [
        ({"cals": []}, "body", "cals: no such name"),
        ({"talk_seconds": 1, "dryrun": True}, "body", "talk_seconds, dryrun: no such name"),
        ({"calls": None}, "calls", "is missing"),
        ({"calls": {"0": call()}}, "calls", "is no list"),
        ({"source": None, "site": None}, "source", "is missing"),
        ({"source": 5}, "source", "is no text"),
        ({"source": ""}, "source", "cannot be a name"),
        ({"source": "a\0b"}, "source", "cannot be a name"),
        ({"source": "\ud800"}, "source", "cannot be a name"),
        ({"source": "x" * 101}, "source", "cannot be a name"),
        ({"site": ["north"]}, "site", "is no text"),
        ({"agents": "invent"}, "agents", "not one of the words"),
        ({"agents": True}, "agents", "is no text"),
        ({"date_order": "ydm"}, "date_order", "not one of the words"),
        ({"zone": "Mars/Olympus"}, "zone", "not a time zone"),
        ({"zone": "../../etc/passwd"}, "zone", "not a time zone"),
        ({"dry_run": "yes"}, "dry_run", "neither true nor false"),
        ({"dry_run": 1}, "dry_run", "neither true nor false"),
    ],
)
def test_what_stands_beside_the_calls_must_be_known(
    pbx: Program, beside: dict[str, Any], where: str, says: str
) -> None:
    answer = pbx.send([call()], **beside)
    assert answer.status_code == 400
    assert answer.get_json()["where"] == where and says in answer.get_json()["error"]
    assert "--" not in str(answer.get_json())
    assert db.session.query(Call).count() == db.session.query(ImportRecord).count() == 0


@pytest.mark.parametrize("calls", [[], [call()], ["nothing"]])
def test_an_unknown_site_is_404_however_many_calls_come(pbx: Program, calls: list[Any]) -> None:
    answer = pbx.send(calls, site="nort")
    assert answer.status_code == 404
    assert answer.get_json() == {
        "error": "is no site of the organisation",
        "where": "site",
        "how": "The organisation's sites: north.",
    }
    assert db.session.query(ImportRecord).count() == 0
    assert pbx.send(calls, site="NORTH").status_code == (422 if calls == ["nothing"] else 200)


def test_a_name_beside_the_calls_given_twice_is_refused(pbx: Program) -> None:
    answer = pbx.post('{"source": "pbx", "site": "north", "calls": [], "source": "other"}')
    assert answer.status_code == 400 and "source is given twice" in answer.get_json()["error"]


def test_gzip_and_a_byte_order_mark_are_understood(pbx: Program) -> None:
    body = json.dumps({"source": "pbx", "site": "north", "calls": [call()]}).encode()
    assert fates(pbx.post(gzip.compress(body), Content_Encoding="gzip")) == ["new"]
    halves = gzip.compress(body[:50]) + gzip.compress(body[50:])
    assert fates(pbx.post(halves, Content_Encoding="GZIP")) == ["unchanged"]
    assert fates(pbx.post(b"\xef\xbb\xbf" + body, Content_Type="application/json; charset=utf-8")) == ["unchanged"]


def test_the_example_of_the_documentation_is_taken(pbx: Program, at_noon: ManualClock) -> None:
    at_noon.move_to(utc(2026, 4, 1))
    example = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8").split("-d '")[1].split("'\n")[0]
    assert fates(pbx.post(example)) == ["new"]


# --- what is never told ---


def test_no_phone_or_email_is_ever_repeated(pbx: Program) -> None:
    calls: list[Any] = [
        call("c1", phone=PHONE, email=EMAIL),
        call("c2", phone="+1 212 555 01", email="jo@@example.com"),
        call("c3", talk_seconds=PHONE),
        call("c4", started_at=PHONE),
        call("c5", agent=PHONE, email=EMAIL),
        call("c6", agent=EMAIL),
        call("c7", site=EMAIL),
        call("c8", answered=PHONE),
        call("c9", language=EMAIL),
        call("c10", phone=[PHONE, EMAIL]),
        call("c11") | {PHONE: "phone", EMAIL: "email"},
        PHONE,
        [EMAIL],
    ]
    answer = pbx.send(calls)
    assert "new" in fates(answer) and fates(answer).count("rejected") == 10
    refused = [
        pbx.send([call()], **beside)
        for beside in ({EMAIL: 1}, {PHONE: 1}, {"agents": EMAIL}, {"zone": PHONE}, {"site": EMAIL})
    ]
    assert [each.status_code for each in refused] == [400, 400, 400, 400, 404]
    for part in ("555", "0101", "@", "example.com"):
        assert all(part not in each.get_data(as_text=True) for each in (answer, *refused)), part


# --- how much it asks of the database ---


def test_a_batch_takes_as_many_statements_as_a_call(pbx: Program) -> None:
    def asked(calls: list[dict[str, Any]]) -> int:
        with counted() as statements:
            assert pbx.send(calls).status_code == 200
        return len(statements)

    numbers = [f"+1212555{n:04}" for n in range(100, 200)]
    one = asked([call("a", phone="+12125550199")])
    many = asked([call(f"b{n}", phone=number) for n, number in enumerate(numbers)])
    again = asked([call(f"b{n}", phone=number) for n, number in enumerate(numbers)])
    assert many <= one + 2 and again <= one + 4
