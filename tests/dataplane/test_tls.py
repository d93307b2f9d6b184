"""Back ends behind TLS: the gateway hands a key to nobody whose certificate does not name the address it was told."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.dataplane.backend import Backend, running_backend
from tests.dataplane.gateway import Gateway, running_gateway
from tests.dataplane.plane import Plane
from tests.dataplane.region import Region
from tests.processes import eventually

pytestmark = pytest.mark.envoy

ALICE = "alice-key-0123456789"


class Authority:
    """Signs certificates, and is or is not among those that a gateway trusts."""

    def __init__(self, folder: Path, name: str) -> None:
        self.file = folder / f"{name}.pem"
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: x509.GeneralName) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "back end")])
        certificate = self._sign(subject, key.public_key(), x509.SubjectAlternativeName(names))
        file = self._folder / f"leaf-{certificate.serial_number}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "trusted")


@pytest.fixture(scope="module")
def gateway(plane: Plane, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    plane.join(1, "token")
    plane.publish(Region(), wait=False)
    with running_gateway(tmp_path_factory.mktemp("node"), "tls", plane.port, "token", authority.file) as gateway:
        eventually(gateway.is_ready)
        yield gateway


def publish(plane: Plane, region: Region, backend: Backend, host: str) -> None:
    region.key("alice", ALICE)
    region.key("provider", "sk-provider-0123456789")
    region.consumer("alice", "alice")
    region.service("chat", backend.port, "provider", authorized=("alice",), scheme="https", host=host)
    plane.publish(region)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_trusted_certificate_for_the_address_is_taken(
    plane: Plane, gateway: Gateway, region: Region, authority: Authority, host: str
) -> None:
    name = x509.DNSName(host) if host == "localhost" else x509.IPAddress(ip_address(host))
    with running_backend(authority.context(name)) as backend:
        publish(plane, region, backend, host)
        assert gateway.status("/ai/chat/models", ALICE) == 200
        assert backend.last.header("host") == f"{host}:{backend.port}"
        assert backend.last_authorization == "Bearer sk-provider-0123456789"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_trusted_certificate_for_another_address_is_refused(
    plane: Plane, gateway: Gateway, region: Region, authority: Authority, host: str
) -> None:
    with running_backend(authority.context(x509.DNSName("elsewhere.example"), x509.IPAddress(ip_address("127.0.0.9")))) as backend:
        publish(plane, region, backend, host)
        assert gateway.status("/ai/chat/models", ALICE) == 503
        assert not backend.seen


def test_a_certificate_of_an_authority_that_nobody_trusts_is_refused(
    plane: Plane, gateway: Gateway, region: Region, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    with running_backend(stranger.context(x509.DNSName("localhost"))) as backend:
        publish(plane, region, backend, "localhost")
        assert gateway.status("/ai/chat/models", ALICE) == 503
        assert not backend.seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize(("named", "status"), [(True, 200), (False, 403)])
def test_the_service_that_a_plugin_asks_has_to_have_a_certificate_for_its_own_address(
    plane: Plane, gateway: Gateway, region: Region, authority: Authority, host: str, named: bool, status: int
) -> None:
    """Not for the one that the caller named."""
    own = x509.DNSName(host) if host == "localhost" else x509.IPAddress(ip_address(host))
    with running_backend() as backend, running_backend(authority.context(own if named else x509.DNSName("gateway.example"))) as judge:
        region.key("token", "judges-token-0123456789")
        address = f"https://{host}:{judge.port}/check"
        rule = f"http_service: {{endpoint: {{address: '{address}'}}, authorization_request: {{headers_to_add: {{x-t: '$ref{{token}}'}}}}}}"
        region.rule("ext-auth", rule)
        region.service("chat", backend.port, consumer_authentication=False)
        plane.publish(region)
        assert gateway.status("/ai/chat/models", host="gateway.example") == status
        assert [(seen.target, seen.header("host"), seen.header("x-t")) for seen in judge.seen] == [
            ("/check/ai/chat/models", f"{host}:{judge.port}", "judges-token-0123456789")
        ][: 1 if named else 0]
