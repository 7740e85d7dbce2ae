"""The public doors: the registry and each certificate, for anybody and for any cache. Nothing in here writes."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, jsonify, make_response, render_template, request, send_from_directory

from certification import certificates, charts, draw_keys, programmes, registry, words
from survey.doors import public
from survey.errors import NotFound

blueprint = Blueprint("certification", __name__, template_folder="templates")
ASSETS = Path(__file__).parent / "static"
FRESH_SECONDS = 300


@blueprint.get("/registry")
@public
def current_registry() -> Response:
    """Everything valid today."""
    return _cacheable(make_response(render_template("certification/registry.html", page=registry.read(), words=words)))


@blueprint.get("/registry/<int(max=9999):year>")
@public
def registry_of_year(year: int) -> Response:
    """Everything achieved in a year, ended or not."""
    page = registry.read(year)
    if year not in page.years:
        raise NotFound(f"no certificate was achieved in {year}", how="The registry has the years there are.")
    return _cacheable(make_response(render_template("certification/registry.html", page=page, words=words)))


@blueprint.get("/registry/draws")
@public
def keys_of_draws() -> Response:
    """What every campaign's draw was committed to, and the keys revealed so far."""
    return _cacheable(make_response(render_template("certification/draw_keys.html", keys=draw_keys.published())))


@blueprint.get("/registry/draws.json")
@public
def keys_of_draws_json() -> Response:
    """The same for programs."""
    return _cacheable(jsonify({"draw_keys": [key.as_dict() for key in draw_keys.published()]}))


@blueprint.get("/certificates/<string(length=32):public_id>")
@public
def certificate(public_id: str) -> Response:
    """One certificate with its live status."""
    found = certificates.by_public_id(public_id)
    rule = programmes.rule_of(found.assessment.period)
    page = render_template(
        "certification/certificate.html",
        certificate=found,
        assessment=found.assessment,
        period=found.assessment.period,
        holder=registry.holder(found),
        address=registry.address(found),
        status=certificates.status(found),
        rule=rule,
        chart=charts.interval(found.assessment.k, found.assessment.n, rule),
        words=words,
    )
    return _cacheable(make_response(page))


@blueprint.get("/certificates/<string(length=32):public_id>.json")
@public
def certificate_json(public_id: str) -> Response:
    """The same for programs."""
    return _cacheable(jsonify(registry.as_dict(certificates.by_public_id(public_id))))


@blueprint.get("/registry/static/<path:filename>")
@public
def asset(filename: str) -> Response:
    """The style of these pages."""
    return send_from_directory(ASSETS, filename, max_age=FRESH_SECONDS)


def _cacheable(response: Response) -> Response:
    """Caches may keep it for some minutes, and ask by its ETag whether it changed."""
    response.cache_control.public = True
    response.cache_control.max_age = FRESH_SECONDS
    response.add_etag()
    response.make_conditional(request)
    return response
