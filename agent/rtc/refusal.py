"""What a STUN or TURN server's refusal means, in words (RFC 8489 section 14.8, RFC 8656 section 19)."""

from aioice import stun

TRY_ALTERNATE, FORBIDDEN, ALLOCATION_MISMATCH, FAMILY_NOT_SUPPORTED = 300, 403, 437, 440
_MEANINGS = {
    TRY_ALTERNATE: "it sends us on, to a server that does not serve us",
    401: "user name or password is wrong or has expired",
    FORBIDDEN: "it does not relay there (denied-peer-ip)",
    486: "it has no room for another allocation of this user (user-quota)",
    508: "it has no relay address left",
}


def explain(error: stun.TransactionFailed) -> str:
    """As in `refused with 486 Allocation Quota Reached: …`."""
    code, phrase = error.response.attributes.get("ERROR-CODE", (0, ""))
    meaning = _MEANINGS.get(code)
    return f"refused with {code} {phrase.rstrip(chr(0))}".rstrip() + (f": {meaning}" if meaning else "")
