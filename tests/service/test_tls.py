"""The secure port: who gets in, and how each wrong client is refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import bsadvise
import grpc
import pytest
from bsadvise import Credentials
from bsadvise.model.errors import DaemonUnreachable, NotAuthenticated
from bsadvise.model.token import Scope
from bsadvise.transport import operations
from bsadvise.v1 import device_service_pb2, source_service_pb2, token_service_pb2
from bsadvise.v1.device_service_pb2_grpc import DeviceServiceStub
from bsadvise.v1.source_service_pb2_grpc import SourceServiceStub
from bsadvise.v1.token_service_pb2_grpc import TokenServiceStub

from advisor.application.application import Application
from advisor.domain.errors import Unauthenticated
from advisor.service.admission import AdmissionLimits
from advisor.service.certificates import RevokedCertificates, caller_of, fingerprint_of
from advisor.service.server import ListenConfig
from advisor.service.tls import TlsFiles, TlsRefused, check_files
from tests.support.bench import Bench
from tests.support.certificates import HAS_OPENSSL, Authority, Pair
from tests.support.server import serving_at

pytestmark = pytest.mark.skipif(not HAS_OPENSSL, reason="needs the command openssl")

LIMIT_S = 60.0
"""Far above what a handshake takes; only a hung one reaches it."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def own(authority: Authority) -> Pair:
    return authority.sign("localhost")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


def _replace(pair: Pair, files: TlsFiles) -> None:
    """Move a copy of a pair into the place of the files, as a renewing program does."""
    for new, path in ((pair.key, files.key), (pair.cert, files.cert)):
        Path(shutil.copy(new, path.with_suffix(".new"))).replace(path)


@asynccontextmanager
async def secure(
    bench: Bench, files: TlsFiles, limits: AdmissionLimits | None = None
) -> AsyncIterator[tuple[Application, str]]:
    listen_config = ListenConfig(listen="127.0.0.1:0", tls=files)
    async with serving_at(bench, listen_config, limits) as (application, bound):
        (address,) = bound.addresses
        yield application, address


