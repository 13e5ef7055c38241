"""A real S3 server, moto's, on loopback; it keeps objects in memory, and asks for signatures.

moto itself lets anybody in. So each request passes a gate first, which checks what URLs were signed for by
Amazon's "Authenticating Requests: Using Query Parameters" with HMAC by hand, so that a fault of the library
that signs is not made twice.
"""

import hashlib
import hmac
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qsl, quote, urlsplit
from urllib.request import Request, urlopen

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

ACCESS_KEY, SECRET, BUCKET, REGION = "AKIAPINHOLE", "a secret of the store", "recordings", "eu-central-1"


@dataclass
class S3Server:
    """It runs until its block ends."""

    url: str
    answers: dict[str, int] = field(default_factory=dict)
    """What is answered in place of doing it, such as {"GET uploads": 503} or {"all": 500}."""
    requests: list[str] = field(default_factory=list)
    """Method and path with query, of each that came."""
    offset_s: float = 0.0
    """So far its clock is ahead."""

    def settings(self, secret_file, **more) -> dict:
        """Those of a portal that has its recordings here."""
        return {
            "endpoint": self.url,
            "region": REGION,
            "bucket": BUCKET,
            "path_style": True,
            "access_key": ACCESS_KEY,
            "secret_file": secret_file,
        } | more

    def put(self, url: str, data: bytes) -> int:
        """As a camera does; the status."""
        try:
            kind = {"Content-Type": "application/octet-stream"}
            with urlopen(Request(url, data, kind, method="PUT"), timeout=30) as answer:
                return answer.status
        except HTTPError as exc:
            return exc.code

    def objects(self) -> dict[str, bytes]:
        """All that are whole."""
        return {key: one.value for key, one in _bucket().keys.items()}

    def unfinished(self) -> list[str]:
        """Keys of uploads that were begun and not ended."""
        return sorted(upload.key_name for upload in _bucket().multiparts.values())


def _bucket():
    return s3_backends["123456789012"]["aws"].buckets[BUCKET]


def secret_in(folder: Path) -> Path:
    """A file with its secret, as a portal reads one."""
    file = folder / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """One with an empty bucket."""
    app = DomainDispatcherApplication(create_backend_app)
    made = S3Server("")
    http = make_server("127.0.0.1", 0, _gate(made, app), threaded=True, request_handler=_Handler)
    made.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, name="s3")
    thread.start()
    s3_backends.reset()
    s3_backends["123456789012"]["aws"].create_bucket(BUCKET, REGION)
    try:
        yield made
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
        s3_backends.reset()


class _Handler(MotoRequestHandler):
    def log(self, *_args):
        """It would say each request on standard error, with its signature."""


def _gate(server, app):
    def serve(environ, respond):
        method, target = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        server.requests.append(f"{method} {target}")
        query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
        operation = next((name for name in ("uploads", "uploadId", "list-type") if name in query), method)
        if refusal := server.answers.get(f"{method} {operation}") or server.answers.get("all"):
            return _refuse(environ, respond, refusal, "ServiceUnavailable")
        if "X-Amz-Signature" in query:
            if fault := _fault(environ, query, time.time() + server.offset_s):
                return _refuse(environ, respond, 403, fault)
        elif f"Credential={ACCESS_KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            return _refuse(environ, respond, 403, "AccessDenied")
        if (
            method == "PUT" and query.get("uploadId") not in _bucket().multiparts
        ):  # moto has no answer to that
            return _refuse(environ, respond, 404, "NoSuchUpload")
        return app(environ, respond)

    return serve


def _refuse(environ, respond, status, code):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    respond(f"{status} No", [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]


def _fault(environ, query, now):
    signed = query["X-Amz-Date"]
    began = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if now > began + int(query["X-Amz-Expires"]):
        return "ExpiredToken"
    key, *scope = query["X-Amz-Credential"].split("/")
    if key != ACCESS_KEY or scope != [signed[:8], REGION, "s3", "aws4_request"]:
        return "InvalidAccessKeyId"
    headers = {name: environ.get(_WSGI.get(name, ""), "") for name in query["X-Amz-SignedHeaders"].split(";")}
    parts = sorted(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in query.items()
        if name != "X-Amz-Signature"
    )
    canonical = "\n".join(
        (
            environ["REQUEST_METHOD"],
            urlsplit(environ["REQUEST_URI"]).path,
            "&".join(parts),
            *(f"{name}:{value}" for name, value in headers.items()),
            "",
            query["X-Amz-SignedHeaders"],
            "UNSIGNED-PAYLOAD",
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(("AWS4-HMAC-SHA256", signed, "/".join(scope), digest))
    key = f"AWS4{SECRET}".encode()
    for each in (*scope, text):
        key = hmac.digest(key, each.encode(), "sha256")
    return None if hmac.compare_digest(key.hex(), query["X-Amz-Signature"]) else "SignatureDoesNotMatch"


_WSGI = {"host": "HTTP_HOST", "content-length": "CONTENT_LENGTH"}
