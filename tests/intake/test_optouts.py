"""Opt-outs by command and by file: recorded once, lifted with a trace, never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from intake import optouts as intake_optouts
from survey import optouts, turns
from survey.clock import ManualClock
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import AuditEntry, ImportRecord, Organisation
from tests import factories, statements
from tests.intake import samples
from tests.intake.test_cli import run


@pytest.fixture(autouse=True)
def site(app: Flask, at_noon: ManualClock) -> None:
    samples.place()


def actions() -> list[str]:
    return [entry.action for entry in db.session.query(AuditEntry).order_by(AuditEntry.id)]


def test_an_optout_holds_for_the_customer_however_the_number_was_written() -> None:
    customer = factories.customer(db.session.query(Organisation).one().id, phone="+12125550101", email=None)
    assert intake_optouts.add("acme", "(212) 555-0101", actor="jo")[:2] == ("phone", True)
    assert intake_optouts.add("acme", "+1 212 555 0101", actor="jo")[:2] == ("phone", False)
    assert optouts.kinds_in_force(customer) == {"phone"}
    assert intake_optouts.remove("acme", "212.555.0101", actor="jo") == "phone"
    assert optouts.kinds_in_force(customer) == frozenset()
    assert actions() == ["opt-out added", "opt-out removed"]


def test_lifting_what_is_not_in_force_is_refused() -> None:
    with pytest.raises(NotFound):
        intake_optouts.remove("acme", "jo@example.com", actor="jo")
    assert actions() == []


def test_a_file_of_optouts(tmp_path: Path) -> None:
    good = "contact,kind\n212-555-0101,\nJo@example.com,email\njo@EXAMPLE.com,\n,\n"
    rows = f"{good}12,phone\nx@example.com,fax\n212-555-0102,email\n"
    report = intake_optouts.import_optouts(samples.written(tmp_path, rows), "acme", actor="jo")
    assert samples.counts(report) == (2, 0, 1, 3)
    assert report.rejected_by == {
        "phone: is not a valid phone number": 1,
        "the kind is neither phone nor email": 1,
        "email: is not a valid email address": 1,
    }
    assert "555" not in str(report.as_dict())
    assert db.session.query(ImportRecord).one().new == 2
    assert samples.counts(intake_optouts.import_optouts(tmp_path / "calls.csv", "acme", actor="jo")) == (0, 0, 3, 3)


def test_every_rejected_row_is_kept_with_its_line_and_without_its_contact(tmp_path: Path) -> None:
    """Whoever stands in such a row asked to be left alone, and must be found again."""
    rows = "".join(f"{'2125550101' if line % 2 else f'12{line:07}'},phone\n" for line in range(2, 62))
    report = intake_optouts.import_optouts(samples.written(tmp_path, f"contact,kind\n{rows}"), "acme", actor="jo")
    assert samples.counts(report) == (1, 0, 29, 30) and report.rejects_file
    kept = Path(report.rejects_file).read_text(encoding="utf-8").splitlines()
    assert kept[0] == "line,column,reason"
    assert kept[1:] == [f"{line},contact,phone: is not a valid phone number" for line in range(2, 62, 2)]
    assert f"Every rejected row: {report.rejects_file}" in report.lines()
    assert db.session.query(ImportRecord).one().rejects_file == report.rejects_file


def test_the_rejects_may_go_to_a_file_of_ones_own(app: Flask, tmp_path: Path) -> None:
    file, rejects = samples.written(tmp_path, "contact\n12\n212-555-0101\n"), tmp_path / "rejects.csv"
    said = run(app, "optouts", "import", file, "--organisation", "acme", "--rejects", rejects)
    assert said.exit_code == 0 and f"Every rejected row: {rejects}" in said.output
    assert rejects.read_text() == "line,column,reason\n2,contact,phone: is not a valid phone number\n"
    over = run(app, "optouts", "import", file, "--organisation", "acme", "--rejects", file)
    assert over.exit_code == 1 and "would overwrite the file that is read" in over.output
    assert db.session.query(ImportRecord).count() == 1


@pytest.mark.parametrize("swapped", ["+12125550177", "jo@example.com", "212-555-0177"])
def test_a_contact_in_the_column_of_kinds_is_not_told(app: Flask, tmp_path: Path, swapped: str) -> None:
    file = samples.written(tmp_path, f"contact,kind\nphone,{swapped}\n")
    said = run(app, "optouts", "import", file, "--organisation", "acme", "--json")
    report = json.loads(said.output)
    (reject,) = report["rejects"]
    assert reject == {"where": "line 2", "column": "kind", "reason": "the kind is neither phone nor email"}
    for told in (said.output, Path(report["rejects_file"]).read_text()):
        assert "0177" not in told and "jo@" not in told


def test_many_optouts_are_few_statements(tmp_path: Path) -> None:
    def asked(count: int) -> int:
        rows = "".join(f"caller{number}@example.com\n" for number in range(count))
        with statements.counted() as made:
            intake_optouts.import_optouts(samples.written(tmp_path, f"contact\n{rows}{rows}"), "acme", actor="jo")
        return len(made)

    few = asked(2)
    assert asked(100) == few


def test_a_contact_that_comes_twice_is_new_once_over_batches_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_optouts, "BATCH", 2)
    rows = "a@example.com\nA@example.com\nb@example.com\na@example.com\nc@example.com\n"
    report = intake_optouts.import_optouts(samples.written(tmp_path, f"contact\n{rows}"), "acme", actor="jo")
    assert samples.counts(report) == (3, 0, 2, 0) and len(intake_optouts.listed("acme")) == 3


def test_no_draw_begins_while_they_go_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are stamped before they can be seen: decided in between, a call would be replayed as one opted out."""
    add_all, importing = optouts.add_all, []

    def written(organisation_id: int, *given: Any) -> set[bytes]:
        importing.append((organisation_id, turns.importing()))
        return add_all(organisation_id, *given)

    monkeypatch.setattr(optouts, "add_all", written)
    intake_optouts.import_optouts(samples.written(tmp_path, "contact\na@example.com\n"), "acme", actor="jo")
    ((organisation_id, seen),) = importing
    assert seen == {organisation_id} and turns.importing() == set()


