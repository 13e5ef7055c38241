"""What a library says of a connection that failed, in words: theirs hold Python objects and source lines."""

import os
import ssl


def network_fault(error: BaseException) -> str:
    """The fault alone, without the address: who asks knows that. Never empty."""
    # aiohttp wraps what the system or OpenSSL said.
    cause = getattr(error, "os_error", None) or error
    match cause:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({cause.verify_message})"
        case ssl.SSLError(reason=str(reason)) if reason:
            return f"no TLS there ({reason.lower().replace('_', ' ')})"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case OSError(strerror=str(words)) if words:
            return words
        case ConnectionError():
            return "the connection was closed"
    return str(cause) or type(cause).__name__
