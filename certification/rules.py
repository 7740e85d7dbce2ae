"""Rule sets: what a programme asks, as data. One TOML file each in `certification/rules/`, checked when read.

Another programme's thresholds are another file, not other code. Nothing in here is a floating-point number.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from survey.errors import InputError, NotFound
from survey.models import Level
from survey.questionnaire import CORE

FOLDER = Path(__file__).parent / "rules"
CHOICES = {question.key: frozenset(question.values) for question in CORE}

Positive = Annotated[int, Field(strict=True, ge=1)]


class OnConflict(StrEnum):
    """What happens when the raw rate and a check beside it fall on different sides of the line."""

    FAIL = "fail"
    DEFER = "defer"


@dataclass(frozen=True)
class RuleSet:
    """One rule set. `world_class_call` maps each question that matters to the answers that will do.

    `minimum_surveys` names the levels that are judged by their own surveys; the organisation is judged by its sites
    when `certifies_organisation`. `text` is the file as read and `sha256` the hash of its UTF-8 bytes.
    """

    name: str
    title: str
    source: str
    world_class_call: Mapping[str, tuple[str, ...]]
    inclusive: bool
    threshold: Fraction
    minimum_surveys: Mapping[Level, int]
    months: int
    certifies_organisation: bool
    valid_years: int
    on_conflict: OnConflict
    text: str
    sha256: str

    def clears(self, k: int | Fraction, n: int | Fraction) -> bool:
        """Whether k out of n is on the passing side of the line, exactly; nothing out of nothing is not."""
        left, right = k * self.threshold.denominator, n * self.threshold.numerator
        return n > 0 and (left >= right if self.inclusive else left > right)

    def is_world_class(self, answers: Mapping[str, str]) -> bool:
        """Whether a completed survey's answers (question to value) make a world class call."""
        return all(answers.get(key) in values for key, values in self.world_class_call.items())

    def least_passing(self, n: int) -> int | None:
        """The smallest k that passes out of n; None when even n out of n does not."""
        line = n * self.threshold
        k = -(-line.numerator // line.denominator) if self.inclusive else line.numerator // line.denominator + 1
        return k if self.clears(k, n) and k <= n else None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rate(_Strict):
    operator: Literal[">", ">="]
    threshold: tuple[Positive, Positive]

    @field_validator("threshold")
    @classmethod
    def _below_one(cls, threshold: tuple[int, int]) -> tuple[int, int]:
        if threshold[0] > threshold[1]:
            raise ValueError("must be a fraction between 0 and 1, such as [3, 4]")
        return threshold


class _Minimum(_Strict):
    agent: Positive | None = None
    supervisor: Positive | None = None
    site: Positive | None = None


class _Period(_Strict):
    months: Positive


class _Credit(_Strict):
    agent: Literal["organisation"]
    supervisor: Literal["assignment"]
    site: Literal["assignment"]


class _Organisation(_Strict):
    certified_when: Literal["every active site"]


class _Certificate(_Strict):
    valid_years: Annotated[int, Field(strict=True, ge=1, le=10)]


class _Conflict(_Strict):
    on_conflict: OnConflict


class _File(_Strict):
    """The file's shape; `organisation` is left out by programmes that certify people only."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: Annotated[str, Field(min_length=1)]
    source: str
    world_class_call: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    rate: _Rate
    minimum_surveys: _Minimum
    period: _Period
    credit: _Credit
    organisation: _Organisation | None = None
    certificate: _Certificate
    conflict: _Conflict

    @field_validator("world_class_call")
    @classmethod
    def _answers_that_exist(cls, criterion: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for key, values in criterion.items():
            if key not in CHOICES:
                raise ValueError(f"{key!r} is not a core question; there are {', '.join(CHOICES)}")
            if not values or not CHOICES[key].issuperset(values):
                raise ValueError(f"{key!r} must list answers out of {', '.join(sorted(CHOICES[key]))}")
        return criterion

    @model_validator(mode="after")
    def _somebody_is_judged(self) -> _File:
        judged = self.minimum_surveys.model_dump(exclude_none=True)
        if not judged:
            raise ValueError("minimum_surveys names no level")
        if self.organisation and "site" not in judged:
            raise ValueError("an organisation is certified by its sites: minimum_surveys must name site")
        return self


def load(name: str) -> RuleSet:
    """The rule set of that name. Raises NotFound, or InputError with every fault of its file."""
    if name not in names():
        raise NotFound(f"no rule set {name!r}", how=f"There is: {', '.join(names())}.")
    rule = parse((FOLDER / f"{name}.toml").read_text(encoding="utf-8"), where=f"rules/{name}.toml")
    if rule.name != name:
        raise InputError(f"is named {rule.name!r} inside", where=f"rules/{name}.toml", how="Give both the same name.")
    return rule


def names() -> list[str]:
    """The rule sets there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def parse(text: str, where: str = "rule set") -> RuleSet:
    """A rule set from the text of its file. Raises InputError with every fault listed."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not TOML: {error}", where=where) from None
    except ValidationError as error:
        faults = "; ".join(_fault(e["loc"], e["msg"]) for e in error.errors())
        raise InputError(faults, where=where, how="rules/sqm-2011.toml explains every entry.") from None
    return _rule_set(file, text)


def _rule_set(file: _File, text: str) -> RuleSet:
    minimum = file.minimum_surveys.model_dump(exclude_none=True)
    return RuleSet(
        name=file.name,
        title=file.title,
        source=file.source,
        world_class_call=MappingProxyType(dict(file.world_class_call)),
        inclusive=file.rate.operator == ">=",
        threshold=Fraction(*file.rate.threshold),
        minimum_surveys=MappingProxyType({Level(level): number for level, number in minimum.items()}),
        months=file.period.months,
        certifies_organisation=file.organisation is not None,
        valid_years=file.certificate.valid_years,
        on_conflict=file.conflict.on_conflict,
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _fault(loc: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in loc)
    message = message.removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
