"""Settings: typed, frozen, failing at the start with every fault; `.env.example` explains each."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from survey.errors import SettingsError
from survey.settings import PROJECT, Settings, load_settings


def load(**given: object) -> Settings:
    return load_settings(_env_file=None, **given)


def test_every_fault_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://somewhere")
    monkeypatch.setenv("TICK_SECONDS", "0")
    with pytest.raises(SettingsError) as caught:
        load()
    assert "DATABASE_URL" in str(caught.value) and "TICK_SECONDS" in str(caught.value)


def test_a_shared_database_needs_shared_keys() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY and DATA_KEY"):
        load(database_url="postgresql://db/aftercall")


def test_any_spelling_of_a_postgresql_address_uses_our_driver() -> None:
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        settings = load(database_url=f"{scheme}://db/aftercall", secret_key="s" * 16, data_key="d" * 16)
        assert settings.database_url == "postgresql+psycopg://db/aftercall"


def test_one_machine_keeps_its_own_keys_to_itself(tmp_path: Path) -> None:
    settings = load(aftercall_data=tmp_path)
    first = settings.keys
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert (settings.keys.data_key, settings.keys.secret_key) == (first.data_key, first.secret_key)
    assert first.data_key != first.secret_key


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().tick_seconds = 3  # type: ignore[misc]


def test_secrets_do_not_print() -> None:
    settings = load(
        database_url="postgresql://db/a", secret_key="sesame" * 3, data_key="opensaysme" * 2, twilio_auth_token="token9"
    )
    assert not re.search("sesame|opensaysme|token9", repr(settings))


def test_the_example_explains_every_setting() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert re.search(rf"^# .+\n(# .*\n)*#? ?{name.upper()}=", example, re.MULTILINE), name


@pytest.mark.parametrize(("given", "says"), [({"data_key": "d" * 16}, "go together"), ({"data_key": "x"}, "DATA_KEY")])
def test_a_lonely_or_short_key_stops_the_start(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(**given)