@pytest.mark.parametrize("written", ["+1 212 555 0123 ext 5", "212-555-0123 x5", "+12125550123;ext=5", "2125550123 #5"])
def test_a_phone_with_an_extension_stops_the_whole_number(tmp_path: Path, written: str) -> None:
    """A call to the number would reach the house of whoever asked to be left alone."""
    customer = factories.customer(db.session.query(Organisation).one().id, phone="+12125550123", email=None)
    file = samples.written(tmp_path, f"contact\n{written}\n212-555-0123\n800-555-0199 x5\n")
    report = intake_optouts.import_optouts(file, "acme", actor="jo")
    assert samples.counts(report) == (1, 0, 1, 1) and report.notes == {intake_optouts.EXTENSION: 1}
    assert f"Note: {intake_optouts.EXTENSION}: 1." in report.lines()
    assert optouts.kinds_in_force(customer) == {"phone"}
    assert intake_optouts.add("acme", written, actor="jo") == ("phone", False, True)


def test_lifting_by_an_extension_is_refused_since_it_would_lift_the_whole_number() -> None:
    assert intake_optouts.add("acme", "212-555-0123 x5", actor="jo") == ("phone", True, True)
    with pytest.raises(InputError, match="the whole number") as refused:
        intake_optouts.remove("acme", "212-555-0123 x6", actor="jo")
    assert "0123" not in str(refused.value)
    assert intake_optouts.remove("acme", "212-555-0123", actor="jo") == "phone"


def test_the_list_shows_no_contact() -> None:
    intake_optouts.add("acme", "212-555-0101", actor="jo")
    intake_optouts.add("acme", "jo@example.com", actor="jo")
    intake_optouts.remove("acme", "jo@example.com", actor="jo")
    (found,) = intake_optouts.listed("acme")
    assert found == {
        "id": found["id"],
        "kind": "phone",
        "source": "command",
        "created_at": "2026-03-12T17:00:00Z",
        "removed_at": None,
    }
    everything = intake_optouts.listed("acme", removed_too=True)
    assert [optout["removed_at"] for optout in everything] == [None, "2026-03-12T17:00:00Z"]


@pytest.mark.parametrize("contact", ["", "hello", "jo@", "800-555-0199"])
def test_what_is_no_contact_is_refused_without_repeating_it(contact: str) -> None:
    with pytest.raises(InputError) as refused:
        intake_optouts.add("acme", contact, actor="jo")
    assert not contact or contact not in str(refused.value)
