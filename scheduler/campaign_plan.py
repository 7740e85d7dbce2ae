"""A campaign as it is written down, in a TOML file or by keyword, checked in every point before a row is made of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, time
from fractions import Fraction
from pathlib import Path
from typing import Any

import phonenumbers
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator

from scheduler import plan_faults
from scheduler.hours import Window
from scheduler.plan_faults import PlanFaults
from scheduler.plan_fields import Clock, Country, Day, Entry, Hours, Money, Name, Rate, Weekday, Whole, listed
from scheduler.ringing import rings_anywhere
from scheduler.sampling import check_total
from survey.errors import InputError
from survey.models import Channel, MachineDetection, Sampling
from survey.questionnaire import LANGUAGES, QUESTIONNAIRES
from survey.toml_files import read_toml

# A rule between fields goes by the fields that it is about.
Rule = tuple[str, ...]
FINEST_RATE = 10**9
LOWEST, HIGHEST = Fraction(1, 100), Fraction(1)
MOST_MONEY = 10**12
E164 = re.compile(r"\+[1-9]\d{6,14}")
NO_NUMBER = "must be +, country code and number, without spaces"


class CampaignPlan(BaseModel):
    """Every field of a campaign file. Dates are local to each site, hours to the customer, weekdays from Monday = 0.

    Each field is checked by itself here; `checked` also sees that they go together. docs/guide-campaign-file.md says
    what they mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    organisation: str
    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    name: str = Field(min_length=1, max_length=200)
    sites: list[str] = Field(min_length=1)
    starts_on: Day
    ends_on: Day
    queues: list[Name] = []
    topics: list[Name] = []
    rate: Rate = Fraction(1, 10)
    sampling: Sampling = Sampling.FIXED
    rate_floor: Rate = LOWEST
    rate_ceiling: Rate = HIGHEST
    channel_plan: list[Entry] = Field([{"share": [1, 1], "channels": ["ivr", "web"]}], min_length=1)
    questionnaire: str = "core-1"
    languages: list[str] = ["en"]
    min_talk_seconds: Whole = Field(10, ge=0, le=86_400)
    quarantine_days: Whole = Field(30, ge=0, le=365)
    call_from: Clock = time(9)
    call_until: Clock = time(20)
    call_weekdays: list[Weekday] = [0, 1, 2, 3, 4, 5]
    hours_by_weekday: dict[Weekday, Hours] = {}
    call_on_holidays: StrictBool = False
    calls_need_consent: StrictBool = False
    dials_per_survey: Whole = Field(3, ge=1, le=10)
    dials_per_number: Whole = Field(3, ge=1, le=10)
    ring_seconds: Whole = Field(25, ge=15, le=60)
    machine_detection: MachineDetection = MachineDetection.OFF
    voicemail_message: StrictBool = False
    speech: StrictBool = False
    caller_id: str | None = None
    caller_ids: dict[Country, str] = {}
    calls_per_second: Whole = Field(1, ge=1, le=100)
    live_calls: Whole = Field(20, ge=1, le=10_000)
    emails_per_minute: Whole = Field(60, ge=1, le=60_000)
    reminders: Whole = Field(0, ge=0, le=1)
    spend_cap: Money = None
    target_agent: Whole = Field(25, ge=0, le=1_000_000)
    target_supervisor: Whole = Field(200, ge=0, le=1_000_000)
    target_site: Whole = Field(800, ge=0, le=1_000_000)

    @field_validator("channel_plan")
    @classmethod
    def _shares_add_up(cls, plan: list[dict[str, Any]]) -> list[dict[str, Any]]:
        listed(lambda: check_total(plan))
        return plan

    @field_validator("rate", "rate_floor", "rate_ceiling")
    @classmethod
    def _rate_is_a_chance(cls, rate: Fraction) -> Fraction:
        if not 0 < rate <= 1:
            raise ValueError("must be above 0 and at most 1")
        if rate.denominator > FINEST_RATE:
            raise ValueError(f"is finer than one in {FINEST_RATE:,}")
        return rate

    @field_validator("call_from", "call_until")
    @classmethod
    def _hours_are_the_customers(cls, hour: time) -> time:
        if hour.tzinfo is not None:
            raise ValueError("must have no offset: it is the customer's own time")
        return hour

    @field_validator("languages")
    @classmethod
    def _languages_are_spoken(cls, languages: list[str]) -> list[str]:
        unknown = [language for language in languages if language not in LANGUAGES]
        if unknown or not languages:
            raise ValueError(f"choose from {', '.join(LANGUAGES)}")
        return list(dict.fromkeys(languages))

    @field_validator("questionnaire")
    @classmethod
    def _questionnaire_exists(cls, version: str) -> str:
        if version not in QUESTIONNAIRES:
            raise ValueError(f"choose from {', '.join(QUESTIONNAIRES)}")
        return version

    @field_validator("caller_id")
    @classmethod
    def _caller_id_is_a_number(cls, caller_id: str | None) -> str | None:
        if caller_id is not None and not E164.fullmatch(caller_id):
            raise ValueError(NO_NUMBER)
        return caller_id

    @field_validator("caller_ids")
    @classmethod
    def _caller_ids_are_numbers(cls, caller_ids: dict[str, str]) -> dict[str, str]:
        for country, caller_id in caller_ids.items():
            if country not in phonenumbers.SUPPORTED_REGIONS:
                raise ValueError(f"{country} is no country with telephone numbers (write them as US, GB, ...)")
            if not E164.fullmatch(caller_id):
                raise ValueError(f"{country}: {NO_NUMBER}")
        return caller_ids

    @field_validator("spend_cap")
    @classmethod
    def _spend_cap_is_money(cls, cap: Fraction | None) -> Fraction | None:
        if cap is not None and (cap < 0 or cap > MOST_MONEY or (cap * 100).denominator != 1):
            raise ValueError("must be an amount with at most two decimals, from 0 on, such as 250.00")
        return cap

    @field_validator("call_weekdays", "sites", "queues", "topics")
    @classmethod
    def _named_once(cls, values: list[Any]) -> list[Any]:
        return sorted(set(values))

    @property
    def window(self) -> Window:
        """The calling hours."""
        own = tuple((day, *hours) for day, hours in sorted(self.hours_by_weekday.items()))
        return Window(self.call_from, self.call_until, tuple(self.call_weekdays), own, self.call_on_holidays)

    def columns(self) -> dict[str, Any]:
        """The campaign row's columns, all but the organisation's id."""
        return columns_of({name: getattr(self, name) for name in type(self).model_fields if name not in _NOT_COLUMNS})


