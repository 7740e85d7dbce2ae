"""What a row of call records means: from texts in columns to one call, or the reason why it cannot be taken.

Nothing here asks the database, so that another process can do it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from intake.cells import Cells, Getter
from intake.mapping import CALL_FIELDS
from intake.moments import Moments, placed
from intake.roster_names import RosterNames
from intake.rows import Row, RowFault, not_a_row, shown
from intake.sealed import Contact, Sealer
from intake.values import LONGEST_SECONDS, language_tag, seconds, yes_or_no

# A telephone system's clock may run ahead of ours by this much; more means a wrong zone or date format.
CLOCKS_APART = timedelta(minutes=15)
LONGEST_CALL = timedelta(seconds=LONGEST_SECONDS)
TALK_OF_UNANSWERED = "unanswered calls with talk time (kept without it)"
TALK_BEYOND = "calls with more talk than the whole call took (cut to its length)"
STRANGE_LANGUAGE = "contacts whose language is no language tag (left out)"
OWN_NUMBERS = "calls from the centre's own or test numbers (kept as internal)"


class IncomingCall(NamedTuple):
    """One call (or one leg of it) as it came in.

    `contact` is None when none was given, without a key when only faulty ones were. `agent` names an agent whom the
    roster does not know yet. `internal` is None where the record does not say. `wishes` is what a record without a
    contact says of its customer, whoever that is.
    """

    line: int
    external_id: str
    leg: str | None
    recorded_at: datetime | None
    site_id: int
    agent_id: int | None
    agent: str | None
    started_at: datetime
    ended_at: datetime
    answered: bool
    talk_seconds: int
    queue: str | None
    topic: str | None
    language: str | None
    internal: bool | None
    contact: Contact | None
    contact_fault: str | None
    wishes: Contact | None


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What reading needs to know of a site."""

    id: int
    key: str
    time_zone: str
    country: str


class _Place(NamedTuple):
    """A site with the zone in which this file's local times are read."""

    id: int
    zone: ZoneInfo
    country: str


