"""Sealing customers' phone numbers, emails and names, and finding them again without opening them.

A sealed value is encrypted (AES-256-GCM with a random nonce, good for some four thousand million values under one key;
source: NIST SP 800-38D, 8.3). A contact is found by its *index*, a keyed hash of its canonical form: equal contacts
have equal indexes, and nobody without the key can try numbers against them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from survey.errors import SettingsError

# What a sealed value begins with. One without it was sealed by an earlier release (Fernet) and is still opened.
MARK = b"1:"
NONCE_BYTES = 12


class Vault:
    """Seals and indexes with keys derived from the installation's data key."""

    def __init__(self, data_key: str) -> None:
        self.data_key = data_key
        self._cipher = AESGCM(_derive(data_key, b"seal AES-256-GCM"))
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(data_key, b"seal")))
        self._index_key = _derive(data_key, b"index")

    def seal(self, plain: str) -> str:
        return self.seal_bytes(plain.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises SettingsError when the value was sealed with another data key."""
        return self.open_bytes(sealed.encode()).decode()

    def seal_bytes(self, plain: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return MARK + base64.b64encode(nonce + self._cipher.encrypt(nonce, plain, None))

    def open_bytes(self, sealed: bytes) -> bytes:
        """Raises SettingsError when the bytes were sealed with another data key."""
        try:
            if not sealed.startswith(MARK):
                return self._fernet.decrypt(sealed)
            whole = base64.b64decode(sealed[len(MARK) :], validate=True)
            return self._cipher.decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], None)
        except (InvalidToken, InvalidTag, ValueError, binascii.Error):
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
