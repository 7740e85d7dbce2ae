"""The public registry for programs: valid certificates of those who agreed to be listed."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from survey.clock import ManualClock
from survey.db import db
from survey.models import Certificate, Level
from tests.certification.conftest import before, world  # noqa: F401  (fixtures)
from tests.certification.world import World


def test_the_registry_as_json(client: FlaskClient, world: World) -> None:  # noqa: F811
    listed, private = world.agent(name="Agent Listed", listed=True), world.agent(name="Agent Private")
    world.announce()
    for agent in (listed, private):
        world.ask(agent, world_class=30)
    world.decide()
    db.session.commit()
    told = client.get("/api/v1/certificates").get_json()["certificates"]
    assert "Agent Listed" in str(told) and "Agent Private" not in str(told)
    for held in db.session.query(Certificate).filter_by(level=Level.AGENT):
        one = client.get(f"/api/v1/certificates/{held.public_id}").get_json()
        assert "Agent Private" not in str(one)
        assert one == client.get(f"/certificates/{held.public_id}.json").get_json()


def test_an_empty_registry_is_an_empty_list(client: FlaskClient, at_noon: ManualClock) -> None:
    assert client.get("/api/v1/certificates").get_json() == {"certificates": []}


@pytest.mark.parametrize("number", ["0" * 32, f"%00{'a' * 31}"])
def test_an_unknown_number_is_a_plain_404(client: FlaskClient, at_noon: ManualClock, number: str) -> None:
    answer = client.get(f"/api/v1/certificates/{number}")
    assert answer.status_code == 404
    assert "no certificate" in answer.get_json()["error"]