async def code_of(channel: grpc.aio.Channel, token: str | None = None) -> grpc.StatusCode:
    """Return how listing devices over a channel ends."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with channel:
        call = DeviceServiceStub(channel).ListDevices(
            device_service_pb2.ListDevicesRequest(),
            timeout=LIMIT_S,
            metadata=grpc.aio.Metadata(*metadata),
        )
        return await call.code()


def channel_to(
    address: str, authority: Authority | None, pair: Pair | None = None
) -> grpc.aio.Channel:
    """Return a channel that trusts an authority, and shows a certificate if there is one."""
    key, cert = pair.read() if pair else (None, None)
    trusted = authority.cert.read_bytes() if authority else None
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(trusted, key, cert))


async def test_a_token_over_tls_opens(bench: Bench, authority: Authority, own: Pair) -> None:
    async with secure(bench, TlsFiles(cert=own.cert, key=own.key)) as (application, address):
        _, text = await application.tokens.create("alice", Scope.READ)
        assert await code_of(channel_to(address, authority), text) is grpc.StatusCode.OK
        unknown = await code_of(channel_to(address, authority), "bsa_x")
        nothing = await code_of(channel_to(address, authority))
    assert unknown is nothing is grpc.StatusCode.UNAUTHENTICATED


async def test_plain_text_is_not_answered(bench: Bench, own: Pair) -> None:
    async with secure(bench, TlsFiles(cert=own.cert, key=own.key)) as (application, address):
        _, text = await application.tokens.create("alice", Scope.READ)
        code = await code_of(grpc.aio.insecure_channel(address), text)
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_client_does_not_talk_to_a_daemon_that_it_cannot_trust(
    bench: Bench, stranger: Authority, own: Pair
) -> None:
    async with secure(bench, TlsFiles(cert=own.cert, key=own.key)) as (_, address):
        code = await code_of(channel_to(address, stranger))
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_says_who_comes(bench: Bench, authority: Authority, own: Pair) -> None:
    files = TlsFiles(cert=own.cert, key=own.key, client_ca=authority.cert)
    alice = authority.sign("alice")
    async with secure(bench, files) as (application, address):
        assert await code_of(channel_to(address, authority, alice)) is grpc.StatusCode.OK
        async with channel_to(address, authority, alice) as channel:
            await SourceServiceStub(channel).CheckSource(
                source_service_pb2.CheckSourceRequest(digest="0" * 64), timeout=LIMIT_S
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await TokenServiceStub(channel).ListTokens(
                    token_service_pb2.ListTokensRequest(), timeout=LIMIT_S
                )
        _, text = await application.tokens.create("root", Scope.ADMIN)
        assert await code_of(channel_to(address, authority, alice), text) is grpc.StatusCode.OK
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "cert:alice has the scope run" in (caught.value.details() or "")


async def test_an_alternative_name_is_nobody_s(
    bench: Bench, authority: Authority, own: Pair
) -> None:
    files = TlsFiles(cert=own.cert, key=own.key, client_ca=authority.cert)
    async with secure(bench, files) as (_, address), channel_to(address, authority, own) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await TokenServiceStub(channel).ListTokens(
                token_service_pb2.ListTokensRequest(), timeout=LIMIT_S
            )
    assert "cert:localhost has the scope run" in (caught.value.details() or "")
    properties = {"x509_pem_cert": [own.cert.read_bytes()], "x509_common_name": [b"carol"]}
    nobody = RevokedCertificates(None)
    assert caller_of(properties, nobody).principal == "cert:carol"
    for names in ([], [b"a b"], [b""], [b"alice", b"bob"]):
        with pytest.raises(Unauthenticated, match="common name"):
            caller_of(properties | {"x509_common_name": names}, nobody)


async def test_a_revoked_certificate_opens_nothing(
    bench: Bench, authority: Authority, own: Pair, tmp_path: Path
) -> None:
    revoked = tmp_path / "revoked"
    revoked.write_text("# nobody yet\n")
    files = TlsFiles(cert=own.cert, key=own.key, client_ca=authority.cert, revoked=revoked)
    alice, bob = authority.sign("alice"), authority.sign("bob")
    shown = fingerprint_of(alice.cert.read_text()).upper()
    pairs = [shown[place : place + 2] for place in range(0, 64, 2)]
    async with secure(bench, files) as (_, address):
        assert await code_of(channel_to(address, authority, alice)) is grpc.StatusCode.OK
        revoked.write_text(f"sha256 Fingerprint={':'.join(pairs)}\n")
        unauthenticated = grpc.StatusCode.UNAUTHENTICATED
        assert await code_of(channel_to(address, authority, alice)) is unauthenticated
        assert await code_of(channel_to(address, authority, bob)) is grpc.StatusCode.OK
        revoked.write_text("alice\n")
        assert await code_of(channel_to(address, authority, bob)) is unauthenticated
    with pytest.raises(TlsRefused, match="line 1"):
        check_files(files)


@pytest.mark.parametrize("wrong", ["none", "of a stranger", "expired"])
async def test_a_wrong_certificate_is_refused(
    bench: Bench, authority: Authority, stranger: Authority, own: Pair, wrong: str
) -> None:
    files = TlsFiles(cert=own.cert, key=own.key, client_ca=authority.cert)
    pair = None
    if wrong == "of a stranger":
        pair = stranger.sign("alice")
    if wrong == "expired":
        pair = authority.sign("alice", days=-1, file_name="expired")
    async with secure(bench, files) as (application, address):
        _, text = await application.tokens.create("alice", Scope.READ)  # a token is not enough
        code = await code_of(channel_to(address, authority, pair), text)
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_new_certificates_are_taken_without_a_restart(
    bench: Bench, tmp_path: Path, stranger: Authority, authority: Authority, own: Pair
) -> None:
    files = TlsFiles(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    shutil.copy(own.cert, files.cert)
    shutil.copy(own.key, files.key)
    async with secure(bench, files) as (application, address):
        _, text = await application.tokens.create("alice", Scope.READ)
        assert await code_of(channel_to(address, authority), text) is grpc.StatusCode.OK

        files.key.write_text("half a key")
        assert await code_of(channel_to(address, authority), text) is grpc.StatusCode.OK

        renewed = stranger.sign("localhost")
        _replace(renewed, files)
        # gRPC keeps connections of one process to one address; each credential has its own.
        assert await code_of(channel_to(address, stranger), text) is grpc.StatusCode.OK


@asynccontextmanager
async def silent(address: str) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Open connections that begin a handshake and then say nothing."""
    host, _, port = address.rpartition(":")
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
    for _, writer in connections:
        writer.write(b"\x16\x03")  # the first bytes of a handshake, and no more
    yield [reader for reader, _ in connections]
    for _, writer in connections:
        writer.close()


