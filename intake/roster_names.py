"""The agents of an organisation by key and by name, as call records mention them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from intake.rows import RowFault, shown


@dataclass
class RosterNames:
    """Keys and names are compared without regard to case; a key goes before a name."""

    _by_key: dict[str, int] = field(default_factory=dict)
    _by_name: dict[str, list[int]] = field(default_factory=dict)
    _met: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, agents: Iterable[tuple[int, str, str]]) -> RosterNames:
        """From (id, key, name) of each."""
        names = cls()
        for id, key, name in agents:
            names.add(id, key, name)
        return names

    def add(self, id: int, key: str, name: str) -> None:
        self._by_key[key.casefold()] = id
        self._by_name.setdefault(name.casefold(), []).append(id)
        self._met.clear()

    def find(self, text: str, column: str) -> int | None:
        """The agent's id, or None for one who is not known. Raises RowFault for a name that several have."""
        known = self._met.get(text)
        if known is None:
            known = self._find(text, column)
            if known is not None:
                self._met[text] = known
        return known

    def _find(self, text: str, column: str) -> int | None:
        wanted = text.casefold()
        by_key = self._by_key.get(wanted)
        if by_key is not None:
            return by_key
        by_name = self._by_name.get(wanted, [])
        if len(by_name) > 1:
            raise RowFault("several agents have this name", column=column, detail=shown(text))
        return by_name[0] if by_name else None
