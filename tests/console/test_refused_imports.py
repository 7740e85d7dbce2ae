"""Files that were refused as a whole, as the list of imports shows them."""

from __future__ import annotations

import html
import re
from datetime import timedelta

from intake import refusals
from intake.refusals import Attempt, Door
from survey import clock
from survey.db import db
from survey.errors import InputError
from survey.models import ImportKind, Site
from tests import factories
from tests.console.conftest import Browser
from tests.console.test_imports import SignedIn, text_of


def refused(place: Site | None, name: str = "refused.csv", reason: str = "is empty") -> None:
    """A file of the place's organisation (none: of nobody known) that was refused just now."""
    key = None if place is None else place.organisation.key
    attempt = Attempt(name, "0" * 64, ImportKind.CALLS, Door.DROP_FOLDER, key, "drop folder, acme", clock.now())
    refusals.note(attempt, InputError(reason, where=f"/srv/intake/{name}"))


def test_refused_files_stand_among_the_imports_by_their_time(
    signed_in: SignedIn, place: Site, at_noon: clock.ManualClock
) -> None:
    for n in range(3):
        factories.import_record(place.organisation_id, file_name=f"taken-{n}.csv", finished_at=clock.now())
        db.session.commit()
        refused(place, f"refused-{n}.csv")
        at_noon.move_to(clock.now() + timedelta(minutes=1))
    page = signed_in("auditor", place.organisation).get("/console/imports").text
    names = re.findall(r"\b((?:taken|refused)-\d)\.csv", page)
    assert names == ["taken-2", "refused-2", "taken-1", "refused-1", "taken-0", "refused-0"]
    told = "refused-0.csv Refused 12 Mar 2026, 13:00 EDT (17:00 UTC) drop folder, acme Calls It is empty. "
    assert told + "Nothing of it was taken. It came by the drop folder." in text_of(page) and "/srv" not in page


def test_reasons_are_sentences(signed_in: SignedIn, place: Site) -> None:
    refused(place, reason="there is no site 'south'")
    refused(place, reason="has a header but no rows")
    page = text_of(signed_in("auditor", place.organisation).get("/console/imports").text)
    assert "Calls There is no site 'south'." in page and "Calls It has a header but no rows." in page


def test_pages_of_imports_and_refused_files_have_each_once(signed_in: SignedIn, place: Site) -> None:
    for n in range(45):
        factories.import_record(place.organisation_id, file_name=f"taken-{n}.csv")
        db.session.commit()
        refused(place, f"refused-{n}.csv")
    browser, path, seen = signed_in("auditor", place.organisation), "/console/imports", []
    while path and len(seen) < 200:
        page = browser.get(path).text
        seen += re.findall(r"\b((?:taken|refused)-\d+)\.csv", page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else ""
    assert len(seen) == 90 == len(set(seen))
    assert seen[:45] == [f"taken-{n}" for n in range(44, -1, -1)], "at one moment the imports come first"


def test_refused_files_are_their_organisations_alone(signed_in: SignedIn, place: Site, browser: Browser) -> None:
    refused(factories.site(), "theirs.csv")
    db.session.commit()
    refused(None, "nobodys.csv")
    page = signed_in("administrator", place.organisation).get("/console/imports").text
    assert "theirs.csv" not in page and "nobodys.csv" not in page
    browser.post("/console/sign-out", "/console/")
    page = signed_in("administrator").get("/console/imports").text
    assert "nobodys.csv" in page


def test_an_address_of_another_organisations_line_begins_nowhere(signed_in: SignedIn, place: Site) -> None:
    theirs = factories.import_record(factories.site().organisation_id)
    db.session.commit()
    page = signed_in("auditor", place.organisation).get(f"/console/imports?before={theirs.id}").text
    assert "There are no older imports." in page
