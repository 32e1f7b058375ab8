"""The daemon as a process: it starts, serves, drains and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import bsadvise
import grpc
import pytest
from bsadvise.v1 import device_pb2, device_service_pb2
from bsadvise.v1.device_service_pb2_grpc import DeviceServiceStub

from tests.support.daemon_process import (
    EXIT_LIMIT_S,
    ready_addresses,
    start_daemon,
    wait_until_ready,
)
from tests.support.showing import owner_channel


def _device_kinds(address: str) -> list[int]:
    is_socket = address.startswith("unix:")
    with owner_channel(address) if is_socket else grpc.insecure_channel(address) as channel:
        response = DeviceServiceStub(channel).ListDevices(
            device_service_pb2.ListDevicesRequest(), wait_for_ready=True, timeout=EXIT_LIMIT_S
        )
    return [int(device.kind) for device in response.devices]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    with start_daemon(tmp_path) as daemon:
        address = wait_until_ready(daemon)
        assert address == f"unix:{tmp_path / 'daemon.sock'}"
        assert device_pb2.DEVICE_KIND_CPU in _device_kinds(address)
        daemon.send_signal(number)
        output, _ = daemon.communicate(timeout=EXIT_LIMIT_S)
    assert daemon.returncode == 0
    assert output == ""
    assert {path.name for path in tmp_path.iterdir()} == {"daemon.sock.lock", "state"}


WITH_A_THREAD = """
import sys, threading
from advisor.__main__ import main
threading.Thread(target=threading.Event().wait).start()
sys.exit(main())
"""


def test_ends_though_a_thread_does_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITH_A_THREAD, "--socket", str(tmp_path / "daemon.sock")]
    with subprocess.Popen(
        [*command, "--state-dir", str(tmp_path / "state")], stderr=subprocess.PIPE, text=True
    ) as daemon:
        wait_until_ready(daemon)
        daemon.terminate()
        _, errors = daemon.communicate(timeout=EXIT_LIMIT_S)
    assert daemon.returncode == 0
    assert "ended though threads still compute" in errors


def test_ends_when_its_client_does(tmp_path: Path) -> None:
    with start_daemon(tmp_path, "--private", "--until-stdin-closes") as daemon:
        wait_until_ready(daemon)
        _, errors = daemon.communicate(timeout=EXIT_LIMIT_S)  # closes stdin
    assert daemon.returncode == 0
    assert errors == ""  # a private daemon is quiet


def test_replaces_the_socket_of_a_dead_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "daemon.sock"))
    with start_daemon(tmp_path, "--until-stdin-closes", "--listen", "127.0.0.1:0") as daemon:
        assert _device_kinds(wait_until_ready(daemon))


def test_leaves_the_socket_of_a_live_daemon(tmp_path: Path) -> None:
    with start_daemon(tmp_path) as first:
        address = wait_until_ready(first)
        with start_daemon(tmp_path) as second:
            _, errors = second.communicate(timeout=EXIT_LIMIT_S)
        assert second.returncode == 1
        assert "already serves" in errors
        assert _device_kinds(address)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=EXIT_LIMIT_S,
        check=False,
    )


def test_refuses_to_listen_beyond_this_machine() -> None:
    ended = _run("-m", "advisor", "--listen", "0.0.0.0:50051")
    assert ended.returncode == 1
    assert "TLS" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tls-cert", "c.pem"), "tls_cert and tls_key go together"),
        (("--tls-cert", "c.pem", "--tls-key", "k.pem"), "for listen, which is missing"),
        (
            ("--listen", "0.0.0.0:1", "--tls-cert", "c.pem", "--tls-key", "k.pem"),
            "c.pem cannot be read",
        ),
        (
            ("--listen=[::1]:1", "--tls-cert=c", "--tls-key=k", "--trust-loopback"),
            "trust_loopback is for plain text",
        ),
    ],
)
def test_check_names_what_keeps_it_from_listening(flags: tuple[str, ...], message: str) -> None:
    ended = _run("-m", "advisor", "--check", *flags)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_who_comes_by_the_socket_makes_tokens_for_those_who_come_by_tcp(tmp_path: Path) -> None:
    with start_daemon(tmp_path, "--listen", "127.0.0.1:0") as daemon:
        socket_address, tcp_address = ready_addresses(daemon)
        with bsadvise.Client(socket_address) as owner:
            _, text = owner.create_token("alice", bsadvise.Scope.READ)
        nobody = bsadvise.Client(tcp_address, credentials=bsadvise.Credentials())
        with nobody, pytest.raises(bsadvise.NotAuthenticated):
            nobody.devices()
        alice = bsadvise.Client(tcp_address, credentials=bsadvise.Credentials(token=text))
        with alice:
            assert alice.devices()
        daemon.terminate()
        _, errors = daemon.communicate(timeout=EXIT_LIMIT_S)
    assert text.split("_", 2)[2] not in errors


def test_loopback_may_be_trusted(tmp_path: Path) -> None:
    with start_daemon(tmp_path, "--listen", "127.0.0.1:0", "--trust-loopback") as daemon:
        _, tcp_address = ready_addresses(daemon)
        assert _device_kinds(tcp_address)


def test_check_starts_nothing(tmp_path: Path) -> None:
    ended = _run("-m", "advisor", "--check", "--state-dir", str(tmp_path / "state"))
    assert ended.returncode == 0
    assert str(tmp_path / "state") in ended.stderr
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = _run(
        "-m", "advisor", "--state-dir", str(tmp_path / "file"), "--socket", str(tmp_path / "s")
    )
    assert ended.returncode == 1
    assert str(tmp_path / "file") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_daemon_never_imports_torch() -> None:
    ended = _run(
        "-c",
        "import sys, advisor.__main__; print([m for m in sys.modules if m.startswith('torch')])",
    )
    assert ended.stdout == "[]\n", ended.stderr
