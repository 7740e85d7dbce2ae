"""A stand-in for Twilio: its REST API for calls, an executor of TwiML, and signed webhooks.

    service (twilio client) --HTTP--> RestServer/RestApi -> PhoneNetwork -> Courier --signed POST--> service (/ivr/...)
                                                                 |
                                                     Customer: answers, listens, presses

The API: rest, parameters, resource, recordings_door, paging. Calls, what happens when, what is remembered: network,
engine, timeline, store. What a call says and takes: twiml, verbs, talks, conversation, hearing, gathering, keypad,
taping. Machines that pick up: detection, detector. What was recorded: recordings, tone. Webhooks out: courier,
callbacks, signing, transport. What it would cost: billing. What goes wrong on purpose: faults. What the network asks of
whoever picks up: customer; people for a service that has none of its own: strangers.

In a time-lapse:

    network = PhoneNetwork(auth_token=..., account_sid=..., service=WsgiTransport(app),
                           behaviour=population.customer_of, clock=now, seed=7)
    with RestServer(network) as server:       # TWILIO_API_BASE=server.url
        ...                                   # the service creates calls
        network.run_until(later, move_clock)  # the phones ring; the clock moves with every event
    network.log.dials(), network.log.errors(), network.transcript(sid)

    network.call_in("+12025550123", "+12025550100", customer)  # a customer calls one of the network's `numbers`
    network.billed, network.log.bills()   # what a real network would have charged

Live: `HttpTransport()` for the service, `network.start()`, `network.stop()`.
"""

from simulator.network.billing import Tariff
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
from simulator.network.store import Call, CallRequest, Entry, EventLog, OurNumber
from simulator.network.strangers import strangers
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
    "OurNumber",
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
    "Tariff",
    "Transport",
    "WsgiTransport",
    "sign",
    "strangers",
]
