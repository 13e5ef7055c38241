"""The portal's small certificate authority: says to the broker which device is which.

ECDSA P-256, which every broker knows; the devices' own keys are Ed25519. Files stand in `portal.state_dir`.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.errors import ConfigError, PortalError
from agent.model.disk import make_private_folder, read_private, tidy, write_whole
from agent.model.ids import is_id

DEVICE_DAYS, SERVER_DAYS, AUTHORITY_DAYS = 90, 397, 20 * 365
SERVER_RENEW = dt.timedelta(days=100)
"""A broker's certificate that is good for longer is kept."""
CRL_DAYS = 3650
"""A broker refuses everybody once its list is out of date, so it never is."""
BACKDATE = dt.timedelta(hours=1)
"""Devices' clocks may be a little behind."""
PORTAL_NAME = "portal.pinhole"
"""The portal's name at the broker; no device's id holds a dot."""

PrivateKey = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that was issued."""

    pem: bytes
    serial: int
    not_after: float
    """Unix seconds."""


def open_authority(folder: Path, *, is_known: bool) -> "Authority":
    """The authority in there, which `is_known` where cameras hold its certificates. Raises PortalError.

    One that is lost is not made anew in silence: all those cameras would be shut out.
    """
    if is_known and not (folder / "ca.pem").exists():
        raise PortalError(
            f"portal.state_dir {folder}: ca.pem and ca-key.pem are lost, and cameras hold certificates of "
            "theirs: bring them back from a copy. Without one, revoke every camera and enrol it again"
        )
    return Authority(folder)


class Authority:
    """Issues certificates, and the list of those that were revoked."""

    def __init__(self, folder: Path) -> None:
        """Make its key at the first call. Raises PortalError."""
        if (folder / "ca.pem").exists() and not (folder / "ca-key.pem").exists():
            raise PortalError(f"portal.state_dir {folder}: ca-key.pem is lost: bring it back from a copy")
        try:
            make_private_folder(folder)
            self._key = load_or_make_key(folder / "ca-key.pem")
            file = folder / "ca.pem"
            if not file.exists():
                write_whole(
                    file, _self_signed(self._key, "Pinhole", AUTHORITY_DAYS, is_authority=True), 0o644
                )
            self.pem = _read(file, is_secret=False)
            self._certificate = x509.load_pem_x509_certificate(self.pem)
        except ConfigError as exc:
            raise PortalError(f"portal.state_dir {exc}") from exc
        except (OSError, ValueError) as exc:
            raise PortalError(f"portal.state_dir {folder}: no usable ca.pem and ca-key.pem: {exc}") from exc

    def issue_device(self, device: str, public_key: bytes) -> Certificate:
        """For the device's own key, 32 bytes of Ed25519."""
        key = Ed25519PublicKey.from_public_bytes(public_key)
        builder = self._builder(device, key, DEVICE_DAYS).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        return self._sign(builder)

    def issue_server(self, hosts: Sequence[str], key: PrivateKey) -> Certificate:
        """For the broker, under every name and address by which it is reached."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = (
            self._builder(hosts[0], key.public_key(), SERVER_DAYS)
            .add_extension(names, critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        return self._sign(builder)

    def keeps_server(self, file: Path, hosts: Sequence[str], key: PrivateKey) -> bool:
        """Whether the certificate in there is ours, for this key and these names, and good for a while."""
        try:
            known = x509.load_pem_x509_certificate(file.read_bytes())
            names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            known.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)  # older ones had none
            known.verify_directly_issued_by(self._certificate)
        except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        left = known.not_valid_after_utc - _now()
        return (
            left > SERVER_RENEW
            and list(names) == [_general_name(host) for host in hosts]
            and known.public_key() == key.public_key()
        )

    def write_revocations(self, file: Path, serials: Iterable[int]) -> None:
        """Write the CRL, where the file does not say the same already. Raises OSError."""
        wanted = set(serials)
        tidy(file.parent)
        try:
            known = x509.load_pem_x509_crl(file.read_bytes())
            if (
                known.is_signature_valid(self._key.public_key())
                and {one.serial_number for one in known} == wanted
            ):
                return
        except (OSError, ValueError, TypeError):
            pass  # it is made anew
        write_whole(file, self.revocation_list(wanted), 0o644)

    def revocation_list(self, serials: Iterable[int]) -> bytes:
        """The CRL (RFC 5280 section 5) in PEM."""
        now = _now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - BACKDATE)
            .next_update(now + dt.timedelta(days=CRL_DAYS))
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _builder(
        self, name: str, key: Ed25519PublicKey | ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        now = _now()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )

    def _sign(self, builder: x509.CertificateBuilder) -> Certificate:
        made = builder.sign(self._key, hashes.SHA256())
        pem = made.public_bytes(serialization.Encoding.PEM)
        return Certificate(pem, made.serial_number, made.not_valid_after_utc.timestamp())


def make_client(name: str, key: PrivateKey) -> bytes:
    """A certificate that vouches for itself: the portal's, which a listener trusts alone."""
    return _self_signed(key, name, AUTHORITY_DAYS, is_authority=False)


def load_or_make_key(file: Path) -> PrivateKey:
    """A P-256 key, made at the first call, mode 0600. Raises OSError, ValueError or ConfigError."""
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(file, pem, 0o600)
    loaded = serialization.load_pem_private_key(_read(file), password=None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file} holds no EC key")  # noqa: TRY004  a file of the wrong content
    return loaded


def _read(file: Path, *, is_secret: bool = True) -> bytes:
    try:
        return read_private(file, is_secret=is_secret)
    except ConfigError as exc:
        raise ConfigError(f"{file}: {exc}") from exc


def read_request(pem: bytes) -> tuple[str, bytes]:
    """The device and the public key of a signing request (RFC 2986), once its signature is proven.

    Raises PortalError, also where the common name cannot be a device's: the broker takes it for who is there.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        is_good = request.is_signature_valid
        key = request.public_key()
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except Exception as exc:  # hostile bytes meet the parser with any error at all
        raise PortalError("the request is no PEM certificate signing request") from exc
    if not is_good or not isinstance(key, Ed25519PublicKey) or len(names) != 1:
        raise PortalError("the request is not signed by an Ed25519 key, or names no device")
    device = names[0].value
    if not isinstance(device, str) or not is_id(device):
        raise PortalError(f"{ascii(device)[:80]} cannot be a camera's id: 1 to 64 letters, digits, - and _")
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return device, raw


def _self_signed(key: PrivateKey, name: str, days: int, *, is_authority: bool) -> bytes:
    now = _now()
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(_usage(is_authority=is_authority), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    """What the key is for (RFC 5280 section 4.2.1.3); Python 3.13 asks every authority."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
