"""The device's side of enrolment: asks the portal for a certificate, the first time and ever after."""

import asyncio
import json
import logging
import random
import ssl
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from agent.config import BrokerSettings, Settings
from agent.errors import ConfigError, EnrolmentError, PinholeError
from agent.model.disk import exists, make_private_folder, read_private, write_private
from agent.model.enrolment import EnrollRequest, Enrolment
from agent.model.keys import KeySet
from agent.model.network_fault import network_fault
from agent.model.text import printable
from agent.model.threads import SAVE_S, call_in_thread
from agent.signaling.identity import (
    KEY_FILE,
    PORTAL_KEYS_FILE,
    load_key,
    load_or_make_key,
    load_portal_keys,
    save_portal_keys,
)

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 256 * 1024
CHECK_S = 6 * 3600.0
RETRY_S = 600.0
RENEW_BEFORE_S = 30 * 86400.0
"""A third of a certificate's life: a month without the portal is no outage of the broker."""
CERTIFICATE_FILE, ENROLMENT_FILE = "device.pem", "enrolment.json"
BROKER_CA_FILE, PORTAL_CA_FILE = "broker-ca.pem", "portal-ca.pem"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_REQUEST = TypeAdapter(EnrollRequest)
_ENROLMENT = TypeAdapter(Enrolment)

log = logging.getLogger(__name__)

Say = Callable[[str], None]


async def enroll(
    settings: Settings, portal_url: str, code: str, say: Say, ca_file: Path | None = None
) -> Enrolment:
    """Make this device known to a portal; may be repeated. Raises PinholeError.

    `ca_file` holds the authorities that prove the portal, instead of the system's.
    """
    device, folder = settings.device.id, settings.device.state_dir
    url = _check_url(portal_url)
    if ca_file is not None:
        _read_authorities(ca_file)  # before the code is used
    make_private_folder(folder)
    is_old = exists(folder / KEY_FILE)
    key = load_or_make_key(folder)
    say(f"key          {'is there' if is_old else 'made'}: {folder / KEY_FILE}")
    enrolment = await _ask(url, EnrollRequest(key.make_request(device), code), ca_file)
    say(f"portal       {url} knows this camera as {enrolment.device}")
    _save(folder, url, ca_file, enrolment, with_keys=True)
    until = time.strftime("%Y-%m-%d", time.gmtime(enrolment.expires_at))
    say(f"certificate  until {until}, renewed by itself")
    say(f"broker       {enrolment.broker_url}")
    return enrolment


