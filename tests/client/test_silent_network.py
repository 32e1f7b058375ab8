"""A network that falls silent: no reset, no end of file, nothing at all."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bsadvise import AsyncClient, Client
from bsadvise.model.errors import DaemonUnreachable
from bsadvise.model.recommendation import State, StateChanged
from bsadvise.transport import channel

from advisor.service.server import _OPTIONS
from tests.support.fake_server import FakeDaemon, Hold, a_script

nightly = pytest.mark.skipif(
    "BSADVISE_SILENCE" not in os.environ,
    reason="gRPC sends the pings of a quiet connection a minute apart: for make nightly",
)


class Wire:
    """Carries bytes between clients and a daemon until it is cut, which neither can tell."""

    def __init__(self, to: str) -> None:
        host, _, port = to.rpartition(":")
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._is_cut = self._is_closed = False
        self._silent: list[socket.socket] = []
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def cut(self, *, mended: bool = False) -> None:
        """Carry nothing more on what is connected now, nor on new ones unless it is mended."""
        self._is_cut = not mended
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                self._selector.unregister(key.fileobj)
                self._silent += [key.fileobj]  # type: ignore[list-item]

    def close(self) -> None:
        self._is_closed = True
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        for one in (*self._silent, self._wake):
            one.close()

    def _carry(self) -> None:
        while not self._is_closed:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._connect()
                elif key.data is not None:
                    self._pass_on(key)

    def _connect(self) -> None:
        near, _ = self._listener.accept()
        if self._is_cut:
            self._silent.append(near)
            return
        far = socket.create_connection(self._to)
        self._selector.register(near, selectors.EVENT_READ, far)
        self._selector.register(far, selectors.EVENT_READ, near)

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        one: socket.socket = key.fileobj  # type: ignore[assignment]
        try:
            data = one.recv(65536)
            if data:
                key.data.sendall(data)
                return
        except OSError:
            pass
        for end in (one, key.data):
            if end in {item.fileobj for item in self._selector.get_map().values()}:
                self._selector.unregister(end)
            end.close()


@contextmanager
def wire_to(daemon: FakeDaemon) -> Iterator[Wire]:
    wire = Wire(daemon.address)
    try:
        yield wire
    finally:
        wire.close()


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    monkeypatch.setattr(channel, "_KEEPALIVE_TIME_MS", 200)
    monkeypatch.setattr(channel, "_KEEPALIVE_TIMEOUT_MS", 500)
    monkeypatch.setattr(channel, "_CONNECT_LIMIT_MS", 500)
    with FakeDaemon() as fake:
        fake.script = a_script(Hold())
        yield fake


@nightly
def test_a_watch_over_a_silent_network_ends_with_an_error(remote: FakeDaemon) -> None:
    with wire_to(remote) as wire, Client(wire.address, reconnect_s=0.2) as client:
        events = client.watch(_begin(client, remote))
        next(events)
        wire.cut()
        with pytest.raises(DaemonUnreachable, match="no daemon answers"):
            list(events)


@nightly
async def test_so_does_one_of_asyncio(remote: FakeDaemon) -> None:
    with wire_to(remote) as wire:
        with Client(remote.address) as other:
            job_id = _begin(other, remote)
        async with AsyncClient(wire.address, reconnect_s=0.2) as client:
            events = client.watch(job_id)
            await anext(events)
            wire.cut()
            with pytest.raises(DaemonUnreachable):
                [event async for event in events]


@nightly
def test_a_watch_goes_on_where_the_network_comes_back(remote: FakeDaemon) -> None:
    with wire_to(remote) as wire, Client(wire.address, reconnect_s=60.0) as client:
        events = client.watch(_begin(client, remote))
        seen = [next(events), next(events)]
        wire.cut(mended=True)
        remote.release()
        seen += events
    assert [event.sequence for event in seen] == [1, 2, 3]
    last = seen[-1].happening
    assert isinstance(last, StateChanged)
    assert last.state is State.SUCCEEDED


def test_a_daemon_takes_the_pings_of_its_clients_for_no_abuse() -> None:
    shortest_ms = dict(_OPTIONS)["grpc.http2.min_recv_ping_interval_without_data_ms"]
    assert shortest_ms < channel._KEEPALIVE_TIME_MS
    assert not any("keepalive" in name for name, _ in channel.channel_options("unix:/run/d.sock"))


def _begin(client: Client, daemon: FakeDaemon) -> str:
    """Ask for advice, and return the id when the script has come to where it holds."""
    held = threading.Event()
    daemon.on_hold = held.set
    created = client.create_recommendation(__file__)
    assert held.wait(60)
    return created.recommendation_id
