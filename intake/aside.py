"""Reading in a process of its own beside the one that writes, for long files: what comes out is the same.

One core reads (dates, phones, sealing), another writes. The other process is started as `python -m intake.aside`: what
it is to read comes by its standard input, what it has read goes to its standard output, both pickled.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator
from contextlib import suppress
from typing import IO

from intake.reading import Chunk, Reading, chunks
from survey import vault
from survey.errors import AftercallError, Refused
from survey.garbage import fewer_collections
from survey.settings import PROJECT


def chunks_from_aside(reading: Reading) -> Generator[Chunk]:
    """The reading's chunks, read by another process, which ends with this one, however this one ends.

    Raises InputError where the file cannot be read on, Refused when the other process is gone.
    """
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-m", "intake.aside"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin and process.stdout
        try:
            _hand_over(reading, process.stdin)
            while (sent := _next(process.stdout)) is not None:
                yield sent
        finally:
            process.kill()


def _hand_over(reading: Reading, stream: IO[bytes]) -> None:
    with suppress(BrokenPipeError):  # gone already: it sends nothing, then
        pickle.dump((reading, vault.vault().data_key), stream)
    with suppress(BrokenPipeError):
        stream.close()


def _next(stream: IO[bytes]) -> Chunk | None:
    try:
        sent = pickle.load(stream)  # noqa: S301 (from the process we started ourselves)
    except (EOFError, pickle.UnpicklingError):
        raise Refused(
            "the process that reads the file ended in the midst of it (out of memory?)",
            how="What was read so far is in. Import the file again to complete it.",
        ) from None
    if isinstance(sent, AftercallError):
        raise sent
    assert sent is None or isinstance(sent, Chunk)
    return sent


def _read(given: IO[bytes], out: IO[bytes]) -> None:
    """The other process. Its writes fail once nobody listens any more, which ends it."""
    try:
        reading, data_key = pickle.load(given)  # noqa: S301 (from the process that started us)
    except (EOFError, pickle.UnpicklingError):
        return  # that one is gone
    vault.configure(data_key)
    try:
        with fewer_collections():
            for chunk in chunks(reading):
                _send(chunk, out)
            _send(None, out)
    except AftercallError as error:
        _send(error, out)


def _send(what: Chunk | AftercallError | None, out: IO[bytes]) -> None:
    pickle.dump(what, out, protocol=pickle.HIGHEST_PROTOCOL)
    out.flush()


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        _read(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # nothing to tidy up, and standard output may be gone
