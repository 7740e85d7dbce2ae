"""The links customers get: 128 random bits, of which only a hash is kept."""

from __future__ import annotations

import secrets

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import joinedload

from survey.db import db
from survey.models import Attempt, AttemptState, Campaign, Survey
from survey.settings import current
from survey.vault import token_hash

TOKEN_BYTES = 16


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def address(token: str) -> str:
    """The public address of the survey behind a token."""
    return f"{current().public_base_url}/s/{token}"


def bind(attempt_id: int, token: str, message_id: str) -> bool:
    """Gives a dialling attempt its link; False when it has one already or is not dialling, and may not be sent."""
    bound = db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == AttemptState.DIALLING, Attempt.token_hash.is_(None))
        .values(token_hash=token_hash(token), provider_id=message_id)
        .returning(Attempt.id)
        .execution_options(synchronize_session=False)
    )
    return bound.first() is not None


def revoke(attempt_id: int) -> None:
    """Makes the attempt's link unknown: for messages that certainly reached nobody."""
    db.session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(token_hash=None, provider_id=None)
        .execution_options(synchronize_session=False)
    )


# Made once: putting them together takes as long as asking them. Row locks and other sessions may have changed what the
# session holds, so everything is read again.
_SURVEY = joinedload(Attempt.survey, innerjoin=True)
_TOLD = (
    select(Attempt)
    .options(
        _SURVEY.joinedload(Survey.campaign, innerjoin=True).joinedload(Campaign.organisation, innerjoin=True),
        _SURVEY.joinedload(Survey.call, innerjoin=True),
        _SURVEY.joinedload(Survey.site, innerjoin=True),
        _SURVEY.joinedload(Survey.agent),  # none where it is not certain who handled the call last
    )
    .execution_options(populate_existing=True)
)
_BY_LINK = _TOLD.where(Attempt.token_hash == bindparam("hash"))
_BY_ID = _TOLD.options(_SURVEY.joinedload(Survey.customer, innerjoin=True)).where(Attempt.id == bindparam("id"))


def find(token: str) -> Attempt | None:
    """The attempt a link was sent for, with what its pages tell, in one query. Unknown and revoked look alike: None."""
    return db.session.scalars(_BY_LINK, {"hash": token_hash(token)}).one_or_none()


def load(attempt_id: int) -> Attempt | None:
    """The attempt with everything its message tells, in one query."""
    return db.session.scalars(_BY_ID, {"id": attempt_id}).one_or_none()
