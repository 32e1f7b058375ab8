"""What a daemon would meet is said before it is started, and nothing is changed by that."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from bsadvise import filesystems
from bsadvise.paths import socket_secret_path

from advisor.config.settings import Settings
from advisor.domain.errors import StoreUnavailable
from advisor.preflight import describe_start, network_warning
from advisor.service.address import AddressRefused
from advisor.service.own_socket import lock_path
from advisor.store.opening import open_store
from advisor.wiring import SystemClock, database_of, isolation_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state", socket=tmp_path / "socket", sandbox="off")


def make_database(settings: Settings, *statements: str) -> Path:
    path = Path(database_of(settings))
    store = open_store(path, clock=SystemClock(), is_owner_dead=lambda _: False)
    asyncio.run(store.close())
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


def test_a_database_that_is_not_there_is_not_made(settings: Settings) -> None:
    assert "bsadvise.db is made at the start" in describe_start(settings)
    assert not settings.state_dir.exists()


def test_an_older_database_is_not_migrated(settings: Settings) -> None:
    path = make_database(settings, "UPDATE bsadvise_schema SET version_num = '0001'")
    before = path.read_bytes()
    assert "has schema 0001; it is migrated to" in describe_start(settings)
    assert path.read_bytes() == before
    assert [*settings.state_dir.iterdir()] == [path]


async def test_a_database_in_use_is_read_too(settings: Settings) -> None:
    clock = SystemClock()
    store = open_store(database_of(settings), clock=clock, is_owner_dead=lambda _: False)
    try:
        assert "is up to date" in await asyncio.to_thread(describe_start, settings)
    finally:
        await store.close()


def test_a_database_of_a_newer_version_is_refused(settings: Settings) -> None:
    make_database(settings, "UPDATE bsadvise_schema SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer bsadvise"):
        describe_start(settings)


def test_a_file_that_is_no_database_is_refused(settings: Settings) -> None:
    settings.state_dir.mkdir()
    Path(database_of(settings)).write_text("no database" * 1000)
    with pytest.raises(StoreUnavailable, match="not a database"):
        describe_start(settings)


def test_the_database_s_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/none"
    settings = Settings(state_dir=tmp_path, socket=tmp_path / "s", database=url)
    with pytest.raises(StoreUnavailable) as caught:
        describe_start(settings)
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in f"{caught.value}{settings}"


def test_the_metrics_port_is_looked_at(tmp_path: Path) -> None:
    def describe(listen: str) -> str:
        return describe_start(
            Settings(state_dir=tmp_path, socket=tmp_path / "s", metrics_listen=listen)
        )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"metrics: {listen} is in use" in describe(listen)
    assert f"metrics: {listen} is free" in describe(listen)
    with pytest.raises(AddressRefused, match="cannot listen on"):
        describe("192.0.2.1:9464")


@pytest.mark.parametrize("private", [True, False])
def test_workers_open_neither_socket_nor_secret_nor_lock(tmp_path: Path, *, private: bool) -> None:
    path = tmp_path / "run" / "daemon.sock"
    settings = Settings(state_dir=tmp_path / "state", socket=path, private=private, sandbox="off")
    hidden = isolation_of(settings).reach.hidden_paths
    assert {path, socket_secret_path(path), lock_path(path)} <= set(hidden)


def test_a_database_file_on_a_network_is_warned_of(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warning" not in describe_start(settings)
    (tmp_path / "mounts").write_text(f"30 22 0:50 / {tmp_path} rw - nfs host:/x rw\n")
    monkeypatch.setattr(filesystems, "_MOUNTS", tmp_path / "mounts")
    assert f"warning: {settings.state_dir} is on nfs, where SQLite" in describe_start(settings)
    assert network_warning(replace(settings, database="postgresql://db/x")) is None
