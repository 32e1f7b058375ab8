"""Finding a daemon, starting a private one, and ending it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from bsadvise import AsyncClient, Client
from bsadvise.model.errors import DaemonError, DaemonFailed, DaemonUnreachable, ServerMissing
from bsadvise.transport import launcher
from bsadvise.transport.credentials import Target
from bsadvise.transport.launcher import PrivateDaemon, connect, is_serving
from bsadvise.transport.state import state_place

from tests.support.fake_server import FakeDaemon

FAKE_COMMAND = (sys.executable, "-m", "tests.support.fake_daemon_main")


@pytest.fixture(autouse=True)
def _surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_an_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect("host:1").target.address == "host:1"
    assert connect("/run/d.sock").target.address == "unix:/run/d.sock"
    monkeypatch.setenv("BSADVISE_ADDRESS", "other:2")
    assert connect().target.address == "other:2"
    assert connect("host:1").target.address == "host:1"


@pytest.mark.parametrize("variable", ["XDG_RUNTIME_DIR", "XDG_STATE_HOME"])
def test_a_daemon_on_the_default_socket_is_used(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # However long the fake daemon takes to answer on a busy machine.
    monkeypatch.setattr(launcher, "is_serving", partial(is_serving, limit_s=60.0))
    folder = tmp_path_factory.mktemp("r")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv(variable, str(folder))
    socket = folder / "bsadvise" / "bsadvise.sock"
    socket.parent.mkdir()
    with FakeDaemon(socket) as daemon, Client() as client:
        assert client.devices()
        assert connect() == launcher.Connection(Target(f"unix:{socket}"))
        assert daemon.requests


def test_without_the_server_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_SERVER_PACKAGES", ("click", "no_such_package"))

    with pytest.raises(ServerMissing, match=r"pip install 'bsadvise\[server\]'") as caught:
        connect()
    assert "no_such_package missing" in str(caught.value)
    assert "--address" in str(caught.value)


def test_a_private_daemon_serves_and_ends_with_its_socket() -> None:
    daemon = PrivateDaemon(FAKE_COMMAND)
    socket = Path(daemon.address.removeprefix("unix:"))
    assert is_serving(daemon.address, limit_s=60.0)
    assert daemon.error_if_dead() is None

    daemon.close()
    daemon.close()

    assert daemon._process.returncode == 0
    assert not socket.parent.exists()


def test_a_private_daemon_that_cannot_start_shows_its_last_words() -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('the disk is full')")

    with pytest.raises(DaemonFailed, match="the disk is full") as caught:
        PrivateDaemon(command)
    assert caught.value.exit_code == 5
    assert "code 1" in str(caught.value)
    (log,) = (state_place().path / "logs").iterdir()
    assert str(caught.value).endswith(f"All of it: {log}")
    assert log.read_text() == "the disk is full\n"


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(DaemonFailed, match="/nowhere/python: No such file or directory"):
        PrivateDaemon(("/nowhere/python",))


def test_the_death_of_a_private_daemon_explains_the_failed_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = PrivateDaemon(FAKE_COMMAND)
    monkeypatch.setattr(
        "bsadvise.client.connect", lambda *_: launcher.Connection(Target(daemon.address), daemon)
    )
    with Client() as client:
        assert client.devices()
        daemon._process.kill()
        daemon._process.wait()
        with pytest.raises(DaemonUnreachable, match="ended with code -9") as caught:
            client.devices()
    assert str(daemon.log_path) in str(caught.value)


def test_a_private_daemon_dies_with_a_client_that_is_killed() -> None:
    program = (
        "import os, sys\n"
        "from bsadvise.transport.launcher import PrivateDaemon\n"
        f"daemon = PrivateDaemon({FAKE_COMMAND!r})\n"
        "print(daemon.address, daemon._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        address, pid = client.stdout.readline().decode().split()
        daemon = os.pidfd_open(int(pid))
        client.stdin.close()
    assert client.returncode == -9
    ended, _, _ = select.select([daemon], [], [], 30)
    os.close(daemon)
    assert ended
    assert not is_serving(address)


_FAILING = """
from bsadvise.v1 import advice_pb2, recommendation_pb2
from tests.support import fake_daemon_main, fake_server
from tests.support.wire_samples import a_refusal, state_changed

refusal = a_refusal(advice_pb2.REFUSAL_CODE_INTERNAL, "Its log says how.")
end = state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal)
script = fake_server.a_script(end=end)
fake_server.a_script = lambda: script
fake_daemon_main.main()
"""


async def test_a_defect_of_a_private_daemon_names_its_log(
    model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = PrivateDaemon((sys.executable, "-c", _FAILING))
    connection = launcher.Connection(Target(daemon.address), daemon)
    monkeypatch.setattr("bsadvise.client.connect", lambda *_: connection)
    monkeypatch.setattr("bsadvise.aio.connect", lambda *_: connection)
    words = f"^Its log says how. Its log: {daemon.log_path}$"
    async with AsyncClient() as other:
        with pytest.raises(DaemonError, match=words):
            await other.recommend(model_file)
        with Client() as client, pytest.raises(DaemonError, match=words):
            client.recommend(model_file)


def test_nothing_is_left_of_a_client_that_is_killed(tmp_path: Path) -> None:
    model = tmp_path / "model.py"
    model.write_text("import time\ndef build_model():\n    time.sleep(600)\n")
    places = {"XDG_RUNTIME_DIR": tmp_path / "run", "TMPDIR": tmp_path / "tmp"}
    for place in places.values():
        place.mkdir()
    program = (
        "import os, sys, bsadvise\n"
        "client = bsadvise.Client()\n"
        f"made = client.create_recommendation({str(model)!r})\n"
        "[*zip(client.watch(made.recommendation_id), range(3))]\n"  # Its worker has begun.
        "print(client._connection.daemon._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **{name: str(place) for name, place in places.items()}},
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        daemon = os.pidfd_open(int(client.stdout.readline()))
        assert list(places["TMPDIR"].iterdir())
        client.stdin.close()
    ended, _, _ = select.select([daemon], [], [], 60)
    os.close(daemon)
    assert ended
    left = [path.name for place in places.values() for path in place.iterdir()]
    # torch makes a folder for its compiler's cache when it is imported, and keeps it.
    assert [name for name in left if "torchinductor" not in name] == []
