"""The console's doors: parse, read or do, show. What a page shows is put together in the module of its name."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, flash, redirect, render_template, request, send_from_directory, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import CSRFProtect

from console import calls, campaigns, overview, scope, standings, story
from scheduler import campaigns as campaign_acts
from survey import clock
from survey.db import db
from survey.doors import public, signed_in

csrf = CSRFProtect()
blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates")
STATIC = Path(__file__).parent / "static"
# As many as the database's ids go up to.
CAMPAIGN = f"/campaigns/<int(max={2**63 - 1}):campaign_id>"
CALL = f"/calls/<int(max={2**63 - 1}):call_id>"


@blueprint.before_request
def _refuse_forged_requests() -> None:
    csrf.protect()


@blueprint.get("/static/<path:filename>")
@public
def static(filename: str) -> ResponseReturnValue:
    """The console's stylesheet and script: the sign-in and error pages need them too."""
    return send_from_directory(STATIC, filename, max_age=3600)


@blueprint.get("/")
@signed_in(*scope.OVERVIEW_READERS)
def show_overview() -> ResponseReturnValue:
    return render_template("console/overview.html", page=overview.read(scope.current(), clock.now()))


@blueprint.get("/campaigns")
@signed_in(*scope.CALL_READERS)
def list_campaigns() -> ResponseReturnValue:
    return render_template("console/campaigns.html", rows=campaigns.rows(scope.current()))


@blueprint.get(CAMPAIGN)
@signed_in(*scope.CALL_READERS)
def show_campaign(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.one(scope.current(), campaign_id)
    may_act = current_user.has_role("administrator") or current_user.has_role("manager")
    return render_template("console/campaign.html", page=campaigns.read(campaign), may_act=may_act)


@blueprint.post(f"{CAMPAIGN}/pause")
@signed_in(*scope.CAMPAIGN_MANAGERS)
def pause_campaign(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.one(scope.current(), campaign_id)
    campaign_acts.pause(campaign, actor=current_user.email)
    db.session.commit()
    flash("Paused. Nobody is contacted for this campaign until it is resumed; the draw goes on.")
    return redirect(url_for("console.show_campaign", campaign_id=campaign_id), 303)


@blueprint.post(f"{CAMPAIGN}/resume")
@signed_in(*scope.CAMPAIGN_MANAGERS)
def resume_campaign(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.one(scope.current(), campaign_id)
    campaign_acts.resume(campaign, actor=current_user.email)
    db.session.commit()
    flash("Resumed. Contact goes on within the allowed hours.")
    return redirect(url_for("console.show_campaign", campaign_id=campaign_id), 303)


@blueprint.get("/calls")
@signed_in(*scope.CALL_READERS)
def list_calls() -> ResponseReturnValue:
    within = scope.current()
    wanted = calls.Wanted.parsed(request.args)
    return render_template(
        "console/calls.html", wanted=wanted, found=calls.search(within, wanted), sites=within.sites(), now=clock.now()
    )


@blueprint.get(CALL)
@signed_in(*scope.CALL_READERS)
def show_call(call_id: int) -> ResponseReturnValue:
    return render_template("console/call.html", page=story.read(scope.current(), call_id))


@blueprint.get("/standings")
@signed_in(*scope.STANDING_READERS)
def show_standings() -> ResponseReturnValue:
    within = scope.current()
    wanted = standings.Wanted.parsed(request.args)
    return render_template("console/standings.html", page=standings.read(within, wanted))
