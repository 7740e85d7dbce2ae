"""Finding the objects in JSON of any size: one a line, one after the other, in a list, or in a list inside an object.

The standard library's decoder reads each object; here is only where each begins and ends, so that memory holds one at
a time and each is known by its line.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from intake.formats.delimited import LONGEST_LINE, NOT_UTF8, Lines, encoding_of, opened_text

CHUNK = 256 * 1024
TOO_LONG = f"is longer than {LONGEST_LINE:,} characters"
TOO_DEEP = "is nested too deeply"
NO_OBJECT = "is no JSON object"
NAMED_TWICE = "has the same name twice in one object"
ENDS_EARLY = "the file ends in the midst of it"

_SPACE = re.compile(r"[ \t\n\r]*")
_BEGINNING = re.compile(r'\s*(?:\{\s*(?:["}]|\Z)|\[\s*(?:[{\[\]]|\Z))')
_NAME = re.compile(r'"((?:[^"\\]|\\.){1,100})"\s*:')
_MARK, _REST_OF_STRING = re.compile(r'["{}\[\],]'), re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_PAST = -1
# The decoder complains this near to the end of what it was given when all that is wrong is that more is to come.
_NEAR_END = 20
# As much of a number that is cut off may be left unread behind it: the e+ of 1.5e+10.
_OF_A_NUMBER = 2


class Digits(str):
    """A number with every digit the file has: no id and no amount changes by being read."""

    __slots__ = ()


class Record(NamedTuple):
    """One object and the line it begins on; with a `fault`, it is none."""

    line: int
    value: dict[str, Any]
    fault: str = ""


def records(path: Path, notes: Counter[str], inside: Collection[str] = ()) -> Iterator[Record]:
    """Every object of the file in its order; `inside` are the names of members whose lists hold the objects.

    In a file of one object a line a broken line costs only itself. In any other shape nothing behind a mistake can be
    read: the record with that fault is the last.
    """
    with opened_text(path) as file:
        by_line = _one_a_line(file.read(LONGEST_LINE))
    with opened_text(path) as file:
        yield from _of_lines(Lines(file, notes), inside) if by_line else _Document(file, notes).records(inside)


def wrapped_in(path: Path) -> str | None:
    """The name of the one member whose list holds the objects, where the file is one object with one such member."""
    with opened_text(path) as file:
        return _Document(file, Counter()).wrapped_in()


def names_in(head: bytes) -> frozenset[str]:
    """Every name, at any depth, in the beginning of a file; none where it does not begin as JSON does."""
    return frozenset(_NAME.findall(text_in(head))) if begins(head) else frozenset()


def begins(head: bytes) -> bool:
    """Whether a file begins as an object or a list of objects."""
    return _BEGINNING.match(text_in(head)) is not None


def text_in(head: bytes) -> str:
    """The beginning of a file as text."""
    return head.decode(encoding_of(head), errors="replace")


class _Decoder:
    """The library's decoder, with numbers kept as they are written; `named_twice` is about the value read last."""

    def __init__(self) -> None:
        self.named_twice = False
        self._read = json.JSONDecoder(
            strict=False,  # a raw tab or line end in a text is a small sin
            parse_int=Digits,
            parse_float=Digits,
            parse_constant=Digits,
            object_pairs_hook=self._object,
        ).raw_decode

    def read(self, text: str, start: int) -> tuple[Any, int]:
        """(value, where it ends). Raises JSONDecodeError, or RecursionError for one that is nested too deeply."""
        self.named_twice = False
        return self._read(text, start)

    def record(self, line: int, value: Any, fault: str = "") -> Record:
        """The record of the value read last."""
        if not fault and not isinstance(value, dict):
            fault = NO_OBJECT
        if not fault and self.named_twice:
            fault = NAMED_TWICE
        return Record(line, {} if fault else value, fault)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self.named_twice = self.named_twice or len(found) < len(pairs)
        return found


# --- one object a line ---


def _one_a_line(text: str) -> bool:
    """Whether the file that begins with `text` has each object on a line of its own (or several on one)."""
    first, *further = _whole_lines(text) or [""]
    if text.lstrip()[:1] == "[" or not first:
        return False
    if _holds_objects(first):
        return True
    # The first line is broken. So is the file's first object, or else what holds all others.
    return not _begins_document(text) and sum(map(_holds_objects, further)) * 2 >= len(further) > 0


