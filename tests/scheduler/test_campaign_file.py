"""The campaign file: every fault said in plain words and all at once, and a manual that knows every field."""

from __future__ import annotations

import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from scheduler import changes
from scheduler.campaign_plan import CampaignPlan, checked, read
from scheduler.changes import OPEN_FIELDS
from scheduler.plan_faults import PlanFaults
from survey.errors import InputError

MANUAL = Path(__file__).parents[2] / "docs" / "guide-campaign-file.md"
REQUIRED = {
    "organisation": "acme",
    "key": "spring",
    "name": "Spring",
    "sites": ["boston"],
    "starts_on": date(2026, 3, 1),
    "ends_on": date(2026, 6, 30),
}
PHONE_ALONE = [{"share": 1, "channels": ["ivr"]}]
# What the manual says of each kind of change after the launch.
WHEN = {
    changes.CONTACT: "at once",
    changes.NAMED: "at once",
    changes.LAST_DAY: "at once, while it is not over",
    changes.FUTURE_CALLS: "for calls from the next day on; with targets no",
    changes.NEXT_RATES: "for the next rates",
    changes.TARGETS: "at once; rates follow when next set",
}


def said(**given: Any) -> str:
    with pytest.raises(InputError) as refused:
        checked(REQUIRED | given)
    return refused.value.what


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"colour": 1}, "colour: is no field of a campaign (docs/guide-campaign-file.md lists them)"),
        ({"call_form": 9}, "call_form: is no field of a campaign (did you mean call_from?)"),
        ({"call_from": 9}, 'call_from: is 9 (give a time of day, such as 09:00:00 or "09:00")'),
        ({"call_until": True}, 'call_until: is true (give a time of day, such as 09:00:00 or "09:00")'),
        ({"starts_on": 5}, "starts_on: is 5 (give a date without quotes, such as 2026-03-01)"),
        ({"ends_on": "soon"}, 'ends_on: is "soon" (give a date without quotes, such as 2026-03-01)'),
        ({"ring_seconds": "x"}, 'ring_seconds: is "x" (give a whole number without quotes, such as 3)'),
        ({"live_calls": 0.5}, "live_calls: is 0.5 (give a whole number without quotes, such as 3)"),
        ({"reminders": 2}, "reminders: is 2 (the most is 1)"),
        ({"target_site": 10**9}, "target_site: is 1000000000 (the most is 1,000,000)"),
        ({"call_weekdays": [0, 7]}, "call_weekdays, entry 2: is 7 (the most is 6: give numbers from 0 (Monday)"),
        ({"sites": "boston"}, 'sites: is "boston" (give a list, such as ["one", "two"])'),
        ({"name": 5}, "name: is 5 (give text between quotes)"),
        ({"queues": [""]}, "queues, entry 1: is empty"),
        ({"sampling": "often"}, 'sampling: is "often" (give "fixed" or "target")'),
        ({"caller_ids": {"us": "+12125550100"}}, 'caller_ids, us: is "us" (give countries by their two capital'),
        ({"hours_by_weekday": {"5": ["10:00"]}}, """hours_by_weekday, 5, entry 2: is ['10:00'] (give from and until"""),
        ({"call_on_holidays": 1}, "call_on_holidays: is 1 (give true or false, without quotes)"),
        ({"rate": 0.1}, 'rate: is 0.1 (write it between quotes, "0.1": then it is exact)'),
        ({"rate": "12,5%"}, 'rate: is "12,5%" (give a rate between quotes, such as "12.5%")'),
        ({"rate": "1.000,5"}, 'rate: is "1.000,5" (give a rate between quotes, such as "1000.5")'),
        ({"rate": "often"}, 'rate: is "often" (give a rate between quotes, such as "1/10")'),
        ({"spend_cap": "1,000.00"}, 'spend_cap: is "1,000.00" (give an amount between quotes, such as "1000.00")'),
        ({"spend_cap": "1,000"}, 'spend_cap: is "1,000" (give an amount between quotes, such as "1000")'),
        ({"spend_cap": "250,50"}, 'spend_cap: is "250,50" (give an amount between quotes, such as "250.50")'),
        ({"spend_cap": "much"}, 'spend_cap: is "much" (give an amount between quotes, such as "250.00")'),
        ({"channel_plan": []}, 'channel_plan: names none (give [{ share = "1", channels = ["ivr", "web"] }])'),
        ({"channel_plan": [{"channels": ["web"]}]}, "channel_plan, entry 1: has no share. Write it as {"),
        ({"channel_plan": [{"share": "1/2", "channels": ["web"]}]}, "channel_plan: shares add up to 1/2, not to 1."),
        ({"rate_floor": "1/9"}, 'rate_floor: holds only with sampling = "target" (remove it, or write sampling ='),
        (
            {"call_from": time(21, 30), "call_until": time(23), "channel_plan": PHONE_ALONE},
            "call_from, call_until: in none of these hours may a phone ring in any country, and it asks by phone alone",
        ),
    ],
)
def test_a_fault_is_said_in_our_own_words(wrong: dict[str, Any], says: str) -> None:
    assert said(**wrong).startswith(says)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: True} for name, field in CampaignPlan.model_fields.items() if field.annotation is int),
        *({name: True} for name in ("rate", "rate_floor", "spend_cap")),
        *({"rate": pair} for pair in ([True, 2], [1, True])),
        {"call_weekdays": [True]},
        {"channel_plan": [{"share": [True, 1], "channels": ["ivr"]}]},
    ],
)
def test_true_is_no_number(wrong: dict[str, Any]) -> None:
    assert "is true (give a number)" in said(**wrong)


