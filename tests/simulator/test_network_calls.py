"""A call's life: ringing, talking, pressing, and what the service is told of it."""

from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest
from werkzeug.wrappers import Response

from simulator.network import HangUp, Press, Reply, Ring, ScriptedCustomer, Silence, Speak
from tests.simulator.stage import ACCOUNT, BASE, CALLER, CUSTOMER, START, Stage, gather, say


def test_a_call_answered_to_its_end() -> None:
    customer = ScriptedCustomer(["1", "4"])
    stage = Stage(customer)
    stage.service.answers["/two"] = gather("How satisfied were you?", "/three")
    stage.service.answers["/three"] = "<Response><Say>Thank you. Goodbye.</Say><Hangup/><Say>never</Say></Response>"
    call = stage.call(gather("Was it resolved? Yes, press 1.", "/two?q=1"))
    assert call.status == "completed"
    assert stage.service.statuses() == ["initiated", "ringing", "in-progress", "completed"]
    assert [form["Digits"] for form in stage.service.at("/two") + stage.service.at("/three")] == ["1", "4"]
    assert all(got.signed for got in stage.service.received)
    assert stage.errors() == []
    assert stage.network.transcript(call.sid).splitlines() == [
        "00:00 the customer answers",
        "00:00 Aftercall says (en-US): Was it resolved? Yes, press 1.",
        "00:03 customer presses 1",
        "00:03 Aftercall says (en-US): How satisfied were you?",
        "00:06 customer presses 4",
        "00:06 Aftercall says (en-US): Thank you. Goodbye.",
        "00:07 Aftercall hangs up",
    ]


def test_speaking_takes_time_at_175_words_a_minute() -> None:
    call = Stage().call(say(" ".join(["word"] * 175)))
    assert call.duration == 60
    assert call.dialled_at == START and call.answered_at == START + timedelta(seconds=9)
    assert call.ended_at == START + timedelta(seconds=69)


def test_the_service_s_clock_stands_where_the_call_stands() -> None:
    stage = Stage(ScriptedCustomer([Press("1", after=2.0)]))
    seen = []
    stage.service.answers["/two"] = lambda got: seen.append(stage.now) or "<Response/>"
    stage.call(gather("one two three four five six seven", "/two"))
    assert seen == [START + timedelta(seconds=9 + 7 * 60 / 175 + 2)]


def test_standard_parameters() -> None:
    stage = Stage()
    call = stage.call(say("Hello"))
    standard = {
        "CallSid": call.sid,
        "AccountSid": ACCOUNT,
        "From": CALLER,
        "To": CUSTOMER,
        "Caller": CALLER,
        "Called": CUSTOMER,
        "Direction": "outbound-api",
        "ApiVersion": "2010-04-01",
    }
    assert stage.service.at("/voice") == [standard | {"CallStatus": "in-progress"}]
    initiated, *_, completed = stage.service.at("/status")
    assert initiated.items() >= (standard | {"CallStatus": "initiated", "SequenceNumber": "0"}).items()
    assert completed.items() >= {"CallStatus": "completed", "SequenceNumber": "3", "SipResponseCode": "200"}.items()
    assert completed["CallbackSource"] == "call-progress-events"
    assert parsedate_to_datetime(completed["Timestamp"]) == call.ended_at.replace(microsecond=0)
    assert {got.query for got in stage.service.received} == {"attempt=7"}


def test_each_webhook_has_a_token_of_its_own() -> None:
    stage = Stage()
    stage.call(say("Hello"))
    tokens = [got.headers["I-Twilio-Idempotency-Token"] for got in stage.service.received]
    assert len(tokens) == len(set(tokens)) == 5


def test_minutes_are_rounded_up() -> None:
    stage = Stage()
    stage.call('<Response><Pause length="61"/></Response>')
    assert (stage.service.at("/status")[-1]["CallDuration"], stage.service.at("/status")[-1]["Duration"]) == ("61", "2")


