"""What customers read besides the questions: our texts in their language, and days as people say them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton

TEXTS = Path(__file__).parent / "texts"
TICK = timedelta(microseconds=1)


def texts(language: str, part: str) -> Mapping[str, str]:
    """The texts of `part` ("page" or "email") in `language`, one of `survey.questionnaire.LANGUAGES`."""
    part_texts: Mapping[str, str] = _file(language)[part]
    return part_texts


@lru_cache(maxsize=2000)
def short_day(day: date, language: str, country: str) -> str:
    """The day within its year, in the language as it is written in that country: March 12, 12 March, 12 de marzo."""
    return str(format_skeleton("MMMMd", day, locale=_locale(language, country)))


@lru_cache(maxsize=2000)
def weekday_and_day(day: date, language: str, country: str) -> str:
    """The day with its weekday: Monday, March 16."""
    weekday = format_date(day, "EEEE", locale=_locale(language, country))
    pattern: str = _file(language)["weekday_and_day"]
    return pattern.format(weekday=weekday, day=short_day(day, language, country))


def direction(language: str) -> str:
    """Which way the language is written: "ltr" or "rtl"."""
    return str(Locale(language).text_direction)


def day_at(moment: datetime, zone: str) -> date:
    """The calendar day of a moment at a site."""
    return moment.astimezone(ZoneInfo(zone)).date()


def last_day(deadline: datetime, zone: str) -> date:
    """The last whole day before an exclusive deadline, at a site."""
    return day_at(deadline.astimezone(UTC) - TICK, zone)


def first_name(name: str) -> str:
    """The first name of a person listed as "Ana Gómez" or as "Gómez, Ana"."""
    family, comma, given = name.partition(",")
    words = (given if comma and given.strip() else family).split()
    return words[0] if words else ""


@lru_cache(maxsize=1000)
def phone(given: str) -> str:
    """An organisation's phone number as people read it (+1 212-555-0100); what is no such number stays as it is."""
    try:
        number = phonenumbers.parse(given)
    except phonenumbers.NumberParseException:
        return given
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def one_line(text: str) -> str:
    """The text on one line without control characters: what may stand in a mail header."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@lru_cache
def _locale(language: str, country: str) -> Locale:
    try:
        return Locale(language, country)
    except (UnknownLocaleError, ValueError):
        return Locale(language)


@lru_cache
def _file(language: str) -> dict[str, Any]:
    with (TEXTS / f"{language}.toml").open("rb") as file:
        return tomllib.load(file)