def test_hours_in_which_a_phone_rings_somewhere_are_taken() -> None:
    evening = {"call_from": time(21), "call_until": time(23)}
    assert checked(REQUIRED | evening | {"channel_plan": PHONE_ALONE}).call_until == time(23)  # 21:30 in Canada
    assert checked(REQUIRED | evening | {"call_from": time(22)}).channel_plan[0]["channels"] == ["ivr", "web"]


def test_faults_between_fields_are_listed_with_those_within_them() -> None:
    told = said(
        ring_seconds=5,
        colour=1,
        ends_on=date(2026, 1, 1),
        call_until=time(8),
        rate_floor="1/9",
        sampling="target",
        rate_ceiling="1/20",
        hours_by_weekday={"6": ["10:00", "12:00"]},
    )
    assert re.findall(r"^(\w+): ", told, re.MULTILINE) == [
        *("ring_seconds", "colour", "ends_on", "call_until", "hours_by_weekday", "rate_floor")
    ]
    assert "call_until" not in said(call_from=9, call_until=time(8)), "a wrong field is compared with none"
    assert "rate_floor" in said(starts_on="soon", key="two words", rate_floor="1/9"), "nor keeps others from it"


def test_every_entry_and_every_weekday_is_looked_at() -> None:
    told = said(channel_plan=[{"share": 1, "channels": ["sms"]}, {}, {"share": "1/2", "channels": []}])
    assert [line.split(":")[0] for line in told.split("\n")] == [f"channel_plan, entry {n}" for n in (1, 2, 3)]
    told = said(hours_by_weekday={"7": ["10:00", "12:00"], "5": ["16:00", "10:00"]})
    assert "hours_by_weekday, 7: is" in told and "hours_by_weekday, 5: 10:00 is not after 16:00" in told


def test_several_faults_stand_on_their_own_lines_and_one_on_one() -> None:
    with pytest.raises(PlanFaults) as refused:
        checked(REQUIRED | {"reminders": 2, "colour": 1}, "spring.toml")
    lines = str(refused.value).split("\n")
    assert lines[0] == "spring.toml: 2 faults" and lines[-1] == "Correct them and try again."
    assert [line[:4] for line in lines[1:-1]] == ["  re", "  co"] and len(refused.value.faults) == 2
    with pytest.raises(PlanFaults) as refused:
        checked(REQUIRED | {"reminders": 2}, "spring.toml")
    assert str(refused.value) == "spring.toml: reminders: is 2 (the most is 1). Correct it and try again."


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (b'rate = "1/2"\nrate = "1/3"\n', "c.toml, line 2, column 13: is not TOML: a key is given twice: keep one"),
        ('name = "x"\n'.encode("utf-16"), "c.toml, line 1: is not UTF-8 text. Save it as UTF-8."),
        (b'[organisation]\nkey = "acme"\n', "c.toml: is a roster, not a campaign. Give the campaign's own file;"),
        (b'[[agents]]\nkey = "a"\n', "flask roster import c.toml"),
    ],
)
def test_what_is_no_campaign_file_is_told(tmp_path: Path, written: bytes, says: str) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(written)
    with pytest.raises(InputError) as refused:
        read(file)
    assert says in str(refused.value)


def rows_of_the_manual() -> dict[str, tuple[str, str]]:
    """Of each field of the table: its default, and when it may be changed after the launch."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \| ([^|]+) \|$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (default, when) for name, default, when in rows}


def test_the_manual_has_every_field_with_its_default() -> None:
    rows = rows_of_the_manual()
    assert list(rows) == list(CampaignPlan.model_fields)
    given = {name: default for name, (default, _) in rows.items() if default.startswith("`")}
    left = {name: default for name, (default, _) in rows.items() if name not in given}
    assert left == dict.fromkeys(REQUIRED, "must be given") | {"caller_id": "none", "spend_cap": "none"}
    written = tomllib.loads("\n".join(f"{name} = {default.strip('`')}" for name, default in given.items()))
    plain = checked(REQUIRED)
    assert checked(REQUIRED | written) == plain and (plain.caller_id, plain.spend_cap) == (None, None)


def test_the_manual_says_what_may_be_changed_after_the_launch() -> None:
    never = dict.fromkeys(("organisation", "key"), "never, not even in a draft")
    wanted = {name: WHEN[OPEN_FIELDS[name]] if name in OPEN_FIELDS else "no" for name in CampaignPlan.model_fields}
    assert {name: when for name, (_, when) in rows_of_the_manual().items()} == wanted | never


def test_the_manuals_example_is_a_campaign() -> None:
    example = re.search(r"```toml\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert [entry["share"] for entry in checked(tomllib.loads(example[1])).channel_plan] == [[2, 3], [1, 3]]