def _whole_lines(text: str) -> list[str]:
    lines = text.split("\n")
    if len(text) == LONGEST_LINE:
        lines.pop()
    return [line.strip() for line in lines if line.strip()]


def _holds_objects(line: str) -> bool:
    return line.startswith("{") and not any(record.fault for record in _of_line(_Decoder(), line, 0, ()))


def _begins_document(text: str) -> bool:
    """Whether the text begins with a value that reaches over several lines, perhaps beyond its end."""
    try:
        _Decoder().read(text, _space(text, 0))
    except JSONDecodeError as error:
        return _wants_more(error, text) if len(text) == LONGEST_LINE else _ends_early(error, text)
    except RecursionError:
        return False
    return True


def _of_lines(lines: Lines, inside: Collection[str]) -> Iterator[Record]:
    decoder = _Decoder()
    for line in lines:
        if lines.too_long:
            lines.too_long = False
            yield Record(lines.number, {}, TOO_LONG)
        elif line.strip():
            yield from _of_line(decoder, line.rstrip(), lines.number, inside)


def _of_line(decoder: _Decoder, line: str, number: int, inside: Collection[str]) -> Iterator[Record]:
    at = _space(line, 0)
    while at < len(line):
        try:
            value, at = decoder.read(line, at)
        except JSONDecodeError as error:
            yield Record(number, {}, f"is not JSON at column {error.pos + 1} ({_plainly(error)})")
            return
        except RecursionError:
            yield Record(number, {}, TOO_DEEP)
            return
        yield from _unwrapped(decoder.record(number, value), inside)
        at = _space(line, at)


def _unwrapped(record: Record, inside: Collection[str]) -> Iterator[Record]:
    """The objects in the record's own list, where it has one; else the record."""
    lists = [record.value[name] for name in inside if isinstance(record.value.get(name), list)]
    if not lists:
        yield record
    for value in (value for values in lists for value in values):
        yield Record(record.line, value) if isinstance(value, dict) else Record(record.line, {}, NO_OBJECT)


# --- any other shape ---


class _Mistake(Exception):
    """Where a document is no JSON; nothing behind it can be read."""

    def __init__(self, line: int, column: int, what: str) -> None:
        self.line = line
        self.fault = (
            f"cannot be read as JSON at line {line}, column {column} ({what}); the rest of the file could not be read"
        )
        super().__init__(self.fault)


