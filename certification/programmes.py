"""Programmes and their periods: what is decided, by which rule and when, said before the first call of a period.

What a period freezes at its announcement (`Period.scope`): sites, supervisors, agents, campaigns, the zone of its
decision day, and the rule file word for word. Closing a failing site, adding a campaign or editing a rule file later
changes nothing for it. People hired later are assessed too, by the surveys they have; sites are not added.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import or_, select

from certification import coverage, rules, words
from certification.rules import RuleSet
from survey import audit, clock
from survey.calendars import day_start, deadline
from survey.db import db
from survey.errors import InputError, NotFound, Refused
from survey.models import Assignment, Campaign, Organisation, Period, Programme, Site

DAY = timedelta(days=1)


def create(
    organisation: Organisation,
    key: str,
    name: str,
    rule_set: str,
    campaigns: Sequence[Campaign],
    actor: str = audit.COMMAND_LINE,
) -> Programme:
    """A new programme of the organisation.

    Raises NotFound for an unknown rule set, InputError for campaigns that are none or another organisation's, Refused
    when the key is taken.
    """
    rule = rules.load(rule_set)
    if not key or not name:
        raise InputError("a programme needs a key and a name")
    if not campaigns or any(campaign.organisation_id != organisation.id for campaign in campaigns):
        raise InputError("a programme's frame is one or more campaigns of its own organisation", where=key)
    if find(organisation, key) is not None:
        raise Refused(f"{organisation.name} has a programme {key!r} already", how="Choose another key.")
    programme = Programme(
        organisation=organisation,
        key=key,
        name=name,
        rule_set=rule.name,
        campaigns=list(campaigns),
    )
    db.session.add(programme)
    db.session.flush()
    audit.record(actor, "programme created", programme, rule_set=rule.name, rule_sha256=rule.sha256)
    return programme


def find(organisation: Organisation, key: str) -> Programme | None:
    """The organisation's programme of that key, or None."""
    return db.session.scalars(
        select(Programme).where(Programme.organisation_id == organisation.id, Programme.key == key)
    ).one_or_none()


def named(organisation_key: str, key: str) -> Programme:
    """A programme by the keys a person types. Raises NotFound."""
    organisation = db.session.scalars(select(Organisation).where(Organisation.key == organisation_key)).one_or_none()
    if organisation is None:
        raise NotFound(f"no organisation {organisation_key!r}")
    programme = find(organisation, key)
    if programme is None:
        raise NotFound(f"{organisation.name} has no programme {key!r}")
    return programme


def announce(
    programme: Programme, starts_on: date, ends_on: date, decision_on: date, actor: str = audit.COMMAND_LINE
) -> Period:
    """Announces a period and the day of its decision, and freezes its scope.

    Raises InputError for days that cannot be, Refused when the period has begun, overlaps another one, or would be
    decided before its last survey can have closed.
    """
    # One announcement of an organisation at a time: two at once would not see that they overlap.
    db.session.execute(select(Organisation.id).where(Organisation.id == programme.organisation_id).with_for_update())
    rule = rules.load(programme.rule_set)
    _check_months(rule, starts_on, ends_on)
    sites = sites_between(programme, starts_on, ends_on)
    if not sites:
        raise Refused(f"{programme.organisation.name} has no site in that period", how="Import its roster first.")
    _check_not_begun(sites, starts_on)
    _check_overlap(programme, starts_on, ends_on)
    _check_decision(sites, ends_on, decision_on)
    period = Period(
        programme=programme,
        starts_on=starts_on,
        ends_on=ends_on,
        decision_on=decision_on,
        announced_at=clock.now(),
        scope=_scope(programme, rule, sites, starts_on, ends_on),
    )
    db.session.add(period)
    db.session.flush()
    audit.record(
        actor,
        "period announced",
        period,
        starts_on=starts_on.isoformat(),
        ends_on=ends_on.isoformat(),
        decision_on=decision_on.isoformat(),
        rule_sha256=rule.sha256,
    )
    return period


def rule_of(period: Period) -> RuleSet:
    """The rule as it stood when the period was announced."""
    return rules.parse(period.scope["rule"], where=f"the rule frozen by period {period.id}")


