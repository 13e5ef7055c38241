"""What went wrong with a STUN or TURN server, in words (RFC 8489 section 14.8, RFC 8656 section 19)."""

from aioice import stun

from agent.model.network_fault import network_fault

SERVER_FAULTS = (stun.TransactionError, OSError, ValueError, KeyError)
"""What asking one may raise: it refuses, is silent, is not reached, or its answer lacks something."""
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


def server_fault(error: BaseException) -> str:
    """The words for one of `SERVER_FAULTS`, without the server's name."""
    match error:
        case stun.TransactionFailed():
            return explain(error)
        case stun.TransactionError():
            return "no answer"
        case KeyError(args=(str(attribute),)):
            return f"its answer holds no {attribute}"
    return network_fault(error)
