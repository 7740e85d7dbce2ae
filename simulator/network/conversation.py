"""One answered call: executes TwiML step by step against a customer.

A conversation is a generator. It yields what it needs, a `Wait` or a `Fetch`, and knows nothing of clocks, sockets or
signatures: the network supplies those, and may drop a conversation at any step (the call was ended from outside).
"""

from simulator.network.gathering import gather
from simulator.network.hearing import (
    CallerHungUp,
    Fetch,
    Hearing,
    Line,
    NextFetch,
    Steps,
    TimeLimitReached,
    Wait,
)
from simulator.network.store import NOTHING
from simulator.network.taping import record
from simulator.network.transport import Reply
from simulator.network.twiml import BAD_DOCUMENT, TwimlError, check_content_type, parse
from simulator.network.verbs import Document, Gather, Hangup, Record, Redirect, Verb

MOST_DOCUMENTS = 50
RETRIEVAL_FAILURE = 11200
APOLOGY = "We are sorry, an application error has occurred. Goodbye."


class Conversation:
    """Documents, one after the other. `rejected` is why a call that still rang was not taken: "", rejected or busy."""

    def __init__(self, line: Line, elapsed: float = 0.0) -> None:
        self._line = line
        self._hearing = Hearing(line, elapsed)
        self.documents = 0
        self.rejected = ""

    def run(self, start: Fetch | str) -> Steps:
        """Carry the call from its first document (fetched, or given as TwiML) to its end."""
        try:
            following: Fetch | None = start if isinstance(start, Fetch) else (yield from self._perform_inline(start))
            while following is not None:
                following = yield from self._fetch_and_perform(following)
            self._line.say(self._hearing.elapsed, "Aftercall hangs up")
        except CallerHungUp:
            self._line.note("input", "hang-up", NOTHING)
            self._line.say(self._hearing.elapsed, "customer hangs up")
        except TimeLimitReached:
            self._line.say(self._hearing.elapsed, "the call's time limit is reached")
        except TwimlError as fault:
            yield from self._apologise(fault)

    def _perform_inline(self, twiml: str) -> NextFetch:
        self.documents += 1
        return (yield from self._perform(self._read(twiml.encode(), "")))

    def _fetch_and_perform(self, fetch: Fetch) -> NextFetch:
        self._count_document()
        reply = yield fetch
        assert reply is not None
        try:
            document = self._accept(reply, fetch.url)
        except TwimlError as fault:
            fallback = self._line.call.request.fallback_url
            if not fallback or fetch.purpose == "fallback":
                raise
            self._note_error(fault)
            return Fetch("fallback", fallback, {"ErrorCode": str(fault.code), "ErrorUrl": fetch.url})
        return (yield from self._perform(document))

    def _count_document(self) -> None:
        self.documents += 1
        if self.documents > MOST_DOCUMENTS:
            raise TwimlError(BAD_DOCUMENT, f"More than {MOST_DOCUMENTS} documents in one call: an endless loop?")

    def _accept(self, reply: Reply, url: str) -> Document:
        if not 200 <= reply.status < 300:
            what = f"answered {reply.status}" if reply.status else f"did not answer ({reply.failure})"
            raise TwimlError(RETRIEVAL_FAILURE, f"HTTP retrieval failure: {url} {what}")
        check_content_type(reply.content_type)
        return self._read(reply.body, url)

    def _read(self, body: bytes, url: str) -> Document:
        document = parse(body, url)
        for warning in document.warnings:
            code, _, message = warning.partition(" ")
            self._line.note("warning", message, {"code": code, "url": url})
        return document

    def _perform(self, document: Document) -> NextFetch:
        for verb in document.verbs:
            if self._turns_away(verb):
                return None
            self._line.pick_up()
            following = yield from self._execute(verb)
            if following is not None:
                return following
            if isinstance(verb, Hangup):
                self._line.note("verb", verb.verb, NOTHING)
                return None
        self._line.pick_up()
        return None

    def _turns_away(self, verb: Verb) -> bool:
        """Reject as the first verb: a call that rings is not answered at all."""
        if not (isinstance(verb, Hangup) and verb.reason and self._line.call.answered_at is None):
            return False
        self._line.note("verb", verb.verb, {"reason": verb.reason})
        self.rejected = verb.reason
        return True

    def _execute(self, verb: Verb) -> NextFetch:
        match verb:
            case Gather():
                return (yield from gather(self._hearing, verb))
            case Record():
                return (yield from record(self._hearing, verb))
            case Redirect(url):
                self._line.note("verb", "Redirect", {"url": url})
                return Fetch("redirect", url)
            case Hangup():
                return None
            case _:
                yield from self._hearing.let_pass(self._hearing.voice(verb))
                return None

    def _apologise(self, fault: TwimlError) -> Steps:
        self._note_error(fault)
        self._line.pick_up()
        self._line.say(self._hearing.elapsed, f"the network says: {APOLOGY}")
        yield Wait(3.0)

    def _note_error(self, fault: TwimlError) -> None:
        self._line.note("error", str(fault), {"code": str(fault.code)})
