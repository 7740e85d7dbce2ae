"""What happens next in a call: from what is known and the key pressed, what to record and what to say. Pure.

Nothing of a call is kept in the process: what was answered is in the database, where the caller is stands in the signed
URL of the next webhook (`Step`). So any step may arrive twice, late or out of order, on any machine.

    greet --1--> ask resolved --> ask overall --> ask agent --> goodbye        # goes back, * repeats
      |--9 opted out  |--0 later  |--8 wrong person  |--2,3.. another language
    a wrong key, or none: said again with help, twice; then we give up, and what was answered is kept
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from ivr.hearing import NOT_UNDERSTOOD
from survey.models import Outcome
from survey.questionnaire import Question, next_question, questions

START, LATER, WRONG_PERSON, OPT_OUT, REPEAT, BACK = "1", "0", "8", "9", "*", "#"
FIRST_LANGUAGE_KEY = 2
MOST_TRIES = 2


@dataclass(frozen=True)
class Situation:
    """What the database knows as the webhook arrives.

    `languages` are the campaign's that we can speak; `choosing` while the customer's own is not known. `open` and
    `past_deadline` are the survey's. `ignored` are the steps of this call whose key came too soon (see `hear`).
    """

    questionnaire: str
    answered: frozenset[str]
    language: str
    languages: tuple[str, ...]
    choosing: bool
    open: bool
    past_deadline: bool
    ignored: frozenset[int] = frozenset()

    @property
    def finished(self) -> bool:
        """Closed for another reason than the deadline: nothing more to ask. A call running past it is heard out."""
        return not self.open and not self.past_deadline


@dataclass(frozen=True)
class Step:
    """Where the caller is: carried in the URL at which the next key arrives.

    `number` grows with every document, so that an answer given again after going back has a higher sequence and a
    repeated webhook the same. `tries` counts wrong keys and silences at this prompt. `key_at` is when the key that led
    here came, in milliseconds since 1970; 0 where none did.
    """

    place: Literal["menu", "answer"]
    number: int
    tries: int
    language: str
    choosing: bool = False
    question: str = ""
    key_at: int = 0

    def query(self) -> str:
        """The step as a query string."""
        values = {"step": str(self.number), "try": str(self.tries), "lang": self.language}
        values |= {"at": str(self.key_at)} if self.key_at else {}
        values |= {"choose": "1"} if self.choosing else {}
        values |= {"question": self.question} if self.question else {}
        return urlencode(values)


def read_step(place: Literal["menu", "answer"], query: Mapping[str, str], situation: Situation) -> Step:
    """The step back from its query string. It was signed, but by whom it is read may be a newer version of us."""
    language = query.get("lang", "")
    return Step(
        place=place,
        number=_count(query.get("step", "")),
        tries=_count(query.get("try", "")),
        language=language if language in situation.languages else situation.language,
        choosing="choose" in query,
        question=query.get("question", ""),
        key_at=_count(query.get("at", ""), digits=15),
    )


@dataclass(frozen=True)
class Prompt:
    """One thing to say: a text of ours by its key, or a question; `pressed` is the key a language choice names."""

    key: str
    language: str
    question: Question | None = None
    pressed: str = ""


@dataclass(frozen=True)
class Ask:
    """Say the prompts and wait `wait` seconds for one key, which arrives at `step`."""

    prompts: tuple[Prompt, ...]
    step: Step

    @property
    def wait(self) -> int:
        """Longer after a miss: 8 s, then 12 s (first script; doubled for relay users when rendered)."""
        return 8 if self.step.tries == 0 else 12


@dataclass(frozen=True)
class Farewell:
    """Say this last, or nothing, and hang up."""

    prompt: Prompt | None


@dataclass(frozen=True)
class Said:
    """An answer."""

    question: str
    value: str
    sequence: int


@dataclass(frozen=True)
class Ended:
    """The customer's part of the call came to this."""

    outcome: Outcome


@dataclass(frozen=True)
class OptedOut:
    """The customer wants no more calls."""


@dataclass(frozen=True)
class Chose:
    """The customer's language."""

    language: str


@dataclass(frozen=True)
class Ignored:
    """The key of that step came too soon after the one before. Kept, so that the same webhook again is ignored too."""

    step: int


Record = Said | Ended | OptedOut | Chose | Ignored


@dataclass(frozen=True)
class Turn:
    """What to record (None: nothing) and what to say."""

    record: Record | None
    document: Ask | Farewell


def greet(situation: Situation, number: int) -> Turn:
    """The beginning of a call; `number` is the step it starts at."""
    language = situation.language
    if not situation.open or situation.past_deadline:
        return _farewell("closed", language)
    return Turn(None, _menu(situation, Step("menu", number, 0, language, situation.choosing)))


def leave_machine(situation: Situation, *, message: bool) -> Turn:
    """What a machine hears: the message, or nothing."""
    return Turn(None, Farewell(Prompt("voicemail", situation.language) if message else None))


def resume(situation: Situation, number: int) -> Turn:
    """The call again after a document of ours could not be fetched: where it was, as far as the answers tell."""
    if not situation.answered:
        return greet(situation, number)
    return Turn(None, _following(situation, Step("answer", number, 0, situation.language)))


