"""A certificate for the test's portal: cameras enrol over https alone."""

import sys
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """PEM texts, and the authority as a file on the control host."""

    chain: str
    key: str
    authority: str
    file: Path

    def trusting(self, program: str) -> list[str]:
        """A command of ours, which believes the portal."""
        return ["env", f"SSL_CERT_FILE={self.file}", str(Path(sys.executable).parent / program)]


def make(folder: Path, host: str) -> Certificates:
    """For one name or address."""
    authority = trustme.CA()
    made = authority.issue_cert(host)
    file = folder / "portal-ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return Certificates(
        b"".join(blob.bytes() for blob in made.cert_chain_pems).decode(),
        made.private_key_pem.bytes().decode(),
        authority.cert_pem.bytes().decode(),
        file,
    )
