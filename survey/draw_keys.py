"""What of a draw key may be shown: its SHA-256 from the launch on, the key itself once it was revealed."""

from __future__ import annotations

from sqlalchemy import case

from survey.models import DrawKey

# Column by column: loading the whole row would open a key that is still sealed.
SHOWN_KEY = case((DrawKey.revealed_at.is_not(None), DrawKey.key_hex), else_=None).label("key_hex")
SHOWN = (DrawKey.period, DrawKey.sha256, DrawKey.published_at, DrawKey.revealed_at, SHOWN_KEY)
