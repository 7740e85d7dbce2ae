"""The house keeps its shape: which room may import which, and that every door has a mark."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

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


# Every advisory lock of PostgreSQL that we take, by its number (the first of two where it has two), and where. Locks of
# one number never meet those of two in the database; all differ nevertheless, so that pg_locks tells them apart.
LOCKS = {
    4203: "migrations/env.py",
    4204: "scheduler/leadership.py",
    4205: "intake/drop_turns.py",
    0x1A7D: "intake/bulk.py",
    0x1A7E: "intake/bulk.py",
    0x1A7F: "survey/turns.py",
    0x1A81: "console/uploads.py",
}
# The one whose number is no constant: 63 bits of a keyed hash, alone. None of ours of one number is as large.
HASHED = "console/sign_in.py"
_LOCKING = re.compile(r"(pg_(?:try_)?advisory_(?:xact_)?(?:un)?lock(?:_shared)?)(?:\((.*))?", re.DOTALL)


class Lock(NamedTuple):
    """A place that takes or leaves a lock. `number` is None where it is no constant; `keys`: of how many it is made."""

    file: str
    name: str
    number: int | None
    keys: int


def locks(texts: Mapping[str, str]) -> list[Lock]:
    """Every advisory lock in Python files (text by name), whether by SQLAlchemy's `func` or in SQL."""
    found = []
    for file, text in texts.items():
        tree = ast.parse(text)
        said = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for keys in _keys_of_locks(tree, said):
            name, number = _number(keys[0], said)
            found.append(Lock(file, name, number, len(keys)))
    return found


def _keys_of_locks(tree: ast.Module, said: Mapping[str, ast.expr]) -> Iterator[list[ast.expr]]:
    beside: dict[ast.expr, ast.expr] = {}
    for node in ast.walk(tree):  # a call comes before what it is called with
        if isinstance(node, ast.Call):
            beside |= dict(zip(node.args, node.args[1:], strict=False))
            if isinstance(node.func, ast.Attribute) and _LOCKING.fullmatch(node.func.attr):
                yield [part for argument in node.args for part in _parts(argument, said)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _LOCKING.search(node.value)
            if match and match.group(2) is not None:
                yield _keys_in_sql(match.group(2), _parts(beside[node], said) if node in beside else [])


def _keys_in_sql(text: str, given: list[ast.expr]) -> list[ast.expr]:
    """The keys in SQL, behind the function's name and bracket; what %s stands for is `given`."""
    values = iter(given)
    keys = re.findall(r"(\d+|%s|\w+\([^)]*\))(?=[,)])", text)
    found = [ast.Constant(int(key)) if key.isdigit() else next(values, ast.Name("?")) for key in keys]
    return found or [ast.Name("?")]


def _parts(node: ast.expr, said: Mapping[str, ast.expr]) -> list[ast.expr]:
    """The values in a list or tuple, by its name or with a star before it; any other value is one."""
    if isinstance(node, ast.Starred):
        return _parts(node.value, said)
    if isinstance(node, ast.List | ast.Tuple):
        return node.elts
    if isinstance(node, ast.Name) and isinstance(said.get(node.id), ast.List | ast.Tuple):
        return _parts(said[node.id], said)
    return [node]


def _number(node: ast.expr, said: Mapping[str, ast.expr]) -> tuple[str, int | None]:
    if isinstance(node, ast.Name) and node.id in said:
        return node.id, _number(said[node.id], said)[1]
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return str(node.value), node.value
    return ast.unparse(node), None


def shared_numbers(found: list[Lock]) -> dict[int, set[tuple[str, str]]]:
    """The numbers of more than one lock, each with the files and constants that name it."""
    by_number: dict[int, set[tuple[str, str]]] = {}
    for lock in found:
        if lock.number is not None:
            by_number.setdefault(lock.number, set()).add((lock.file, lock.name))
    return {number: named for number, named in by_number.items() if len(named) > 1}


def test_every_advisory_lock_has_a_number_of_its_own() -> None:
    paths = [*sources(*ROOMS, "migrations", "benchmarks"), *sorted(PROJECT.glob("*.py"))]
    found = locks({str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in paths})
    assert shared_numbers(found) == {}
    assert {lock.file for lock in found if lock.number is None} == {HASHED}
    assert {lock.number: lock.file for lock in found if lock.number is not None} == LOCKS
    assert {lock.keys for lock in found if lock.file == HASHED} == {1} and max(LOCKS) < 2**31


@pytest.mark.parametrize(
    ("text", "number", "keys"),
    [
        ("TURN = 0x1A7E\nselect(func.pg_advisory_xact_lock(TURN, func.hashint8(id)))", 0x1A7E, 2),
        ("select(func.pg_try_advisory_lock_shared(6782))", 6782, 1),
        ("def f():\n    key = (_MINE, func.hashint8(id))\n    func.pg_advisory_unlock(*key)\n_MINE = 6782", 6782, 2),
        ('c.exec_driver_sql("SELECT pg_advisory_lock(6782)")', 6782, 1),
        ('MINE = 6782\nc.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [MINE, name])', 6782, 2),
        ('MINE = 6782\nlock = [MINE, name]\nask("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)', 6782, 2),
        ('SQL = "SELECT pg_advisory_lock(6782)"', 6782, 1),
        ('SQL = "SELECT pg_advisory_lock(%s)"', None, 1),
        ('c.execute(f"SELECT pg_advisory_lock({MINE})")', None, 1),
        ("func.pg_advisory_lock(hash(name))", None, 1),
    ],
)
def test_a_lock_is_found_however_it_is_taken(text: str, number: int | None, keys: int) -> None:
    ((_, _, found, many),) = locks({"new.py": text})
    assert (found, many) == (number, keys)


def test_a_number_used_twice_is_found_in_one_file_and_in_two() -> None:
    one = "MINE = 6782\nfunc.pg_advisory_lock(MINE)\nfunc.pg_advisory_unlock(MINE)"
    other = 'c.execute("SELECT pg_advisory_xact_lock(%s, 1)", [OTHER])\nOTHER = 0x1A7E'
    assert shared_numbers(locks({"a.py": one})) == {}
    assert shared_numbers(locks({"a.py": one, "b.py": other})) == {6782: {("a.py", "MINE"), ("b.py", "OTHER")}}
    assert shared_numbers(locks({"a.py": f"{one}\n{other}"})) == {6782: {("a.py", "MINE"), ("a.py", "OTHER")}}


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
    "certification.keys_of_draws",
    "certification.keys_of_draws_json",
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
