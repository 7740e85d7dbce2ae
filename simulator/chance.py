"""Chance that can be repeated: every question has its own number, whatever was asked before it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    """Numbers that depend on the seed and on what is asked, never on the order of asking."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()

    def number(self, *asked: object) -> int:
        """64 bits for this question."""
        question = "\0".join(str(part) for part in asked).encode()
        return int.from_bytes(hashlib.blake2b(question, digest_size=8, key=self._seed).digest(), "big")

    def percent(self, *asked: object) -> int:
        """A number from 0 to 99."""
        return self.number(*asked) % 100

    def happens(self, percent: int, *asked: object) -> bool:
        """True in `percent` of a hundred questions."""
        return self.percent(*asked) < percent

    def between(self, low: int, high: int, *asked: object) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.number(*asked) % (high - low + 1)

    def choice(self, items: Sequence[Item], *asked: object) -> Item:
        return items[self.number(*asked) % len(items)]
