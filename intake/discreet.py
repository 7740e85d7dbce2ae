"""Texts of a file as a page may show them: whatever reads like a phone number or an email address is masked.

A column of contacts that somebody takes for another one, while trying out a mapping, must not stand on the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy

import phonenumbers

from survey.errors import AftercallError
from survey.phones import masked_email

# Bounded, so that a cell of a million signs takes no longer than its length.
_EMAIL = re.compile(r"[^\s@,;<>\"'()]{1,64}@[^\s@,;<>\"'()]{1,255}")
_NUMBER = re.compile(r"\+?\(?\d[\d ().\-/]{5,30}\d")
_DIGITS = re.compile(r"\+?\d{7,15}")
# 2026-03-31 09 and 31.03.2026 are made of the same signs as telephone numbers.
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b")


# What stands for each sign that is not told.
MASK = "•"


def discreet(text: str, country: str) -> str:
    """The text with every email address and every telephone number in it masked.

    `country` (ISO 3166 alpha-2) tells which numbers without a + are telephone numbers; others stay, as call ids do.
    """
    return _NUMBER.sub(lambda found: _masked(found.group(), country), _EMAIL.sub(_masked_address, text))


def refusal_told(refusal: AftercallError, country: str) -> AftercallError:
    """The same refusal, every text of it masked: for logs, and for reports that lie about."""
    told = copy(refusal)
    told.what, told.where, told.how = (discreet(text, country) for text in (told.what, told.where, told.how))
    told.args = (told.what,)
    return told


def columns_told(header: Sequence[str]) -> str:
    """What a message says of a file's columns: their names; of a header that holds contacts, only that it does.

    Such a header is a row of data, of which names of people and all else must not be told either. Digits are taken for
    a telephone number here whatever their country: no column is called like one.
    """
    if any(_EMAIL.search(name) or _looks_dialled(name) for name in header):
        return "Its first row holds what reads like phone numbers or emails: it seems to have no header. Give it one."
    return f"It has: {', '.join(filter(None, header))}."


def _looks_dialled(name: str) -> bool:
    return any(not _DATE.match(found) for found in _NUMBER.findall(name))


def _masked_address(found: re.Match[str]) -> str:
    return masked_email(found.group())


def _masked(text: str, country: str) -> str:
    if _is_number(text, country) and not _DATE.match(text):
        return _dotted(text)
    # Several numbers in a row are none together.
    return _DIGITS.sub(lambda part: _dotted(part.group()) if _is_number(part.group(), country) else part.group(), text)


def _dotted(number: str) -> str:
    digits = "".join(sign for sign in number if sign.isdigit())
    return MASK * (len(digits) - 2) + digits[-2:]


def _is_number(text: str, country: str) -> bool:
    if text.startswith("+"):
        return True
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False
