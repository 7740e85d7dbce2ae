"""Calls in Twilio's own JSON, one by one and in pages, and the filters of its list.

Source: Twilio's OpenAPI document for API 2010-04-01, resource Call.
"""

import hashlib
import re
from collections.abc import Callable, Mapping

from simulator.network.courier import API_VERSION
from simulator.network.paging import BadFilter, Json, day_filters, page_json, rfc_2822
from simulator.network.store import INBOUND, STATUSES, Call

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
        "date_created": rfc_2822(call.created_at),
        "date_updated": rfc_2822(call.updated_at),
        "direction": call.direction,
        "duration": None if call.duration is None else str(call.duration),
        "end_time": rfc_2822(call.ended_at),
        "forwarded_from": None,
        "from": call.from_,
        "from_formatted": _formatted(call.from_),
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": _number_sid(call.to) if call.direction == INBOUND else None,
        "price": call.price,
        "price_unit": "USD",
        "queue_time": str(round((dialled - call.created_at).total_seconds() * 1000)) if dialled else "0",
        "start_time": rfc_2822(dialled),
        "status": call.status,
        "subresource_uris": {name: f"{base}/{_camel(name)}.json" for name in SUBRESOURCES},
        "to": call.to,
        "to_formatted": _formatted(call.to),
        "trunk_sid": None,
        "uri": f"{base}.json",
    }


def calls_page(calls: list[Call], account_sid: str, args: Mapping[str, str]) -> Json:
    """Give one page of `calls` (newest first) that pass the filters in `args`. Raises BadFilter."""
    wanted = _filters(args)
    found = [call for call in calls if all(passes(call) for passes in wanted)]
    base = f"/{API_VERSION}/Accounts/{account_sid}/Calls.json"
    return page_json("calls", found, lambda call: call_json(call, account_sid), base, args)


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
    filters.extend(day_filters(args, "StartTime", lambda call: call.dialled_at))
    filters.extend(day_filters(args, "EndTime", lambda call: call.ended_at))
    return filters


def _formatted(number: str) -> str:
    match = NORTH_AMERICAN.fullmatch(number)
    return f"({match[1]}) {match[2]}-{match[3]}" if match else number


def _number_sid(number: str) -> str:
    return "PN" + hashlib.sha256(number.encode()).hexdigest()[:32]


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
