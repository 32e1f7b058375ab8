"""The daemon listens where only its owner reaches it."""

from __future__ import annotations

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from bsadvise.paths import socket_secret_path

from advisor.service.address import AddressRefused, check_socket_path, check_tcp
from advisor.service.own_socket import OwnSocket
from advisor.service.server import ListenConfig, make_server
from tests.support.bench import Bench
from tests.support.house import CALLS, House, refusal
from tests.support.server import Client, serving, serving_at
from tests.support.showing import secret_of, showing

pytestmark = pytest.mark.rights


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "127.8.8.8:1", "[::1]:0", "localhost:80"])
def test_loopback_may_be_listened_on(address: str) -> None:
    assert check_tcp(address) == address


@pytest.mark.parametrize("address", ["0.0.0.0:50051", "[::]:1", "192.0.2.1:80", "example.org:80"])
def test_anything_else_is_refused_for_want_of_tls(address: str) -> None:
    with pytest.raises(AddressRefused, match="TLS"):
        check_tcp(address)


@pytest.mark.parametrize(
    "address", ["", "localhost", ":80", "127.0.0.1:", "127.0.0.1:65536", "a:b"]
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match="HOST:PORT"):
        check_tcp(address)


async def test_the_socket_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "daemon.sock"
    async with serving(Bench(tmp_path / "state"), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_live_daemon_s_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    bench = Bench(tmp_path / "state")
    async with serving(bench, path) as client:
        with pytest.raises(AddressRefused, match="already serves"):
            await make_server(client.application, ListenConfig(socket_path=path))
        assert await client.upload()


async def test_a_dead_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(Bench(tmp_path / "state"), path) as client:
        assert await client.upload()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    path.write_text("mine")
    with pytest.raises(AddressRefused, match="not a socket"):
        check_socket_path(path)
    assert path.read_text() == "mine"


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    for paths in ((tmp_path / ("x" * 108),), (tmp_path / "x", tmp_path / ("x" * 108))):
        with pytest.raises(AddressRefused, match="longer than"):
            check_socket_path(*paths)


def listen(target: str) -> socket.socket:
    """Do as gRPC does with a target."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(target.removeprefix("unix:"))
    listening.listen()
    return listening


def test_of_daemons_that_start_at_once_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    listen(f"unix:{path}").close()
    held: list[socket.socket] = []

    def start(_: int) -> bool:
        try:
            OwnSocket(path).bind(lambda target: held.append(listen(target)))
        except AddressRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        started = list(threads.map(start, range(8)))
    assert sum(started) == len(held) == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    held[0].close()


def test_a_daemon_that_ends_leaves_the_next_one_s_socket(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    first, second = OwnSocket(path), OwnSocket(path)
    first.bind(lambda target: listen(target).close())
    first_secret = socket_secret_path(path).read_text()
    second.bind(lambda target: listen(target).close())
    assert socket_secret_path(path).read_text().strip() == second.secret != first_secret.strip()
    first.remove()
    assert path.is_socket()
    assert socket_secret_path(path).exists()
    second.remove()
    assert {left.name for left in tmp_path.iterdir()} == {"daemon.sock.lock"}
    second.remove()


async def test_grpc_removes_nothing_of_the_next_daemon(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    next_one = OwnSocket(path)
    bench = Bench(tmp_path / "state")
    async with serving_at(bench, ListenConfig(socket_path=path)) as (_, bound):
        path.unlink()  # Nobody answers there, so that the next daemon begins.
        next_one.bind(lambda target: listen(target).close())
        await bound.server.stop(grace=None)
        assert path.is_socket()
    assert path.is_socket()


def test_the_secret_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    before = os.umask(0)
    try:
        OwnSocket(path).bind(lambda target: listen(target).close())
    finally:
        os.umask(before)
    for made in (path, socket_secret_path(path)):
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


@pytest.mark.parametrize("authorization", [None, "Socket", "Socket ", "Socket x", "socket Socket"])
async def test_who_reaches_the_socket_without_its_secret_may_do_nothing(
    tmp_path: Path, authorization: str | None
) -> None:
    config = ListenConfig(socket_path=tmp_path / "daemon.sock", trust_loopback=True)
    async with serving_at(Bench(tmp_path / "state"), config) as (application, bound):
        house = House(Bench(tmp_path / "other"), application, bound)
        async with house.client(authorization) as client:
            refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
            check: Any = client.channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"")
        async with house.caller("alice") as alice:
            assert await CALLS["DeviceService/ListDevices"](alice, "")
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert "secret" in refused.sentence


async def test_the_secret_opens_no_port(tmp_path: Path) -> None:
    config = ListenConfig(socket_path=tmp_path / "daemon.sock", listen="127.0.0.1:0")
    async with serving_at(Bench(tmp_path / "state"), config) as (application, bound):
        shown = secret_of(bound.addresses[0])
        async with grpc.aio.insecure_channel(
            bound.addresses[1], interceptors=showing(shown)
        ) as channel:
            client = Client(bound.addresses[1], channel, application, bound.health_reporter)
            refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with serving(Bench(tmp_path / "state")) as client:
        with pytest.raises(AddressRefused, match="cannot listen"):
            await make_server(client.application, ListenConfig(listen=client.address))
