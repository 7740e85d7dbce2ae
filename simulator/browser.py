"""A small browser: follows links, reads the forms of a page, and sends them back, through a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

from werkzeug.test import Client


@dataclass
class Form:
    """One form: where it goes, what it carries along, and the values each group of radio buttons offers."""

    action: str
    method: str = "get"
    hidden: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """What an address answered."""

    url: str
    status: int
    html: str
    forms: tuple[Form, ...]

    def form_with(self, *parts: str) -> Form | None:
        """The first form that posts to an address, or has a button or choice, holding one of `parts`."""
        for form in self.forms:
            words = [form.action, *form.choices, *(f"{name}={value}" for name, value in form.buttons)]
            if any(part in word for part in parts for word in words):
                return form
        return None

    def question_form(self) -> Form | None:
        """The form that asks a question: the first one with choices."""
        return next((form for form in self.forms if form.choices), None)


class Browser:
    """Keeps no cookies, like a mail reader's; follows redirects as a browser would."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._client = Client(app, use_cookies=False)

    def get(self, url: str) -> Page:
        return self._read(url, self._client.get(_path(url), base_url=_origin(url)))

    def send(self, page: Page, form: Form, **values: str) -> Page:
        """Posts a form of `page` with its hidden fields and `values`; gives the page this leads to."""
        url = urljoin(page.url, form.action or page.url)
        answer = self._client.post(_path(url), base_url=_origin(url), data={**form.hidden, **values})
        if answer.status_code in (302, 303):
            return self.get(urljoin(url, answer.headers["Location"]))
        return self._read(url, answer)

    def _read(self, url: str, answer: Any) -> Page:
        if answer.status_code in (301, 302, 303, 308):
            return self.get(urljoin(url, answer.headers["Location"]))
        html = answer.get_data(as_text=True)
        return Page(url, answer.status_code, html, tuple(_forms(html)))


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _forms(html: str) -> list[Form]:
    reader = _FormReader()
    reader.feed(html)
    return reader.forms


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given: Mapping[str, str] = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get").lower()))
            self._open = True
        elif self._open and tag in {"input", "button"}:
            self._field(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False

    def _field(self, tag: str, given: Mapping[str, str]) -> None:
        form, name, value = self.forms[-1], given.get("name", ""), given.get("value", "")
        kind = "submit" if tag == "button" else given.get("type", "text")
        if not name:
            return
        if kind == "hidden":
            form.hidden[name] = value
        elif kind == "radio":
            form.choices.setdefault(name, []).append(value)
        elif kind == "submit":
            form.buttons.append((name, value))
