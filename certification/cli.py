"""flask certification: programmes and periods, standings, decisions, certificates."""

from __future__ import annotations

from datetime import date
from typing import Any

import click
from sqlalchemy import select

from certification import assessments, certificates, programmes, registry, rules, standings, verification
from certification.standings import Standing
from survey.commands import PoliteGroup, emit, json_option
from survey.db import db
from survey.errors import InputError, NotFound
from survey.models import Assessment, Campaign, Certificate, Level, Organisation, Period, Programme

FIRST_YEAR, LAST_YEAR = 1990, 2100


class Day(click.ParamType[date]):
    """A day written as 2026-03-31, of a year that somebody alive may mean."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day; write it as 2026-03-31", param, ctx)
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.fail(f"the year of {value} is not between {FIRST_YEAR} and {LAST_YEAR}", param, ctx)
        return day


DAY = Day()
organisation_option = click.option("--organisation", "organisation_key", required=True, help="Key of the organisation.")
programme_option = click.option("--programme", "key", required=True, help="Key of the programme.")

certification = PoliteGroup("certification", help="What the answers prove: standings, assessments, certificates.")
commands: tuple[click.Command, ...] = (certification,)


@certification.command("programme-create")
@organisation_option
@click.option("--key", required=True)
@click.option("--name", required=True)
@click.option("--rule-set", default="sqm-2011", show_default=True)
@click.option("--campaign", "campaign_keys", multiple=True, required=True, help="Key of a campaign in its frame.")
@json_option
def programme_create(
    organisation_key: str,
    key: str,
    name: str,
    rule_set: str,
    campaign_keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Names what an organisation is certified on."""
    organisation = _organisation(organisation_key)
    campaigns = [_campaign(organisation, each) for each in campaign_keys]
    programme = programmes.create(organisation, key, name, rule_set, campaigns)
    db.session.commit()
    report = {"programme": programme.key, "organisation": organisation.key, "rule_set": programme.rule_set}
    emit(report, [f"Programme {programme.key} of {organisation.name}, rule set {programme.rule_set}."], as_json)


@certification.command("announce")
@organisation_option
@programme_option
@click.option("--from", "starts_on", type=DAY, required=True, help="First day of a coming month.")
@click.option("--to", "ends_on", type=DAY, required=True, help="Last day of a month.")
@click.option("--decision-on", type=DAY, required=True, help="The day the decision is made.")
@json_option
def announce(organisation_key: str, key: str, starts_on: date, ends_on: date, decision_on: date, as_json: bool) -> None:
    """Announces a period and its decision day, and freezes its scope."""
    programme = programmes.named(organisation_key, key)
    period = programmes.announce(programme, starts_on, ends_on, decision_on)
    db.session.commit()
    report = _period(period) | {level: len(period.scope[level]) for level in ("sites", "supervisors", "agents")}
    text = f"Announced: {period.starts_on} to {period.ends_on}, decided on {period.decision_on}."
    emit(report, [text], as_json)


@certification.command("standings")
@organisation_option
@programme_option
@click.option("--from", "starts_on", type=DAY, help="With --to: any days, to look at, instead of an announced period.")
@click.option("--to", "ends_on", type=DAY)
@click.option("--as-of", type=DAY, help="As known at the end of that day.")
@click.option("--level", type=click.Choice([level.value for level in Level]))
@json_option
def show_standings(
    organisation_key: str,
    key: str,
    starts_on: date | None,
    ends_on: date | None,
    as_of: date | None,
    level: str | None,
    as_json: bool,
) -> None:
    """Where everybody is, and what is missing. The latest announced period, unless days are given."""
    programme = programmes.named(organisation_key, key)
    if starts_on is not None and ends_on is not None:
        first, last, rule = starts_on, ends_on, rules.load(programme.rule_set)
        found = standings.between(programme, first, last, as_of)
    elif starts_on is None and ends_on is None:
        period = _latest_period(programme)
        first, last, rule = period.starts_on, period.ends_on, programmes.rule_of(period)
        found = standings.for_period(period, as_of)
    else:
        raise InputError("--from and --to go together")
    shown = [each for each in found if level in (None, each.level)]
    lines = [f"{programme.name}, {first} to {last}", *(standings.line(each, rule) for each in shown)]
    emit(_standings(first, last, shown), lines, as_json)