@pytest.mark.parametrize(
    ("ring", "heard", "sip"),
    [
        (Ring("busy"), ["initiated", "busy"], "486"),
        (Ring("failed", sip_code=404), ["initiated", "failed"], "404"),
        (Ring("no-answer"), ["initiated", "ringing", "no-answer"], "487"),
        (Ring("answer", seconds=61), ["initiated", "ringing", "no-answer"], "487"),
    ],
)
def test_nobody_answers(ring: Ring, heard: list[str], sip: str) -> None:
    stage = Stage(ScriptedCustomer(ring=ring))
    call = stage.call(say("Hello"))
    assert stage.service.statuses() == heard
    assert call.status == heard[-1] and call.duration is None
    assert stage.service.at("/voice") == []
    last = stage.service.at("/status")[-1]
    assert (last["SipResponseCode"], last["CallDuration"]) == (sip, "0")


def test_ringing_stops_at_the_timeout_asked_for() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring("no-answer")))
    call = stage.call(say("Hello"), timeout=25)
    assert call.ended_at == START + timedelta(seconds=26)


def test_only_events_asked_for_are_sent() -> None:
    stage = Stage()
    stage.call(say("Hello"), events=frozenset({"completed"}))
    assert [(form["CallStatus"], form["SequenceNumber"]) for form in stage.service.at("/status")] == [
        ("completed", "0")
    ]


def test_no_input_falls_through_to_the_next_verb() -> None:
    stage = Stage(ScriptedCustomer([Silence()]))
    call = stage.call(gather("Press 1.", "/two", 'numDigits="1" timeout="8"', after="<Redirect>/again</Redirect>"))
    assert stage.service.at("/two") == []
    assert len(stage.service.at("/again")) == 1 and "Digits" not in stage.service.at("/again")[0]
    assert "00:08 customer does nothing" in stage.network.transcript(call.sid)


def test_no_input_is_told_where_asked_for() -> None:
    stage = Stage()
    stage.call(gather("Press 1.", "/two", 'actionOnEmptyResult="true"'))
    assert [form["Digits"] for form in stage.service.at("/two")] == [""]


def test_a_bare_hash_is_no_input() -> None:
    stage = Stage(ScriptedCustomer(["#"]))
    stage.call(gather("Press 1.", "/two", ""))
    assert stage.service.at("/two") == []


def test_a_key_while_it_speaks_cuts_the_prompt_short() -> None:
    stage = Stage(ScriptedCustomer([Press("1", after=-9.0)]))
    stage.service.answers["/two"] = "<Response/>"
    call = stage.call(gather(" ".join(["word"] * 35), "/two"))
    assert call.duration == 3


def test_a_second_quick_key_reaches_the_next_prompt() -> None:
    """What a doubled key does on a real line; the service must not take it for an answer."""
    stage = Stage(ScriptedCustomer([Press("55", gap=0.3), "9"]))
    pressed_at = []
    for here, there in (("/two", "/three"), ("/three", "/four")):
        stage.service.answers[here] = lambda got, there=there: (
            pressed_at.append((got.form["Digits"], stage.now)) or gather("Next?", there)
        )
    stage.call(gather("First?", "/two"))
    (first, second) = pressed_at
    assert (first[0], second[0]) == ("5", "5") and second[1] - first[1] == timedelta(seconds=0.3)
    assert [form["Digits"] for form in stage.service.at("/four")] == ["9"]


def test_a_quick_key_between_two_prompts_is_lost() -> None:
    stage = Stage(ScriptedCustomer([Press("55", gap=0.3), "9"]))
    stage.service.answers["/two"] = (
        '<Response><Say>Thank you very much.</Say><Gather numDigits="1" action="/three"/></Response>'
    )
    stage.call(gather("First?", "/two"))
    assert [form["Digits"] for form in stage.service.at("/three")] == ["9"]


