"""Asking on the web, as the scheduler sees it: sends the invitation of an attempt, at most once.

The attempt's link is bound in one conditional update before the relay hears of it: who binds it sends, nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from threading import Lock
from urllib.parse import urlsplit

from sqlalchemy import select, update

from survey import attempts, breakers, clock, lifecycle, logs
from survey.db import db, released
from survey.errors import InputError, ProviderError, SettingsError
from survey.models import Attempt, AttemptState, Channel, Outcome, Survey
from survey.questionnaire import FALLBACK_LANGUAGE, LANGUAGES, questions
from survey.settings import current
from websurvey import links, words
from websurvey.invitation import Invitation, build, message_id, plain_address
from websurvey.mailer import MessageRefused, Relay, RelayUnavailable, relay_address

TRY_AGAIN_AFTER = timedelta(minutes=15)
IN_DOUBT_AFTER = timedelta(minutes=10)
NO_RELAY = "no mail relay can be used: correct SMTP_URL and MAIL_FROM"

log = logs.logger("websurvey")


@dataclass(frozen=True)
class Letter:
    """A message ready to go, with the names of everything needed afterwards."""

    attempt_id: int
    survey_id: int
    message_id: str
    message: EmailMessage
    recipient: str


class WebChannel:
    """Keeps one relay, with its open connections, for as long as SMTP_URL stays the same."""

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._relay: Relay | None = None
        self._relay_url: str | None = None
        self._complained = False

    def deliver(self, attempt_id: int) -> None:
        """Sends the invitation of a `dialling` attempt; any other attempt is left alone. Commits."""
        attempt = links.load(attempt_id)
        if attempt is None or attempt.channel is not Channel.WEB or attempt.state is not AttemptState.DIALLING:
            db.session.rollback()
            return
        relay = self._current_relay()
        if relay is None:
            breakers.failed(Channel.WEB, NO_RELAY, attempt.claimed_at)
            _put_back(attempt_id, lifecycle.locked(attempt.survey_id))
            db.session.commit()
            return
        claimed_at = attempt.claimed_at
        letter = _letter(attempt, relay.sender)
        if letter is None:
            db.session.commit()
            return
        with released():
            trouble = _trouble_sending(relay, letter)
        _tell_breaker(trouble, claimed_at)
        _settle(letter, trouble)
        db.session.commit()

    def reconcile(self) -> int:
        """Settles attempts whose sending was cut off by a crash; returns how many. Commits each.

        One that has its link may have been sent: it counts as sent, and is not mailed again. One without a link
        certainly was not, and is planned once more.
        """
        doubtful = db.session.scalars(
            select(Attempt.id)
            .where(
                Attempt.channel == Channel.WEB,
                Attempt.state == AttemptState.DIALLING,
                Attempt.started_at < clock.now() - IN_DOUBT_AFTER,
            )
            .order_by(Attempt.id)
        ).all()
        settled = 0
        for attempt_id in doubtful:
            settled += _reconciled(attempt_id)
            db.session.commit()
        return settled

    def _current_relay(self) -> Relay | None:
        """The relay that SMTP_URL names; None, with one complaint in the log, when it names none."""
        url = current().smtp_url
        with self._one_at_a_time:
            if self._relay is None or url != self._relay_url:
                self._turn_to(url)
            return self._relay

    def _turn_to(self, url: str | None) -> None:
        self._complained = self._complained and url == self._relay_url
        self._relay, self._relay_url = None, url
        try:
            self._relay = _relay(url)
        except SettingsError as error:
            if not self._complained:
                log.error("no email can be sent", reason=str(error))
            self._complained = True


def _relay(url: str | None) -> Relay:
    if not url:
        raise SettingsError("is not set", where="SMTP_URL", how="Name your mail relay, such as smtp://localhost:25.")
    try:
        sender = plain_address(current().mail_from)
    except InputError:
        raise SettingsError("is not a plain address", where="MAIL_FROM", how="Write it as name@example.com.") from None
    return Relay(relay_address(url), sender, _our_host())


def _our_host() -> str:
    return urlsplit(current().public_base_url).hostname or "localhost"


def _letter(attempt: Attempt, sender: str) -> Letter | None:
    """The message of an attempt, its link bound to it; None when nothing may be sent, the attempt then being ended."""
    token = links.new_token()
    try:
        invitation = _invitation(attempt, sender, links.address(token))
        message = build(invitation)
    except InputError as error:
        _end(attempt, Outcome.BOUNCED, str(error))
        return None
    if not attempt.survey.is_open or attempt.survey.deadline <= clock.now():
        _end(attempt, Outcome.FAILED, "the survey closed before the email left")
        return None
    if not links.bind(attempt.id, token, invitation.message_id):
        return None
    return Letter(attempt.id, attempt.survey_id, invitation.message_id, message, plain_address(invitation.to))


def _invitation(attempt: Attempt, sender: str, link: str) -> Invitation:
    """What the invitation says. Raises InputError when the customer has no email address."""
    survey = attempt.survey
    organisation, site = survey.campaign.organisation, survey.site
    if survey.customer.email is None:
        raise InputError("the customer has none", where="email")
    return Invitation(
        message_id=message_id(attempt.id, survey.drawn_at, _our_host()),
        sent_at=clock.now(),
        mail_from=sender,
        to=survey.customer.email,
        link=link,
        language=survey.language if survey.language in LANGUAGES else FALLBACK_LANGUAGE,
        country=site.country,
        organisation=organisation.name,
        postal_address=organisation.postal_address,
        phone=organisation.phone,
        privacy_url=organisation.privacy_url,
        agent=words.first_name(survey.agent.name) if survey.agent else "",
        call_day=words.day_at(survey.call.started_at, site.time_zone),
        last_day=words.last_day(survey.deadline, site.time_zone),
        first_question=questions(survey.campaign.questionnaire)[0],
    )


def _trouble_sending(relay: Relay, letter: Letter) -> ProviderError | None:
    """Sends the letter; returns what went wrong, or None. Nothing is read from the database here."""
    try:
        relay.send(letter.message, letter.recipient)
    except ProviderError as trouble:
        log.warning("email not taken", attempt=letter.attempt_id, reason=str(trouble))
        return trouble
    return None


def _tell_breaker(trouble: ProviderError | None, claimed_at: datetime | None) -> None:
    """Whether the relay works: it does when it takes a message, or refuses one for that message's own sake."""
    if trouble is None or isinstance(trouble, MessageRefused):
        breakers.worked(Channel.WEB)
    else:
        breakers.failed(Channel.WEB, str(trouble), claimed_at)


