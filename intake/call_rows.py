"""What a row of call records means: from texts in columns to one call, or the reason why it cannot be taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from intake.formats import as_text
from intake.mapping import SEALED_FIELDS, CallMapping
from intake.moments import Moments, placed
from intake.people import Contact, read_contact
from intake.rows import Row, RowFault, shown
from intake.staff import Staff
from intake.values import language_tag, seconds, yes_or_no
from survey.models import Site

LONGEST_TEXT = 1_000
# A telephone system's clock may run ahead of ours by this much; more means a wrong zone or date format.
CLOCKS_APART = timedelta(minutes=15)
TALK_OF_UNANSWERED = "unanswered calls with talk time (kept without it)"
STRANGE_LANGUAGE = "contacts whose language is no language tag (left out)"


@dataclass(slots=True)
class IncomingCall:
    """One call as it came in; `contact` is None when none was given, unusable when only faulty ones were."""

    line: int
    external_id: str
    site_id: int
    agent_id: int | None
    started_at: datetime
    ended_at: datetime
    answered: bool
    talk_seconds: int
    queue: str | None
    topic: str | None
    language: str | None
    internal: bool
    contact: Contact | None
    contact_fault: str | None


@dataclass
class Cells:
    """Reads one row by our field names: column or constant, trimmed, its value map applied."""

    mapping: CallMapping
    places: Mapping[str, int]
    values: dict[str, dict[str, str]] = field(init=False)
    constants: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {
            name: {key.casefold(): as_text(value) for key, value in pairs.items()}
            for name, pairs in self.mapping.values.items()
        }
        self.constants = {name: as_text(value) for name, value in self.mapping.constants.items()}

    def text(self, row: Row, name: str) -> str:
        """The text, empty where the row has none. Raises RowFault for one that cannot be taken."""
        place = self.places.get(name)
        if place is None:
            return self.constants.get(name, "")
        raw = row.cells[place].strip()
        if "\0" in raw:
            raise RowFault("contains a NUL byte", column=self.column(name))
        if len(raw) > LONGEST_TEXT:
            raise RowFault(f"longer than {LONGEST_TEXT:,} characters", column=self.column(name))
        pairs = self.values.get(name)
        if pairs is None or (not raw and "" not in pairs):
            return raw
        if raw.casefold() not in pairs:
            detail = "" if name in SEALED_FIELDS else shown(raw)
            raise RowFault("a value the mapping does not name", column=self.column(name), detail=detail)
        return pairs[raw.casefold()]

    def column(self, name: str) -> str:
        """What the file calls a field."""
        return self.mapping.columns.get(name, name)

    def required(self, row: Row, name: str) -> str:
        found = self.text(row, name)
        if not found:
            raise RowFault("is empty", column=self.column(name))
        return found


@dataclass
class CallReader:
    """Turns rows into calls. `sites` are the organisation's by key and name (casefolded), `site` the default one."""

    cells: Cells
    moments: Moments
    sites: Mapping[str, Site]
    site: Site | None
    staff: Staff
    now: datetime
    notes: Counter[str]

    def __post_init__(self) -> None:
        self._zones = {site.id: ZoneInfo(self.cells.mapping.zone or site.time_zone) for site in self.sites.values()}
        self._site_zones = {site.id: ZoneInfo(site.time_zone) for site in self.sites.values()}
        self._countries = {site.id: site.country for site in self.sites.values()}
        self._ids = {name: site.id for name, site in self.sites.items()}
        self._default_id = None if self.site is None else self.site.id

    def external_id(self, row: Row) -> str:
        """The call's own id. Raises RowFault where the row is broken or has none."""
        if row.fault:
            raise RowFault("not a row", detail=row.fault)
        found = self.cells.required(row, "external_id")
        if "\ufffd" in found:
            raise RowFault("not UTF-8", column=self.cells.column("external_id"), detail=shown(found))
        return found

    def read(self, row: Row, joined: Mapping[str, str]) -> IncomingCall:
        """The call of a row; `joined` are the fields that a contacts file has for it. Raises RowFault."""
        external_id = self.external_id(row)
        site_id = self._site_id(row)
        notes: Counter[str] = Counter()
        started_at = self._started(row, site_id, notes)
        answered, talk, ended_at = self._course(row, site_id, started_at, notes)
        contact, fault = self._contact(row, joined, self._countries[site_id], notes)
        call = IncomingCall(
            line=row.line,
            external_id=external_id,
            site_id=site_id,
            agent_id=None,
            started_at=started_at,
            ended_at=ended_at,
            answered=answered,
            talk_seconds=talk,
            queue=self.cells.text(row, "queue") or None,
            topic=self.cells.text(row, "topic") or None,
            language=self._language(row) or (contact.language if contact else None),
            internal=bool(self._flag(row, "internal")),
            contact=contact,
            contact_fault=fault,
        )
        # Last, because it may make an agent, which no rejected row should.
        call.agent_id = self._agent_id(row, site_id, started_at)
        self.notes.update(notes)
        return call

    def _site_id(self, row: Row) -> int:
        name = self.cells.text(row, "site")
        found = self._ids.get(name.casefold()) if name else self._default_id
        if found is None:
            reason = "unknown site" if name else "names no site"
            raise RowFault(reason, column=self.cells.column("site"), detail=shown(name) if name else "")
        return found

    def _agent_id(self, row: Row, site_id: int, started_at: datetime) -> int | None:
        name = self.cells.text(row, "agent")
        if not name:
            return None
        day = started_at.astimezone(self._site_zones[site_id]).date()
        return self.staff.agent_id(name, self.cells.column("agent"), site_id, day)

    def _started(self, row: Row, site_id: int, notes: Counter[str]) -> datetime:
        cells, moments = self.cells, self.moments
        if cells.mapping.has("started_at"):
            local = moments.moment(cells.required(row, "started_at"), cells.column("started_at"))
        else:
            day = moments.day(cells.required(row, "date"), cells.column("date"))
            local = datetime.combine(day, moments.time_of_day(cells.required(row, "time"), cells.column("time")))
        started_at, note = placed(local, self._zones[site_id])
        notes[note] += bool(note)
        return started_at

    def _course(self, row: Row, site_id: int, started_at: datetime, notes: Counter[str]) -> tuple[bool, int, datetime]:
        """(answered, talk in seconds, end): each as given, else worked out from the others."""
        wait = self._seconds(row, "wait_seconds") or 0
        talk = self._seconds(row, "talk_seconds")
        answered = self._flag(row, "answered")
        known_end = self._known_end(row, site_id, started_at, notes)
        if talk is None:
            talk = _rest(started_at, known_end, wait) if answered else 0
        elif answered is False and talk:
            notes[TALK_OF_UNANSWERED] += 1
            talk = 0
        ended_at = known_end or started_at + timedelta(seconds=wait + talk)
        if ended_at > self.now + CLOCKS_APART:
            raise RowFault("ends in the future (a wrong time zone or date format?)")
        return talk > 0 if answered is None else answered, talk, ended_at

    def _known_end(self, row: Row, site_id: int, started_at: datetime, notes: Counter[str]) -> datetime | None:
        """The end as the row gives it: a moment, or the length of the whole call. None where it must be added up."""
        wanted = self.cells.mapping.end
        if wanted in ("auto", "ended_at") and (text := self.cells.text(row, "ended_at")):
            column = self.cells.column("ended_at")
            local = self.moments.moment(text, column)
            ended_at, note = placed(local, self._zones[site_id], not_before=started_at)
            notes[note] += bool(note)
            if ended_at < started_at:
                raise RowFault("ends before it starts", column=column)
            return ended_at
        if wanted in ("auto", "duration") and (length := self._seconds(row, "duration")) is not None:
            return started_at + timedelta(seconds=length)
        return None

    def _contact(
        self, row: Row, joined: Mapping[str, str], country: str, notes: Counter[str]
    ) -> tuple[Contact | None, str | None]:
        phone = joined.get("phone") or self.cells.text(row, "phone")
        email = joined.get("email") or self.cells.text(row, "email")
        if not phone and not email:
            return None, None
        found, fault = read_contact(phone, email, country)
        language = joined.get("language", "")
        tag = language_tag(language) if language else self._language(row)
        notes[STRANGE_LANGUAGE] += bool(language) and tag is None
        return (
            Contact(
                found.phone,
                found.email,
                tag,
                self._joined_flag(row, joined, "relay"),
                self._joined_flag(row, joined, "consents_to_calls"),
            ),
            fault,
        )

    def _joined_flag(self, row: Row, joined: Mapping[str, str], name: str) -> bool | None:
        given = joined.get(name)
        return yes_or_no(given, name) if given else self._flag(row, name)

    def _flag(self, row: Row, name: str) -> bool | None:
        found = self.cells.text(row, name)
        return yes_or_no(found, self.cells.column(name)) if found else None

    def _seconds(self, row: Row, name: str) -> int | None:
        found = self.cells.text(row, name)
        return seconds(found, self.cells.column(name), self.cells.mapping.duration_unit) if found else None

    def _language(self, row: Row) -> str | None:
        found = self.cells.text(row, "language")
        if not found:
            return None
        tag = language_tag(found)
        if tag is None:
            raise RowFault("not a language tag", column=self.cells.column("language"), detail=shown(found))
        return tag


def _rest(started_at: datetime, ended_at: datetime | None, wait: int) -> int:
    """The seconds of talk in a call of known length."""
    return 0 if ended_at is None else max(0, int((ended_at - started_at).total_seconds()) - wait)


def row_text(cells: Cells, row: Row, columns: Sequence[str]) -> list[str]:
    """The row's own texts in `columns` (our field names), for the rejects file; empty where the row has no cells."""
    return [row.cells[cells.places[name]] if row.cells else "" for name in columns]
