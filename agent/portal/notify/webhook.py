"""Webhooks: one POST of JSON for each message, signed, so that its receiver knows whose word it is."""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict

from agent.portal.notify.outside import Outside, refused
from agent.portal.notify.words import Message

VERSION = 1
TIMESTAMP, SIGNATURE, DELIVERY = "Pinhole-Timestamp", "Pinhole-Signature", "Pinhole-Delivery"


def new_secret() -> str:
    """What both ends know; it is shown once."""
    return secrets.token_hex(32)


def body_of(message: Message, owner: str) -> bytes:
    """The JSON, as the README describes it."""
    return json.dumps(
        {
            "version": VERSION,
            "delivery": message.delivery,
            "type": message.kind,
            "user": owner,
            "title": message.title,
            "text": message.body,
            "severity": message.severity,
            "url": message.url,
            "events": [asdict(item) for item in message.items],
            "more": message.more,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 over `TIMESTAMP.BODY`: neither can be changed, and an old one shows its age."""
    return "v1=" + hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


async def send(outside: Outside, url: str, secret: str, message: Message, owner: str, now: float) -> None:
    """Raises ChannelError."""
    body, timestamp = body_of(message, owner), int(now)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "pinhole",
        TIMESTAMP: str(timestamp),
        SIGNATURE: sign(secret, timestamp, body),
        DELIVERY: str(message.delivery),
    }
    answer = await outside.post(url, body, headers)
    if not 200 <= answer.status < 300:
        raise refused(answer, "The webhook")