class _Document:
    """Values after one another and inside one another, read through a window that moves over the file."""

    def __init__(self, file: TextIO, notes: Counter[str]) -> None:
        self._file, self._notes, self._decoder = file, notes, _Decoder()
        self._text, self._at, self._ended = "", 0, False
        # Where the window begins, counted from the file's beginning, and where the current line does.
        self._before, self._line_start, self.line = 0, 0, 1

    def records(self, inside: Collection[str]) -> Iterator[Record]:
        try:
            while mark := self._peek():
                if mark == "[":
                    yield from self._elements()
                elif mark == "{" and inside:
                    yield from self._members(inside)
                else:
                    yield self._record()
        except _Mistake as mistake:
            yield Record(mistake.line, {}, mistake.fault)

    def wrapped_in(self) -> str | None:
        found: dict[str, bool] = {}  # by the name of a list: whether it holds objects only
        with suppress(_Mistake):  # which is reported when the records are read
            if self._peek() != "{":
                return None
            for name in self._names():
                if self._peek() != "[":
                    self._value()
                    continue
                for record in self._elements():
                    found[name] = found.get(name, True) and record.fault != NO_OBJECT
            if self._peek():
                return None  # another value follows: each is a record
        holding = [name for name, objects in found.items() if objects]
        return holding[0] if len(holding) == 1 else None

    def _members(self, inside: Collection[str]) -> Iterator[Record]:
        """The objects in the lists that `inside` names; where there is no such list, the object itself."""
        line, start, wraps = self.line, self._before + self._at, False
        own: dict[str, Any] = {}
        fault = ""
        for name in self._names():
            if name in inside and self._peek() == "[":
                wraps = True
                yield from self._elements()
                continue
            twice = name in own
            own[name], wrong = self._value()
            fault = fault or wrong or (NAMED_TWICE if twice or self._decoder.named_twice else "")
            if self._before + self._at - start > LONGEST_LINE and not wraps:
                own, fault = {}, TOO_LONG
        if not wraps:
            yield Record(line, {} if fault else own, fault)

    def _names(self) -> Iterator[str]:
        """The names of the object that comes next; whoever takes one reads its value before the next name."""
        self._step()
        while self._peek() != "}":
            name, fault = self._value()
            if fault or not isinstance(name, str) or isinstance(name, Digits):
                raise self._mistake("Expecting a name in double quotes")
            if self._peek() != ":":
                raise self._mistake("Expecting ':' delimiter")
            self._step()
            yield name
            self._comma("}")
        self._step()

    def _elements(self) -> Iterator[Record]:
        self._step()
        while self._peek() != "]":
            yield self._record()
            self._comma("]")
        self._step()

    def _comma(self, closing: str) -> None:
        mark = self._peek()
        if mark == ",":
            self._step()
        elif mark != closing:
            raise self._mistake("Expecting ',' delimiter" if mark else ENDS_EARLY)

    def _record(self) -> Record:
        line = self.line
        return self._decoder.record(line, *self._value())

    def _value(self) -> tuple[Any, str]:
        """(the value that comes next, why it cannot be taken)."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.read(self._text, self._at)
            except RecursionError:
                self._skip()
                return None, TOO_DEEP
            except JSONDecodeError as error:
                if self._ended or not _wants_more(error, self._text):
                    raise self._mistake(*self._complaint(error)) from None
            else:
                if end + _OF_A_NUMBER < len(self._text) or self._ended:
                    fault = TOO_LONG if end - self._at > LONGEST_LINE else ""
                    self._move(end)
                    return value, fault
            held = len(self._text) - self._at
            if held > LONGEST_LINE:
                self._skip()
                return None, TOO_LONG
            self._more(CHUNK if held < CHUNK else LONGEST_LINE)

    def _skip(self) -> None:
        """Past the value that comes next, however long it is and however deeply nested, without holding it."""
        depth, in_string = 0, False
        while True:
            if in_string:
                rest = _REST_OF_STRING.match(self._text, self._at)
                self._move(rest.end() if rest else self._at)
                if self._text[self._at : self._at + 1] == '"':
                    in_string = False
                    self._step()
                    continue
            else:
                end, depth, in_string = _to_string_or_end(self._text, self._at, depth)
                self._move(end)
                if depth == _PAST:
                    return
                if in_string:
                    continue
            if not self._more():
                raise self._mistake(ENDS_EARLY)

    # --- the window ---

    def _peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self._move(_space(self._text, self._at))
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _step(self) -> None:
        self._move(self._at + 1)

    def _move(self, to: int) -> None:
        ends = self._text.count("\n", self._at, to)
        if ends:
            self.line += ends
            self._line_start = self._before + self._text.rindex("\n", self._at, to) + 1
        self._at = to

    def _more(self, size: int = CHUNK) -> bool:
        read = self._file.read(size)
        self._before += self._at
        self._text, self._at = self._text[self._at :] + read, 0
        self._ended = not read
        if "\ufffd" in read:
            self._notes[NOT_UTF8] += sum("\ufffd" in line for line in read.split("\n"))
        return bool(read)

    def _complaint(self, error: JSONDecodeError) -> tuple[str, int]:
        return (ENDS_EARLY if _ends_early(error, self._text) else _plainly(error)), error.pos

    def _mistake(self, what: str, at: int | None = None) -> _Mistake:
        self._move(self._at if at is None else at)
        return _Mistake(self.line, self._before + self._at - self._line_start + 1, what)


def _to_string_or_end(text: str, at: int, depth: int) -> tuple[int, int, bool]:
    """(where one gets to, how deep one is there, whether a string begins there); _PAST is behind the value."""
    for found in _MARK.finditer(text, at):
        mark = found.group()
        if mark == '"':
            return found.end(), depth, True
        if mark in "{[":
            depth += 1
        elif depth == 0:
            return found.start(), _PAST, False  # behind a number, a word or a string
        elif mark != ",":
            depth -= 1
            if depth == 0:
                return found.end(), _PAST, False
    return len(text), depth, False


def _space(text: str, at: int) -> int:
    """Where the spaces that begin at `at` end."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _wants_more(error: JSONDecodeError, text: str) -> bool:
    """Whether the mistake may be none once the text goes on."""
    return error.pos >= len(text) - _NEAR_END or _ends_early(error, text)


def _ends_early(error: JSONDecodeError, text: str) -> bool:
    return error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")


def _plainly(error: JSONDecodeError) -> str:
    return "a text is not closed" if error.msg.startswith("Unterminated string") else error.msg
