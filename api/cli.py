"""Commands of this room: `flask api-keys`."""

from __future__ import annotations

from typing import Any

import click

from api import keys
from survey import audit
from survey.clock import iso
from survey.commands import PoliteGroup, emit, json_option
from survey.db import db
from survey.models import ApiKey

actor_option = click.option("--actor", default=audit.COMMAND_LINE, help="Who does this, for the record.")
organisation_option = click.option("--organisation", required=True, metavar="KEY", help="The organisation's key.")
name_option = click.option("--name", required=True, metavar="TEXT", help="What uses the key; records show it.")

api_keys = PoliteGroup("api-keys", help="Keys with which programs use the API.")


@api_keys.command("create")
@organisation_option
@name_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(list(keys.SCOPES)),
    default=(keys.CALLS_WRITE,),
    show_default=True,
    help="What the key may do; may be given several times.",
)
@actor_option
@json_option
def create(organisation: str, name: str, scopes: tuple[str, ...], actor: str, as_json: bool) -> None:
    """Make a key. It is printed this once and kept nowhere."""
    key, secret = keys.create(organisation, name, scopes, actor=actor)
    report = _as_dict(key) | {"key": secret}
    db.session.commit()
    said = f"Key {name!r} of {organisation} may: {', '.join(keys.SCOPES[scope] for scope in report['scopes'])}."
    emit(report, [said, f"Key (shown this once): {secret}"], as_json)


@api_keys.command("list")
@click.option("--organisation", metavar="KEY", help="Only this organisation's keys.")
@json_option
def list_keys(organisation: str | None, as_json: bool) -> None:
    """Show every key, revoked ones too. The keys themselves are not kept."""
    rows = [_as_dict(key) for key in keys.listed(organisation)]
    emit(rows, [_line(row) for row in rows] or ["No API key yet. Make one with: flask api-keys create"], as_json)


@api_keys.command("revoke")
@organisation_option
@name_option
@actor_option
@json_option
def revoke(organisation: str, name: str, actor: str, as_json: bool) -> None:
    """End a key at once: its next request is refused."""
    report = _as_dict(keys.revoke(organisation, name, actor=actor))
    db.session.commit()
    emit(report, [f"Key {name!r} of {organisation} is revoked."], as_json)


def _as_dict(key: ApiKey) -> dict[str, Any]:
    return {
        "organisation": key.organisation.key,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "revoked_at": key.revoked_at,
    }


def _line(row: dict[str, Any]) -> str:
    ended = f", revoked {iso(row['revoked_at'])}" if row["revoked_at"] else ""
    made = f"made {iso(row['created_at'])} by {row['created_by']}{ended}"
    return f"{row['organisation']}  {row['name']}  {', '.join(row['scopes'])}  {made}"


commands: tuple[click.Command, ...] = (api_keys,)