_NOT_COLUMNS = frozenset({"organisation", "sites"})


def columns_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The campaign row's columns for fields of a checked plan."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if name in ("rate", "rate_floor", "rate_ceiling"):
            column = name.removeprefix("rate_")
            columns |= {f"{column}_numerator": value.numerator, f"{column}_denominator": value.denominator}
        elif name == "spend_cap":
            columns[name] = None if value is None else int(value * 100)
        elif name == "hours_by_weekday":
            columns[name] = {str(day): [f"{hour:%H:%M}" for hour in hours] for day, hours in sorted(value.items())}
        else:
            columns[name] = value
    return columns


def checked(
    values: Mapping[str, Any], where: str = "campaign", more: Sequence[str] = (), left: Collection[Rule] = ()
) -> CampaignPlan:
    """The plan of these values; raises PlanFaults with every fault listed, within the fields and between them.

    `more` are faults that the caller has found, by what there is. The rules `left` may stay broken.
    """
    plan, faults = _looked_through(values, left)
    if faults or more or plan is None:
        raise PlanFaults([*faults, *more], where)
    return plan


def sound(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are right by themselves, as a plan has them."""
    plan, _ = _fields_of(values)
    return {name: getattr(plan, name) for name in plan.model_fields_set & set(values)}


def unchecked(values: Mapping[str, Any]) -> CampaignPlan:
    """The plan of a campaign that there is already: rules between fields may have been made after it was."""
    return CampaignPlan(**values)


def broken(plan: CampaignPlan) -> list[Rule]:
    """The rules between fields that the plan breaks: those made after it was."""
    return [fields for fields, _ in _rules_broken(plan)]


def _looked_through(values: Mapping[str, Any], left: Collection[Rule]) -> tuple[CampaignPlan | None, list[str]]:
    """The plan, and what is wrong with it. Where fields are wrong, the rules between the others are looked at still."""
    plan, found = _fields_of(values)
    faults = [plan_faults.fault(one, CampaignPlan.model_fields) for one in found]
    told = list(dict.fromkeys(faults)) + _between(plan, {str(one["loc"][0]) for one in found}, left)
    return (None if found else plan), told


def _fields_of(values: Mapping[str, Any]) -> tuple[CampaignPlan, Sequence[Mapping[str, Any]]]:
    """A plan of the fields that are right by themselves, and what is wrong with the others."""
    try:
        return CampaignPlan(**values), []
    except ValidationError as error:
        found = error.errors()
    wrong = {str(one["loc"][0]) for one in found}
    right = {name: value for name, value in values.items() if name not in wrong}
    return CampaignPlan(**dict(_STAND_IN) | right), found


# For required fields that are wrong or missing, so that the others can be compared with each other.
_STAND_IN: Mapping[str, Any] = {
    "organisation": "-",
    "key": "x",
    "name": "-",
    "sites": ["-"],
    "starts_on": date.min,
    "ends_on": date.max,
}


def _between(plan: CampaignPlan, wrong: set[str], left: Collection[Rule]) -> list[str]:
    """The faults between fields, but for rules that are `left` alone or involve one of the `wrong` fields."""
    return [told for fields, told in _rules_broken(plan) if fields not in left and wrong.isdisjoint(fields)]


def _rules_broken(plan: CampaignPlan) -> Iterator[tuple[Rule, str]]:
    """Each rule between fields that the plan breaks: the fields it is about, and what is said."""
    begins, ends = plan.call_from, plan.call_until
    if plan.ends_on < plan.starts_on:
        yield ("starts_on", "ends_on"), f"ends_on: is before starts_on, {plan.starts_on} (give that day or a later one)"
    if ends <= begins:
        yield ("call_from", "call_until"), f"call_until: {ends:%H:%M} is not after call_from, {begins:%H:%M}"
    if not plan.call_weekdays:
        yield ("call_weekdays",), f"call_weekdays: names no day (give {plan_faults.EXAMPLES['call_weekdays']})"
    if idle := sorted(set(plan.hours_by_weekday) - set(plan.call_weekdays)):
        days = ", ".join(map(str, idle))
        told = f"hours_by_weekday: {days} is not one of call_weekdays (add it there, or remove it here)"
        yield ("call_weekdays", "hours_by_weekday"), told
    if plan.voicemail_message and plan.machine_detection is MachineDetection.OFF:
        told = 'voicemail_message: nobody listens for machines (write machine_detection = "sync" or "async")'
        yield ("voicemail_message", "machine_detection"), told
    yield from _rates_broken(plan)
    yield from _never_ringing(plan)


def _rates_broken(plan: CampaignPlan) -> Iterator[tuple[Rule, str]]:
    if plan.rate_floor > plan.rate_ceiling:
        told = f"rate_floor: {plan.rate_floor} is above rate_ceiling, {plan.rate_ceiling} (lower the floor)"
        yield ("rate_floor", "rate_ceiling"), told
    if plan.sampling is Sampling.FIXED:
        for name, left_out in (("rate_floor", LOWEST), ("rate_ceiling", HIGHEST)):
            if getattr(plan, name) != left_out:
                told = f'{name}: holds only with sampling = "target" (remove it, or write sampling = "target")'
                yield (name, "sampling"), told


def _never_ringing(plan: CampaignPlan) -> Iterator[tuple[Rule, str]]:
    """Calls alone, in hours in which no phone may ring in any country: such a campaign could never ask anybody."""
    fields = ("channel_plan", "call_from", "call_until", "call_weekdays", "hours_by_weekday")
    sound = plan.call_until > plan.call_from and plan.call_weekdays
    by_phone_alone = all(entry["channels"] == [Channel.IVR.value] for entry in plan.channel_plan)
    if sound and by_phone_alone and not rings_anywhere(plan.window):
        yield (
            fields,
            "call_from, call_until: in none of these hours may a phone ring in any country, and it asks by phone alone"
            " (choose hours of the day, or add web to channel_plan)",
        )


def read(path: Path) -> dict[str, Any]:
    """The values of a campaign file; raises InputError when it is not readable, not TOML, or a roster."""
    values = read_toml(path)
    tables = [name for name in _OF_ROSTERS if isinstance(values.get(name), dict) or _is_of_tables(values.get(name))]
    if tables:
        how = f"Give the campaign's own file; a roster is imported: flask roster import {path.name}"
        raise InputError("is a roster, not a campaign", where=path.name, how=how)
    return values


# What rosters have tables of (see docs/intake.md); a campaign names its organisation and sites only.
_OF_ROSTERS = ("organisation", "sites", "supervisors", "agents", "assignments")


def _is_of_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
