"""A campaign as it is written down, in a TOML file or by keyword, checked in every point before a row is made of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, time
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

import phonenumbers
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from scheduler.sampling import checked_plan, fraction
from survey.errors import InputError
from survey.models import Sampling
from survey.questionnaire import LANGUAGES, QUESTIONNAIRES

Checked = TypeVar("Checked")

FINEST_RATE = 10**9
LOWEST, HIGHEST = Fraction(1, 100), Fraction(1)
MOST_MONEY = 10**12
E164 = re.compile(r"\+[1-9]\d{6,14}")
NO_NUMBER = "must be +, country code and number, without spaces"


def _rate(value: object) -> Fraction:
    return _listed(lambda: fraction(value, ""))


def _listed(check: Callable[[], Checked]) -> Checked:
    """The check's result; its refusal as one that is listed among the others."""
    try:
        return check()
    except InputError as fault:
        raise ValueError(str(fault)) from None


def _money(value: object) -> Fraction | None:
    return None if value is None else _listed(lambda: fraction(value, "", example="250.00"))


Rate = Annotated[Fraction, BeforeValidator(_rate)]
Money = Annotated[Fraction | None, BeforeValidator(_money)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class CampaignPlan(BaseModel):
    """Every field of a campaign file. Dates are local to each site, hours to the customer, weekdays from Monday = 0."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    organisation: str
    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    name: str = Field(min_length=1, max_length=200)
    sites: list[str] = Field(min_length=1)
    starts_on: date
    ends_on: date
    queues: list[Name] = []
    topics: list[Name] = []
    rate: Rate = Fraction(1, 10)
    sampling: Sampling = Sampling.FIXED
    rate_floor: Rate = LOWEST
    rate_ceiling: Rate = HIGHEST
    channel_plan: list[dict[str, Any]] = [{"share": [1, 1], "channels": ["ivr", "web"]}]
    questionnaire: str = "core-1"
    languages: list[str] = ["en"]
    min_talk_seconds: int = Field(10, ge=0)
    quarantine_days: int = Field(30, ge=0, le=365)
    call_from: time = time(9)
    call_until: time = time(20)
    call_weekdays: list[Annotated[int, Field(ge=0, le=6)]] = [0, 1, 2, 3, 4, 5]
    hours_by_weekday: dict[Annotated[int, Field(ge=0, le=6)], tuple[time, time]] = {}
    call_on_holidays: bool = False
    dials_per_survey: int = Field(3, ge=1, le=10)
    dials_per_number: int = Field(3, ge=1, le=10)
    ring_seconds: int = Field(25, ge=15, le=60)
    caller_id: str | None = None
    caller_ids: dict[Country, str] = {}
    calls_per_second: int = Field(1, ge=1, le=100)
    live_calls: int = Field(20, ge=1, le=10_000)
    emails_per_minute: int = Field(60, ge=1, le=60_000)
    reminders: int = Field(0, ge=0, le=1)
    spend_cap: Money = None
    target_agent: int = Field(25, ge=0)
    target_supervisor: int = Field(200, ge=0)
    target_site: int = Field(800, ge=0)

    @field_validator("channel_plan", mode="before")
    @classmethod
    def _shares_add_up(cls, plan: Any) -> Any:
        return _listed(lambda: checked_plan(plan))

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

    @field_validator("hours_by_weekday")
    @classmethod
    def _own_hours_are_the_customers(cls, own: dict[int, tuple[time, time]]) -> dict[int, tuple[time, time]]:
        for begins, ends in own.values():
            if begins.tzinfo is not None or ends.tzinfo is not None:
                raise ValueError("must have no offset: it is the customer's own time")
            if ends <= begins:
                raise ValueError(f"{ends:%H:%M} is not after {begins:%H:%M}")
        return own

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

    @model_validator(mode="after")
    def _in_order(self) -> CampaignPlan:
        if self.ends_on < self.starts_on:
            raise ValueError("ends_on: is before starts_on")
        if self.call_until <= self.call_from:
            raise ValueError("call_until: is not after call_from")
        if not self.call_weekdays:
            raise ValueError("call_weekdays: names no day")
        self._rates_fit()
        if idle := sorted(set(self.hours_by_weekday) - set(self.call_weekdays)):
            raise ValueError(f"hours_by_weekday: {', '.join(map(str, idle))} is not one of call_weekdays")
        return self

    def _rates_fit(self) -> None:
        if self.rate_floor > self.rate_ceiling:
            raise ValueError(f"rate_floor: {self.rate_floor} is above rate_ceiling, {self.rate_ceiling}")
        if self.sampling is Sampling.FIXED and (self.rate_floor, self.rate_ceiling) != (LOWEST, HIGHEST):
            raise ValueError('rate_floor, rate_ceiling: hold only with sampling = "target"; leave them out')

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


def checked(values: Mapping[str, Any], where: str = "campaign") -> CampaignPlan:
    """The plan of these values; raises InputError with every fault listed."""
    try:
        return CampaignPlan(**values)
    except ValidationError as error:
        faults = "; ".join(_fault(one["loc"], one["msg"]) for one in error.errors())
        raise InputError(faults, where=where, how="Correct it and try again.") from None


def read(path: Path) -> dict[str, Any]:
    """The values of a campaign file; raises InputError when it is not readable or not TOML."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not TOML: {error}", where=str(path)) from None


def _fault(loc: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in loc)}: {message}" if loc else message