def test_hanging_up_in_the_middle_of_a_prompt() -> None:
    stage = Stage(ScriptedCustomer(["1", HangUp(after=-1.0)]))
    stage.service.answers["/two"] = gather("one two three four five six seven", "/three")
    call = stage.call(gather("Press 1.", "/two"))
    assert stage.service.at("/three") == []
    assert stage.service.statuses()[-1] == "completed"
    assert stage.network.transcript(call.sid).endswith("customer hangs up")
    assert call.duration == round(2 * 60 / 175 + 1.5 + 7 * 60 / 175 - 1.0)


def test_patience_ends_a_call_at_any_verb() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring(hangs_up_after=10.0)))
    call = stage.call('<Response><Pause length="60"/><Redirect>/two</Redirect></Response>')
    assert call.duration == 10 and stage.service.at("/two") == []


def test_what_the_customer_hears() -> None:
    customer = ScriptedCustomer(["7", "1"])
    stage = Stage(customer)
    again = (
        '<Response><Say language="es-MX">Otra vez.</Say><Gather numDigits="1" action="/two?try=2">'
        '<Say language="es-MX">Presione 1.</Say></Gather></Response>'
    )
    stage.service.answers["/two"] = lambda got: again if "try=2" not in got.query else "<Response/>"
    stage.call(gather("Presione 1.", "/two"))
    first, second = customer.heard
    assert (first.text, first.count, first.language, first.action) == ("Presione 1.", 1, "en-US", f"{BASE}/two")
    assert (second.text, second.spoken, second.count) == ("Presione 1.", "Otra vez. Presione 1.", 2)
    assert (second.language, second.num_digits) == ("es-MX", 1)


def test_a_machine_listens_and_hangs_up_at_the_beep() -> None:
    stage = Stage(ScriptedCustomer(["1"], ring=Ring("machine")))
    call = stage.call(gather("Press 1.", "/two", after='<Record action="/recorded"/>'))
    assert stage.service.at("/two") == []
    assert stage.service.at("/recorded")[0]["Digits"] == "hangup"
    assert (call.status, call.answered_by) == ("completed", None)


def test_a_machine_s_tape_ends() -> None:
    call = Stage(ScriptedCustomer(ring=Ring("machine"))).call('<Response><Pause length="600"/></Response>')
    assert call.duration == 60


def test_speech_where_it_is_taken() -> None:
    stage = Stage(ScriptedCustomer([Speak("yes")]), ScriptedCustomer([Speak("yes")]))
    stage.service.answers["/two"] = "<Response/>"
    stage.call(gather("Yes or no?", "/two", 'input="dtmf speech"'))
    assert stage.service.at("/two")[0]["SpeechResult"] == "yes"
    stage.call(gather("Yes or no?", "/two", 'input="dtmf"'))
    assert len(stage.service.at("/two")) == 1


def test_keys_where_only_speech_is_taken() -> None:
    stage = Stage(ScriptedCustomer(["1"]))
    stage.call(gather("Yes or no?", "/two", 'input="speech"'))
    assert stage.service.at("/two") == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("<Response><Dance/></Response>", "12100"),
        ("<Response><Say>", "12100"),
        (500, "11200"),
        (404, "11200"),
        (lambda got: Response("<Response/>", mimetype="text/plain"), "12300"),
        (lambda got: Response("<Response/>", mimetype=None, content_type=""), "12300"),
    ],
)
def test_a_document_that_is_no_good_ends_the_call_with_an_apology(answer: object, code: str) -> None:
    stage = Stage()
    call = stage.call(answer)
    assert stage.errors() == [code]
    assert call.status == "completed" and stage.service.statuses()[-1] == "completed"
    assert "an application error has occurred" in stage.network.transcript(call.sid)


def test_fallback_url_is_asked_once() -> None:
    stage = Stage()
    stage.service.answers["/fallback"] = say("Sorry, goodbye.")
    call = stage.call(500, fallback_url=f"{BASE}/fallback")
    (form,) = stage.service.at("/fallback")
    assert (form["ErrorCode"], form["ErrorUrl"]) == ("11200", f"{BASE}/voice?attempt=7")
    assert "Sorry, goodbye." in stage.network.transcript(call.sid)
    stage.service.answers["/fallback"] = 500
    stage.call(500, fallback_url=f"{BASE}/fallback")
    assert len(stage.service.at("/fallback")) == 2


