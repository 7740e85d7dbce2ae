"""The doctor: asks each outside part whether it answers, and says how to mend one that does not.

It also warns of what keeps customers from being asked though every part is well: somebody's decision, or a pause.
"""

from __future__ import annotations

import shutil
import smtplib
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Select, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from survey import breakers, channel_trouble, clock, standstill
from survey.calendars import table_version
from survey.clock import iso
from survey.db import db
from survey.models import Campaign, CampaignState, Channel, Organisation, Survey
from survey.settings import Settings

FREE_BYTES = 500 * 1024 * 1024
MOST_SECONDS_APART = 5.0
OLDEST_POSTGRESQL = 140_000
DEADLINE_NEAR = timedelta(hours=24)
NAMES = {Channel.IVR: "calls", Channel.WEB: "emails"}


@dataclass(frozen=True)
class Finding:
    """One part: whether it is well, and what to say of it. `warning`: it is, but somebody should know of this."""

    part: str
    well: bool
    says: str
    warning: bool = False

    @property
    def mark(self) -> str:
        if self.warning:
            return "warn"
        return "ok" if self.well else "FAIL"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Every finding, parts in the order of the way of a call."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        database,
        clocks,
        migrations,
        phone_network,
        mail_relay,
        public_address,
        calendars,
        disk,
        contact,
        channels,
        paused_campaigns,
    )
    return [check(settings) for check in checks]


def database(_settings: Settings) -> Finding:
    try:
        version = int(str(db.session.execute(text("SHOW server_version_num")).scalar_one()))
    except SQLAlchemyError:
        return Finding("database", False, "does not answer: check DATABASE_URL and that PostgreSQL is running")
    if version < OLDEST_POSTGRESQL:
        return Finding("database", False, f"PostgreSQL {version // 10_000} is too old: 14 is the oldest that works")
    return Finding("database", True, f"PostgreSQL {version // 10_000} answers")


def clocks(_settings: Settings) -> Finding:
    """Turns are given out by the scheduler's clock, released by the database's, and judged by the worker's."""
    try:
        apart = clock_difference_seconds()
    except SQLAlchemyError:
        return Finding("clocks", False, "cannot be compared")
    said = f"this machine's and the database's differ by {apart:.1f} s"
    if apart > MOST_SECONDS_APART:
        return Finding("clocks", False, f"{said}: set both by NTP, or calls and emails never get their turn")
    return Finding("clocks", True, said)


def clock_difference_seconds() -> float:
    """How far this machine's clock and the database's are apart, in seconds."""
    theirs: datetime = db.session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return abs((clock.now() - theirs).total_seconds())


def migrations(_settings: Settings) -> Finding:
    newest = ScriptDirectory(f"{current_app.root_path}/migrations").get_current_head()
    try:
        here = MigrationContext.configure(db.session.connection()).get_current_revision()
    except SQLAlchemyError:
        return Finding("tables", False, "cannot be read")
    if here != newest:
        return Finding(
            "tables", False, f"are at revision {here}, this release needs {newest}: run flask database upgrade"
        )
    return Finding("tables", True, f"are at revision {here}")


def phone_network(settings: Settings) -> Finding:
    """Whether the phone network's API can be reached; the account itself is proved by the first call."""
    missing = channel_trouble.unset(Channel.IVR, settings)
    if missing:
        return Finding("phone network", False, f"not set up: set {', '.join(missing)}")
    place = _place(settings.twilio_api_base or "https://api.twilio.com", {"https": 443, "http": 80})
    if place is None:
        return Finding("phone network", False, "TWILIO_API_BASE is not an address such as http://127.0.0.1:8010")
    return _reachable("phone network", *place, "check the network and TWILIO_API_BASE")


def mail_relay(settings: Settings) -> Finding:
    if not settings.smtp_url:
        return Finding("mail relay", False, "not set up: set SMTP_URL, for example smtps://user:password@relay:465")
    place = _place(settings.smtp_url, {"smtp": 25, "smtps": 465, "smtp+starttls": 587})
    if place is None:
        return Finding("mail relay", False, "SMTP_URL is not an address such as smtps://user:password@relay:465")
    connect = smtplib.SMTP_SSL if settings.smtp_url.startswith("smtps:") else smtplib.SMTP
    try:
        with connect(*place, timeout=5) as relay:
            code, _ = relay.noop()
    except (OSError, smtplib.SMTPException) as error:
        return Finding("mail relay", False, f"does not answer ({type(error).__name__}): check SMTP_URL")
    if code != 250:
        return Finding("mail relay", False, f"answers, but not as it should ({code}): ask whoever runs it")
    return Finding("mail relay", True, "answers")


