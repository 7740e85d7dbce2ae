"""Python's search for unused objects that hold each other: wasted where many small ones are made that hold nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# What a look costs grows with all there is, so it is worth the less the more is kept; memory says how much less.
SELDOM = 10_000


@contextmanager
def fewer_collections(made_between: int = SELDOM) -> Iterator[None]:
    """Within the block such a look is taken only after so many objects were made (Python's own number is 700)."""
    before = gc.get_threshold()
    gc.set_threshold(made_between, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
