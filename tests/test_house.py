"""The house keeps its shape: which room may import which, and that every door has a mark."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from flask import Flask

from survey import doors

PROJECT = Path(__file__).resolve().parent.parent
ASKING = {"intake", "scheduler", "ivr", "websurvey", "certification"}
ROOMS = ("survey", *sorted(ASKING), "console", "api", "simulator", "operations")

# From each room: the other rooms it may import. application.py, explain.py, wsgi.py and the time-lapse stand above.
MAY_IMPORT = {
    "survey": set(),
    **{room: {"survey"} for room in ASKING},
    "console": {"survey", *ASKING},
    "api": {"survey", *ASKING},
    "operations": {"survey"},
    "simulator": set(),
}
ABOVE = {f"simulator/{name}.py" for name in ("timelapse", "demo", "live", "cli")}


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (PROJECT / room).rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & {*ROOMS, "application", "wsgi", "explain"}


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(PROJECT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    name = str(path.relative_to(PROJECT))
    if name in ABOVE:
        return
    room = path.relative_to(PROJECT).parts[0]
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


@pytest.mark.parametrize("path", sources(*ROOMS), ids=lambda p: str(p.relative_to(PROJECT)))
def test_a_file_tells_one_story(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


# Views of libraries that guard themselves: sign-in, and the style sheets of the pages.
LIBRARY_VIEWS = ("security.", "bootstrap.")


def test_every_route_carries_a_mark(app: Flask) -> None:
    unmarked = [
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
        and not rule.endpoint.startswith(LIBRARY_VIEWS)
        and doors.mark_of(app.view_functions[rule.endpoint]) is None
    ]
    assert unmarked == []


# Everything that answers anybody. A new line here is a decision, not a habit.
PUBLIC = {
    "api.certificate",
    "api.valid_certificates",
    "certification.asset",
    "certification.certificate",
    "certification.certificate_json",
    "certification.current_registry",
    "certification.registry_of_year",
    "console.static",
    "operations.front",
    "operations.health",
    "operations.metrics",
    "operations.ready",
    "websurvey.answer",
    "websurvey.not_me",
    "websurvey.say_not_me",
    "websurvey.show",
    "websurvey.stop",
    "websurvey.style",
    "websurvey.unsubscribe",
}


def test_public_is_the_short_list_and_nothing_else(app: Flask) -> None:
    public = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if (mark := doors.mark_of(app.view_functions[rule.endpoint])) is not None and mark[0] == "public"
    }
    assert public == PUBLIC


@pytest.mark.parametrize("mark", [None, ("trusted", ()), ("Public", ()), ("Keyed", ("calls:write",))])
def test_a_route_without_a_known_mark_answers_nobody(app: Flask, mark: tuple[str, tuple[str, ...]] | None) -> None:
    def bare() -> dict[str, str]:
        return {"status": "ok"}

    view = app.view_functions["operations.health"]
    app.view_functions["operations.health"] = bare
    if mark is not None:
        setattr(bare, doors.MARK, mark)
    try:
        assert app.test_client().get("/healthz").status_code == 403
    finally:
        app.view_functions["operations.health"] = view
    assert app.test_client().get("/healthz").status_code == 200
