"""An S3 server behind a link that can be slow or cut, and a portal as far as uploads need one."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import boto3
from botocore.client import Config
from parts.s3 import ACCESS_KEY, BUCKET, REGION, SECRET, S3Server, s3_server

from agent.model.command import COMMANDS, CommandError, parse_arguments

PREFIX = "yard"
CHUNK_BYTES, ARRIVED_BYTES = 16 * 1024, 64 * 1024
"""At once; and what may have arrived without being counted."""


class Link:
    """Bytes to a server and back, from a port of its own."""

    def __init__(self, port: int) -> None:
        self.arrived_bytes = 0
        """From the device."""
        self.rate_bps: float | None = None
        self.cut_at = float("inf")
        """Every connection ends once so much has arrived."""
        self.held_at = float("inf")
        """Nothing more is carried once so much has arrived."""
        self._target: tuple[str, int] = ("127.0.0.1", port)
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="link", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)  # else whoever waits in `accept` takes one more
        self._listener.close()
        self.held_at = float("inf")
        self._cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ARRIVED_BYTES)
                far = socket.create_connection(self._target)
                self._sockets |= {near, far}
                threading.Thread(target=self._carry, args=(near, far, self._count), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, len), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket, count: Callable[[bytes], object]) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(CHUNK_BYTES):
                count(data)
                far.sendall(data)
        for one in (near, far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _count(self, data: bytes) -> None:
        self.arrived_bytes += len(data)
        if self.rate_bps:
            time.sleep(len(data) * 8 / self.rate_bps)
        if self.arrived_bytes >= self.cut_at:
            self._cut()
        while self.arrived_bytes >= self.held_at:
            time.sleep(0.01)

    def _cut(self) -> None:
        for one in tuple(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()


class ObjectStore:
    """A bucket, whose URLs lead over the link."""

    def __init__(self, server: S3Server) -> None:
        self.server, self.link = server, Link(urlsplit(server.url).port or 80)
        self._client = _connect(server.url)
        self._signer = _connect(f"http://127.0.0.1:{self.link.port}")

    def objects(self) -> dict[str, bytes]:
        """By key, what is whole."""
        return self.server.objects()

    def parts(self, key: str) -> dict[int, tuple[int, str]]:
        """Of an upload that is under way: size and tag by number."""
        if (upload := self._upload(key)) is None:
            return {}
        listed = self._client.list_parts(Bucket=BUCKET, Key=key, UploadId=upload).get("Parts", [])
        return {one["PartNumber"]: (one["Size"], one["ETag"]) for one in listed}

    def urls(self, key: str, numbers: tuple[int, ...]) -> list[dict[str, object]]:
        """Each good for one part."""
        upload = self._upload(key)
        if upload is None:
            upload = self._client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        about = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
        sign = self._signer.generate_presigned_url
        return [
            {"number": number, "url": sign("upload_part", {**about, "PartNumber": number}, 3600)}
            for number in numbers
        ]

    def complete(self, key: str) -> None:
        parts = [{"PartNumber": number, "ETag": tag} for number, (_, tag) in self.parts(key).items()]
        self._client.complete_multipart_upload(
            Bucket=BUCKET, Key=key, UploadId=self._upload(key), MultipartUpload={"Parts": parts}
        )

    def forget(self, key: str) -> None:
        """As a lifecycle rule does with what was never completed."""
        self._client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=self._upload(key))

    def _upload(self, key: str) -> str | None:
        listed = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=key).get("Uploads", [])
        return next((one["UploadId"] for one in listed if one["Key"] == key), None)


def _connect(url: str):
    return boto3.client(
        "s3", endpoint_url=url, region_name=REGION,
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )  # fmt: skip


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    with s3_server() as server:
        store = ObjectStore(server)
        try:
            yield store
        finally:
            store.link.close()


async def answer(store: ObjectStore, uploads) -> None:
    """What a portal does with a device's section, until cancelled."""
    while True:
        section = uploads.section()
        if section and section.next and (section.want or section.next.is_sent):
            await _answer(store, uploads, section)
        await asyncio.sleep(0.05)


async def _answer(store: ObjectStore, uploads, section) -> None:
    file, key = section.next.file, f"{PREFIX}/{section.next.file}"
    name, arguments = "uploaded", {"file": file, "bytes": section.next.bytes}
    if not section.next.is_sent:
        have = await asyncio.to_thread(store.parts, key)
        wanted = tuple(number for number in section.want if number not in have)
        urls = await asyncio.to_thread(store.urls, key, wanted)
        more = {"expires_unix_s": time.time() + 3600, "parts": urls, "have": list(have)}
        name, arguments = "upload", arguments | more
    elif key not in store.objects():
        await asyncio.to_thread(store.complete, key)
    with contextlib.suppress(CommandError):  # it has moved on meanwhile
        uploads.handlers[name](None, parse_arguments(COMMANDS[name], arguments))
