"""The console's doors: parse, read or do, show. What a page shows is put together in the module of its name."""

from __future__ import annotations

from pathlib import Path

from flask import (
    Blueprint,
    Response,
    flash,
    redirect,
    render_template,
    request,
    send_file,
    send_from_directory,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf import CSRFProtect
from werkzeug.exceptions import RequestEntityTooLarge

from console import (
    calls,
    campaigns,
    completeness,
    forecast,
    imports,
    mapping_file,
    overview,
    scope,
    standings,
    story,
    undoing,
    upload_page,
    uploads,
)
from intake.foretold import foretell
from intake.reports import counted, file_told
from intake.undo_steps import under_way
from scheduler import campaigns as campaign_acts
from survey import clock
from survey.db import db
from survey.doors import public, signed_in
from survey.errors import AftercallError, InputError, Refused

csrf = CSRFProtect()
blueprint = Blueprint("console", __name__, url_prefix="/console", template_folder="templates")
STATIC = Path(__file__).parent / "static"
# As many as the database's ids go up to.
CAMPAIGN = f"/campaigns/<int(max={2**63 - 1}):campaign_id>"
CALL = f"/calls/<int(max={2**63 - 1}):call_id>"
IMPORT = f"/imports/<int(max={2**63 - 1}):import_id>"
UPLOAD = f"/imports/uploads/<int(max={2**63 - 1}):upload_id>"


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


@blueprint.get(f"{CAMPAIGN}/forecast")
@signed_in(*scope.CALL_READERS)
def show_campaign_forecast(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.one(scope.current(), campaign_id)
    return render_template("console/forecast.html", page=forecast.read(campaign, request.args.get("weeks", "")))


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


@blueprint.post(f"{CAMPAIGN}/delete")
@signed_in(*scope.CAMPAIGN_MANAGERS)
def delete_campaign(campaign_id: int) -> ResponseReturnValue:
    campaign = campaigns.one(scope.current(), campaign_id)
    name = campaign.name
    if request.form.get("sure") != "yes":
        flash("Not deleted: tick the box that says so first.")
        return redirect(url_for("console.show_campaign", campaign_id=campaign_id), 303)
    campaign_acts.delete(campaign, actor=current_user.email)
    db.session.commit()
    flash(f"The draft {name} is deleted.")
    return redirect(url_for("console.list_campaigns"), 303)


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


@blueprint.get("/completeness")
@signed_in(*scope.STANDING_READERS)
def show_completeness() -> ResponseReturnValue:
    wanted = completeness.Wanted.parsed(request.args)
    return render_template("console/completeness.html", page=completeness.read(scope.current(), wanted))


# --- what was handed in ---


@blueprint.get("/imports")
@signed_in(*scope.CALL_READERS)
def list_imports() -> ResponseReturnValue:
    within, before = scope.current(), request.args.get("before", "")
    return render_template(
        "console/imports.html",
        found=imports.search(within, before, clock.now()),
        waiting=uploads.waiting(_person()) if _hands_in() else [],
        older=bool(before),
        all_organisations=within.organisation_id is None,
    )


@blueprint.get(IMPORT)
@signed_in(*scope.CALL_READERS)
def show_import(import_id: int) -> ResponseReturnValue:
    record = imports.one(scope.current(), import_id)
    return render_template("console/import.html", page=imports.read(record, clock.now()))


@blueprint.get(f"{IMPORT}/rejects")
@signed_in(*scope.CALL_READERS)
def download_import_rejects(import_id: int) -> ResponseReturnValue:
    path = imports.rejects_file(imports.one(scope.current(), import_id))
    return send_file(path, mimetype="text/csv", as_attachment=True, download_name=f"rejects-of-import-{import_id}.csv")


@blueprint.get(f"{IMPORT}/undo")
@signed_in(*scope.INTAKE_MANAGERS)
def confirm_import_undo(import_id: int) -> ResponseReturnValue:
    # Asked in this order: an undo that ends in between is seen in the record.
    step, begun = under_way(import_id), "begun" in request.args
    record = imports.one(scope.current(), import_id)
    if step is not None:
        page = {"record": record, "name": file_told(record.file_name), "step": step}
        seconds = undoing.LOOK_AGAIN_SECONDS
        again = url_for("console.confirm_import_undo", import_id=import_id, begun=1)
        answer = render_template("console/import_undoing.html", seconds=seconds, **page)
        return answer, {"Refresh": f"{seconds}; url={again}"}
    if begun and record.undone_at is not None:
        return redirect(url_for("console.show_import", import_id=import_id), 303)
    return _undo_page(import_id, broken_off=begun)


@blueprint.post(f"{IMPORT}/undo")
@signed_in(*scope.INTAKE_MANAGERS)
def undo_import(import_id: int) -> ResponseReturnValue:
    record = imports.one(scope.current(), import_id)
    try:
        report = undoing.begin(record.id, current_user.email)
    except Refused as refusal:
        return _undo_page(import_id, refusal), refusal.status
    if report is None:
        return redirect(url_for("console.confirm_import_undo", import_id=import_id, begun=1), 303)
    flash(" ".join(report.lines()))
    return redirect(url_for("console.show_import", import_id=import_id), 303)


@blueprint.get("/imports/new")
@signed_in(*scope.INTAKE_MANAGERS)
def new_import() -> ResponseReturnValue:
    return _new_import_page()


@blueprint.post("/imports/new")
@signed_in(*scope.INTAKE_MANAGERS)
def hand_in_import() -> ResponseReturnValue:
    file = request.files.get("file")
    try:
        if file is None or not file.filename:
            raise InputError("No file was chosen", how="Choose one, then press the button again.")
        owner = calls.number_in(request.form.get("organisation", ""), "organisation")
        if owner is None:
            raise InputError("No organisation was chosen", how="Say whose calls they are.")
        upload = uploads.keep(_person(), owner, file.filename, file.read())
    except AftercallError as fault:
        db.session.commit()  # old uploads are gone all the same
        return _new_import_page(fault), fault.status
    db.session.commit()
    return redirect(url_for("console.show_import_upload", upload_id=upload.id), 303)


@blueprint.get(UPLOAD)
@signed_in(*scope.INTAKE_MANAGERS)
def show_import_upload(upload_id: int) -> ResponseReturnValue:
    upload = uploads.one(_person(), upload_id)
    page = upload_page.first_look(upload, request.args.get("like", ""))
    return render_template("console/import_upload.html", page=page, sent=False)


@blueprint.post(UPLOAD)
@signed_in(*scope.INTAKE_MANAGERS)
def decide_import_upload(upload_id: int) -> ResponseReturnValue:
    action, actor = request.form.get("action", "look"), current_user.email
    if action == "import":
        return _take_in(upload_id, actor)
    upload = uploads.one(_person(), upload_id)
    page = upload_page.look_again(upload, request.form, _mapping_sent(), check=action == "check", actor=actor)
    if action == "mapping" and page.fault is None:
        return _mapping_download(page)
    return _upload_page(page)


@blueprint.post(f"{UPLOAD}/cancel")
@signed_in(*scope.INTAKE_MANAGERS)
def cancel_import_upload(upload_id: int) -> ResponseReturnValue:
    with uploads.in_hand(upload_id):
        upload = uploads.one(_person(), upload_id)
        uploads.drop(upload, uploads.Fate.CANCELLED, actor=current_user.email)
        db.session.commit()
    flash("Cancelled. The file is deleted; nothing was taken in.")
    return redirect(url_for("console.list_imports"), 303)


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    db.session.rollback()
    if request.endpoint != "console.hand_in_import":
        return render_template("error.html", status=413, title=error.name, body={}), 413
    # Browsers show no answer to a file that they could not send to its end.
    uploads.let_pass(request.environ["wsgi.input"], request.content_length or 0)
    return render_template("console/import_too_large.html", megabytes=uploads.MEGABYTES), 413


@blueprint.errorhandler(uploads.Gone)
def _upload_gone(gone: uploads.Gone) -> ResponseReturnValue:
    db.session.rollback()
    return render_template("console/import_upload_gone.html", gone=gone, fates=uploads.Fate), gone.status


def _hands_in() -> bool:
    return any(current_user.has_role(role) for role in ("administrator", *scope.INTAKE_MANAGERS))


def _person() -> uploads.Person:
    return uploads.Person(current_user.email, scope.current(), current_user.has_role("administrator"))


def _undo_page(import_id: int, refusal: Refused | None = None, *, broken_off: bool = False) -> str:
    record = imports.one(scope.current(), import_id)
    effect = foretell(record.id)
    page = imports.read(record, clock.now())
    return render_template("console/import_undo.html", page=page, effect=effect, refusal=refusal, broken_off=broken_off)


def _new_import_page(fault: AftercallError | None = None) -> str:
    return render_template(
        "console/import_new.html",
        organisations=uploads.organisations(scope.current()),
        wanted=request.form.get("organisation", ""),
        fault=fault,
        megabytes=uploads.MEGABYTES,
    )


def _take_in(upload_id: int, actor: str) -> ResponseReturnValue:
    with uploads.in_hand(upload_id):
        upload = uploads.one(_person(), upload_id)
        done = upload_page.take_in(upload, request.form, _mapping_sent(), actor=actor)
    if isinstance(done, upload_page.Page):
        return _upload_page(done)
    counts = ", ".join(f"{getattr(done, name):,} {name}" for name in ("new", "updated", "unchanged", "rejected"))
    flash(f"{counted(done.read, 'row')} gone through: {counts}.")
    return redirect(url_for("console.show_import", import_id=done.import_id), 303)


def _upload_page(page: upload_page.Page) -> ResponseReturnValue:
    status = page.fault.status if page.fault else 200
    return render_template("console/import_upload.html", page=page, sent=True), status


def _mapping_sent() -> bytes | None:
    """The mapping file that came with the form; None where none was chosen."""
    file = request.files.get("mapping")
    return file.read() if file and file.filename else None


def _mapping_download(page: upload_page.Page) -> Response:
    name = f"{page.choices.source or page.organisation.key}-mapping.toml"
    response = Response(mapping_file.as_toml(page.choices.mapping()), mimetype="application/toml")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
