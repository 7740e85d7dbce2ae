"""Calls in Twilio's own JSON, one by one and in pages, and the filters of its list.

Source: Twilio's OpenAPI document for API 2010-04-01, resource Call.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime
from urllib.parse import urlencode

from simulator.network.courier import API_VERSION
from simulator.network.store import STATUSES, Call

DEFAULT_PAGE_SIZE, LARGEST_PAGE = 50, 1000
SUBRESOURCES = (
    "events",
    "notifications",
    "payments",
    "recordings",
    "siprec",
    "streams",
    "transcriptions",
    "user_defined_message_subscriptions",
    "user_defined_messages",
)
NORTH_AMERICAN = re.compile(r"\+1(\d{3})(\d{3})(\d{4})")

Json = dict[str, object]


class BadFilter(ValueError):
    """A list parameter that makes no sense; the text names it."""


def call_json(call: Call, account_sid: str) -> Json:
    """Give a call as Twilio's API shows it."""
    base = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{call.sid}"
    dialled = call.dialled_at
    return {
        "sid": call.sid,
        "account_sid": account_sid,
        "api_version": API_VERSION,
        "answered_by": call.answered_by,
        "caller_name": None,
        "date_created": _rfc_2822(call.created_at),
        "date_updated": _rfc_2822(call.updated_at),
        "direction": "outbound-api",
        "duration": None if call.duration is None else str(call.duration),
        "end_time": _rfc_2822(call.ended_at),
        "forwarded_from": None,
        "from": call.from_,
        "from_formatted": _formatted(call.from_),
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": str(round((dialled - call.created_at).total_seconds() * 1000)) if dialled else "0",
        "start_time": _rfc_2822(dialled),
        "status": call.status,
        "subresource_uris": {name: f"{base}/{_camel(name)}.json" for name in SUBRESOURCES},
        "to": call.to,
        "to_formatted": _formatted(call.to),
        "trunk_sid": None,
        "uri": f"{base}.json",
    }


def page_json(calls: list[Call], account_sid: str, args: Mapping[str, str]) -> Json:
    """Give one page of `calls` (newest first) that pass the filters in `args`.

    A page is bound by the SID that ended the one before (PageToken), so calls created while someone pages through
    neither repeat nor hide any. Raises BadFilter.
    """
    wanted = _filters(args)
    found = [call for call in calls if all(passes(call) for passes in wanted)]
    size = _whole(args, "PageSize", DEFAULT_PAGE_SIZE, 1, LARGEST_PAGE)
    page = _whole(args, "Page", 0, 0, 1_000_000)
    start = _start(found, args.get("PageToken", ""), page * size)
    shown = found[start : start + size]
    base = f"/{API_VERSION}/Accounts/{account_sid}/Calls.json"
    kept = {name: value for name, value in args.items() if name not in ("PageSize", "Page", "PageToken")}

    def address(number: int, token: str = "") -> str:
        paging = {"PageSize": str(size), "Page": str(number)} | ({"PageToken": token} if token else {})
        return f"{base}?{urlencode(kept | paging)}"

    more = start + size < len(found)
    return {
        "calls": [call_json(call, account_sid) for call in shown],
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": max(page * size, page * size + len(shown) - 1),
        "uri": address(page, args.get("PageToken", "")),
        "first_page_uri": address(0),
        "next_page_uri": address(page + 1, f"PA{shown[-1].sid}") if more else None,
        "previous_page_uri": address(page - 1) if page else None,
    }


def _filters(args: Mapping[str, str]) -> list[Callable[[Call], bool]]:
    filters: list[Callable[[Call], bool]] = []
    to, from_, status = args.get("To"), args.get("From"), args.get("Status")
    if to:
        filters.append(lambda call: call.to == to)
    if from_:
        filters.append(lambda call: call.from_ == from_)
    if status:
        if status not in STATUSES:
            raise BadFilter(f"Status {status} is not one of {', '.join(STATUSES)}")
        filters.append(lambda call: call.status == status)
    if args.get("ParentCallSid"):
        filters.append(lambda call: False)
    moments: dict[str, Callable[[Call], datetime | None]] = {
        "StartTime": lambda call: call.dialled_at,
        "EndTime": lambda call: call.ended_at,
    }
    for name, moment in moments.items():
        for sign in ("", "<", ">"):
            if args.get(name + sign):
                filters.append(_day_filter(name + sign, args[name + sign], sign, moment))
    return filters


def _day_filter(name: str, text: str, sign: str, moment: Callable[[Call], datetime | None]) -> Callable[[Call], bool]:
    """Compare UTC dates: "<" before that date, ">" on or after it (OpenAPI document).

    The client sends a time of day too. Only dates are documented, so it is ignored here: whoever needs a moment must
    ask for the day and look at the calls.
    """
    bound = _day(name, text)

    def passes(call: Call) -> bool:
        at = moment(call)
        if at is None:
            return False
        day = at.astimezone(UTC).date()
        if sign == "<":
            return day < bound
        return day >= bound if sign == ">" else day == bound

    return passes


def _day(name: str, text: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise BadFilter(f"{name} must be a date, YYYY-MM-DD in UTC, not {text!r}") from None


def _start(found: list[Call], token: str, default: int) -> int:
    if not token:
        return default
    for place, call in enumerate(found):
        if f"PA{call.sid}" == token:
            return place + 1
    raise BadFilter(f"PageToken {token} is not one this network gave out")


def _whole(args: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise BadFilter(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def _rfc_2822(at: datetime | None) -> str | None:
    return None if at is None else format_datetime(at.astimezone(UTC))


def _formatted(number: str) -> str:
    match = NORTH_AMERICAN.fullmatch(number)
    return f"({match[1]}) {match[2]}-{match[3]}" if match else number


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