def decision_moment(period: Period) -> datetime:
    """When the decision day begins (UTC), in the zone frozen at the announcement: that of the first site."""
    return day_start(period.decision_on, period.scope["zone"])


def sites_of(period: Period) -> list[Site]:
    """The sites the decision is about, by id."""
    return list(db.session.scalars(select(Site).where(Site.id.in_(period.scope["sites"])).order_by(Site.id)))


def _check_months(rule: RuleSet, starts_on: date, ends_on: date) -> None:
    if starts_on.day != 1 or (ends_on + DAY).day != 1 or ends_on < starts_on:
        raise InputError(
            f"{starts_on} to {ends_on} is not a run of whole calendar months",
            how="Begin on the first day of a month and end on the last day of one.",
        )
    months = coverage.whole_months(starts_on, ends_on)
    if months < rule.months:
        raise InputError(
            f"{words.months(months)} cannot pass: {rule.name} asks for at least {rule.months}",
            how="Announce a longer period.",
        )


def _check_not_begun(sites: Sequence[Site], starts_on: date) -> None:
    begun = [site.name for site in sites if day_start(starts_on, site.time_zone) <= clock.now()]
    if begun:
        raise Refused(
            f"the period would begin on {starts_on}, which has begun at {begun[0]}",
            how="A period is announced before its first call: let it begin with a coming month.",
        )


def _check_overlap(programme: Programme, starts_on: date, ends_on: date) -> None:
    """Nobody is assessed twice for the same days by one rule set: a second programme would be a second try."""
    other = db.session.scalars(
        select(Period)
        .join(Programme, Programme.id == Period.programme_id)
        .where(
            Programme.organisation_id == programme.organisation_id,
            Programme.rule_set == programme.rule_set,
            Period.starts_on <= ends_on,
            Period.ends_on >= starts_on,
        )
        .order_by(Period.starts_on)
    ).first()
    if other is not None:
        raise Refused(
            f"it overlaps the period {other.starts_on} to {other.ends_on} of {other.programme.name}",
            how=f"Begin after {other.ends_on}: nobody is assessed twice for the same days.",
        )


def _check_decision(sites: Sequence[Site], ends_on: date, decision_on: date) -> None:
    earliest = earliest_decision(sites, ends_on)
    if decision_on < earliest:
        raise Refused(
            f"surveys about calls of {ends_on} may still be open on {decision_on}",
            how=f"The first possible decision day is {earliest}.",
        )


def earliest_decision(sites: Sequence[Site], ends_on: date) -> date:
    """The first day that begins (in the first site's zone) when every survey about calls until `ends_on` has closed."""
    closes_at = max(
        deadline(day_start(ends_on + DAY, site.time_zone) - timedelta(seconds=1), site.calendar).closes_at
        for site in sites
    )
    day = ends_on + DAY
    while day_start(day, sites[0].time_zone) < closes_at:
        day += DAY
    return day


def sites_between(programme: Programme, starts_on: date, ends_on: date) -> list[Site]:
    """Every site of the organisation that exists in those days, in a campaign or not: none can be left out."""
    return list(
        db.session.scalars(
            select(Site)
            .where(
                Site.organisation_id == programme.organisation_id,
                or_(Site.closed_on.is_(None), Site.closed_on > starts_on),
                or_(Site.opened_on.is_(None), Site.opened_on <= ends_on),
            )
            .order_by(Site.id)
        )
    )


def _scope(
    programme: Programme, rule: RuleSet, sites: Sequence[Site], starts_on: date, ends_on: date
) -> dict[str, Any]:
    site_ids = [site.id for site in sites]
    assigned = db.session.scalars(
        select(Assignment).where(
            Assignment.site_id.in_(site_ids),
            Assignment.starts_on <= ends_on,
            or_(Assignment.ends_on.is_(None), Assignment.ends_on > starts_on),
        )
    ).all()
    return {
        "sites": site_ids,
        "supervisors": sorted({each.supervisor_id for each in assigned if each.supervisor_id is not None}),
        "agents": sorted({each.agent_id for each in assigned}),
        "campaigns": sorted(campaign.id for campaign in programme.campaigns),
        "zone": sites[0].time_zone,
        "rule": rule.text,
    }
