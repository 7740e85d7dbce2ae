"""Rule 8: phone numbers, emails and names are sealed at rest."""

from __future__ import annotations

import base64
import hmac

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from sqlalchemy import text

from survey.db import db
from survey.errors import SettingsError
from survey.vault import Vault, email_index, phone_index
from tests import factories


def test_a_customers_contacts_are_unreadable_in_the_database(app: Flask) -> None:
    customer = factories.customer(factories.organisation().id, "+12125550123", "somebody@example.com")
    db.session.commit()
    stored = str(db.session.execute(text("SELECT * FROM customers")).all())
    assert "5550123" not in stored and "somebody" not in stored
    db.session.expire_all()
    assert (customer.phone, customer.email) == ("+12125550123", "somebody@example.com")


def test_the_draw_key_is_sealed(app: Flask) -> None:
    factories.campaign()
    stored = str(db.session.execute(text("SELECT key_hex FROM draw_keys")).scalar_one())
    assert (b"k" * 32).hex() not in stored


def test_indexes_find_equal_contacts_only(app: Flask) -> None:
    assert email_index("Some@Example.com") == email_index("some@example.COM")
    assert phone_index("+12125550123") != phone_index("+12125550124")
    assert Vault("one key").index("phone", "+1") != Vault("another key").index("phone", "+1")


def test_another_key_opens_nothing() -> None:
    sealed = Vault("one key").seal("+12125550123")
    with pytest.raises(SettingsError, match="DATA_KEY"):
        Vault("another key").open(sealed)
    with pytest.raises(SettingsError, match="DATA_KEY"):
        Vault("another key").open_bytes(Vault("one key").seal_bytes(b"+12125550123"))


def test_bytes_of_any_kind_are_sealed_and_come_back_whole() -> None:
    plain = bytes(range(256)) + b"+12125550123"
    sealed = Vault("one key").seal_bytes(plain)
    assert Vault("one key").open_bytes(sealed) == plain
    assert b"5550123" not in sealed and sealed != Vault("one key").seal_bytes(plain), "no two seals are alike"


def test_what_an_earlier_release_sealed_is_still_opened() -> None:
    """Its form: Fernet under HMAC-SHA256(data key, "aftercall seal")."""
    key = base64.urlsafe_b64encode(hmac.digest(b"a data key of tests", b"aftercall seal", "sha256"))
    assert Vault("a data key of tests").open(Fernet(key).encrypt(b"+12125550101").decode()) == "+12125550101"


@pytest.mark.parametrize("broken", ["1:", "1:AAAA", "1:not base64!", "1:" + "A" * 60, "gAAAAA", ""])
def test_a_broken_value_is_told_apart_from_a_fault_of_ours(broken: str) -> None:
    with pytest.raises(SettingsError, match="cannot be opened"):
        Vault("a data key of tests").open(broken)
