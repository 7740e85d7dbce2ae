"""Bodies that nobody means well with: each gets a clear answer below 500, in JSON, and the service goes on."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from api import bodies
from api.calls import MOST_CALLS
from survey.clock import ManualClock
from survey.db import db
from survey.models import Call
from tests.api.batches import URL, Program, at_north, call, fates

MB = 1024 * 1024


def around(calls: str) -> str:
    return f'{{"source": "pbx", "site": "north", "calls": {calls}}}'


def batch(calls: list[object]) -> bytes:
    return around(json.dumps(calls)).encode()


HOSTILE: dict[str, tuple[Callable[[], str | bytes], int, str]] = {
    "nothing": (lambda: b"", 400, "is empty"),
    "spaces": (lambda: b" \n\t ", 400, "is empty"),
    "no JSON": (lambda: "calls=1&source=pbx", 400, "is not JSON"),
    "cut off": (lambda: batch([call()])[:-10], 400, "is not JSON"),
    "two objects": (lambda: batch([]) + batch([]), 400, "is not JSON"),
    "a comma too many": (lambda: around("[{},]"), 400, "is not JSON"),
    "single quotes": (lambda: "{'calls': []}", 400, "is not JSON"),
    "a list at the top": (lambda: json.dumps([call()]), 400, "no JSON object"),
    "a text at the top": (lambda: '"calls"', 400, "no JSON object"),
    "a number at the top": (lambda: "1", 400, "no JSON object"),
    "null at the top": (lambda: "null", 400, "no JSON object"),
    "10 MB of brackets": (lambda: "[" * (10 * MB), 413, "far more values"),
    "10 MB of braces in calls": (lambda: around("[" + "{}," * (3 * MB) + "{}]"), 413, "far more values"),
    "10 MB of empty texts": (lambda: around("[" + '"",' * (3 * MB) + '""]'), 413, "far more values"),
    "deep lists": (lambda: "[" * 100_000 + "]" * 100_000, 400, "nested too deeply"),
    "deep objects": (lambda: around('[{"a":' * 50_000 + "1" + "}]" * 50_000), 400, "nested too deeply"),
    "NaN": (lambda: around('[{"talk_seconds": NaN}]'), 400, "NaN is no JSON number"),
    "Infinity": (lambda: around('[{"talk_seconds": Infinity}]'), 400, "Infinity is no JSON number"),
    "minus Infinity": (lambda: around('[{"talk_seconds": -Infinity}]'), 400, "-Infinity is no JSON number"),
    "a number with 5,000 digits": (lambda: around('[{"talk_seconds": ' + "9" * 5000 + "}]"), 422, ""),
    "an id with 5,000 digits": (lambda: around('[{"id": ' + "9" * 5000 + "}]"), 422, ""),
    "10 MB of digits": (lambda: around('[{"talk_seconds": ' + "9" * (10 * MB) + "}]"), 422, ""),
    "10 MB of decimals": (lambda: around('[{"talk_seconds": 0.' + "9" * (10 * MB) + "}]"), 422, ""),
    "a 10 MB text": (lambda: batch([call(queue="x" * (10 * MB))]), 422, ""),
    "a 10 MB name": (lambda: batch([{"x" * (10 * MB): 1}]), 422, ""),
    "10 MB of backslashes": (lambda: around('[NaN, "' + "\\\\" * (5 * MB) + '"]'), 400, "NaN"),
    "a NUL in a text": (lambda: batch([call(queue="a\0b")]), 422, ""),
    "NULs everywhere": (lambda: batch([{"\0": "\0", "id": "\0", "agent": "\0"}]), 422, ""),
    "a bare NUL": (lambda: around('["\0"]'), 400, "is not JSON"),
    "lone surrogates": (lambda: batch([{"\ud800": "\ud800", "id": "\udc00"}]), 422, ""),
    "lists everywhere": (lambda: batch([{name: [{}] for name in call()}]), 422, ""),
    "objects everywhere": (lambda: batch([{name: {"a": []} for name in call()}]), 422, ""),
    "true everywhere": (lambda: batch([dict.fromkeys(call(), True)]), 422, ""),
    "rows of every kind": (lambda: batch([None, 1, 1.5, True, "x", [], {}, [[]], [{}]]), 422, ""),
    "50,000 names": (lambda: batch([{f"n{n}": n for n in range(50_000)}]), 400, "more than 1,000 different names"),
    "one call too many": (lambda: batch([{}] * (MOST_CALLS + 1)), 413, "10,001 calls came"),
    "UTF-16": (lambda: batch([call()]).decode().encode("utf-16"), 400, "UTF-16"),
    "UTF-16 without its mark": (lambda: batch([call()]).decode().encode("utf-16-le"), 400, "UTF-16"),
    "UTF-32": (lambda: batch([call()]).decode().encode("utf-32"), 400, "UTF-32"),
    "Latin-1": (lambda: around('[{"queue": "Zürich"}]').encode("latin-1"), 400, "is not UTF-8"),
    "17 MB": (lambda: around('["' + "x" * (17 * MB) + '"]'), 413, "larger than 16 MB"),
}


@pytest.fixture
def pbx(app: Flask, at_noon: ManualClock) -> Program:
    return at_north(app)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_gets_a_clear_answer(pbx: Program, name: str) -> None:
    make, status, says = HOSTILE[name]
    answer = pbx.post(make())
    assert (answer.status_code, answer.is_json) == (status, True), answer.get_data(as_text=True)[:500]
    assert len(answer.data) < 10_000
    if status == 422:
        assert set(fates(answer)) == {"rejected"}
    else:
        assert says in answer.get_json()["error"] and "Traceback" not in str(answer.get_json())
    assert db.session.query(Call).count() == 0
    assert fates(pbx.send([call()])) == ["new"]


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        ('{"calls": [}', 1, 12),
        ('{\n"calls": [],\n  "source": pbx}', 3, 13),
        ('{"source": "a \\" NaN",\n "calls": [NaN]}', 2, 12),
        ('{"source": "NaN", "zone": "\\\\", "calls":\n\n[1, -Infinity, NaN]}', 3, 5),
    ],
)
def test_malformed_json_is_told_with_line_and_column(pbx: Program, body: str, line: int, column: int) -> None:
    answer = pbx.post(body)
    assert answer.status_code == 400
    assert answer.get_json()["where"] == f"body, line {line}, column {column}"


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_only_json_is_taken(pbx: Program, kind: str) -> None:
    answer = pbx.post(batch([call()]), Content_Type=kind)
    assert answer.status_code == 415 and answer.get_json()["where"] == "Content-Type"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x-gzip-ish"])
def test_only_gzip_is_unfolded(pbx: Program, encoding: str) -> None:
    answer = pbx.post(batch([call()]), Content_Encoding=encoding)
    assert answer.status_code == 415 and answer.get_json()["where"] == "Content-Encoding"


def test_a_body_of_unknown_length_is_read_up_to_the_limit(pbx: Program) -> None:
    def chunked(body: bytes) -> TestResponse:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {pbx.secret}"}
        length_unknown = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        return pbx.app.test_client().post(URL, data=body, headers=headers, environ_overrides=length_unknown)

    assert fates(chunked(batch([call()]))) == ["new"]
    answer = chunked(batch(["x" * (17 * MB)]))
    assert answer.status_code == 413 and "larger than 16 MB" in answer.get_json()["error"]


GOOD = gzip.compress(batch([call()]), mtime=0)


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", GOOD[:-1], GOOD[:20], GOOD[:-8] + b"\0" * 8, GOOD + b"trailing", gzip.compress(GOOD, mtime=0)],
    ids=["nothing", "no gzip", "one byte short", "cut off", "a wrong sum", "something after it", "twice"],
)
def test_broken_gzip_is_refused(pbx: Program, body: bytes) -> None:
    answer = pbx.post(body, Content_Encoding="gzip")
    assert answer.status_code == 400 and answer.is_json and db.session.query(Call).count() == 0
    assert fates(pbx.post(GOOD, Content_Encoding="gzip")) == ["new"]


def test_a_gzip_bomb_is_refused_before_it_goes_off(pbx: Program) -> None:
    bomb = gzip.compress(b" " * (300 * MB), 9) * 3
    assert len(bomb) < MB
    tracemalloc.start()
    try:
        answer = pbx.post(bomb, Content_Encoding="gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413 and "64 MB" in answer.get_json()["error"]
    assert peak < 3 * bodies.MOST_UNFOLDED


def test_the_largest_batch_is_taken(pbx: Program) -> None:
    answer = pbx.send([call(f"c{n}") for n in range(MOST_CALLS)])
    assert answer.status_code == 200 and answer.get_json()["new"] == MOST_CALLS
    assert len(answer.get_json()["results"]) == MOST_CALLS