class CallReader:
    """Turns rows into calls. `sites` are the organisation's by key and name (casefolded), `site` the default one."""

    def __init__(
        self,
        cells: Cells,
        moments: Moments,
        sites: Mapping[str, SiteFacts],
        site: SiteFacts | None,
        names: RosterNames,
        create_agents: bool,
        sealer: Sealer,
        now: datetime,
    ) -> None:
        self.cells, self._moments, self._names, self._create = cells, moments, names, create_agents
        self._sealer, self._latest = sealer, now + CLOCKS_APART
        zone = cells.mapping.zone
        self._places = {name: _place(facts, zone) for name, facts in sites.items()}
        self._default = None if site is None else _place(site, zone)
        getters = {name: cells.getter(name) for name in CALL_FIELDS}
        self._get: dict[str, Getter] = {name: getter for name, getter in getters.items() if getter is not None}
        self._language_tag = lru_cache(maxsize=1_000)(language_tag)
        self.notes: Counter[str] = Counter()

    def external_id(self, row: Row) -> str:
        """The call's own id. Raises RowFault where the row is broken or has none."""
        if row.fault:
            raise not_a_row(row.fault)
        found = self._required(row, "external_id")
        if "\ufffd" in found:
            raise RowFault("not UTF-8", column=self.cells.column("external_id"), detail=shown(found))
        return found

    def read(self, row: Row, joined: Mapping[str, str]) -> IncomingCall:
        """The call of a row; `joined` are the fields that a contacts file has for it. Raises RowFault."""
        external_id = self.external_id(row)
        place = self._place(row)
        notes: list[str] = []
        started_at = self._started(row, place, notes)
        answered, talk, ended_at = self._course(row, place, started_at, notes)
        language = self._language(row)
        contact, fault, own = self._contact(row, joined, place.country, language, notes)
        wishes = self._wishes(row, joined, notes) if contact is None else None
        agent_id, agent = self._agent(row)
        internal = own or self._flag(row, "internal")
        recorded_at = self._recorded_at(row, place, notes)
        leg, queue, topic = (self._text(row, name) or None for name in ("leg", "queue", "topic"))
        # Last, so that nothing is noted of a row that is rejected.
        if notes:
            self.notes.update(notes)
        return IncomingCall(
            row.line,
            external_id,
            leg,
            recorded_at,
            place.id,
            agent_id,
            agent,
            started_at,
            ended_at,
            answered,
            talk,
            queue,
            topic,
            language or (said.language if (said := contact or wishes) else None),
            internal,
            contact,
            fault,
            wishes,
        )

    # --- cells ---

    def _text(self, row: Row, name: str) -> str:
        getter = self._get.get(name)
        return "" if getter is None else getter(row.cells)

    def _required(self, row: Row, name: str) -> str:
        found = self._text(row, name)
        if not found:
            raise RowFault("is empty", column=self.cells.column(name))
        return found

    def _flag(self, row: Row, name: str) -> bool | None:
        found = self._text(row, name)
        return yes_or_no(found, self.cells.column(name)) if found else None

    def _seconds(self, row: Row, name: str) -> int | None:
        found = self._text(row, name)
        return seconds(found, self.cells.column(name), self.cells.mapping.duration_unit) if found else None

    # --- where and who ---

    def _place(self, row: Row) -> _Place:
        name = self._text(row, "site")
        found = self._places.get(name.casefold()) if name else self._default
        if found is None:
            reason = "unknown site" if name else "names no site"
            raise RowFault(reason, column=self.cells.column("site"), detail=shown(name) if name else "")
        return found

    def _agent(self, row: Row) -> tuple[int | None, str | None]:
        """The agent's id, or the name of one who is to be made."""
        name = self._text(row, "agent")
        if not name:
            return None, None
        found = self._names.find(name, self.cells.column("agent"))
        if found is None and "\ufffd" in name:
            # Two people whose names differ in such a sign only would become one.
            raise RowFault("not UTF-8", column=self.cells.column("agent"), detail=shown(name))
        if found is None and not self._create:
            raise RowFault("unknown agent", column=self.cells.column("agent"), detail=shown(name))
        return found, name if found is None else None

    # --- when ---

    def _started(self, row: Row, place: _Place, notes: list[str]) -> datetime:
        cells, moments = self.cells, self._moments
        if "started_at" in self._get:
            local = moments.moment(self._required(row, "started_at"), cells.column("started_at"))
        else:
            day = moments.day(self._required(row, "date"), cells.column("date"))
            local = datetime.combine(day, moments.time_of_day(self._required(row, "time"), cells.column("time")))
        return _noted(placed(local, place.zone), notes)

    def _recorded_at(self, row: Row, place: _Place, notes: list[str]) -> datetime | None:
        if not (text := self._text(row, "recorded_at")):
            return None
        column = self.cells.column("recorded_at")
        stamp = _noted(placed(self._moments.moment(text, column), place.zone), notes)
        if stamp > self._latest:
            # It would outdo every true version to come.
            raise RowFault("was recorded in the future (a wrong time zone or date format?)", column=column)
        return stamp

    def _course(self, row: Row, place: _Place, started_at: datetime, notes: list[str]) -> tuple[bool, int, datetime]:
        """(answered, talk in seconds, end): each as given, else worked out from the others."""
        wait = self._seconds(row, "wait_seconds") or 0
        talk = self._seconds(row, "talk_seconds")
        answered = self._flag(row, "answered")
        known_end = self._known_end(row, place, started_at, notes)
        if talk is None:
            talk = _rest(started_at, known_end, wait) if answered else 0
        elif answered is False and talk:
            notes.append(TALK_OF_UNANSWERED)
            talk = 0
        ended_at = known_end or started_at + timedelta(seconds=wait + talk)
        if talk > (length := int((ended_at - started_at).total_seconds())):
            notes.append(TALK_BEYOND)
            talk = length
        if ended_at > self._latest:
            raise RowFault("ends in the future (a wrong time zone or date format?)")
        return talk > 0 if answered is None else answered, talk, ended_at

    def _known_end(self, row: Row, place: _Place, started_at: datetime, notes: list[str]) -> datetime | None:
        """The end as the row gives it: a moment, or the length of the whole call. None where it must be added up."""
        wanted = self.cells.mapping.end
        if wanted in ("auto", "ended_at") and (text := self._text(row, "ended_at")):
            column = self.cells.column("ended_at")
            local = self._moments.moment(text, column)
            ended_at = _noted(placed(local, place.zone, not_before=started_at), notes)
            if ended_at < started_at:
                raise RowFault("ends before it starts", column=column)
            if ended_at - started_at > LONGEST_CALL:
                # The deadline goes by the end: a call that seems to last for weeks could be handed in weeks late.
                raise RowFault("lasts longer than a week", column=column)
            return ended_at
        if wanted in ("auto", "duration") and (length := self._seconds(row, "duration")) is not None:
            return started_at + timedelta(seconds=length)
        return None

    # --- how to reach them ---

    def _contact(
        self, row: Row, joined: Mapping[str, str], country: str, language: str | None, notes: list[str]
    ) -> tuple[Contact | None, str | None, bool]:
        """(contact, why some of it cannot be used, whether the number is the centre's own)."""
        phone = joined.get("phone") or self._text(row, "phone")
        email = joined.get("email") or self._text(row, "email")
        if not phone and not email:
            return None, None, False
        found, fault, own = self._sealer.contact(phone, email, country)
        if own:
            notes.append(OWN_NUMBERS)
        if fault:
            notes.append(f"calls with a contact that cannot be used ({fault}; they are kept)")
        language = self._joined_language(joined, notes) if joined.get("language") else language
        relay = self._joined_flag(row, joined, "relay")
        consents = self._joined_flag(row, joined, "consents_to_calls")
        return Contact(*found[:4], language, relay, consents), fault, own

    def _wishes(self, row: Row, joined: Mapping[str, str], notes: list[str]) -> Contact | None:
        """What a row that names no customer says of its call's; None when nothing."""
        relay = self._joined_flag(row, joined, "relay")
        consents = self._joined_flag(row, joined, "consents_to_calls")
        language = self._joined_language(joined, notes) if joined else None
        if relay is None and consents is None and language is None:
            return None
        return Contact(language=language, relay=relay, consents_to_calls=consents)

    def _joined_language(self, joined: Mapping[str, str], notes: list[str]) -> str | None:
        """The language that a contacts file gives; a strange one is noted."""
        given = joined.get("language")
        language = self._language_tag(given) if given else None
        if given and language is None:
            notes.append(STRANGE_LANGUAGE)
        return language

    def _joined_flag(self, row: Row, joined: Mapping[str, str], name: str) -> bool | None:
        given = joined.get(name)
        return yes_or_no(given, name) if given else self._flag(row, name)

    def _language(self, row: Row) -> str | None:
        found = self._text(row, "language")
        if not found:
            return None
        tag = self._language_tag(found)
        if tag is None:
            raise RowFault("not a language tag", column=self.cells.column("language"), detail=shown(found))
        return tag


def _place(site: SiteFacts, zone: str | None) -> _Place:
    return _Place(site.id, ZoneInfo(zone or site.time_zone), site.country)


def _noted(found: tuple[datetime, str], notes: list[str]) -> datetime:
    moment, note = found
    if note:
        notes.append(note)
    return moment


def _rest(started_at: datetime, ended_at: datetime | None, wait: int) -> int:
    """The seconds of talk in a call of known length."""
    return 0 if ended_at is None else max(0, int((ended_at - started_at).total_seconds()) - wait)
