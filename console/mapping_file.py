"""A mapping written down as TOML, for `flask calls import --mapping` and for the next upload."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from intake.mapping import CallMapping

HEADING = "# How a file of calls is read; docs/intake.md explains every line.\n"


def as_toml(mapping: CallMapping) -> str:
    """The mapping as the TOML that `read_mapping` reads back as the same; what is as usual is left out."""
    given = mapping.model_dump(mode="json", exclude_defaults=True)
    plain = {name: value for name, value in given.items() if not isinstance(value, dict)}
    tables = [(name, value) for name, value in given.items() if isinstance(value, dict)]
    return "\n".join([HEADING + "".join(_lines(plain)), *(_table(name, value) for name, value in tables)])


def _table(name: str, pairs: Mapping[str, Any]) -> str:
    return f"[{name}]\n{''.join(_lines(pairs))}"


def _lines(pairs: Mapping[str, Any]) -> Iterable[str]:
    return (f"{_text(name)} = {_value(value)}\n" for name, value in pairs.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_text(name)} = {_value(each)}' for name, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    """A basic string: TOML escapes as JSON does, and the delete sign besides."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
