"""What programs may read without a key: the public registry, as JSON."""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from certification import certificates, registry
from survey.doors import public

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


@blueprint.get("/certificates")
@public
def valid_certificates() -> ResponseReturnValue:
    """Every certificate valid today that the registry lists, highest level first."""
    named = [recipient.certificate for section in registry.read().sections for recipient in section.named]
    return jsonify({"certificates": [registry.as_dict(each) for each in named]})


@blueprint.get("/certificates/<string(length=32):public_id>")
@public
def certificate(public_id: str) -> ResponseReturnValue:
    """One certificate with its live status; 404 for an unknown number."""
    return jsonify(registry.as_dict(certificates.by_public_id(public_id)))
