"""What is kept, one noun a file. Import models from here."""

from survey.models.agent import Agent
from survey.models.answer import Answer
from survey.models.api_key import ApiKey
from survey.models.assessment import Assessment, Decision, Level
from survey.models.assignment import Assignment
from survey.models.attempt import LIVE_STATES, Attempt, AttemptState, Channel, Outcome
from survey.models.attempt_event import AttemptEvent
from survey.models.audit_entry import AuditEntry
from survey.models.breaker import Breaker
from survey.models.call import Call
from survey.models.call_leg import CallLeg
from survey.models.campaign import Campaign, CampaignState, MachineDetection, Sampling, campaign_sites
from survey.models.certificate import Certificate
from survey.models.control_total import ControlTotal
from survey.models.customer import Customer
from survey.models.draw import Draw, DrawReason
from survey.models.draw_key import DrawKey
from survey.models.import_change import ImportChange
from survey.models.import_record import ImportKind, ImportRecord
from survey.models.later_record import LaterRecord
from survey.models.optout import OptOut, OptOutSource
from survey.models.organisation import Organisation
from survey.models.pace import Pace
from survey.models.period import Period
from survey.models.programme import Programme, programme_campaigns
from survey.models.response import Response
from survey.models.sampling_rate import SamplingRate
from survey.models.site import Site
from survey.models.standstill import Standstill
from survey.models.supervisor import Supervisor
from survey.models.survey import AAPOR, Disposition, Survey
from survey.models.upload import Upload
from survey.models.user import Role, User

__all__ = [
    "AAPOR",
    "LIVE_STATES",
    "Agent",
    "Answer",
    "ApiKey",
    "Assessment",
    "Assignment",
    "Attempt",
    "AttemptEvent",
    "AttemptState",
    "AuditEntry",
    "Breaker",
    "Call",
    "CallLeg",
    "Campaign",
    "CampaignState",
    "Certificate",
    "Channel",
    "ControlTotal",
    "Customer",
    "Decision",
    "Disposition",
    "Draw",
    "DrawKey",
    "DrawReason",
    "ImportChange",
    "ImportKind",
    "ImportRecord",
    "LaterRecord",
    "Level",
    "MachineDetection",
    "OptOut",
    "OptOutSource",
    "Organisation",
    "Outcome",
    "Pace",
    "Period",
    "Programme",
    "Response",
    "Role",
    "Sampling",
    "SamplingRate",
    "Site",
    "Standstill",
    "Supervisor",
    "Survey",
    "Upload",
    "User",
    "campaign_sites",
    "programme_campaigns",
]
