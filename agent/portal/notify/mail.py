"""Mail, over the server that the settings name. The only module that imports aiosmtplib."""

import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, localtime
from pathlib import Path

import aiosmtplib

from agent.config import MailSettings, read_secret
from agent.model.disk import MAX_PEM_BYTES, check_file
from agent.portal.notify.outside import ChannelError
from agent.portal.notify.words import Message

TIMEOUT_S = 15.0
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class Mail:
    """One server."""

    def __init__(self, settings: MailSettings) -> None:
        """Raises ConfigError where the password or the authorities cannot be read."""
        self._settings = settings
        self._password = read_secret(settings.password_file) if settings.password_file else None
        ca_file: Path | None = settings.ca_file
        if ca_file:
            check_file(ca_file, trusted_owner=False, most_bytes=MAX_PEM_BYTES)
        self._tls = ssl.create_default_context(cafile=ca_file)

    async def send(self, address: str, message: Message, picture: bytes | None = None) -> None:
        """Raises ChannelError."""
        settings = self._settings
        check_address(address)
        try:
            await aiosmtplib.send(
                letter(settings.sender, address, message, picture),
                recipients=[address],
                hostname=settings.host,
                port=settings.port or _PORTS[settings.security],
                username=settings.user,
                password=self._password,
                use_tls=settings.security == "tls",
                start_tls=settings.security == "starttls",
                tls_context=None if settings.security == "none" else self._tls,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as exc:
            # 5yz is for good, 4yz for now (RFC 5321 section 4.2.1).
            refusal = exc.recipients[0]
            raise ChannelError(
                f"The mail server refuses the address: {_words(refusal)}", is_final=refusal.code >= 500
            ) from exc
        except (aiosmtplib.SMTPException, OSError) as exc:
            raise ChannelError(f"The mail server did not take it: {_words(exc)}") from exc


def check_address(address: str) -> None:
    """Whether it is one address as it stands, which no header reads otherwise. Raises ChannelError.

    Encoded words, quotes and comments (RFC 5322) are refused: what is parsed anew on its way may come out as
    another address, as several, or as none.
    """
    try:
        is_good = Address(addr_spec=address).addr_spec == address
    except Exception as exc:  # the parser meets text from outside with any error at all
        raise ChannelError("That is no mail address.", is_final=True) from exc
    if not is_good:
        raise ChannelError("That is no mail address.", is_final=True)


def letter(sender: str, address: str, message: Message, picture: bytes | None) -> EmailMessage:
    """The mail; doubles have the same id, by which mailboxes know them."""
    mail = EmailMessage()
    mail["From"] = formataddr(("Pinhole", sender))
    mail["To"] = Address(addr_spec=address)
    mail["Subject"] = " ".join(message.title.split())
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = f"<pinhole-{message.delivery}-{int(message.at)}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's answering machine answers
    if message.severity == "error":
        mail["Importance"] = "high"
    mail.set_content("\n\n".join(filter(None, (message.body, message.url))) + "\n")
    if picture:
        mail.add_attachment(picture, maintype="image", subtype="jpeg", filename="still.jpg")
    return mail


def _words(exc: BaseException) -> str:
    said = getattr(exc, "message", "") or str(exc)
    code = getattr(exc, "code", None)
    return " ".join(f"{code or ''} {said}".split())[:250]