def public_address(settings: Settings) -> Finding:
    url = urlsplit(settings.public_base_url)
    if url.hostname in {"127.0.0.1", "localhost"}:
        return Finding(
            "public address",
            settings.twilio_api_base is not None,
            f"{settings.public_base_url} is reached from this machine only: set PUBLIC_BASE_URL before going live",
        )
    if url.scheme != "https":
        return Finding("public address", False, "is not https: customers' links and webhooks must be")
    return Finding("public address", True, settings.public_base_url)


def calendars(_settings: Settings) -> Finding:
    return Finding("calendars", True, table_version())


def disk(settings: Settings) -> Finding:
    settings.aftercall_data.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.aftercall_data).free
    said = f"{free // 1024**2} MiB free in {settings.aftercall_data}"
    if free < FREE_BYTES:
        return Finding("disk", False, f"{said}: make room, or name another folder with AFTERCALL_DATA")
    return Finding("disk", True, said)


def contact(_settings: Settings) -> Finding:
    """Whether a global stop is in force."""
    try:
        stop = standstill.in_force()
    except SQLAlchemyError:
        return Finding("contact", False, "cannot be read")
    if stop is None:
        return Finding("contact", True, "is not stopped")
    why = f" ({stop.reason})" if stop.reason else ""
    says = f"is stopped everywhere since {iso(stop.begun_at)}, by {stop.begun_by}{why}. To go on: flask stop --lift"
    return Finding("contact", True, says, warning=True)


def channels(_settings: Settings) -> Finding:
    """Whether calls or emails are left alone for a while because they keep failing."""
    try:
        failing = breakers.open_now()
    except SQLAlchemyError:
        return Finding("channels", False, "cannot be read")
    if not failing:
        return Finding("channels", True, "calls and emails may go out")
    said = [
        f"{NAMES[one.channel]} keep failing ({one.reason}) and are left alone"
        + (f", one is tried again at {iso(one.retry_at)}" if one.retry_at else "")
        for one in failing
    ]
    return Finding("channels", True, f"{'; '.join(said)}: mend what is said above or there", warning=True)


def paused_campaigns(_settings: Settings) -> Finding:
    """Whether surveys of paused campaigns reach their deadline within DEADLINE_NEAR: nobody is asked meanwhile."""
    try:
        rows = db.session.execute(_near_their_deadline(clock.now())).all()
    except SQLAlchemyError:
        return Finding("pauses", False, "cannot be read")
    if not rows:
        return Finding("pauses", True, "no paused campaign has surveys near their deadline")
    hours = int(DEADLINE_NEAR.total_seconds()) // 3600
    said = [
        f"{row.organisation}/{row.campaign} is paused, and {row.surveys:,} of its surveys "
        f"{'closes' if row.surveys == 1 else 'close'} within {hours} hours, the first at {iso(row.first)}: "
        f"to go on, run flask campaigns resume {row.organisation}/{row.campaign}"
        for row in rows
    ]
    return Finding("pauses", True, "; ".join(said), warning=True)


def _near_their_deadline(now: datetime) -> Select[str, str, int, datetime]:
    return (
        select(
            Organisation.key.label("organisation"),
            Campaign.key.label("campaign"),
            func.count().label("surveys"),
            func.min(Survey.deadline).label("first"),
        )
        .join(Campaign, Campaign.organisation_id == Organisation.id)
        .join(Survey, Survey.campaign_id == Campaign.id)
        .where(
            Campaign.state == CampaignState.PAUSED,
            Survey.closed_at.is_(None),
            Survey.deadline.between(now, now + DEADLINE_NEAR),
        )
        .group_by(Organisation.key, Campaign.key)
        .order_by(func.min(Survey.deadline))
    )


def _place(url: str, default_ports: Mapping[str, int]) -> tuple[str, int] | None:
    """Host and port of an address of one of these schemes; None when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in default_ports or not parts.hostname:
        return None
    return parts.hostname, port or default_ports[parts.scheme]


def _reachable(part: str, host: str, port: int, mend: str) -> Finding:
    try:
        with socket.create_connection((host, port), timeout=5):
            return Finding(part, True, f"{host} answers")
    except OSError as error:
        return Finding(part, False, f"{host}:{port} does not answer ({type(error).__name__}): {mend}")
