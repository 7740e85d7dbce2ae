"""Sealing customers' phone numbers, emails and names, and finding them again without opening them.

A sealed value is encrypted (Fernet: AES-128-CBC with HMAC-SHA256). A contact is found by its *index*, a keyed hash of
its canonical form: equal contacts have equal indexes, and nobody without the key can try numbers against them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from survey.errors import SettingsError


class Vault:
    """Seals and indexes with keys derived from the installation's data key."""

    def __init__(self, data_key: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(data_key, b"seal")))
        self._index_key = _derive(data_key, b"index")

    def seal(self, plain: str) -> str:
        return self._fernet.encrypt(plain.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises SettingsError when the value was sealed with another data key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SettingsError(
                "a sealed value cannot be opened",
                where="DATA_KEY",
                how="Set the DATA_KEY this database was filled with.",
            ) from None

    def index(self, kind: str, canonical: str) -> bytes:
        """The 32-byte index of a contact; `kind` is "phone" or "email"."""
        return hmac.digest(self._index_key, f"{kind}\0{canonical}".encode(), "sha256")


def _derive(data_key: str, purpose: bytes) -> bytes:
    return hmac.digest(data_key.encode(), b"aftercall " + purpose, "sha256")


_vault: Vault | None = None


def configure(data_key: str) -> None:
    """Called once by `create_app`: the key all sealed columns use from now on."""
    global _vault
    _vault = Vault(data_key)


def vault() -> Vault:
    if _vault is None:
        raise SettingsError("no data key yet", where="vault", how="Call application.create_app() first.")
    return _vault


def phone_index(e164: str) -> bytes:
    return vault().index("phone", e164)


def email_index(address: str) -> bytes:
    return vault().index("email", address.casefold())


def token_hash(token: str) -> bytes:
    """What is stored of an unguessable link token: enough to find it, too little to use it."""
    return hashlib.sha256(token.encode()).digest()


class Sealed(TypeDecorator[str]):
    """A text column that is encrypted at rest and plain in Python."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else vault().seal(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else vault().open(value)
