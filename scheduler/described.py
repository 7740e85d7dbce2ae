"""A campaign's settings as people read them, and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from scheduler import spending
from scheduler.hours import SHORT_DAYS
from scheduler.planning import window_of
from scheduler.rates import rates_of
from survey import clock
from survey.clock import iso
from survey.models import Campaign, Channel, Sampling
from survey.settings import current

CHANNELS = {Channel.IVR: "phone", Channel.WEB: "email and web"}


def settings(campaign: Campaign) -> dict[str, Any]:
    """Rates, hours, caps, paces and targets as plain values; money as text, times as HH:MM by weekday (Monday = 0)."""
    window = window_of(campaign)
    spent = None if campaign.spend_cap is None else spending.spent(campaign)
    return {
        "sampling": campaign.sampling.value,
        "rates": _rates(campaign),
        "queues": campaign.queues,
        "topics": campaign.topics,
        "channel_plan": campaign.channel_plan,
        "questionnaire": campaign.questionnaire,
        "languages": campaign.languages,
        "min_talk_seconds": campaign.min_talk_seconds,
        "quarantine_days": campaign.quarantine_days,
        "hours": {str(day): [f"{at:%H:%M}" for at in window.hours(day)] for day in sorted(window.weekdays)},
        "call_on_holidays": campaign.call_on_holidays,
        "calls_need_consent": campaign.calls_need_consent,
        "dials_per_survey": campaign.dials_per_survey,
        "dials_per_number": campaign.dials_per_number,
        "ring_seconds": campaign.ring_seconds,
        "machine_detection": campaign.machine_detection.value,
        "voicemail_message": campaign.voicemail_message,
        "speech": campaign.speech,
        "caller_id": campaign.caller_id,
        "caller_ids": campaign.caller_ids,
        "calls_per_second": campaign.calls_per_second,
        "live_calls": campaign.live_calls,
        "emails_per_minute": campaign.emails_per_minute,
        "reminders": campaign.reminders,
        "spend_cap": None if campaign.spend_cap is None else money(campaign.spend_cap),
        "spent": None if spent is None else money(int(spent)),
        "targets": {
            "agent": campaign.target_agent,
            "supervisor": campaign.target_supervisor,
            "site": campaign.target_site,
        },
    }


def _rates(campaign: Campaign) -> dict[str, Any]:
    """The rates in force now: the one for all, and of agents who have their own the lowest and the highest."""
    rates, now = rates_of(campaign), clock.now()
    agents = [each for each in rates.by_agent if each is not None]
    own = [rates.in_force(agent, now) for agent in agents if rates.by_agent[agent][0][0] <= now]
    coming = sorted({since for rows in rates.by_agent.values() for since, _ in rows if since > now})
    # Of several published for one moment the last one holds.
    new_for_all = sorted({since for since, _ in rates.by_agent.get(None, ()) if since > now})
    of_targets = campaign.sampling is Sampling.TARGET
    return {
        "for_all": str(rates.in_force(None, now)),
        "floor": str(campaign.rate_floor) if of_targets else None,
        "ceiling": str(campaign.rate_ceiling) if of_targets else None,
        "agents": len(own),
        "lowest": str(min(own)) if own else None,
        "highest": str(max(own)) if own else None,
        "new_from": iso(coming[0]) if coming else None,
        "new_for_all": [{"from": iso(at), "rate": str(rates.in_force(None, at))} for at in new_for_all],
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same, one setting a line."""
    return [f"  {name:<14} {text}" for name, text in _facts(told)]


