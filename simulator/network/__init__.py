"""A stand-in for Twilio: its REST API for calls, an executor of TwiML, and signed webhooks.

    service (twilio client) --HTTP--> RestServer/RestApi -> PhoneNetwork -> Courier --signed POST--> service (/ivr/...)
                                                                 |
                                                     Customer: answers, listens, presses

rest, parameters, resource: the API. network, timeline, store: calls, what happens when, what is remembered.
twiml, conversation, keypad: what a call says and takes. courier, signing, transport: webhooks out. faults: what goes
wrong on purpose. customer: what the network asks of whoever picks up.

In a time-lapse:

    network = PhoneNetwork(auth_token=..., account_sid=..., service=WsgiTransport(app),
                           behaviour=population.customer_of, clock=now, seed=7)
    with RestServer(network) as server:       # TWILIO_API_BASE=server.url
        ...                                   # the service creates calls
        network.run_until(later, move_clock)  # the phones ring; the clock moves with every event
    network.log.dials(), network.log.errors(), network.transcript(sid)

Live: `HttpTransport()` for the service, `network.start()`, `network.stop()`.
"""

from simulator.network.customer import (
    AnsweringMachine,
    Behaviour,
    Customer,
    HangUp,
    Heard,
    Press,
    Reaction,
    Ring,
    ScriptedCustomer,
    Silence,
    Speak,
)
from simulator.network.faults import Faults
from simulator.network.network import PhoneNetwork
from simulator.network.rest import RestApi
from simulator.network.server import RestServer
from simulator.network.signing import sign
from simulator.network.store import Call, CallRequest, Entry, EventLog
from simulator.network.transport import HttpTransport, Reply, Transport, WsgiTransport

__all__ = [
    "AnsweringMachine",
    "Behaviour",
    "Call",
    "CallRequest",
    "Customer",
    "Entry",
    "EventLog",
    "Faults",
    "HangUp",
    "Heard",
    "HttpTransport",
    "PhoneNetwork",
    "Press",
    "Reaction",
    "Reply",
    "RestApi",
    "RestServer",
    "Ring",
    "ScriptedCustomer",
    "Silence",
    "Speak",
    "Transport",
    "WsgiTransport",
    "sign",
]
