"""A programme: what an organisation is certified on."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from survey.db import Base
from survey.models.campaign import Campaign
from survey.models.organisation import Organisation

programme_campaigns = Table(
    "programme_campaigns",
    Base.metadata,
    Column("programme_id", ForeignKey("programmes.id", ondelete="CASCADE"), primary_key=True),
    Column("campaign_id", ForeignKey("campaigns.id"), primary_key=True),
)


class Programme(Base):
    """Names the rule set (a file of `certification/rules`), the frame (campaigns whose calls are in) and the issuer.

    No certificate is signed yet, so `issuer` stays empty and every certificate says that it is self-declared.
    """

    __tablename__ = "programmes"
    __table_args__ = (UniqueConstraint("organisation_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    key: Mapped[str]
    name: Mapped[str]
    rule_set: Mapped[str]
    issuer: Mapped[str | None]

    organisation: Mapped[Organisation] = relationship()
    campaigns: Mapped[list[Campaign]] = relationship(secondary=programme_campaigns, order_by=Campaign.id)