def _settle(letter: Letter, trouble: ProviderError | None) -> None:
    """Writes down what became of the letter. The survey is locked first: it may have closed meanwhile."""
    survey = lifecycle.locked(letter.survey_id)
    if isinstance(trouble, RelayUnavailable):
        links.revoke(letter.attempt_id)
        _put_back(letter.attempt_id, survey)
    elif isinstance(trouble, MessageRefused):
        links.revoke(letter.attempt_id)
        outcome = Outcome.BOUNCED if trouble.bounced else Outcome.FAILED
        attempts.end(letter.attempt_id, outcome, str(trouble))
    else:  # taken, or perhaps taken
        _is_out(letter.attempt_id, letter.message_id, survey, None if trouble is None else str(trouble))


def _is_out(attempt_id: int, known_as: str, survey: Survey, doubt: str | None) -> None:
    """The link is with the customer, or may be: the attempt waits for answers, or ends when its survey has closed."""
    attempts.underway(attempt_id, known_as)
    if doubt is not None:
        db.session.execute(
            update(Attempt)
            .where(Attempt.id == attempt_id)
            .values(detail=doubt)
            .execution_options(synchronize_session=False)
        )
    if not survey.is_open:
        lifecycle.end_attempts(survey, clock.now())


def _put_back(attempt_id: int, survey: Survey) -> None:
    """Nothing was sent, for a reason that is not the message's: again later, unless the survey has closed."""
    if survey.is_open:
        attempts.put_back(attempt_id, clock.now() + TRY_AGAIN_AFTER)
    else:
        attempts.end(attempt_id, Outcome.FAILED, "the survey closed before the email left")


def _end(attempt: Attempt, outcome: Outcome, why: str) -> None:
    lifecycle.locked(attempt.survey_id)
    attempts.end(attempt.id, outcome, why)


def _reconciled(attempt_id: int) -> bool:
    """Settles one attempt left `dialling`; False when somebody else did so first."""
    attempt = db.session.get_one(Attempt, attempt_id)
    survey = lifecycle.locked(attempt.survey_id)
    db.session.refresh(attempt)
    if attempt.state is not AttemptState.DIALLING:
        return False
    if attempt.token_hash is None:
        _put_back(attempt_id, survey)
    else:
        known_as = attempt.provider_id or message_id(attempt_id, survey.drawn_at, _our_host())
        _is_out(attempt_id, known_as, survey, "may have been sent before a crash: not sent again")
    return True
