"""Writing down what a call came to. Flushes; the webhook commits.

Webhooks arrive in any order. What the customer did (answered, chose later, opted out) outranks what the network said
about the call ("completed"), whichever came first, so an attempt ends the same in every order.
"""

from __future__ import annotations

from ivr.conversation import Chose, Ended, Ignored, OptedOut, Record, Said
from ivr.lines import KEY_IGNORED, Line
from survey import answers, attempts, lifecycle
from survey.db import db
from survey.models import Answer, Disposition, OptOutSource, Outcome

# What we were only told or assumed, and may have to correct.
BY_THE_NETWORK = (Outcome.HUNG_UP, Outcome.UNKNOWN)
BY_ITS_EARS = (Outcome.VOICEMAIL, Outcome.DEAD)
# A machine hears us out and says nothing; keys are pressed by people alone.
SILENT = (*BY_THE_NETWORK, Outcome.NO_INPUT)
ASSUMED = (Outcome.UNKNOWN,)
# Our own TimeLimit ends a call after ten minutes: whatever claims to be longer than a day is kept as a day.
MOST_SECONDS = 86_400


def write(record: Record | None, line: Line, call_sid: str) -> None:
    """Keeps what the customer did in that call. The same record twice changes nothing."""
    asking = line.asking
    match record:
        case Said(question, value, sequence):
            taken = answers.take_over(asking, question, value, sequence)
            if taken.new and taken.next_question is None:
                _settle(asking.attempt_id, Outcome.COMPLETED, (*BY_THE_NETWORK, *BY_ITS_EARS))
            elif line.outcome in BY_ITS_EARS:
                attempts.correct(asking.attempt_id, BY_ITS_EARS, Outcome.HUNG_UP, "taken for a machine, and answered")
        case Ended(Outcome.NO_INPUT):
            _settle(asking.attempt_id, Outcome.NO_INPUT, BY_THE_NETWORK)
        case Ended(outcome):
            _settle(asking.attempt_id, outcome, (*BY_THE_NETWORK, *BY_ITS_EARS))
        case OptedOut():
            lifecycle.opt_out(lifecycle.locked(asking.survey_id), ["phone"], OptOutSource.PHONE_KEY)
            _settle(asking.attempt_id, Outcome.OPTED_OUT, (*BY_THE_NETWORK, *BY_ITS_EARS))
        case Chose(language):
            # So that a later call, or the email that follows a cut-off one, speaks it too.
            lifecycle.locked(asking.survey_id).language = language
        case Ignored(step):
            attempts.note(asking.attempt_id, call_sid, KEY_IGNORED, step)


def over(attempt_id: int, outcome: Outcome, disposition: Disposition | None, detail: str | None = None) -> bool:
    """The network says that the call is over; True when this ended the attempt.

    Spoken to counts as completed when the survey is, with an answer given over this attempt in time.
    """
    if outcome is Outcome.HUNG_UP and disposition is Disposition.COMPLETE and _answered(attempt_id):
        outcome = Outcome.COMPLETED
    return _settle(attempt_id, outcome, ASSUMED, detail)


def machine(line: Line, outcome: Outcome, answered_by: str) -> bool:
    """Twilio took whoever picked up for a machine; True unless an answer, or a choice of keys, says otherwise."""
    attempt_id = line.asking.attempt_id
    if line.outcome is not None and line.outcome not in (*SILENT, *BY_ITS_EARS):
        return False
    if db.session.query(Answer.id).filter_by(attempt_id=attempt_id).first() is not None:
        return False
    _settle(attempt_id, outcome, SILENT, f"Twilio heard: {answered_by}")
    return True


def billed(attempt_id: int, seconds: str) -> None:
    """Keeps how long a call was connected, as the network says it (`seconds`, "0" when nobody picked up)."""
    if seconds.isascii() and seconds.isdigit():
        attempts.billed(attempt_id, min(int(seconds), MOST_SECONDS))


def _settle(attempt_id: int, outcome: Outcome, correctable: tuple[Outcome, ...], detail: str | None = None) -> bool:
    return attempts.end(attempt_id, outcome, detail) or attempts.correct(attempt_id, correctable, outcome, detail)


def _answered(attempt_id: int) -> bool:
    given = db.session.query(Answer.id).filter_by(attempt_id=attempt_id, late=False)
    return given.first() is not None
