"""Made-up customers at their mailboxes: some open the link and answer, some later, some never."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage

from simulator.browser import Browser, Page
from simulator.centre import Experience, Memory
from simulator.chance import Chance
from simulator.customers import WebMood, web_mood_of

LINK = re.compile(r"https?://[^\s<>\"]+/s/[\w-]+")
LATEST_DAYS = 6


@dataclass
class MailReader:
    """Somebody who got an invitation, and what they make of it."""

    chance: Chance
    memory: Memory
    browser: Browser
    address: str
    link: str
    sent_at: datetime
    mood: WebMood = field(init=False)

    def __post_init__(self) -> None:
        self.mood = web_mood_of(self.chance.percent(self.address, self.sent_at.date(), "web mood"))

    def opens_at(self) -> datetime | None:
        """When they open the link; None when they never do."""
        if self.mood is WebMood.IGNORES:
            return None
        if self.mood is WebMood.ANSWERS_LATE:
            return self.sent_at + timedelta(days=LATEST_DAYS)
        return self.sent_at + timedelta(minutes=self.chance.between(3, 14 * 60, self.address, self.sent_at, "opens"))

    def act(self) -> None:
        """Opens the link and does what the mood says, by the page's own forms."""
        page = self.browser.get(self.link)
        if self.mood is WebMood.UNSUBSCRIBES:
            self._unsubscribe()
        elif self.mood is WebMood.STRANGER:
            self._not_me(page)
        else:
            self._answer(page)

    def _answer(self, page: Page) -> None:
        experience = self.memory.latest(self.address, self.sent_at)
        if experience is None:
            return
        limit = 1 if self.mood is WebMood.STOPS_MIDWAY else 3
        for _ in range(limit):
            form = page.question_form()
            if form is None:
                return
            name, offered = next(iter(form.choices.items()))
            value = _value(experience, {*form.hidden.values(), name}, form.action)
            if value not in offered:
                return
            page = self.browser.send(page, form, **{name: value})

    def _unsubscribe(self) -> None:
        page = self.browser.get(f"{self.link}/unsubscribe")
        form = page.form_with("unsubscribe")
        if form is not None:
            chosen = dict(form.buttons[:1])
            self.browser.send(page, form, **chosen, **{name: values[0] for name, values in form.choices.items()})

    def _not_me(self, page: Page) -> None:
        form = page.form_with("not-me", "wrong", "stranger")
        if form is not None:
            self.browser.send(page, form, **dict(form.buttons[:1]))


def reader_of(
    message: EmailMessage,
    address: str,
    at: datetime,
    *,
    chance: Chance,
    memory: Memory,
    app: Callable[..., Iterable[bytes]],
) -> MailReader | None:
    """Whoever reads this message; None when it holds no survey link."""
    body = message.get_body(("plain",))
    found = LINK.search(body.get_content()) if body is not None else None
    if found is None:
        return None
    return MailReader(chance, memory, Browser(app), address, found.group(0), at)


def _value(experience: Experience, asked: set[str], action: str) -> str:
    """The customer's answer to the question a form asks, named in its fields or its address."""
    for key in ("resolved", "overall", "agent"):
        if key in asked or key in action:
            value: str = getattr(experience, key)
            return value
    return ""
