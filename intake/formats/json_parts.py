"""Taking apart what a telephone system wrote as JSON, without trust in its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intake.formats.json_values import text_of
from intake.rows import shown


class Misshapen(Exception):
    """Why a record cannot be taken, in words that go into the rejects."""


def text(holder: Mapping[str, Any], name: str) -> str:
    """A text or number, trimmed; empty where there is none. Raises Misshapen for anything else."""
    found = holder.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Misshapen(f"{shown(name)} is not a text")
    return text_of(found).strip()


def required(holder: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises Misshapen where it is not."""
    found = text(holder, name)
    if not found:
        raise Misshapen(f"has no {shown(name)}")
    return found


def whole(holder: Mapping[str, Any], name: str) -> int:
    """A whole number that is not negative; 0 where there is none. Raises Misshapen for anything else."""
    found = text(holder, name)
    if found and not (found.isascii() and found.isdigit() and len(found) <= 12):
        raise Misshapen(f"{shown(name)} is not a whole number")
    return int(found or 0)


def part(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; an empty one where there is none. Raises Misshapen for anything else."""
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Misshapen(f"{shown(name)} is not an object")
    return found


def parts(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects; an empty one where there is none. Raises Misshapen for anything else."""
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Misshapen(f"{shown(name)} is not a list of objects")
    return found


def yes(flag: bool) -> str:
    """A flag as a cell holds it."""
    return "yes" if flag else "no"
