"""Who may pass a route: every view carries one of these marks, and `application.py` refuses those without.

@public         anybody (the short list: customers' pages, registry, certificates, health)
@signed         outside parts that sign what they send (Twilio); the view checks the signature itself
@signed_in(...) people with one of the roles
@keyed(scope)   programs with an API key that has the scope
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

MARK = "aftercall_door"


def public(view: View) -> View:
    setattr(view, MARK, ("public", ()))
    return view


def signed(view: View) -> View:
    setattr(view, MARK, ("signed", ()))
    return view


def signed_in(*roles: str) -> Callable[[View], View]:
    """`roles`: the roles that may pass; the administrator always may."""

    def mark(view: View) -> View:
        setattr(view, MARK, ("signed_in", ("administrator", *roles)))
        return view

    return mark


def keyed(scope: str) -> Callable[[View], View]:
    """`scope`: what an API key must allow to pass."""

    def mark(view: View) -> View:
        setattr(view, MARK, ("keyed", (scope,)))
        return view

    return mark


def mark_of(view: Callable[..., Any]) -> tuple[str, tuple[str, ...]] | None:
    """The mark of a view function, or None."""
    return getattr(view, MARK, None)
