"""The daemon listens where only its owner reaches it."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from advisor.service.address import AddressRefused, check_tcp, prepare_socket
from advisor.service.server import ListenConfig, make_server
from tests.support.bench import Bench
from tests.support.server import serving


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


def test_a_dead_daemon_s_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    prepare_socket(path)
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    path.write_text("mine")
    with pytest.raises(AddressRefused, match="not a socket"):
        prepare_socket(path)
    assert path.read_text() == "mine"


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AddressRefused, match="longer than"):
        prepare_socket(tmp_path / ("x" * 108))


async def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    async with serving(Bench(tmp_path / "state")) as client:
        with pytest.raises(AddressRefused, match="cannot listen"):
            await make_server(client.application, ListenConfig(listen=client.address))
