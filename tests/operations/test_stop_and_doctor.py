"""The global stop, the doctor's findings and the doors for machines."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from operations import doctor
from survey import breakers, channel_trouble, clock, standstill
from survey.clock import ManualClock
from survey.db import db
from survey.errors import Refused
from survey.models import AuditEntry, CampaignState, Channel
from survey.settings import Settings
from tests import factories


def test_stop_and_lift_by_command(app: Flask, at_noon: ManualClock) -> None:
    runner = app.test_cli_runner()
    stopped = runner.invoke(args=["stop", "--reason", "a complaint"])
    assert stopped.exit_code == 0 and "flask stop --lift" in stopped.output
    assert standstill.in_force() is not None
    again = runner.invoke(args=["stop", "--json"])
    told = json.loads(again.output)
    assert (told["stopped"], told["already"], told["reason"]) == (True, True, "a complaint")
    drill = runner.invoke(args=["stop", "--reason", "fire drill"]).output
    assert drill.startswith(
        "Contact was stopped already, since 2026-03-12T17:00:00Z by command line, for this reason: a"
    )
    assert "The reason given now stands in the audit trail only." in drill and "stop --lift" in drill
    assert runner.invoke(args=["stop", "--lift"]).output == "Contact goes on with the next tick.\n"
    assert standstill.in_force() is None
    assert runner.invoke(args=["stop", "--lift"]).exit_code == 1
    noted = [(entry.action, entry.detail.get("reason")) for entry in db.session.query(AuditEntry)]
    drill_noted = ("contact stopped again", "fire drill")
    assert noted == [("contact stopped", "a complaint"), drill_noted, ("contact goes on", None)]


def test_nothing_to_lift_is_refused(app: Flask, at_noon: ManualClock) -> None:
    with pytest.raises(Refused, match="not stopped"):
        standstill.lift("test")


def test_health_and_readiness(client: FlaskClient, at_noon: ManualClock) -> None:
    assert client.get("/healthz").get_json() == {"status": "ok"}
    working = {"ivr": "working", "web": "working"}
    assert client.get("/readyz").get_json() == {"status": "ok", "contact": "going on", "channels": working}
    standstill.begin("test")
    db.session.commit()
    assert client.get("/readyz").get_json()["contact"] == "stopped"


def test_readiness_tells_of_a_channel_that_keeps_failing(client: FlaskClient, at_noon: ManualClock) -> None:
    for _ in range(breakers.OPENS_AFTER):
        breakers.failed(Channel.IVR, "correct the password", None)
    db.session.commit()
    ready = client.get("/readyz")
    assert ready.status_code == 200, "answers still come in"
    assert ready.get_json()["channels"] == {"ivr": "failing", "web": "working"}
    assert "password" not in ready.text


def test_metrics_count_without_naming(client: FlaskClient, at_noon: ManualClock) -> None:
    attempt = factories.attempt()
    db.session.commit()
    told = client.get("/metrics").get_data(as_text=True)
    assert 'aftercall_surveys{state="open"} 1.0' in told
    assert 'aftercall_attempts{state="planned"} 1.0' in told
    assert attempt.survey.agent.name not in told


def test_the_front_door_leads_to_the_registry(client: FlaskClient) -> None:
    assert client.get("/").headers["Location"] == "/registry"


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which somebody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def settings_with(app: Flask, **given: object) -> Settings:
    settings: Settings = app.config["SETTINGS"]
    return settings.model_copy(update=given)


class TestDoctor:
    def test_the_database_and_its_tables_are_well(self, app: Flask) -> None:
        settings = app.config["SETTINGS"]
        assert doctor.database(settings).well
        assert doctor.migrations(settings).well

    def test_old_tables_say_how_to_mend_them(self, app: Flask) -> None:
        db.session.execute(db.text("UPDATE alembic_version SET version_num = '0001'"))
        found = doctor.migrations(app.config["SETTINGS"])
        db.session.rollback()
        assert not found.well and "flask database upgrade" in found.says

    def test_a_missing_account_names_the_settings(self, app: Flask) -> None:
        found = doctor.phone_network(settings_with(app, twilio_account_sid="", twilio_from=""))
        assert not found.well and "TWILIO_ACCOUNT_SID, TWILIO_FROM" in found.says

    def test_who_has_a_number_of_its_own_needs_no_other(self, app: Flask) -> None:
        given = settings_with(app, twilio_from="")
        assert channel_trouble.unset(Channel.IVR, given) == ["TWILIO_FROM"]
        assert channel_trouble.unset(Channel.IVR, given, own_caller=True) == []

    def test_a_phone_network_that_answers(self, app: Flask, listening: int) -> None:
        assert doctor.phone_network(settings_with(app, twilio_api_base=f"http://127.0.0.1:{listening}")).well

    def test_a_phone_network_that_does_not(self, app: Flask, listening: int) -> None:
        found = doctor.phone_network(settings_with(app, twilio_api_base="http://127.0.0.1:1"))
        assert not found.well and "TWILIO_API_BASE" in found.says

    @pytest.mark.parametrize("url", ["relay.example.com:25", "smtp://relay:port", "smtp://[relay", "smtps://"])
    def test_an_address_that_is_none_is_a_finding_and_no_crash(self, app: Flask, url: str) -> None:
        mail = doctor.mail_relay(settings_with(app, smtp_url=url))
        phone = doctor.phone_network(settings_with(app, twilio_api_base=url.replace("smtp", "http")))
        assert not mail.well and "SMTP_URL is not an address" in mail.says
        assert not phone.well and "TWILIO_API_BASE is not an address" in phone.says

    @pytest.mark.parametrize("url", [None, "smtp://127.0.0.1:1"])
    def test_a_mail_relay_that_is_not_there(self, app: Flask, url: str | None) -> None:
        found = doctor.mail_relay(settings_with(app, smtp_url=url))
        assert not found.well and "SMTP_URL" in found.says

    @pytest.mark.parametrize(
        ("url", "well"), [("https://survey.example.com", True), ("http://survey.example.com", False)]
    )
    def test_the_public_address_must_be_https(self, app: Flask, url: str, well: bool) -> None:
        assert doctor.public_address(settings_with(app, public_base_url=url)).well is well

    def test_the_command_lists_every_part_and_fails_when_one_does(self, app: Flask) -> None:
        result = app.test_cli_runner().invoke(args=["doctor", "--json"])
        parts = [finding["part"] for finding in json.loads(result.output)]
        assert parts[:5] == ["database", "clocks", "tables", "phone network", "mail relay"]
        assert result.exit_code == 1


class TestWarnings:
    """What keeps customers from being asked though every part is well."""

    def test_a_stop_says_why_and_how_to_go_on(self, app: Flask, at_noon: ManualClock) -> None:
        assert doctor.contact(app.config["SETTINGS"]).mark == "ok"
        standstill.begin("test", "a complaint")
        found = doctor.contact(app.config["SETTINGS"])
        assert found.well and found.mark == "warn"
        assert "since 2026-03-12T17:00:00Z, by test (a complaint)" in found.says and "flask stop --lift" in found.says

    def test_a_channel_left_alone(self, app: Flask, at_noon: ManualClock) -> None:
        assert doctor.channels(app.config["SETTINGS"]).mark == "ok"
        for _ in range(breakers.OPENS_AFTER):
            breakers.failed(Channel.WEB, "the relay said no", None)
        found = doctor.channels(app.config["SETTINGS"])
        assert found.mark == "warn" and "emails keep failing (the relay said no)" in found.says

    @pytest.mark.parametrize(
        ("state", "hours", "mark"),
        [
            (CampaignState.PAUSED, 23, "warn"),
            (CampaignState.PAUSED, 25, "ok"),
            (CampaignState.ACTIVE, 23, "ok"),
        ],
    )
    def test_a_pause_that_costs_surveys(
        self, app: Flask, at_noon: ManualClock, state: CampaignState, hours: int, mark: str
    ) -> None:
        campaign = factories.campaign(state=state, key="spring")
        factories.survey(within=campaign, deadline=clock.now() + timedelta(hours=hours))
        found = doctor.paused_campaigns(app.config["SETTINGS"])
        assert found.mark == mark
        resume = f"flask campaigns resume {campaign.organisation.key}/spring"
        assert (resume in found.says) is (mark == "warn")


def test_clocks_that_differ_are_told(app: Flask, at_noon: ManualClock) -> None:
    """The database's clock is the real one, and ours stands at NOON."""
    found = doctor.clocks(app.config["SETTINGS"])
    assert not found.well and "set both by NTP" in found.says


def test_clocks_that_agree(app: Flask) -> None:
    assert doctor.clocks(app.config["SETTINGS"]).well
