"""The tables of notifications. Times are Unix seconds."""

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from agent.portal.store import Table
from agent.portal.tables import DEVICE_CHARS, KEY_CHARS, NAME_CHARS

ERROR_CHARS = 300
STATES = ("waiting", "sent", "failed", "dropped")


def _owner(target: str, *, primary: bool = False, optional: bool = False) -> Mapped[int]:
    return mapped_column(
        ForeignKey(target, ondelete="CASCADE"), primary_key=primary, nullable=optional, index=not primary
    )


class NotifyState(Table):
    """One row, which is locked while events are judged, so that several portals remember the same."""

    __tablename__ = "notify_state"

    id: Mapped[int] = mapped_column(primary_key=True)
    push_key: Mapped[str | None] = mapped_column(String(400))
    """The key by which push services know this portal, sealed."""


class NotifyChannel(Table):
    """A way to reach somebody: a browser, a mailbox, a webhook or a service."""

    __tablename__ = "notify_channels"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    shown: Mapped[str] = mapped_column(String(NAME_CHARS))
    """Where it leads, without what is secret."""
    sealed: Mapped[str] = mapped_column(String(8000))
    """Address and secrets, as JSON, encrypted: see `accounts/seal.py`."""
    key: Mapped[str] = mapped_column(String(KEY_CHARS), unique=True)
    """Hash of what tells it from all others: a browser that comes again is the same channel."""
    is_confirmed: Mapped[bool] = mapped_column(default=True)
    """Whether whoever reads there has shown that they are its user."""
    is_open: Mapped[bool] = mapped_column(default=False)
    """Whether other users may have what nobody looks at told here."""
    created_at: Mapped[float] = mapped_column(Float)
    sent_at: Mapped[float | None] = mapped_column(Float)
    failing_since: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str] = mapped_column(String(ERROR_CHARS), default="")


class NotifyRule(Table):
    """What a user wants to be told."""

    __tablename__ = "notify_rules"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = _owner("users.id")
    name: Mapped[str] = mapped_column(String(NAME_CHARS))
    is_on: Mapped[bool] = mapped_column(default=True)
    snoozed_until: Mapped[float] = mapped_column(Float, default=0.0)
    spec: Mapped[str] = mapped_column(String())
    """`RuleSpec`, as JSON."""
    created_at: Mapped[float] = mapped_column(Float)


class NotifyMemory(Table):
    """When a rule last told of one kind of event of one camera."""

    __tablename__ = "notify_memory"

    rule_id: Mapped[int] = _owner("notify_rules.id", primary=True)
    device: Mapped[str] = mapped_column(String(DEVICE_CHARS), primary_key=True)
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    told_at: Mapped[float] = mapped_column(Float)
    skipped: Mapped[int] = mapped_column(Integer, default=0)


class NotifyLook(Table):
    """When a user last looked at the dashboard."""

    __tablename__ = "notify_looks"

    user_id: Mapped[int] = _owner("users.id", primary=True)
    at: Mapped[float] = mapped_column(Float)


class NotifyDelivery(Table):
    """A message to one channel: first it waits, then it is what became of it."""

    __tablename__ = "notify_deliveries"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    channel_id: Mapped[int] = _owner("notify_channels.id")
    rule_id: Mapped[int | None] = _owner("notify_rules.id", optional=True)
    """None for a test."""
    kind: Mapped[str] = mapped_column(String(16))
    """`event`, `digest`, `escalation`, `test` or `confirm`."""
    items: Mapped[str] = mapped_column(String())
    """The events, as JSON: they are told also where the store has forgotten them meanwhile."""
    more: Mapped[int] = mapped_column(Integer, default=0)
    """How many others had no room."""
    created_at: Mapped[float] = mapped_column(Float)
    due_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    lease: Mapped[str] = mapped_column(String(32), default="")
    """Of the portal that sends it now; it is another's to send when that is over."""
    leased_until: Mapped[float] = mapped_column(Float, default=0.0)
    done_at: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str] = mapped_column(String(ERROR_CHARS), default="")

    __table_args__ = (
        Index(
            "ix_notify_deliveries_waiting",
            "due_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("ix_notify_deliveries_created_at", "created_at"),
    )
