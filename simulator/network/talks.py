"""The conversations under way, one a call: begun, carried on step by step, and dropped when a call goes elsewhere."""

import threading
from collections.abc import Callable
from datetime import datetime

from simulator.network.billing import Note
from simulator.network.conversation import Conversation
from simulator.network.courier import Courier, standard_params
from simulator.network.faults import NONE, Dice, Faults
from simulator.network.hearing import Fetch, Steps, Wait
from simulator.network.store import Call
from simulator.network.timeline import Timeline
from simulator.network.transport import Reply


class Talks:
    """Runs conversations as events. `lock` is the network's own; `finished` is told, under it, that one has ended."""

    def __init__(
        self,
        account_sid: str,
        courier: Courier,
        timeline: Timeline,
        note: Note,
        after: Callable[[datetime, float], datetime],
        finished: Callable[[datetime, Call, Conversation], None],
        lock: threading.RLock,
    ) -> None:
        self._account_sid = account_sid
        self._courier = courier
        self._timeline = timeline
        self._note = note
        self._after = after
        self._finished = finished
        self._lock = lock
        self._talks: dict[str, Steps] = {}
        self.dice = Dice(Faults(), 0)

    def begin(self, at: datetime, call: Call, conversation: Conversation, start: Fetch | str) -> None:
        """Have a call go on with this conversation; what it was doing is dropped."""
        with self._lock:
            talk = self._talks[call.sid] = conversation.run(start)
        self._timeline.schedule(at, lambda then: self._talk(then, call, conversation, talk))

    def under_way(self, call: Call) -> bool:
        """Whether anything is being said in a call."""
        return call.sid in self._talks

    def drop(self, call: Call) -> None:
        """Say nothing more in a call."""
        self._talks.pop(call.sid, None)

    def _talk(self, at: datetime, call: Call, conversation: Conversation, talk: Steps) -> None:
        """Carry a conversation on until it has to wait; drop it if the call has moved on without it."""
        reply: Reply | None = None
        while self._talks.get(call.sid) is talk:
            try:
                step = talk.send(reply)
            except StopIteration:
                self._finish(at, call, conversation, talk)
                return
            if isinstance(step, Wait):
                again = self._after(at, step.seconds)
                self._timeline.schedule(again, lambda then: self._talk(then, call, conversation, talk))
                return
            if self._talks.get(call.sid) is talk:
                reply = self._fetch(at, call, step, conversation.documents)

    def _finish(self, at: datetime, call: Call, conversation: Conversation, talk: Steps) -> None:
        """Tell that a conversation is over, unless the call was given another one this very moment."""
        with self._lock:
            if self._talks.get(call.sid) is talk:
                self._finished(at, call, conversation)

    def _fetch(self, at: datetime, call: Call, fetch: Fetch, document: int) -> Reply:
        params = standard_params(call, self._account_sid, call.status) | dict(fetch.params)
        fault = NONE if fetch.purpose == "answer" else self.dice.for_answer(call.sid, document)
        if fault != NONE:
            self._note(at, call, "fault", fault, {"url": fetch.url})
        if fault == "answer_echoed":
            late = self._after(at, self.dice.delay(call.sid, document))
            self._timeline.schedule(late, lambda then: self._courier.send(call, fetch.purpose, fetch.url, params))
        times = 2 if fault == "answer_repeated" else 1
        return self._courier.send(call, fetch.purpose, fetch.url, params, times)
