"""Twilio's own client, told where to speak to, how long to wait, and to keep quiet about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import current_app
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from survey import settings
from survey.errors import SettingsError
from survey.settings import Settings

EXTENSION = "aftercall_twilio"


class OurHttpClient(TwilioHttpClient):  # type: ignore[misc]  # the library has no types
    """Waits at most `timeout` seconds (the library's default is for ever) and retries nothing.

    Speaks to `base` instead of api.twilio.com when one is given: the library has no setting for it.
    """

    def __init__(self, timeout: int, base: str | None) -> None:
        # No max_retries: a call that may have been placed must never be posted again.
        super().__init__(timeout=timeout)
        self._base = base

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(method, url if self._base is None else rebased(url, self._base), *args, **kwargs)

    def log_request(self, kwargs: dict[str, Any]) -> None:
        """Nothing: the library would log the customer's number, which list filters carry."""

    def log_response(self, status_code: int, response: object) -> None:
        """Nothing."""


def rebased(url: str, base: str) -> str:
    """The URL with the scheme and host of `base`."""
    target, parts = urlsplit(base), urlsplit(url)
    return urlunsplit(parts._replace(scheme=target.scheme, netloc=target.netloc))


def twilio_client() -> Client:
    """The application's client, made on first use of the settings in force. Raises SettingsError without an account."""
    ours = settings.current()
    made_for, client = current_app.extensions.get(EXTENSION, (None, None))
    if made_for is not ours:
        client = _made(ours)
        current_app.extensions[EXTENSION] = (ours, client)
    return client


def _made(ours: Settings) -> Client:
    token = ours.twilio_auth_token.get_secret_value()
    if not (ours.twilio_account_sid and token):
        raise SettingsError(
            "the phone network's account is not set",
            where="settings",
            how="Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
        )
    # The sync client only: the async one posts a call again on a 5xx (seen in its 9.13).
    http_client = OurHttpClient(ours.twilio_timeout_seconds, ours.twilio_api_base)
    return Client(ours.twilio_account_sid, token, http_client=http_client)
