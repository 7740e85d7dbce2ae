"""Twilio's REST API for recordings: fetch one (as JSON, or its media), list them, delete one.

Source: Twilio's OpenAPI document for API 2010-04-01, resource Recording; its media as in "Fetch a Recording's media
file": the same address without .json, or with .wav.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from simulator.network.courier import API_VERSION
from simulator.network.paging import Json, day_filters, page_json, rfc_2822
from simulator.network.parameters import Refusal
from simulator.network.recordings import DELETED, Recording, Recordings


class Answer(NamedTuple):
    """What the API answers: JSON, or media, or nothing (204)."""

    status: int
    json: Json | None = None
    media: bytes = b""


class RecordingsDoor:
    """Answers what is asked of the recordings of one account."""

    def __init__(self, account_sid: str, recordings: Recordings) -> None:
        self._account_sid = account_sid
        self._recordings = recordings

    def list(self, args: Mapping[str, str], call_sid: str = "") -> Answer:
        """Give one page of the recordings, of one call's if its SID is given. Raises BadFilter."""
        asked = call_sid or args.get("CallSid", "")
        wanted = day_filters(args, "DateCreated", _began_at)
        found = [
            recording
            for recording in self._recordings.newest_first()
            if asked in ("", recording.call.sid) and all(passes(recording) for passes in wanted)
        ]
        base = f"/{API_VERSION}/Accounts/{self._account_sid}/{f'Calls/{call_sid}/' if call_sid else ''}Recordings.json"
        show = self._json_of_call if call_sid else self._json
        return Answer(200, page_json("recordings", found, show, base, args))

    def fetch(self, sid: str, args: Mapping[str, str]) -> Answer:
        """Give one recording. Raises Refusal 404 when there is none, or it is deleted and not asked for as such."""
        deleted_too = args.get("IncludeSoftDeleted", "").lower() == "true"
        recording = self._find(sid)
        if recording.status == DELETED and not deleted_too:
            raise Refusal(404, 20404, f"/Recordings/{sid}")
        return Answer(200, self._json(recording))

    def media(self, sid: str) -> Answer:
        """Give a recording's WAV. Raises Refusal 404 while it is not ready and once it is deleted."""
        media = self._recordings.media(self._find(sid))
        if media is None:
            raise Refusal(404, 20404, f"/Recordings/{sid}")
        return Answer(200, media=media)

    def delete(self, sid: str, at: datetime) -> Answer:
        """Delete a recording and its media. Raises Refusal 404 when there is nothing to delete."""
        if not self._recordings.delete(at, self._find(sid)):
            raise Refusal(404, 20404, f"/Recordings/{sid}")
        return Answer(204)

    def _find(self, sid: str) -> Recording:
        recording = self._recordings.get(sid)
        if recording is None:
            raise Refusal(404, 20404, f"/Recordings/{sid}")
        return recording

    def _json(self, recording: Recording) -> Json:
        base = f"/{API_VERSION}/Accounts/{self._account_sid}/Recordings/{recording.sid}"
        return {
            "sid": recording.sid,
            "account_sid": self._account_sid,
            "api_version": API_VERSION,
            "call_sid": recording.call.sid,
            "channels": 1,
            "conference_sid": None,
            "date_created": rfc_2822(recording.began_at),
            "date_updated": rfc_2822(recording.updated_at),
            "duration": recording.duration,
            "encryption_details": None,
            "error_code": None,
            "media_url": self._recordings.address(recording),
            "price": recording.price,
            "price_unit": "USD",
            "source": "RecordVerb",
            "start_time": rfc_2822(recording.began_at),
            "status": recording.status,
            "subresource_uris": {
                "add_on_results": f"{base}/AddOnResults.json",
                "transcriptions": f"{base}/Transcriptions.json",
            },
            "uri": f"{base}.json",
        }

    def _json_of_call(self, recording: Recording) -> Json:
        """As the list of one call's recordings shows it: another resource in Twilio's document, with other fields.

        Its price is a number by the document's schema and a string in its example: leave it out, as both allow.
        """
        shown = self._json(recording) | {"price": None, "track": "inbound"}
        uri = f"/{API_VERSION}/Accounts/{self._account_sid}/Calls/{recording.call.sid}/Recordings/{recording.sid}.json"
        del shown["media_url"], shown["subresource_uris"]
        return shown | {"uri": uri}


def _began_at(recording: Recording) -> datetime:
    return recording.began_at