def _facts(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("queues", "topics"):
        if told[name]:
            yield name, ", ".join(told[name])
    yield from _rate_facts(told)
    yield "channels", "; ".join(_way(entry) for entry in told["channel_plan"])
    yield "questions", f"{told['questionnaire']}, in {', '.join(told['languages'])}"
    yield "conversation", f"at least {told['min_talk_seconds']} s"
    yield "rest", f"{told['quarantine_days']} days between two surveys of one customer"
    if any(Channel.IVR in entry["channels"] for entry in told["channel_plan"]):
        yield from _call_facts(told)
    emails = "one invitation" + (", and a reminder where it is not answered" if told["reminders"] else ", no reminder")
    yield "emails", f"{emails}, at most {told['emails_per_minute']:,} a minute"


def _rate_facts(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    rates, targets = told["rates"], told["targets"]
    coming = f"; new ones hold from {rates['new_from']}" if rates["new_from"] else ""
    if told["sampling"] == Sampling.FIXED:
        coming = "".join(f"; {_rate(one['rate'])} from {one['from']}" for one in rates["new_for_all"])
        yield "rate", f"{_rate(rates['for_all'])} for all{coming}"
    else:
        span = f"from {_rate(rates['floor'])} to {_rate(rates['ceiling'])}"
        yield "rates", f"set for each agent, {span}, once a whole week of calls is in, and then every Monday"
        own = "all "
        if rates["agents"]:
            own = f"{rates['agents']} agents from {_rate(rates['lowest'])} to {_rate(rates['highest'])}, the others "
        yield "rates now", f"{own}{_rate(rates['for_all'])}{coming}"
    wanted = f"{targets['agent']} complete an agent, {targets['supervisor']} a supervisor, {targets['site']} a site"
    yield "targets", wanted


def _call_facts(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    holidays = "also" if told["call_on_holidays"] else "not"
    yield "calling hours", f"{_hours(told['hours'])}, the customer's time; {holidays} on public holidays"
    if told["calls_need_consent"]:
        yield "who is called", "only who is on record as having agreed to be called"
    yield (
        "dials",
        f"at most {told['dials_per_survey']} a survey, {told['dials_per_number']} a number in 30 days, each ringing"
        f" {told['ring_seconds']} s",
    )
    yield (
        "answering machines",
        MACHINES[told["machine_detection"]] + ("; one message is left" if told["voicemail_message"] else ""),
    )
    yield "pace of calls", f"at most {told['calls_per_second']:,} a second, {told['live_calls']:,} at a time"
    countries = "".join(f"{number} in {country}, " for country, number in sorted(told["caller_ids"].items()))
    yield "caller id", f"{countries}{'else ' if countries else ''}{told['caller_id'] or 'that of the installation'}"
    cap = "none" if told["spend_cap"] is None else f"{told['spend_cap']} for calls, {told['spent']} spent"
    yield "spend cap", cap


def _way(entry: dict[str, Any]) -> str:
    names = ", then ".join(CHANNELS[Channel(name)] for name in entry["channels"])
    return f"{percent(Fraction(*entry['share']))} {names}"


def hours(campaign: Campaign) -> str:
    """The calling hours by weekday: "Mon-Fri 09:00-20:00, Sat 10:00-16:00"."""
    window = window_of(campaign)
    return _hours({str(day): [f"{at:%H:%M}" for at in window.hours(day)] for day in sorted(window.weekdays)})


def _hours(by_day: dict[str, list[str]]) -> str:
    """Neighbouring days with the same hours stand together."""
    days = sorted((int(day), "-".join(span)) for day, span in by_day.items())
    numbered = [(day - place, span, day) for place, (day, span) in enumerate(days)]
    told = []
    for (_, span), group in groupby(numbered, key=lambda one: one[:2]):
        names = [SHORT_DAYS[day] for _, _, day in group]
        told.append(f"{names[0] if len(names) == 1 else f'{names[0]}-{names[-1]}'} {span}")
    return ", ".join(told)


def money(hundredths: int) -> str:
    """An amount of hundredths of the currency: 1,250.00"""
    return f"{hundredths // 100:,}.{hundredths % 100:02}"


def _rate(rate: str) -> str:
    return f"{rate} ({percent(Fraction(rate))})"


def percent(rate: Fraction) -> str:
    """A rate in percent, to a tenth of one; below a tenth of a percent it says so."""
    tenths = round(rate * 1000)
    if rate and not tenths:
        return "under 0.1%"
    return f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"


def whose_calls(campaign: Campaign) -> str:
    """Which calls the campaign's funnel counts, in one phrase."""
    kinds = [
        f"{what} {', '.join(names)}"
        for what, names in (("queue", campaign.queues), ("topic", campaign.topics))
        if names
    ]
    of_kinds = f", of {' and '.join(kinds)}" if kinds else ""
    return (
        f"those of its sites{of_kinds}, ended from {campaign.starts_on} to {campaign.ends_on} and after the launch,"
        " decided by its draw; those of a campaign launched earlier are not among them"
    )


MACHINES = {
    "off": "are not listened for: the survey speaks to them, and gives up after three silences",
    "sync": "are listened for before the survey begins",
    "async": "are listened for while the survey begins",
}
# Both for whoever launches a campaign and for whoever looks at it later.
WHAT_FOR = "It binds the draw to a key chosen before the first call, so that nobody can pick the calls afterwards."


def commitment(sha256: str) -> list[str]:
    """What to do with the hash of the draw key, just after the launch."""
    page = f"{current().public_base_url}/registry/draws"
    where = f"Anybody can read it at {page}"
    if this_machine_only(current().public_base_url):
        where = f"It stands at {page}, for anybody to read once PUBLIC_BASE_URL is an address that others can open"
    return [
        f"The SHA-256 of its draw key is {sha256}.",
        WHAT_FOR,
        f"{where}; the key is shown there after the close.",
        "Give it now, dated, to those who are to check the draw: then they need not trust this page.",
    ]


def this_machine_only(url: str) -> bool:
    """Whether nobody else can open pages of this address."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def key_lines(key: dict[str, Any], campaign: str) -> list[str]:
    """The hash of the draw key, the key once it is revealed, and how to check the draw with them."""
    told = [f"draw key SHA-256 {key['sha256']}, published {key['published_at']}"]
    if "key" in key:
        told.append(f"draw key {key['key']}, revealed {key['revealed_at']}: its bytes have that SHA-256")
    return [*told, f"  {WHAT_FOR} Every decision is recomputed by flask draw replay {campaign}"]
