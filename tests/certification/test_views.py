"""The public pages: rules first, live status, names only with consent, and a GET that changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from certification import certificates
from survey import clock
from survey.db import db
from survey.models import Agent, Campaign, Certificate, DrawKey, Level
from tests.certification.world import World

TABLES = ("certificates", "assessments", "periods", "audit_entries", "programmes")


@pytest.fixture
def agents(world: World) -> tuple[Agent, Agent]:
    """Two certified agents: Ada agreed to be listed, Bob did not."""
    found = world.agent(name="Ada Listed", listed=True), world.agent(name="Bob Private")
    world.announce()
    for agent in found:
        world.ask(agent, world_class=30)
    world.decide()
    db.session.commit()
    return found


def certificate_of(agent: Agent) -> Certificate:
    return db.session.query(Certificate).filter_by(level=Level.AGENT, subject_id=agent.id).one()


def page(client: FlaskClient, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return response.get_data(as_text=True)


def test_the_registry_gives_the_rules_first_and_names_by_consent_only(
    client: FlaskClient, agents: tuple[Agent, Agent]
) -> None:
    for address in ("/registry", "/registry/2026"):
        html = page(client, address)
        assert html.index("What it takes") < html.index("Ada Listed")
        assert "more than 75%" in html and "<b>25</b> surveys an agent" in html
        assert "Bob Private" not in html and certificate_of(agents[1]).public_id not in html
        assert "1 agent of Acme Telecom besides, not listed by name." in html


def test_consent_taken_back_takes_the_name_back(client: FlaskClient, agents: tuple[Agent, Agent]) -> None:
    ada = certificate_of(agents[0])
    assert "<h1>Ada Listed</h1>" in page(client, f"/certificates/{ada.public_id}")
    agents[0].listed = False
    db.session.commit()
    assert "Ada Listed" not in page(client, "/registry")
    assert "Ada Listed" not in page(client, f"/certificates/{ada.public_id}")


def test_the_certificate_of_somebody_unlisted_names_the_organisation_only(
    client: FlaskClient, agents: tuple[Agent, Agent]
) -> None:
    bob = certificate_of(agents[1])
    html, data = page(client, f"/certificates/{bob.public_id}"), page(client, f"/certificates/{bob.public_id}.json")
    assert "An agent of Acme Telecom" in html and "An agent of Acme Telecom" in data
    assert "Bob Private" not in html + data


def test_a_certificate_says_what_it_rests_on(client: FlaskClient, agents: tuple[Agent, Agent]) -> None:
    ada = certificate_of(agents[0])
    html = page(client, f"/certificates/{ada.public_id}")
    for said in ("Self-declared by Acme Telecom", "30 of 30 counted", "1 January 2026", "6 July 2027", "sqm-2011"):
        assert said in html
    data = client.get(f"/certificates/{ada.public_id}.json").get_json()
    assert (data["status"], data["holder"], data["level"]) == ("valid", "Ada Listed", "agent")
    assert (data["result"], data["self_declared"]) == ({"n": 30, "k": 30}, True)
    assert data["evidence_sha256"] == ada.assessment.evidence_sha256
    assert data["url"] == f"https://survey.example.com/certificates/{ada.public_id}"


def test_expired_and_withdrawn_stay_visible_in_their_year(
    client: FlaskClient, world: World, agents: tuple[Agent, Agent]
) -> None:
    ada, bob = (certificate_of(agent) for agent in agents)
    certificates.withdraw(ada, "The answers were bought.")
    db.session.commit()
    assert "Ada Listed" not in page(client, "/registry")
    assert "The answers were bought." in page(client, "/registry/2026")
    assert "Withdrawn" in page(client, f"/certificates/{ada.public_id}")
    world.clock.move_to(datetime(2027, 7, 5, 23, tzinfo=UTC))
    assert client.get(f"/certificates/{bob.public_id}.json").get_json()["status"] == "valid"
    world.clock.move_to(datetime(2027, 7, 6, tzinfo=UTC))
    assert client.get(f"/certificates/{bob.public_id}.json").get_json()["status"] == "expired"
    assert client.get(f"/certificates/{ada.public_id}.json").get_json()["status"] == "withdrawn"
    assert "1 agent of Acme Telecom" not in page(client, "/registry")


def test_pages_may_be_cached_and_ask_whether_they_changed(client: FlaskClient, agents: tuple[Agent, Agent]) -> None:
    ada = certificate_of(agents[0])
    for address in ("/registry", f"/certificates/{ada.public_id}", f"/certificates/{ada.public_id}.json"):
        first = client.get(address)
        assert "public" in first.headers["Cache-Control"] and "max-age=300" in first.headers["Cache-Control"]
        assert "Set-Cookie" not in first.headers
        again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.get_data()) == (304, b"")
    etag = client.get("/registry").headers["ETag"]
    certificates.withdraw(ada, "Something came up.")
    db.session.commit()
    assert client.get("/registry", headers={"If-None-Match": etag}).status_code == 200


def test_looking_changes_nothing(client: FlaskClient, world: World) -> None:
    """Not even on the decision day, with everything ready to be decided."""
    world.announce()
    world.ask(world.agent(), world_class=30)
    world.clock.move_to(datetime(2026, 7, 10, tzinfo=UTC))
    db.session.commit()
    before = _rows()
    for address in ("/registry", "/registry/2026", f"/certificates/{'0' * 32}", f"/certificates/{'0' * 32}.json"):
        client.get(address)
    assert _rows() == before


NOBODY = (f"%00{'a' * 31}", "F" * 32, "é" * 32)
ODD = [f"{door}{id}{kind}" for id in NOBODY for door, kind in (("/certificates/", ""), ("/certificates/", ".json"))]


@pytest.mark.parametrize(
    "address",
    ["/registry/1999", "/registry/99999999999999999999", f"/certificates/{'f' * 32}", "/certificates/1", *ODD],
)
def test_what_is_not_there_is_not_found(client: FlaskClient, address: str) -> None:
    page(client, address, 404)


def test_an_empty_registry_still_says_the_rules(client: FlaskClient) -> None:
    html = page(client, "/registry")
    assert "Nobody holds a certificate yet." in html and "more than 75%" in html


def test_pages_bring_no_style_or_script_that_the_policy_would_block(
    client: FlaskClient, agents: tuple[Agent, Agent]
) -> None:
    for address in ("/registry", f"/certificates/{certificate_of(agents[0]).public_id}"):
        html = page(client, address)
        assert "<script" not in html and "style=" not in html and "<style" not in html and "http-equiv" not in html
    assert client.get("/registry/static/certification.css").mimetype == "text/css"
    assert date(2026, 7, 6) == certificate_of(agents[0]).achieved_on


def _rows() -> list[object]:
    return [
        db.session.execute(text(f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {t} t")).all() for t in TABLES
    ]


def test_a_draw_key_is_committed_to_at_the_launch_and_shown_after_the_close(client: FlaskClient, world: World) -> None:
    key = db.session.query(DrawKey).one()
    name = db.session.get_one(Campaign, key.campaign_id).name
    sha256, secret = key.sha256, key.key_hex
    db.session.commit()
    html = page(client, "/registry/draws")
    assert name in html and sha256 in html and secret not in html
    (told,) = client.get("/registry/draws.json").get_json()["draw_keys"]
    assert told["sha256"] == sha256 and told["key_hex"] is None
    key = db.session.query(DrawKey).one()
    key.revealed_at = clock.now()
    db.session.commit()
    assert secret in page(client, "/registry/draws")
    assert client.get("/registry/draws.json").get_json()["draw_keys"][0]["key_hex"] == secret
    assert "/registry/draws" in page(client, "/registry")
