"""The body of a request, from bytes to one JSON object: every limit is checked before anything grows beyond it."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from survey.errors import AftercallError, InputError

MEGABYTE = 1024 * 1024
# What a compressed body may unfold to: a few kilobytes of gzip can be gigabytes.
MOST_UNFOLDED = 64 * MEGABYTE
# Each of these begins a value, and even an empty one takes some hundred bytes of memory: ten thousand calls with every
# field have a quarter of this.
MOST_MARKS = 1_000_000
# A number longer than this stays text: no quantity is, and turning digits into a number takes time.
LONGEST_NUMBER = 40

_TEXT_OR_CONSTANT = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(-?Infinity|NaN)', re.S)


class TooLarge(AftercallError):
    """More than is taken at once."""

    status = 413


class WrongKind(AftercallError):
    """The body is of a kind that is not taken."""

    status = 415


class Repeated(dict[str, Any]):
    """An object in which a name came twice: which of its values is meant, nobody can say. `name` is the first such."""

    name = ""


def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; objects in it that repeat a name are of the class Repeated.

    Raises WrongKind for another content type or encoding, TooLarge beyond a limit, InputError with line and column for
    what is not JSON in UTF-8.
    """
    if request.mimetype != "application/json":
        raise WrongKind("the body is not declared to be JSON", where="Content-Type", how="Send application/json.")
    found = _parsed(_text(_unfolded(_bytes(request), request.headers.get("Content-Encoding", ""))))
    if not isinstance(found, dict):
        raise InputError("is no JSON object", where="body", how='Send {"calls": [...]}.')
    return found


def _bytes(request: Request) -> bytes:
    most = request.max_content_length or MOST_UNFOLDED
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise _too_large(most) from None
    # A body that did not say how long it is was read up to the limit, and may go on.
    if request.content_length is None and len(body) >= most:
        raise _too_large(most)
    return body


def _too_large(most: int) -> TooLarge:
    how = "Send fewer calls at once, or compress the body (Content-Encoding: gzip)."
    return TooLarge(f"is larger than {most // MEGABYTE} MB", where="body", how=how)


def _unfolded(body: bytes, encoding: str) -> bytes:
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind != "gzip":
        raise WrongKind("the body is compressed in a way not known here", where="Content-Encoding", how="Use gzip.")
    try:
        unfolded = gzip.GzipFile(fileobj=io.BytesIO(body)).read(MOST_UNFOLDED + 1)
    except (OSError, EOFError, zlib.error):
        raise InputError("is not gzip, or broken off", where="body", how="Compress it again.") from None
    if len(unfolded) > MOST_UNFOLDED:
        what = f"unfolds to more than {MOST_UNFOLDED // MEGABYTE} MB"
        raise TooLarge(what, where="body", how="Send fewer calls at once.")
    return unfolded


def _text(body: bytes) -> str:
    if not body.strip():
        raise InputError("is empty", where="body", how='Send {"calls": [...]}.')
    marks = body.count(b",") + body.count(b"[") + body.count(b"{")
    if marks > MOST_MARKS:
        raise TooLarge("holds far more values than calls can have", where="body", how="Send fewer calls at once.")
    try:
        if json.detect_encoding(body) in ("utf-8", "utf-8-sig"):
            return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"body, byte {error.start + 1}"
        raise InputError("is not UTF-8", where=where, how="JSON travels in UTF-8.") from None
    raise InputError("is UTF-16 or UTF-32, not UTF-8", where="body", how="JSON travels in UTF-8.")


def _parsed(text: str) -> Any:
    def no_number(constant: str) -> NoReturn:
        found = next(match for match in _TEXT_OR_CONSTANT.finditer(text) if match.group(1) == constant)
        raise json.JSONDecodeError(f"{constant} is no JSON number", text, found.start())

    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_int=_whole, parse_float=_decimal, parse_constant=no_number
        )
    except json.JSONDecodeError as error:
        where = f"body, line {error.lineno}, column {error.colno}"
        raise InputError(f"is not JSON: {error.msg}", where=where) from None
    except RecursionError:
        raise InputError("is nested too deeply", where="body", how="A call is one flat object.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated, seen = Repeated(found), set[str]()
    for name, _ in pairs:
        if name in seen:
            repeated.name = name
            break
        seen.add(name)
    return repeated


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits


def _decimal(digits: str) -> float | str:
    return float(digits) if len(digits) <= LONGEST_NUMBER else digits
