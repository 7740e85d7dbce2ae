"""The settings: read once from the environment and `.env`, typed and frozen; a faulty one stops the start."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from survey.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent

SHORTEST_KEY = 16


class Settings(BaseSettings):
    """Every setting of the service; `.env.example` explains each to the person who sets it."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    aftercall_data: Path = PROJECT / "var"
    database_url: str | None = None
    public_base_url: str = "http://127.0.0.1:8000"
    secret_key: SecretStr | None = Field(None, min_length=SHORTEST_KEY)
    data_key: SecretStr | None = Field(None, min_length=SHORTEST_KEY)

    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_from: str = ""
    twilio_api_base: str | None = None
    twilio_timeout_seconds: int = Field(10, ge=1, le=60)
    second_key_ms: int = Field(700, ge=0, le=5000)
    call_minute_price: Decimal = Field(Decimal("0.014"), ge=0, le=100)

    smtp_url: str | None = None
    mail_from: str = "survey@example.com"

    intake_dir: Path | None = None

    log_level: str = "INFO"
    worker_concurrency: int = Field(10, ge=1, le=100)
    tick_seconds: int = Field(1, ge=1, le=60)

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, _, rest = url.partition("://")
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql:// (PostgreSQL 14 or newer is the only database)")
        return f"postgresql+psycopg://{rest}"

    @field_validator("public_base_url")
    @classmethod
    def _plain_origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
            raise ValueError("must look like https://survey.example.com")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _keys_come_together(self) -> Settings:
        if (self.secret_key is None) != (self.data_key is None):
            raise ValueError("SECRET_KEY and DATA_KEY go together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _own_database_needs_own_keys(self) -> Settings:
        if self.database_url and not (self.secret_key and self.data_key):
            raise ValueError(
                "with DATABASE_URL set, SECRET_KEY and DATA_KEY must be set too: machines that share a database "
                "share its keys (make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))')"
            )
        return self

    @property
    def keys(self) -> Keys:
        """The secrets in force: as set, or those kept in the data folder."""
        if self.secret_key and self.data_key:
            return Keys(self.secret_key.get_secret_value(), self.data_key.get_secret_value())
        return _kept_keys(self.aftercall_data / "keys.json")


class Keys:
    """The two secrets of an installation: one signs sessions, the other seals customers' data."""

    def __init__(self, secret_key: str, data_key: str) -> None:
        self.secret_key, self.data_key = secret_key, data_key


def load_settings(**overrides: Any) -> Settings:
    """Reads the settings; raises SettingsError with every fault listed.

    AFTERCALL_ENV_FILE names another file than `.env`; empty, none is read.
    """
    overrides.setdefault("_env_file", os.environ.get("AFTERCALL_ENV_FILE", ".env") or None)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = "; ".join(_fault(e["loc"], e["msg"]) for e in error.errors())
        raise SettingsError(faults, where="settings", how=".env.example explains each setting.") from None


def current() -> Settings:
    """The settings of the running application."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _fault(loc: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in loc).upper()
    return f"{name}: {message}" if name else message.removeprefix("Value error, ")


def _kept_keys(path: Path) -> Keys:
    """The keys of a one-machine installation, made on the first start and kept readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_keys(path)
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Keys(kept["secret_key"], kept["data_key"])


def _make_keys(path: Path) -> None:
    """Written aside and linked whole: of several first starts at once one makes the keys, and all read the same."""
    handle, aside = tempfile.mkstemp(dir=path.parent)  # readable by its owner only
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"secret_key": secrets.token_urlsafe(32), "data_key": secrets.token_urlsafe(32)}, file)
    with contextlib.suppress(FileExistsError):
        os.link(aside, path)
    os.unlink(aside)
