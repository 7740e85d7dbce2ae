"""What Twilio's codes mean for us: one table for refusals, one for how a call ended, one for how it failed.

Source: Twilio's error dictionary (twilio.com/docs/api/errors) and its documentation of call statuses; SIP: RFC 3261.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from survey.models import Outcome


@dataclass(frozen=True)
class Ruling:
    """What a code comes to: the attempt's outcome, and what is done about it (for the log and the console).

    Without an outcome the attempt goes back and is tried again: certainly nobody was dialled, and for no fault of the
    customer's number. `everywhere`: whichever number we had called, the answer would have been the same.
    """

    outcome: Outcome | None
    done: str
    everywhere: bool = False

    @property
    def permanent(self) -> bool:
        """Whether this number is never dialled again (another channel may still be)."""
        return self.outcome is Outcome.DEAD


BAD_NUMBER = Ruling(Outcome.DEAD, "the number does not exist: not dialled again, the other channel is next")
NOT_ALLOWED = Ruling(
    Outcome.DEAD, "the account may not call there: not dialled again; allow the country in Twilio's geo permissions"
)
BLOCKED = Ruling(Outcome.DEAD, "Twilio blocks calls to this number: not dialled again, the other channel is next")
NO_ACCESS = Ruling(None, "goes back: correct TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN", everywhere=True)
BAD_CALLER = Ruling(None, "goes back: correct the campaign's caller id, or TWILIO_FROM")
TOO_MANY = Ruling(None, "goes back: Twilio takes no more calls at the moment", everywhere=True)
OURS = Ruling(
    Outcome.FAILED, "Twilio could not use our addresses or our script: check PUBLIC_BASE_URL", everywhere=True
)
OTHER_REFUSAL = Ruling(Outcome.FAILED, "refused: look the code up at twilio.com/docs/api/errors")

BY_CODE: Mapping[int, Ruling] = {
    10004: TOO_MANY,
    20429: TOO_MANY,
    20003: NO_ACCESS,
    20404: NO_ACCESS,
    13224: BAD_NUMBER,
    13227: NOT_ALLOWED,
    21201: BAD_NUMBER,
    21205: OURS,
    21210: BAD_CALLER,
    21211: BAD_NUMBER,
    21212: BAD_CALLER,
    21213: BAD_CALLER,
    21214: BAD_NUMBER,
    21215: NOT_ALLOWED,
    21216: BLOCKED,
    21217: BAD_NUMBER,
    21219: Ruling(Outcome.FAILED, "a trial account calls verified numbers only: upgrade it, or verify the number"),
    21609: OURS,
    21626: OURS,
    32205: NOT_ALLOWED,
    11200: OURS,
    11205: OURS,
    12100: OURS,
    12300: OURS,
}

# Not final: queued, initiated, ringing, in-progress. "completed" only says that somebody picked up.
BY_STATUS: Mapping[str, Outcome] = {
    "completed": Outcome.HUNG_UP,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.FAILED,
}

# A failed call whose SIP answer says that there is no such number, rather than that it could not be reached now.
DEAD_SIP = frozenset({"404", "410", "484", "604"})


def of_refusal(http_status: int, code: int | None) -> Ruling | None:
    """What a refused POST comes to; None when it is not certain that nothing was dialled.

    A 5xx and a 408 (which a proxy may give for what Twilio did process) are uncertain; a 429 was never processed.
    """
    if http_status == 429:
        return TOO_MANY
    if not 400 <= http_status < 500 or http_status == 408:
        return None
    if http_status in (401, 403) and code not in BY_CODE:
        return NO_ACCESS
    return BY_CODE.get(code or 0, OTHER_REFUSAL)


def of_status(status: str, sip_code: str = "", error_code: str = "") -> Outcome | None:
    """The outcome a call status ends an attempt with; None while the call goes on.

    HUNG_UP stands for "spoken to": whether the survey was completed, the caller knows. A failed call with neither SIP
    nor error code may be tried again.
    """
    outcome = BY_STATUS.get(status)
    if status != "failed":
        return outcome
    if sip_code in DEAD_SIP:
        return Outcome.DEAD
    ruling = BY_CODE.get(int(error_code)) if error_code.isascii() and error_code.isdigit() else None
    return Outcome.DEAD if ruling is not None and ruling.permanent else outcome