async def test_who_connects_and_says_nothing_keeps_nobody_waiting(
    bench: Bench, authority: Authority, own: Pair
) -> None:
    async with secure(bench, TlsFiles(cert=own.cert, key=own.key)) as (application, address):
        _, text = await application.tokens.create("alice", Scope.READ)
        async with silent(address):
            assert await code_of(channel_to(address, authority), text) is grpc.StatusCode.OK


async def test_who_connects_and_says_nothing_is_let_go(bench: Bench, own: Pair) -> None:
    files, limits = TlsFiles(cert=own.cert, key=own.key), AdmissionLimits(handshake_s=0.1)
    async with secure(bench, files, limits) as (_, address), silent(address) as readers:
        async with asyncio.timeout(LIMIT_S):
            for reader in readers:
                await reader.read()  # returns when the daemon has closed it


async def test_the_client_s_errors_are_named(
    bench: Bench,
    authority: Authority,
    stranger: Authority,
    own: Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with secure(bench, TlsFiles(cert=own.cert, key=own.key)) as (application, address):
        token, text = await application.tokens.create("alice", Scope.RUN)
        good = Credentials(token=text, ca_file=authority.cert)
        async with bsadvise.AsyncClient(address, credentials=good) as client:
            assert await client.devices()
            with pytest.raises(bsadvise.AccessDenied):
                await client.list_tokens()
            await application.tokens.revoke(token.token_id)
            with pytest.raises(NotAuthenticated, match="revoked"):
                await client.devices()
        monkeypatch.setattr(operations, "_RETRY_S", 0.1)
        bad = Credentials(token=text, ca_file=stranger.cert)
        async with bsadvise.AsyncClient(address, credentials=bad) as client:
            with pytest.raises(DaemonUnreachable):
                await client.devices()


@pytest.mark.parametrize("wrong", ["cert", "key", "client_ca"])
def test_files_that_do_not_fit_are_named(
    tmp_path: Path, authority: Authority, own: Pair, wrong: str
) -> None:
    (tmp_path / "wrong.pem").write_text("nothing")
    good = {"cert": own.cert, "key": own.key, "client_ca": authority.cert}
    with pytest.raises(TlsRefused, match=r"wrong\.pem"):
        check_files(TlsFiles(**good | {wrong: tmp_path / "wrong.pem"}))
    with pytest.raises(TlsRefused, match=r"nowhere\.pem cannot be read"):
        check_files(TlsFiles(**good | {wrong: tmp_path / "nowhere.pem"}))


def test_a_key_of_another_certificate_is_refused(authority: Authority, own: Pair) -> None:
    with pytest.raises(TlsRefused, match="no certificate with its key"):
        check_files(TlsFiles(cert=own.cert, key=authority.sign("other").key))
