"""The drop folder: what is taken when, where it goes, and that nothing which is wrong with one file stops another."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from flask import Flask

from intake import drop_taking
from intake.cli import calls_import
from intake.drop_folder import DropFolder
from intake.drop_report import SETTING_OF
from intake.drop_settings import USES, Feed, FeedKind
from intake.reports import ImportReport
from survey.clock import ManualClock
from survey.db import db
from survey.models import Agent, Call, ControlTotal, ImportRecord, OptOut, Organisation, Supervisor
from tests.conftest import NOON
from tests.intake import samples
from tests.intake.dropping import CALLS, NORTH, ROW, Drop, laid, logged, names, opened, touched
from tests.intake.test_roster import ROSTER

REPORTS = {"calls.csv.report.json", "calls.csv.report.txt"}


@pytest.fixture
def drop(app: Flask, at_noon: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    samples.place()
    return opened(app, tmp_path, monkeypatch)


def imports() -> list[ImportRecord]:
    db.session.expire_all()
    return db.session.query(ImportRecord).order_by(ImportRecord.id).all()


def report_of(file: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads(file.with_name(f"{file.name}.report.json").read_text())
    return told


# --- taken once, and put away ---


def test_a_complete_file_is_taken_once(drop: Drop) -> None:
    feed = drop.feed()
    file = laid(feed)
    file.chmod(0o640)
    assert drop.look().taken == [], "it was seen for the first time"
    (taken,) = drop.look().taken
    assert (taken.feed, taken.file, taken.place, taken.failed) == ("acme", "calls.csv", "done/calls.csv", False)
    assert drop.look().taken == [] and names(feed) == {"intake.toml", "taking", "done", "failed"}
    assert names(feed / "done") == {"calls.csv", *REPORTS} and names(feed / "taking") == set()
    assert (feed / "done" / "calls.csv").read_text() == CALLS
    (record,) = imports()
    assert (record.actor, record.file_name, record.new) == ("drop folder, acme", "calls.csv", 1)
    assert {stat.S_IMODE((feed / "done" / name).stat().st_mode) for name in {"calls.csv", *REPORTS}} == {0o640}


def test_the_report_lies_beside_it_for_people_and_for_programs(drop: Drop) -> None:
    feed = drop.feed()
    laid(feed, text=samples.rows(ROW, "2,zed,2026-03-02 09:00,60"))
    drop.picked()
    done = feed / "done" / "calls.csv"
    told = report_of(done)
    assert (told["outcome"], told["place"], told["taken_at"]) == ("done", "done/calls.csv", "2026-03-12T17:00:00Z")
    assert told["import"]["rejected"] == 1 and told["import"]["import_id"] == imports()[0].id  # type: ignore[index]
    text = (feed / "done" / "calls.csv.report.txt").read_text()
    assert "1 new, 0 updated, 0 unchanged, 1 rejected" in text and "line 3, agent: unknown agent: 'zed'" in text
    rejects = (feed / "done" / "calls.csv.rejects.csv").read_bytes()
    assert b"unknown agent" in rejects and rejects == Path(imports()[0].rejects_file or "").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has no column"),
        (samples.rows("1,amy,02/03/2026 09:00,60"), 'Settle it with date_order = "dmy" or date_order = "mdy"'),
        (samples.rows("1,zed,2026-03-02 09:00,60"), "unknown agent"),
    ],
)
def test_a_file_of_which_nothing_can_be_taken_fails_with_its_report(drop: Drop, text: str, said: str) -> None:
    feed = drop.feed()
    laid(feed, text=text)
    look = drop.picked()
    assert look.failed and look.taken[0].failed and look.taken[0].place == "failed/calls.csv"
    assert (feed / "failed" / "calls.csv").read_text() == text and names(feed / "done") == set()
    assert said in (feed / "failed" / "calls.csv.report.txt").read_text()
    told = report_of(feed / "failed" / "calls.csv")
    assert told["outcome"] == "failed" and ("refused" in told) != ("import" in told) and len(str(told["sha256"])) == 64


def test_the_report_names_the_rejects_beside_it_and_no_path_of_the_server(drop: Drop) -> None:
    feed = drop.feed()
    for _ in range(2):
        laid(feed, text=samples.rows(ROW, "2,zed,2026-03-02 09:00,60"))
        (taken,) = drop.picked().taken
        record = imports()[-1]
        named = f"acme/{taken.place}.rejects.csv"
        text = (feed / f"{taken.place}.report.txt").read_text()
        assert f"Every rejected row: {named}\n" in text and (drop.root / named).exists()
        assert report_of(feed / taken.place)["import"]["rejects_file"] == named  # type: ignore[index]
        assert named in "\n".join(taken.lines())
        server = str(Path(record.rejects_file or "").parent)
        assert server not in text + json.dumps(taken.as_dict()) + "\n".join(taken.lines())
    assert taken.place != "done/calls.csv", "the second has another name, and so has its rejects file"


@pytest.mark.parametrize(
    ("settings", "text", "said"),
    [
        (NORTH, "a,b\n1,2\n", 'Name it in a mapping (mapping = "FILE.toml").'),
        (NORTH, samples.rows("1,amy,02/03/2026 09:00,60"), 'Settle it with date_order = "dmy" or date_order = "mdy"'),
        ('organisation = "acme"\nsource = "switch"\n', CALLS, "its site, and no site is given"),
        (f'{NORTH}kind = "totals"\n', "date,calls\n02/03/2026,4\n", 'Settle it with date_order = "dmy"'),
        (f'{NORTH}kind = "totals"\n', "date,calls\n2026-03-02,4\n", "(is source the one"),
    ],
)
def test_advice_names_settings_of_the_feed_and_no_options_of_a_command(
    drop: Drop, settings: str, text: str, said: str
) -> None:
    feed = drop.feed(settings)
    laid(feed, text=text)
    (taken,) = drop.picked().taken
    told = (feed / f"{taken.place}.report.txt").read_text()
    assert said in told and "a line of acme/intake.toml" in told
    assert "--" not in told + json.dumps(taken.as_dict()) + "\n".join(taken.lines())


def test_every_setting_that_an_option_sets_has_its_option() -> None:
    options = {option for parameter in calls_import.params for option in parameter.opts}
    assert set(SETTING_OF) <= options
    assert USES[FeedKind.CALLS] - set(SETTING_OF.values()) == {"agents"}


def test_a_picker_without_a_log_writes_none(drop: Drop) -> None:
    feed = drop.feed()
    drop.feed("", "broken")
    for picker, events in ((DropFolder(logs=False), 0), (DropFolder(), 2)):
        laid(feed)
        with logged() as entries:
            picker.look(at_most=0)
            assert len(picker.look().taken) == 1
        assert len(entries) == events


def test_nothing_is_ever_overwritten(drop: Drop) -> None:
    feed = drop.feed()
    (feed / "done").mkdir()
    (feed / "done" / "other.csv.report.txt").write_text("mine")
    for name, text in (("calls.csv", CALLS), ("calls.csv", samples.rows(ROW, ROW)), ("other.csv", CALLS)):
        laid(feed, name, text)
        drop.picked()
    first, second, third = (record.id for record in imports())
    files = {"calls.csv", f"calls.import-{second}.csv", f"other.import-{third}.csv"}
    assert {name for name in names(feed / "done") if ".report." not in name} == files
    assert (feed / "done" / "calls.csv").read_text() == CALLS
    assert report_of(feed / "done" / "calls.csv")["import"]["import_id"] == first  # type: ignore[index]
    assert (feed / "done" / "other.csv.report.txt").read_text() == "mine"
    for number in range(3):
        laid(feed, "bad.csv", f"a,b\n{number},2\n")
        drop.picked()
    texts = {
        "bad.csv": "a,b\n0,2\n",
        "bad.20260312T170000Z.csv": "a,b\n1,2\n",
        "bad.20260312T170000Z-2.csv": "a,b\n2,2\n",
    }
    assert {name for name in names(feed / "failed") if ".report." not in name} == set(texts)
    assert {name: (feed / "failed" / name).read_text() for name in texts} == texts


def test_the_same_content_under_another_name_changes_nothing(drop: Drop) -> None:
    feed = drop.feed()
    laid(feed)
    drop.picked()
    laid(feed, "again.csv")
    drop.picked()
    assert [(record.new, record.unchanged) for record in imports()] == [(1, 0), (0, 1)]
    assert imports()[0].sha256 == imports()[1].sha256 and {"calls.csv", "again.csv"} < names(feed / "done")


def test_older_files_go_first(drop: Drop) -> None:
    feed = drop.feed()
    laid(feed, "a.csv", samples.rows("1,amy,2026-03-02 09:00,90"), age=60)
    laid(feed, "b.csv", CALLS, age=120)
    assert [taken.file for taken in drop.picked().taken] == ["b.csv", "a.csv"]
    assert samples.stored()["1"].talk_seconds == 90


# --- complete or not ---


@pytest.mark.parametrize(
    "name",
    ["calls.csv.part", "calls.tmp", "x.filepart", "x.CRDOWNLOAD", "x.swp", "x.ok", "x.done", "x.csv.report.json"],
)
def test_what_its_name_says_is_not_finished_is_left_alone(drop: Drop, name: str) -> None:
    feed = drop.feed()
    laid(feed, name)
    look = drop.picked()
    assert look.taken == [] and [left.what for left in look.left_alone] == [f"acme/{name}"] and not look.failed
    assert (feed / name).read_text() == CALLS


def test_hidden_files_and_the_feeds_own_are_no_ones_business(drop: Drop) -> None:
    feed = drop.feed(f'{NORTH}mapping = "north.toml"\n')
    (feed / "north.toml").write_text('source = "switch"\n')
    for name in (".calls.csv.abc", "README", "readme.txt", "older.toml"):
        laid(feed, name)
    look = drop.picked()
    assert look.taken == [] and look.left_alone == [] and look.lines() == ["There is nothing to take."]


def test_a_file_must_have_settled(drop: Drop, at_noon: ManualClock) -> None:
    feed = drop.feed()
    laid(feed, age=29)
    look = drop.picked()
    assert look.taken == [] and "29 seconds ago" in look.left_alone[0].why
    at_noon.move_to(NOON.replace(second=1))
    assert [taken.file for taken in drop.look().taken] == ["calls.csv"]


def test_a_file_must_be_as_it_was_at_the_look_before(drop: Drop) -> None:
    feed = drop.feed()
    file = laid(feed)
    drop.look()
    file.write_text(CALLS + "2,amy,2026-03-02 10:00,60\n")
    touched(file, 60)  # a copy that keeps its original's time
    look = drop.look()
    assert look.taken == [] and "has changed" in look.left_alone[0].why
    assert len(drop.look().taken) == 1


def test_a_time_in_the_future_is_waited_for(drop: Drop) -> None:
    laid(drop.feed(), age=-3600)
    look = drop.picked()
    assert look.taken == [] and "in the future" in look.left_alone[0].why


@pytest.mark.parametrize("ending", [".ok", ".done"])
def test_a_finished_marker_counts_at_once_and_goes_with_its_file(drop: Drop, ending: str) -> None:
    feed = drop.feed()
    laid(feed, age=0)
    laid(feed, f"calls.csv{ending}", "", age=0)
    assert [taken.file for taken in drop.look().taken] == ["calls.csv"]
    assert names(feed) == {"intake.toml", "taking", "done", "failed"}


def test_a_marker_older_than_its_file_was_anothers(drop: Drop) -> None:
    feed = drop.feed()
    laid(feed, age=5)
    laid(feed, "calls.csv.ok", "", age=10)
    assert drop.picked().taken == [] and "calls.csv" in names(feed)


def test_links_pipes_and_folders_are_left_alone(drop: Drop, tmp_path: Path) -> None:
    feed = drop.feed()
    outside = laid(tmp_path, "secret.csv")
    (feed / "link.csv").symlink_to(outside)
    (feed / "dangling.csv").symlink_to(tmp_path / "nowhere.csv")
    (feed / "folder").mkdir()
    os.mkfifo(feed / "pipe.csv")
    (feed / "within.csv").symlink_to("intake.toml")
    for name in ("link.csv", "dangling.csv", "folder", "pipe.csv", "within.csv"):
        touched(feed / name, 60)
    look = drop.picked()
    assert look.taken == [] and len(look.left_alone) == 5 and samples.stored() == {}
    assert (feed / "link.csv").is_symlink() and outside.read_text() == CALLS


def test_a_link_that_takes_a_files_place_is_never_followed(drop: Drop, tmp_path: Path) -> None:
    feed = drop.feed()
    (feed / "taking").mkdir()
    (feed / "taking" / "calls.csv").symlink_to(laid(tmp_path, "secret.csv"))
    (taken,) = drop.look().taken
    assert taken.failed and samples.stored() == {} and (feed / "failed" / "calls.csv").is_symlink()
    assert "is a link" in (feed / "failed" / "calls.csv.report.txt").read_text()


@pytest.mark.parametrize("name", ["a\nb.csv", os.fsdecode(b"a\xffb.csv"), "x" * 201])
def test_names_that_cannot_be_written_down_are_left_alone(drop: Drop, name: str) -> None:
    laid(drop.feed(), name)
    look = drop.picked()
    assert look.taken == [] and "rename it" in look.left_alone[0].why
    json.dumps(look.as_dict()).encode()


def test_a_file_that_is_written_to_while_it_is_read_is_taken_again(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = drop.feed()
    laid(feed)
    importer = drop_taking.IMPORTERS[FeedKind.CALLS]

    def slow(of: Feed, path: Path) -> ImportReport:
        report = importer(of, path)
        path.write_text(CALLS + "2,amy,2026-03-02 10:00,60\n")
        return report

    with monkeypatch.context() as patched:
        patched.setattr(drop_taking, "IMPORTERS", {FeedKind.CALLS: slow})
        look = drop.picked()
    assert look.taken == [] and look.failed and "written to while it was read" in look.left_alone[0].why
    assert [taken.place for taken in drop.look().taken] == ["done/calls.csv"] and set(samples.stored()) == {"1", "2"}


# --- every kind of feed ---


def test_calls_as_the_settings_say(drop: Drop) -> None:
    feed = drop.feed(
        f'{NORTH}kind = "calls"\nsource = "switch"\nformat = "generic"\nmapping = "m.toml"\ndate_order = "dmy"\n'
        'agents = "create"\n'
    )
    (feed / "m.toml").write_text(
        '[columns]\nexternal_id = "Ref"\nagent = "Who"\nstarted_at = "Wann"\nduration = "Len"\ntalk_seconds = "Len"\n'
    )
    laid(feed, text="Ref;Who;Wann;Len\n7;zed;02/03/2026 09:00;60\n")
    (taken,) = drop.picked().taken
    assert not taken.failed, taken
    call = db.session.query(Call).one()
    assert (call.source, call.started_at.month, call.started_at.day) == ("switch", 3, 2)
    assert db.session.query(Agent).filter_by(key="zed").count() == 1


def test_a_format_named_is_the_only_one_tried(drop: Drop) -> None:
    laid(drop.feed(f'{NORTH}format = "xlsx"\n'))
    (taken,) = drop.picked().taken
    assert taken.failed and "is not a readable Excel workbook" in taken.lines()[1]


def test_a_roster_and_optouts(drop: Drop) -> None:
    roster = drop.feed('kind = "roster"\norganisation = "acme"\n', "roster")
    optouts = drop.feed('kind = "optouts"\norganisation = "acme"\n', "optouts")
    laid(roster, "roster.toml", ROSTER)
    laid(optouts, "stop.csv", "contact\n212-555-0101\njo@example.com\n")
    look = drop.picked()
    assert {taken.place for taken in look.taken} == {"done/roster.toml", "done/stop.csv"} and not look.failed
    assert db.session.query(OptOut).count() == 2 and db.session.query(Supervisor).count() > 0
    assert {record.actor for record in imports()} == {"drop folder, roster", "drop folder, optouts"}
    assert "0101" not in "".join(path.read_text() for path in (optouts / "done").glob("*.report.*"))


def test_control_totals(drop: Drop) -> None:
    feed = drop.feed(f'{NORTH}kind = "totals"\nsource = "switch"\ndate_order = "dmy"\n', "totals")
    laid(feed, "totals.csv", "date,calls\n02/03/2026,40\nsoon,40\n")
    (taken,) = drop.picked().taken
    total = db.session.query(ControlTotal).one()
    assert not taken.failed and (total.source, total.calls, total.starts_at.month) == ("switch", 40, 3)
    assert b"not a date" in (feed / "done" / "totals.csv.rejects.csv").read_bytes()


def test_a_feed_brings_in_no_other_organisations_roster(drop: Drop) -> None:
    feed = drop.feed('kind = "roster"\norganisation = "other"\n')
    laid(feed, "roster.toml", ROSTER)
    (taken,) = drop.picked().taken
    assert taken.failed and "is the roster of 'acme', but this feed is of 'other'" in taken.lines()[1]
    assert db.session.query(Organisation).count() == 1 and imports() == []