def test_an_endless_loop_is_stopped() -> None:
    stage = Stage(ScriptedCustomer(["1"] * 100))
    call = stage.call('<Response><Gather numDigits="1"/></Response>')
    assert len(stage.service.at("/voice")) == 50
    assert stage.errors() == ["12100"] and call.status == "completed"


def test_twiml_given_with_the_call() -> None:
    stage = Stage()
    call = stage.create(url="", twiml=say("Inline."))
    stage.finish()
    assert "Inline." in stage.network.transcript(call.sid) and stage.service.at("/voice") == []


def test_the_time_limit_ends_a_call() -> None:
    call = Stage().call('<Response><Pause length="900"/></Response>', time_limit=120)
    assert (call.status, call.duration) == ("completed", 120)


def test_retries_as_the_fragment_asks() -> None:
    stage = Stage()
    answers = [503, 503, say("Third time.")]
    stage.service.answers["/voice"] = lambda got: (
        Response(status=a) if isinstance(a := answers.pop(0), int) else Response(a, mimetype="text/xml")
    )
    call = stage.create(url=f"{BASE}/voice?attempt=7#rc=2&rp=ct,rt,5xx")
    stage.finish()
    assert "Third time." in stage.network.transcript(call.sid)
    tries = [got for got in stage.service.received if got.path == "/voice"]
    assert len(tries) == 3 and all(got.signed for got in tries)
    assert len({got.headers["I-Twilio-Idempotency-Token"] for got in tries}) == 1


def test_by_default_only_a_failed_connection_is_retried() -> None:
    class Dead:
        posts = 0

        def post(self, *args: object) -> Reply:
            Dead.posts += 1
            return Reply(0, failure="ct")

    stage = Stage(transport=Dead())
    stage.create(status_callback="")
    stage.finish()
    assert Dead.posts == 2 and stage.errors() == ["11200"]
    failing = Stage()
    failing.call(500)
    assert len(failing.service.at("/voice")) == 1


def test_dialling_is_paced() -> None:
    stage = Stage(calls_per_second=2)
    for _ in range(5):
        stage.create()
    stage.finish()
    assert [entry.at - START for entry in stage.network.log.dials()] == [timedelta(seconds=n / 2) for n in range(5)]


def test_dials_are_logged_with_number_time_and_addresses() -> None:
    stage = Stage(ScriptedCustomer(ring=Ring("busy")), ScriptedCustomer(ring=Ring("no-answer")), ScriptedCustomer())
    for _ in range(3):
        stage.create()
    stage.finish()
    dials = stage.network.log.dials()
    assert [(dial.number, dial.at) for dial in dials] == [(CUSTOMER, START)] * 3
    assert {dial.detail["url"] for dial in dials} == {f"{BASE}/voice?attempt=7"}


def test_same_seed_same_everything() -> None:
    def play(seed: int) -> tuple[list[object], list[str]]:
        stage = Stage(*[ScriptedCustomer(["1"], ring=Ring(seconds=n)) for n in range(1, 9)], seed=seed)
        stage.service.answers["/two"] = say("Bye.")
        stage.service.answers["/voice"] = gather("Press 1.", "/two")
        calls = [stage.create(to=f"+1202555{n:04}") for n in range(100, 108)]
        stage.finish()
        return list(stage.network.log), [stage.network.transcript(call.sid) for call in calls]

    assert play(5) == play(5)
    assert play(5)[0] != play(6)[0]


def test_run_until_moves_the_clock_from_event_to_event() -> None:
    stage = Stage()
    stage.service.answers["/voice"] = say("Hello")
    stage.create()
    moments = []

    def move(at: object) -> None:
        moments.append(at)
        stage.move(at)

    stage.network.run_until(START + timedelta(seconds=5), move)
    assert moments == [START, START + timedelta(seconds=1), START + timedelta(seconds=5)]
    assert stage.service.statuses() == ["initiated", "ringing"]
