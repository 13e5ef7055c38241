"""One-time codes of an authenticator app (TOTP, RFC 6238). The only module that imports pyotp and segno."""

import io
import time

import pyotp
import segno

STEP_S = 30
ISSUER = "Pinhole"


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 section 4 recommends."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, name: str) -> str:
    """The `otpauth://` address that an authenticator reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def qr_code(uri: str) -> str:
    """The address as a picture: an SVG document in black on white, as every scanner reads it."""
    out = io.BytesIO()
    segno.make(uri, error="m").save(out, kind="svg", scale=4, border=3, light="#fff", xmldecl=False)
    return out.getvalue().decode()


def accepted_step(secret: str, code: str, last_step: int, now: float) -> int | None:
    """The time step whose code this is, at most one from now and newer than `last_step`; None where wrong.

    A `last_step` in the future was used by a clock that was ahead, and says nothing about now.
    """
    if not (code.isascii() and code.isdecimal() and len(code) == 6):
        return None
    totp = pyotp.TOTP(secret)
    current = int(now // STEP_S)
    if last_step > current + 1:
        last_step = 0
    for step in (current, current - 1, current + 1):
        if step > last_step and pyotp.utils.strings_equal(totp.generate_otp(step), code):
            return step
    return None


def code_at(secret: str, now: float | None = None) -> str:
    """The code that an authenticator shows; for tests and commands."""
    return pyotp.TOTP(secret).at(int(time.time() if now is None else now))
