"""The application as web servers and the `flask` command find it."""

import sys

from application import create_app
from survey.errors import AftercallError

try:
    app = create_app()
except AftercallError as refusal:
    sys.exit(f"Refused: {refusal}")
