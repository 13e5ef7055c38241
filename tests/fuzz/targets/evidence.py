"""Files that are said to be a camera's exports: whoever wants one to be believed."""

import tempfile
from contextlib import suppress
from pathlib import Path

from fuzz.target import Target

from agent.model import evidence
from agent.model.evidence import EvidenceError, Manifest, Part
from agent.model.keys import encode_public
from agent.signaling.trust import KeyRing, SigningKey, make_signing_key, open_sealed

KEY = SigningKey(make_signing_key())
RING = KeyRing.of([KEY.public])
BODY = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x0cmdat1234"


def _good() -> bytes:
    with tempfile.NamedTemporaryFile() as body:
        Path(body.name).write_bytes(BODY)
        digest = evidence.digest(Path(body.name), len(BODY))
    part = Part(0.0, 1.0, 2.0, "set", "0" * 32, 1)
    manifest = Manifest(
        "cam", "", encode_public(KEY.public), "1", "main", 1.0, 2.0, 3.0, len(BODY), digest, (part,)
    )
    return BODY + evidence.encode_box(KEY.seal(evidence.TOPIC, evidence.encode_manifest(manifest)))


GOOD = _good()


def check(data: bytes) -> None:
    """Nothing is proven but what was signed, to the last bit; anything else is an error in words."""
    with tempfile.NamedTemporaryFile() as named:
        file = Path(named.name)
        file.write_bytes(data)
        with suppress(EvidenceError):
            evidence.peek(file)
        try:
            evidence.verify(file, lambda topic, sealed: open_sealed(topic, sealed, RING.find))
        except EvidenceError:
            assert data != GOOD
        else:
            assert data == GOOD


def seeds() -> list[bytes]:
    """One that is good, and what is left of it."""
    return [GOOD, GOOD[:-1], GOOD[len(BODY) :], BODY, b""]


TARGET = Target("evidence", "Exports of a camera: whoever has the file.", check, seeds, max_bytes=8192)