@certification.command("assess")
@json_option
def assess(as_json: bool) -> None:
    """Makes every decision whose announced day has come; before the day, or a second time, it does nothing.

    Exit status 1 when one is due and cannot be made yet; it says why.
    """
    made = assessments.decide_due()
    ended = certificates.withdraw_closed_sites()
    db.session.commit()
    waiting = assessments.undecided()
    lines = [f"{each.level:<12} {each.subject_name:<28} {_decided(each)}" for each in made]
    lines += [f"withdrawn: {each.subject_name}, {each.withdrawn_reason}" for each in ended]
    reasons = [assessments.why_undecided(each) for each in waiting]
    lines += [f"not decided: {_waiting(each)}: {why}" for each, why in zip(waiting, reasons, strict=True)]
    report = {
        "assessments": [_assessment(each) for each in made],
        "withdrawn": [each.public_id for each in ended],
        "not_decided": [_period(each) | {"reason": why} for each, why in zip(waiting, reasons, strict=True)],
    }
    emit(report, lines or ["Nothing is due."], as_json)
    if waiting:
        click.get_current_context().exit(1)


@certification.command("certificates")
@click.option("--organisation", "organisation_key", help="Of one organisation only.")
@click.option("--all", "with_ended", is_flag=True, help="Expired and withdrawn ones too.")
@json_option
def list_certificates(organisation_key: str | None, with_ended: bool, as_json: bool) -> None:
    """Lists certificates, by level and name."""
    query = select(Certificate).order_by(Certificate.level, Certificate.subject_name, Certificate.id)
    if organisation_key is not None:
        query = query.where(Certificate.organisation_id == _organisation(organisation_key).id)
    found = [
        each
        for each in db.session.scalars(query)
        if with_ended or certificates.status(each) is certificates.Status.VALID
    ]
    lines = [
        f"{each.level:<12} {each.subject_name:<28} {certificates.status(each):<9} until {each.valid_until}"
        f"  {registry.address(each)}"
        for each in found
    ]
    emit([_certificate(each) for each in found], lines or ["No certificates."], as_json)


@certification.command("verify")
@click.argument("public_id")
@json_option
@click.pass_context
def verify(ctx: click.Context, public_id: str, as_json: bool) -> None:
    """Computes a certificate again from the database; exit status 1 and every difference when it does not agree."""
    certificate = certificates.by_public_id(public_id)
    differences = verification.verify(certificate)
    report = {"certificate": public_id, "agrees": not differences, "differences": differences}
    agreed = (
        f"Agrees: {certificate.level} {certificate.subject_name}, evidence {certificate.assessment.evidence_sha256}."
    )
    emit(report, differences or [agreed], as_json)
    ctx.exit(1 if differences else 0)


@certification.command("withdraw")
@click.argument("public_id")
@click.option("--reason", required=True, help="Shown to everybody who looks the certificate up.")
@json_option
def withdraw(public_id: str, reason: str, as_json: bool) -> None:
    """Withdraws a certificate; it stays in the registry with its reason."""
    certificate = certificates.by_public_id(public_id)
    certificates.withdraw(certificate, reason)
    db.session.commit()
    emit(_certificate(certificate), [f"Withdrawn: {certificate.subject_name}."], as_json)


def _organisation(key: str) -> Organisation:
    found = db.session.scalars(select(Organisation).where(Organisation.key == key)).one_or_none()
    if found is None:
        raise NotFound(f"no organisation {key!r}")
    return found


def _campaign(organisation: Organisation, key: str) -> Campaign:
    found = db.session.scalars(
        select(Campaign).where(Campaign.organisation_id == organisation.id, Campaign.key == key)
    ).one_or_none()
    if found is None:
        raise NotFound(f"{organisation.name} has no campaign {key!r}")
    return found


def _latest_period(programme: Programme) -> Period:
    found = db.session.scalars(
        select(Period).where(Period.programme_id == programme.id).order_by(Period.starts_on.desc())
    ).first()
    if found is None:
        raise NotFound(f"{programme.name} has no announced period", how="Give --from and --to, or announce one first.")
    return found


def _waiting(period: Period) -> str:
    return f"{period.programme.name}, {period.starts_on} to {period.ends_on}, due on {period.decision_on}"


def _period(period: Period) -> dict[str, Any]:
    return {
        "period": period.id,
        "starts_on": period.starts_on,
        "ends_on": period.ends_on,
        "decision_on": period.decision_on,
    }


def _standings(first: date, last: date, shown: list[Standing]) -> dict[str, Any]:
    return {"starts_on": first, "ends_on": last, "standings": [each.as_dict() for each in shown]}


def _assessment(made: Assessment) -> dict[str, Any]:
    return {
        "level": made.level,
        "id": made.subject_id,
        "name": made.subject_name,
        "n": made.n,
        "k": made.k,
        "decision": made.decision,
        "reasons": made.reasons,
        "evidence_sha256": made.evidence_sha256,
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    """With the recorded name: whoever runs commands may read it."""
    return registry.as_dict(certificate) | {"holder": certificate.subject_name}


def _decided(made: Assessment) -> str:
    return f"{made.k:>5} of {made.n:<5} {made.decision.replace('_', ' ')}{''.join(f'; {why}' for why in made.reasons)}"
