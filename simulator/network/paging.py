"""Lists in Twilio's own JSON: filters by day, and pages.

Source: Twilio's OpenAPI document for API 2010-04-01.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Protocol, TypeVar
from urllib.parse import urlencode

DEFAULT_PAGE_SIZE, LARGEST_PAGE = 50, 1000
SIGNS = ("", "<", ">")

Json = dict[str, object]


class BadFilter(ValueError):
    """A list parameter that makes no sense; the text names it."""


class Listed(Protocol):
    """Anything with a SID."""

    sid: str


T = TypeVar("T")
L = TypeVar("L", bound=Listed)


def page_json(kind: str, found: Sequence[L], show: Callable[[L], Json], base: str, args: Mapping[str, str]) -> Json:
    """Give the page that `args` ask for of `found` (newest first), under the name `kind`; `base` is the list's path.

    A page is bound by the SID that ended the one before (PageToken), so what is added while someone pages through
    neither repeats nor hides anything. Raises BadFilter.
    """
    size = _whole(args, "PageSize", DEFAULT_PAGE_SIZE, 1, LARGEST_PAGE)
    page = _whole(args, "Page", 0, 0, 1_000_000)
    start = _start(found, args.get("PageToken", ""), page * size)
    shown = found[start : start + size]
    kept = {name: value for name, value in args.items() if name not in ("PageSize", "Page", "PageToken")}

    def address(number: int, token: str = "") -> str:
        paging = {"PageSize": str(size), "Page": str(number)} | ({"PageToken": token} if token else {})
        return f"{base}?{urlencode(kept | paging)}"

    more = start + size < len(found)
    return {
        kind: [show(one) for one in shown],
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": max(page * size, page * size + len(shown) - 1),
        "uri": address(page, args.get("PageToken", "")),
        "first_page_uri": address(0),
        "next_page_uri": address(page + 1, f"PA{shown[-1].sid}") if more else None,
        "previous_page_uri": address(page - 1) if page else None,
    }


def day_filters(
    args: Mapping[str, str], name: str, moment: Callable[[T], datetime | None]
) -> list[Callable[[T], bool]]:
    """Give the filters that `name`, "name<" and "name>" among `args` ask for. Raises BadFilter."""
    return [_day_filter(name + sign, args[name + sign], sign, moment) for sign in SIGNS if args.get(name + sign)]


def _day_filter(name: str, text: str, sign: str, moment: Callable[[T], datetime | None]) -> Callable[[T], bool]:
    """Compare UTC dates: "<" before that date, ">" on or after it (OpenAPI document).

    The client sends a time of day too. Only dates are documented, so it is ignored here: whoever needs a moment must
    ask for the day and look at what comes.
    """
    bound = _day(name, text)

    def passes(one: T) -> bool:
        at = moment(one)
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


def _start(found: Sequence[Listed], token: str, default: int) -> int:
    if not token:
        return default
    for place, one in enumerate(found):
        if f"PA{one.sid}" == token:
            return place + 1
    raise BadFilter(f"PageToken {token} is not one this network gave out")


def _whole(args: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = args.get(name, str(default))
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise BadFilter(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def rfc_2822(at: datetime | None) -> str | None:
    """Write a moment as Twilio does."""
    return None if at is None else format_datetime(at.astimezone(UTC))
