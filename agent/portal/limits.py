"""How much of the portal one user, one share link or one WebSocket may have."""

from collections import Counter
from collections.abc import Collection

from agent.portal.accounts.access import Identity
from agent.portal.client import Client
from agent.portal.messages import SessionReject
from agent.portal.rate_limit import MinuteLimit, TokenBucket
from agent.portal.session_table import SessionTable

MESSAGES_PER_S, MESSAGES_AT_ONCE = 50.0, 200.0
"""From one WebSocket."""
MAX_CLIENTS = 256
MAX_LINK_CLIENTS = 128
"""Of all share links together: however many links go round, users find room."""
MAX_CLIENTS_PER_OWNER = 32
"""Of one user, or of one share link."""
MAX_SESSIONS, MAX_SESSIONS_PER_OWNER = 32, 128
"""Of one socket, and of one user or share link."""
OFFERS_PER_MINUTE = 240
"""Of one user or share link: a wall of cameras that all restart twice."""
MAX_CANDIDATES = 64
"""Kept for each session until its answer comes."""


def message_rate(now_s: float) -> TokenBucket:
    """For a new WebSocket."""
    return TokenBucket(MESSAGES_PER_S, MESSAGES_AT_ONCE, now_s)


def may_join(identity: Identity, clients: Collection[Client]) -> bool:
    """Whether there is room for one more WebSocket, in all and of this user or link."""
    of_links = sum(client.identity.share_id is not None for client in clients)
    is_crowded = identity.share_id is not None and of_links >= MAX_LINK_CLIENTS
    return len(clients) < MAX_CLIENTS and not is_crowded and _has_room_of_own(identity, clients)


def gives_way(identity: Identity, clients: Collection[Client]) -> Client | None:
    """Who goes so that an administrator finds room: the newest WebSocket of who has most, but no other's."""
    others = [client for client in clients if not client.identity.access.is_admin]
    if len(clients) < MAX_CLIENTS or not others:
        return None
    if not (identity.access.is_admin and _has_room_of_own(identity, clients)):
        return None
    held = Counter(client.owner for client in others)
    return max(others, key=lambda client: (held[client.owner], client.number))


def _has_room_of_own(identity: Identity, clients: Collection[Client]) -> bool:
    return sum(client.is_of(identity) for client in clients) < MAX_CLIENTS_PER_OWNER


class OfferLimit:
    """How many sessions there may be, and how often one may ask for one."""

    def __init__(self, table: SessionTable) -> None:
        self._table = table
        self._rate = MinuteLimit(OFFERS_PER_MINUTE)

    def refusal(self, client: Client, session_id: str, now_s: float, *, is_new: bool) -> SessionReject | None:
        """Count one offer, or say why it is one too many. `now_s` is monotonic."""
        if not self._rate.admits(client.owner, now_s):
            return SessionReject(
                session_id, "too-many-offers", "Too many requests in a minute: wait a little.", 60.0
            )
        if is_new and self._table.count(client.owner) >= MAX_SESSIONS_PER_OWNER:
            words = f"You already have {MAX_SESSIONS_PER_OWNER} sessions open; close some cameras."
            return SessionReject(session_id, "too-many-sessions", words)
        if is_new and len(self._table.of_client(client)) >= MAX_SESSIONS:
            words = f"This page already has {MAX_SESSIONS} sessions open; close some cameras."
            return SessionReject(session_id, "too-many-sessions", words)
        return None
