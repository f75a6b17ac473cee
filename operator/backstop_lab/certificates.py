"""A certificate authority of the cluster's own, so that every client verifies whom it talks to.

All keys live in the scratch directory and die with it.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=30)


class Authority:
    """Issues certificates into one directory: `ca.crt`, and NAME.crt with NAME.key for each."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "backstop-lab")])
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate_file = directory / "ca.crt"
        self.certificate_file.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue_server(self, name: str, addresses: Sequence[str], names: Sequence[str]) -> None:
        """Write a serving certificate for these IP addresses and DNS names."""
        alternatives = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        dns = [x509.DNSName(dns_name) for dns_name in names]
        self._issue(name, name, "", x509.SubjectAlternativeName([*alternatives, *dns]))

    def issue_client(self, name: str, *, user: str, group: str = "") -> None:
        """Write a client certificate that the API server reads as this user and group."""
        self._issue(name, user, group, None)

    def write_kubeconfig(self, name: str, server: str) -> Path:
        """Write NAME.kubeconfig, complete in itself, for the client certificate of that name."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _base64(self.certificate_file),
                    },
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _base64(self._directory / f"{name}.crt"),
                        "client-key-data": _base64(self._directory / f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
            "current-context": "lab",
        }
        target = self._directory / f"{name}.kubeconfig"
        target.write_text(yaml.safe_dump(config))
        return target

    def _issue(
        self, name: str, user: str, group: str, alternatives: x509.SubjectAlternativeName | None
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        if group:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        usage = ExtendedKeyUsageOID.SERVER_AUTH if alternatives else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(x509.Name(attributes), key).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        (self._directory / f"{name}.crt").write_bytes(_pem(certificate))
        write_key(self._directory / f"{name}.key", key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + _LIFETIME)
        )


def write_key(target: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key, readable by its owner only."""
    target.touch(mode=0o600)
    target.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def write_signing_key(private: Path, public: Path) -> None:
    """Write the key pair that signs and verifies service-account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(private, key)
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