def load_enrolment(folder: Path) -> tuple[str, Enrolment] | None:
    """The portal's URL and what it gave; None where nobody enrolled over the network. Raises ConfigError."""
    file = folder / ENROLMENT_FILE
    if not exists(file):
        return None
    try:
        url, _, rest = read_private(file).partition(b"\n")
        return url.decode(), _ENROLMENT.validate_json(rest)
    except (ConfigError, ValidationError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: enrol again: {exc}") from exc


def broker_settings(settings: Settings) -> BrokerSettings:
    """How to reach the broker: as enrolment told, but for what `[broker]` says itself. Raises ConfigError."""
    folder, broker = settings.device.state_dir, settings.broker
    known = load_enrolment(folder)
    if known is None or "url" in broker.model_fields_set:
        return broker
    _, enrolment = known
    if enrolment.device != settings.device.id:
        raise ConfigError(
            f"device.id is {settings.device.id}, but this device was enrolled as {enrolment.device}: "
            "set device.id back, or enrol again"
        )
    told: dict[str, object] = {"url": enrolment.broker_url, "topic_prefix": enrolment.topic_prefix}
    if urlsplit(enrolment.broker_url).scheme in ("mqtts", "wss"):
        told |= {"cert_file": folder / CERTIFICATE_FILE, "key_file": folder / KEY_FILE}
        if enrolment.broker_ca:
            told["ca_file"] = folder / BROKER_CA_FILE
    own = {name: getattr(broker, name) for name in broker.model_fields_set}
    try:
        return BrokerSettings.model_validate(told | own)
    except ValidationError as exc:
        raise ConfigError(f"{folder / ENROLMENT_FILE}: the portal named no usable broker: {exc}") from exc


async def keep_fresh(folder: Path, on_keys: Callable[[KeySet], None]) -> None:
    """Renew the certificate a month before its end, and hear of the portal's keys; until cancelled.

    The keys are kept by `on_keys`, which hears of newer ones from the broker too.
    """
    known = load_enrolment(folder)
    if known is None:
        await asyncio.Event().wait()
        return
    url, enrolment = known
    while True:
        wait_s = CHECK_S
        if enrolment.expires_at - time.time() < RENEW_BEFORE_S:
            try:
                request = EnrollRequest(load_key(folder).make_request(enrolment.device))
                renewed = await _ask(url, request, _ca_file(folder))
                save = partial(_save, folder, url, _ca_file(folder), renewed, with_keys=False)
                await call_in_thread("enrolment", SAVE_S, save)
                enrolment = renewed
                on_keys(enrolment.keys)
                log.info("the certificate for the broker was renewed")
            except PinholeError as exc:
                log.warning("the certificate for the broker is not renewed yet: %s", exc)
                wait_s = RETRY_S
        await asyncio.sleep(wait_s * random.uniform(0.9, 1.1))  # noqa: S311  spreads a fleet out


async def _ask(url: str, wish: EnrollRequest, ca_file: Path | None) -> Enrolment:
    import aiohttp  # noqa: PLC0415  once a month: at rest an agent does without its memory

    try:
        tls = ssl.create_default_context(cafile=ca_file)
        if ca_file is not None:  # as for the broker: a private authority may give no key identifiers
            tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(
                f"{url}/api/enroll",
                data=_REQUEST.dump_json(wish),
                headers={"Content-Type": "application/json"},
                ssl=tls,
                allow_redirects=False,
            ) as answer,
        ):
            body = await answer.content.read(MAX_ANSWER_BYTES)
            status = answer.status
    except TimeoutError as exc:
        raise EnrolmentError(
            f"{url}: no answer in {TIMEOUT_S:g} s: check the network and the address"
        ) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise EnrolmentError(
            f"{url}: {network_fault(exc)}: check the address, the network, and this machine's clock"
        ) from exc
    if status != HTTPStatus.OK:
        raise EnrolmentError(f"{url}: refused: {_words(body) or f'HTTP status {status}: is that a portal?'}")
    try:
        enrolment = _ENROLMENT.validate_json(body)
    except ValidationError as exc:
        raise EnrolmentError(f"{url}: not the answer of a portal: is its version older or newer?") from exc
    return enrolment


def _words(body: bytes) -> str:
    try:
        return printable(str(json.loads(body)["message"]))[:400]
    except (ValueError, KeyError, TypeError, RecursionError):  # the last for JSON that is nested too deep
        return ""


def _save(folder: Path, url: str, ca_file: Path | None, enrolment: Enrolment, *, with_keys: bool) -> None:
    """The file that says that it is done comes last."""
    if enrolment.broker_ca:
        write_private(folder / BROKER_CA_FILE, enrolment.broker_ca.encode())
    if ca_file is not None:
        write_private(folder / PORTAL_CA_FILE, _read_authorities(ca_file))
    write_private(folder / CERTIFICATE_FILE, enrolment.certificate.encode())
    if with_keys and not _has_newer_keys(folder, enrolment.keys):
        save_portal_keys(folder, enrolment.keys)
    write_private(folder / ENROLMENT_FILE, url.encode() + b"\n" + _ENROLMENT.dump_json(enrolment))


def _has_newer_keys(folder: Path, keys: KeySet) -> bool:
    return exists(folder / PORTAL_KEYS_FILE) and load_portal_keys(folder).version > keys.version


def _ca_file(folder: Path) -> Path | None:
    file = folder / PORTAL_CA_FILE
    return file if file.exists() else None


def _read_authorities(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"--ca-file {file}: cannot read it: {exc.strerror}") from exc


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:  # brackets of no IPv6 address, a port that is no port
        is_good = False
    if not is_good:
        raise EnrolmentError(f"{url}: a portal's address is https://, a host, and perhaps a port")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise EnrolmentError(f"{url}: over http anybody on the way could pose as the portal: use https://")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
