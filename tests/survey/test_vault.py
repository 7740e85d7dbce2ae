"""Rule 8: phone numbers, emails and names are sealed at rest."""

from __future__ import annotations

import pytest
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