def hear(situation: Situation, step: Step, key: str, at: int = 0, second_key_ms: int = 0) -> Turn:
    """What follows on a key ("" for none) pressed at `step`.

    `at` is when it came, in milliseconds since 1970. One that comes within `second_key_ms` of the key before is not
    heard, because a finger that presses twice must not answer a question nobody has heard: the prompt begins again, and
    the miss is not counted. The way out is open at any speed.
    """
    if _came_too_soon(situation, step, key, at, second_key_ms):
        turn = Turn(Ignored(step.number), _same(situation, replace(step, number=step.number + 1)))
    elif step.place == "menu":
        turn = _hear_menu(situation, step, key)
    else:
        turn = _hear_answer(situation, step, key)
    if not key or isinstance(turn.document, Farewell):
        return turn
    return replace(turn, document=replace(turn.document, step=replace(turn.document.step, key_at=at)))


def _came_too_soon(situation: Situation, step: Step, key: str, at: int, second_key_ms: int) -> bool:
    wants_out = step.place == "menu" and key == OPT_OUT
    if not key or wants_out or situation.finished or (asked_at(situation, step) is None and step.place == "answer"):
        return False
    return step.number in situation.ignored or (step.key_at > 0 and 0 <= at - step.key_at < second_key_ms)


def language_keys(situation: Situation, language: str) -> dict[str, str]:
    """The keys that choose another language than the one being spoken: 2, 3 ... in the campaign's order."""
    others = [other for other in situation.languages if other != language]
    return {str(number): other for number, other in enumerate(others, start=FIRST_LANGUAGE_KEY)}


def _hear_menu(situation: Situation, step: Step, key: str) -> Turn:
    chosen = language_keys(situation, step.language).get(key) if step.choosing else None
    if key == OPT_OUT:
        return _farewell("opted_out", step.language, OptedOut())
    if key == WRONG_PERSON:
        return _farewell("wrong_person", step.language, Ended(Outcome.WRONG_PERSON))
    if key == LATER:
        # After the deadline nobody will try again: promise nothing.
        promise = "later" if situation.open and not situation.past_deadline else "closed"
        return _farewell(promise, step.language, Ended(Outcome.LATER))
    if situation.finished:
        return _farewell("closed", step.language)
    if key == START:
        return Turn(None, _following(situation, step))
    if chosen is not None:
        return Turn(Chose(chosen), _menu(situation, Step("menu", step.number + 1, 0, chosen)))
    return _again(situation, step, key)


def _hear_answer(situation: Situation, step: Step, key: str) -> Turn:
    asked = asked_at(situation, step)
    if asked is None:
        return Turn(None, _following(situation, step))
    value = value_of(asked, key)
    if value is not None:
        known = replace(situation, answered=situation.answered | {asked.key})
        return Turn(Said(asked.key, value, step.number), _following(known, step))
    if situation.finished:
        return Turn(None, _following(situation, step))
    if key == BACK:
        return Turn(None, _ask(_before(situation.questionnaire, asked), _onward(step)))
    return _again(situation, step, key)


def value_of(asked: Question, key: str) -> str | None:
    """The value a key stands for: its place among the choices, from 1."""
    return dict(zip("123456789", asked.values, strict=False)).get(key)


def _again(situation: Situation, step: Step, key: str) -> Turn:
    """Repeated on request, as often as wanted; after a wrong key or none, twice and with help."""
    if key == REPEAT:
        return Turn(None, _same(situation, replace(step, number=step.number + 1)))
    if step.tries >= MOST_TRIES:
        return _farewell("give_up", step.language, Ended(Outcome.NO_INPUT))
    document = _same(situation, replace(step, number=step.number + 1, tries=step.tries + 1))
    complaint = Prompt(_COMPLAINTS.get(key, "invalid"), step.language)
    return Turn(None, replace(document, prompts=(complaint, Prompt("help", step.language), *document.prompts)))


_COMPLAINTS = {"": "no_input", NOT_UNDERSTOOD: "not_understood"}


def _same(situation: Situation, step: Step) -> Ask:
    asked = asked_at(situation, step)
    return _menu(situation, step) if asked is None else _ask(asked, step)


def asked_at(situation: Situation, step: Step) -> Question | None:
    """The question asked at a step; None at the menu, or where the questionnaire has none of that key."""
    return next((q for q in questions(situation.questionnaire) if q.key == step.question), None)


def _menu(situation: Situation, step: Step) -> Ask:
    """Who is calling, then at once the way out, then the choices (`resume` when something was answered before)."""
    keys = language_keys(situation, step.language) if step.choosing else {}
    return Ask(
        (
            Prompt("greeting", step.language),
            Prompt("opt_out", step.language),
            *(Prompt("switch", other, pressed=key) for key, other in keys.items()),
            Prompt("resume" if situation.answered else "start", step.language),
        ),
        step,
    )


def _following(situation: Situation, step: Step) -> Ask | Farewell:
    """The first question not answered yet on either channel; goodbye when there is none, or nothing more is asked."""
    following = next_question(situation.questionnaire, situation.answered)
    if following is None or situation.finished:
        return Farewell(Prompt("goodbye", step.language))
    return _ask(following, _onward(step))


def _ask(asked: Question, step: Step) -> Ask:
    return Ask((Prompt("question", step.language, asked),), replace(step, place="answer", question=asked.key))


def _onward(step: Step) -> Step:
    return Step("answer", step.number + 1, 0, step.language)


def _before(version: str, asked: Question) -> Question:
    """The question before; the first one has none and is asked again."""
    asked_in_order = questions(version)
    return asked_in_order[max(0, asked_in_order.index(asked) - 1)]


def _farewell(key: str, language: str, record: Record | None = None) -> Turn:
    return Turn(record, Farewell(Prompt(key, language)))


def _count(text: str, digits: int = 5) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else 0
