"""The fields of an upload's form, as the page calls them: one for each of our columns, and the choices beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One of our fields, as the form asks for its column."""

    name: str
    label: str
    hint: str = ""


@dataclass(frozen=True)
class Group:
    """Fields that belong together on the page."""

    title: str
    fields: tuple[Field, ...]


GROUPS = (
    Group(
        "Which call it is",
        (
            Field("external_id", "Call id", "the telephone system's own id of the call"),
            Field("site", "Site", "its key or name, where each row names its own"),
            Field("agent", "Agent", "the key or name of the (last) agent"),
        ),
    ),
    Group(
        "When",
        (
            Field("started_at", "Start", "date and time in one column"),
            Field("date", "Date of the start", "where date and time stand apart"),
            Field("time", "Time of the start"),
            Field("ended_at", "End", "date and time in one column"),
        ),
    ),
    Group(
        "How it went",
        (
            Field("answered", "Answered", "yes or no; without it, a call with conversation was answered"),
            Field("talk_seconds", "Conversation", "how long customer and agent talked"),
            Field("duration", "Whole call", "how long it took from its start"),
            Field("wait_seconds", "Waiting", "how long the customer waited before"),
        ),
    ),
    Group(
        "How the customer can be reached",
        (
            Field("phone", "Phone", "kept encrypted, shown masked"),
            Field("email", "Email", "kept encrypted, shown masked"),
            Field("language", "Language", "such as en or es"),
            Field("consents_to_calls", "May be called", "yes or no"),
            Field("relay", "Uses a relay service", "yes or no"),
        ),
    ),
    Group(
        "What else the file says",
        (
            Field("queue", "Queue"),
            Field("topic", "Topic"),
            Field("internal", "Internal or test call", "yes or no; nobody is asked about those"),
            Field("leg", "Leg", "the id of one stretch of a call that was passed on"),
            Field("recorded_at", "Written at", "when the telephone system wrote this version of the record"),
        ),
    ),
)
LABELS = {each.name: each.label for group in GROUPS for each in group.fields}
# The choices beside the columns, by the id of their field.
OPTIONS: Mapping[str, str] = {
    "site": "Site of the calls",
    "source": "Source",
    "agents": "Unknown agents",
    "format": "Kind of file",
    "order": "Which part of a date is the day",
    "zone": "Time zone of local times",
    "duration_unit": "Durations without colons are in",
    "yes": "Answered is written as",
    "no": "Not answered is written as",
    "mapping": "Mapping file",
}


def column_field(name: str) -> str:
    """The id of the form's field for the column of one of our fields."""
    return f"column_{name}"
