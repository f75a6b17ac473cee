"""The Prometheus source over TLS: whom it trusts, and that its deadline holds there too."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.adapters.rude_server import RudeServer, dribble, result, rude_server

from backstop.adapters.metrics.bounded_http import Access
from backstop.adapters.metrics.prometheus import PrometheusSource


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """Return a certificate for 127.0.0.1 that vouches for itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "prometheus")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[RudeServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with rude_server() as running:
        # The handshake happens in the thread of each connection, when it first reads.
        running.socket = context.wrap_socket(
            running.socket, server_side=True, do_handshake_on_connect=False
        )
        yield running


def url(server: RudeServer) -> str:
    return f"https://127.0.0.1:{server.server_address[1]}"


async def test_a_trusted_server(server, certificate):
    """With its authority given, a server is asked; its deadline holds while it dribbles."""
    server.answers["good"] = result({"metric": {}, "value": [1, "2"]})
    server.answers["slow"] = dribble(server, b"HTTP/1.1 200 OK\r\n\r\n")
    source = PrometheusSource(url(server), Access(ca_file=certificate, deadline=0.6), threads=2)
    readings = await source.read(["good", "slow"])
    assert readings["good"].failure == ""
    assert readings["slow"].failure == "timed out after 0.6 s"
    assert source._idle.qsize() == 2
    await source.close()


async def test_an_unknown_server(server, certificate, monkeypatch):
    """A server that nobody vouches for gets no query, whatever the environment says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    source = PrometheusSource(url(server), Access(deadline=2))
    reading = (await source.read(["good"]))["good"]
    assert reading.failure == "the TLS connection failed: check the source's CA certificate"
    assert server.asked == []
    await source.close()
